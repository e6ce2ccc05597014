"""Who gets in is decided by title, network, certificate and number, and by nothing else."""

import tomllib
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest

from node.check.unlisted import mistaken, suggestion
from node.receive.gate import NOT_FOR_SOURCES, Caller, Gate, Reject
from node.settings import Settings
from node.settings.trust import ClientTlsTable, Source
from node.store.access import OTHERS, Rejected, Rejection, Visitor
from node.wire.listener import certified_names

CT = Source(
    ae_title="CT1",
    networks=(ip_network("10.1.0.0/16"), ip_network("fd00::/8")),
    maximum_associations=2,
)
MR = Source(ae_title="MR1", called_ae="MRNODE", certificate="mr1.example.org")


def gate(*sources: Source, accept_unlisted: bool = False) -> Gate:
    """Return a gate of a node called RADNODE that takes three associations."""
    return Gate(sources, "RADNODE", accept_unlisted, 3)


def caller(calling: str, called: str = "RADNODE", address: str = "10.1.2.3") -> Caller:
    """Return a caller without a certificate."""
    return Caller(calling, called, address)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
def test_a_listed_caller_from_its_network_gets_in(address: str) -> None:
    """IPv4 inside IPv6 is IPv4."""
    assert gate(CT).judge(caller("CT1", address=address), {}) is None


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        (caller("XA1"), Reject.CALLING_AE_NOT_RECOGNISED),
        (caller("XA1", "SOMEBODY"), Reject.CALLING_AE_NOT_RECOGNISED),
        (caller("ct1"), Reject.CALLING_AE_NOT_RECOGNISED),
        (caller(""), Reject.CALLING_AE_NOT_RECOGNISED),
        (caller("CT1", address="10.2.0.1"), Reject.CALLING_AE_NOT_RECOGNISED),
        (caller("CT1", address="nonsense"), Reject.CALLING_AE_NOT_RECOGNISED),
        (caller("CT1", "SOMEBODY"), Reject.CALLED_AE_NOT_RECOGNISED),
        (caller("MR1", "MRNODE"), Reject.CALLING_AE_NOT_RECOGNISED),
        (
            Caller("MR1", "MRNODE", "10.1.2.3", frozenset({"mr2.example.org"})),
            Reject.CALLING_AE_NOT_RECOGNISED,
        ),
    ],
)
def test_anybody_else_is_told_what_is_wrong(who: Caller, answer: Reject) -> None:
    """PS3.8 Table 9-21; a stranger learns nothing about titles."""
    refusal = gate(CT, MR).judge(who, {})
    assert refusal is not None
    assert refusal.answer is answer


def test_a_certificate_and_a_title_of_its_own() -> None:
    """A source may be bound to its certificate, and call us by another title."""
    names = frozenset({"mr1.example.org"})
    assert gate(CT, MR).judge(Caller("MR1", "MRNODE", "192.0.2.1", names), {}) is None
    refusal = gate(CT, MR).judge(Caller("MR1", "RADNODE", "192.0.2.1", names), {})
    assert refusal is not None
    assert refusal.answer is Reject.CALLED_AE_NOT_RECOGNISED


def test_without_sources_and_with_accept_unlisted_everybody_gets_in() -> None:
    """But must call us by our title, and wait while we are full."""
    for open_gate in (gate(), gate(CT, accept_unlisted=True)):
        assert open_gate.judge(caller("XA1"), {}) is None
        assert open_gate.judge(caller("CT1", address="192.0.2.1"), {}) is None
        assert open_gate.judge(caller("XA1", "SOMEBODY"), {}) is not None


@pytest.mark.parametrize(
    ("associated", "because"),
    [
        ({"CT1": 1}, None),
        ({"CT1": 2}, "too many associations of this source"),
        ({"CT1": 1, "MR1": 2}, "too many associations"),
        ({"MR1": 3}, "too many associations"),
    ],
)
def test_associations_are_limited_by_source_and_in_all(
    associated: dict[str, int], because: str | None
) -> None:
    """A transient rejection: the peer tries again."""
    refusal = gate(CT, MR).judge(caller("CT1"), associated)
    assert (refusal.because if refusal else None) == because
    assert refusal is None or refusal.answer is Reject.LOCAL_LIMIT_EXCEEDED


def test_the_settings_that_would_let_them_in_are_given() -> None:
    """Listed peers are left out; a title that came from elsewhere keeps its old networks."""
    visitors = [
        Visitor("CT1", "RADNODE", "10.1.2.3", 5, 0.0, 1.0),
        Visitor('X"1', "RADNODE", "192.0.2.7", 1, 0.0, 1.0),
    ]
    rejections = [
        Rejection(Rejected("MR1", "NODE", "fe80::1%eth0", "not among the sources"), 1, 0.0, 1.0),
        Rejection(Rejected(OTHERS, OTHERS, OTHERS, "too many different peers"), 1, 0.0, 1.0),
        Rejection(Rejected("", "", "192.0.2.9", "TLS: wrong version number"), 1, 0.0, 1.0),
    ]
    assert suggestion(visitors, rejections, [CT], "RADNODE") == (
        '[[sources]]\nae_title = "MR1"\ncalled_ae = "NODE"  # it called NODE\n'
        'networks = ["fe80::1/128"]\n\n'
        '[[sources]]\nae_title = "X\\"1"\nnetworks = ["192.0.2.7/32"]\n'
    )
    elsewhere = [Visitor("CT1", "RADNODE", "192.0.2.1", 1, 0.0, 1.0)]
    assert suggestion(elsewhere, [], [CT], "RADNODE") == (
        '[[sources]]  # in place of the entry of this title\nae_title = "CT1"\n'
        'networks = ["10.1.0.0/16", "192.0.2.1/32", "fd00::/8"]\nmaximum_associations = 2\n'
    )


def test_the_entry_in_place_of_another_says_no_less_than_it() -> None:
    """Pasted as it is told to be, it must not loosen what binds the title."""
    known = Source(
        ae_title="CT1",
        networks=(IPv4Network("10.1.0.0/16"),),
        certificate="ct1.example.org",
        maximum_associations=4,
        host="ct1.example.org",
        port=104,
        tls=ClientTlsTable(ca_file=Path("/etc/ca.crt"), check_server_name=False),
    )
    came = [Visitor("CT1", "RADNODE", "192.0.2.1", 1, 0.0, 1.0)]

    told = suggestion(came, [], [known], "RADNODE")

    (entry,) = Settings.model_validate(tomllib.loads(told)).sources
    assert entry == known.model_copy(
        update={"networks": (IPv4Network("10.1.0.0/16"), IPv4Network("192.0.2.1/32"))}
    )


HERE = Source(ae_title="CT1", networks=(IPv4Network("10.1.0.0/16"),))
ANYWHERE = Source(ae_title="CT1")
OLD = Source(ae_title="CT1", called_ae="OLDPACS", networks=(IPv4Network("10.1.0.0/16"),))


@pytest.mark.parametrize(
    ("known", "called", "address"),
    [
        (HERE, "RADNOD", "10.1.2.3"),
        (HERE, "ZZZ", "10.1.2.3"),
        (HERE, "RADNOD", "192.0.2.1"),
        (HERE, "RADNODE", "192.0.2.1"),
        (ANYWHERE, "RADNOD", "192.0.2.1"),
        (OLD, "RADNODE", "10.1.2.3"),
        (OLD, "OLDPACS", "192.0.2.1"),
    ],
    ids=["typo", "late letters", "both", "moved", "anywhere", "our own title", "old, moved"],
)
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_what_is_proposed_locks_nobody_out_who_sends_now(
    known: Source, called: str, address: str, listed: bool
) -> None:
    """One mistyped call made the working entry of CT1 one that rejects CT1."""
    works = Caller("CT1", known.called_ae or "RADNODE", "10.1.2.3")
    came = [Visitor("CT1", works.called_ae, works.address, 900, 0.0, 1.0)]
    rejected = [Rejection(Rejected("CT1", called, address, "not let in"), 1, 2.0, 2.0)]
    sources = [known] if listed else []

    told = suggestion(came, rejected, sources, "RADNODE")
    proposed = Settings.model_validate(tomllib.loads(told)).sources
    after = {one.ae_title: one for one in (*sources, *proposed)}

    assert gate(*after.values()).judge(works, {}) is None
    if proposed and listed:
        (entry,) = proposed
        assert set(entry.networks) > set(known.networks)
        assert entry.called_ae == known.called_ae
    mistakes = mistaken(came, rejected, sources, "RADNODE")
    assert bool(mistakes) is (called != works.called_ae)
    assert all(f"called {called} (1 times); expected {works.called_ae}" in one for one in mistakes)


def test_a_mistyped_call_of_a_listed_peer_proposes_nothing() -> None:
    """It is mended at the peer."""
    typo = [Rejection(Rejected("CT1", "RADNOD", "10.1.2.3", "it must call RADNODE"), 3, 0.0, 1.0)]

    assert suggestion([], typo, [HERE], "RADNODE") == ""
    assert mistaken([], typo, [HERE], "RADNODE") == [
        "CT1 at 10.1.2.3 called RADNOD (3 times); expected RADNODE: correct it there"
    ]


def test_who_is_rejected_for_what_no_entry_changes_is_not_proposed() -> None:
    """Pasted, the entry would change nothing for it."""
    rejected = [
        Rejection(Rejected(f"X{number}", "RADNODE", "192.0.2.1", f"{begins} so"), 1, 0.0, 1.0)
        for number, begins in enumerate(NOT_FOR_SOURCES)
    ]

    assert suggestion([], rejected, [HERE], "RADNODE") == ""


def test_the_entry_of_a_peer_that_came_by_ipv4_over_ipv6_lets_it_in() -> None:
    """A node that listens on `::` sees it so."""
    address = "::ffff:192.0.2.1"
    told = suggestion([Visitor("CT1", "RADNODE", address, 1, 0.0, 1.0)], [], [], "RADNODE")

    sources = Settings.model_validate(tomllib.loads(told)).sources

    assert gate(*sources).judge(Caller("CT1", "RADNODE", address), {}) is None


@pytest.mark.parametrize(
    ("alternative", "expected"),
    [
        ([("DNS", "CT1.Example.org")], {"ct1.example.org"}),
        ([("IP Address", "2001:DB8:0:0:0:0:0:1")], {"2001:db8::1"}),
        ([("DNS", "*.example.org"), ("email", "a@ct1.example.org")], set()),
        ([("URI", "ct1.example.org")], set()),
        ([], set()),
    ],
)
def test_whom_a_certificate_speaks_for(
    alternative: list[tuple[str, str]], expected: set[str]
) -> None:
    """RFC 9525: the Subject Alternative Names, in any case; never the common name."""
    shown = {"subject": ((("commonName", "ct1.example.org"),),), "subjectAltName": alternative}

    assert certified_names(shown) == expected


@pytest.mark.parametrize("name", ["MR 1", "*.example.org", "", "a..b", "ct1.example.org/CN"])
def test_a_name_that_no_certificate_can_hold_is_refused_in_the_settings(name: str) -> None:
    """It would lock the source out without a word."""
    with pytest.raises(ValueError, match="Subject Alternative"):
        Source(ae_title="MR1", certificate=name)


def test_names_are_compared_in_one_form() -> None:
    """DNS names in lower case, addresses as the address they are."""
    assert Source(ae_title="MR1", certificate="MR1.Example.ORG").certificate == "mr1.example.org"
    assert Source(ae_title="MR1", certificate="2001:DB8::0001").certificate == "2001:db8::1"

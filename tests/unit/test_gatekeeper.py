"""The gate at work: whoever is not let in is answered, counted, and cannot go on."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from node.errors import StoreError
from node.receive.gate import Gate, Reject
from node.receive.gatekeeper import Gatekeeper, caller_of
from node.store.access import Rejected, Rejection
from node.store.catalog import Catalog
from node.wire.acceptor import AssociateRequest
from node.wire.request import (
    ACCEPTED,
    NO_ABSTRACT_SYNTAX,
    NO_TRANSFER_SYNTAX,
    ContextAnswer,
    Request,
)

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ASKS = Request(calling_ae="CT1", called_ae="RADNODE")
NOW = 1000.0


class Association:
    """What the gatekeeper sees of a pynetdicom association."""

    def __init__(self, request: Request = ASKS, *answers: ContextAnswer) -> None:
        self.requestor = SimpleNamespace(
            primitive=AssociateRequest(request).to_primitive(), address="10.1.2.3"
        )
        self.acse = Mock(answers=answers)
        self.dul = SimpleNamespace(socket=None)
        self._server = Mock()
        self.accepted_contexts = [one for one in answers if one.result == ACCEPTED]
        self.alive = True
        self.kill = Mock()

    def is_alive(self) -> bool:
        """Tell whether its thread runs."""
        return self.alive


@pytest.fixture
def keeper(catalog: Catalog) -> Gatekeeper:
    """Return the gatekeeper of a node called RADNODE that takes two associations."""
    return Gatekeeper(Gate((), "RADNODE", False, 2), catalog, lambda: NOW)


def ask(keeper: Gatekeeper, request: Request = ASKS) -> Association:
    """Ask for an association."""
    assoc = Association(request)
    keeper.requested(event(assoc))
    return assoc


def event(assoc: Association) -> Any:
    """Return an event of an association."""
    return SimpleNamespace(assoc=assoc)


def answer_to(assoc: Association) -> tuple[int, ...] | None:
    """Return result, source and reason of the rejection; None where nobody was rejected."""
    calls = assoc.acse.send_reject.call_args_list
    assert len(calls) == len(assoc.kill.call_args_list) <= 1
    return calls[0].args if calls else None


def turned_away(catalog: Catalog) -> list[Rejected]:
    """Return who is counted as turned away."""
    return [one.peer for one in catalog.access.rejections()]


def test_who_calls_us_by_our_name_is_let_in(keeper: Gatekeeper, catalog: Catalog) -> None:
    """Nothing is answered here, pynetdicom goes on; nobody was turned away."""
    assoc = ask(keeper)

    assert answer_to(assoc) is None
    assert turned_away(catalog) == []
    assoc._server.requested.assert_called_once_with(assoc)


def test_who_calls_somebody_else_is_rejected_and_counted(
    keeper: Gatekeeper, catalog: Catalog
) -> None:
    """The answer is the one of PS3.8 Table 9-21, and the thread ends."""
    assoc = ask(keeper, replace(ASKS, called_ae="OTHER"))

    assert answer_to(assoc) == Reject.CALLED_AE_NOT_RECOGNISED.value
    peer = Rejected("CT1", "OTHER", "10.1.2.3", "it must call RADNODE")
    assert catalog.access.rejections() == [Rejection(peer, 1, NOW, NOW)]
    assoc._server.requested.assert_called_once_with(assoc)


def test_a_request_that_cannot_be_read_is_rejected_before_the_gate_is_asked(
    keeper: Gatekeeper, catalog: Catalog
) -> None:
    """The title would have been right."""
    assoc = ask(keeper, replace(ASKS, unreadable="cut short"))

    assert answer_to(assoc) == Reject.NOT_UNDERSTOOD.value
    assert turned_away(catalog) == [
        Rejected("CT1", "RADNODE", "10.1.2.3", "cannot be read: cut short")
    ]


def test_who_is_inside_counts_until_its_thread_ends(keeper: Gatekeeper) -> None:
    """Two at once; a third gets in when one of them has gone."""
    first, second = ask(keeper), ask(keeper)
    assert answer_to(first) is answer_to(second) is None
    assert answer_to(ask(keeper)) == Reject.LOCAL_LIMIT_EXCEEDED.value

    first.alive = False

    assert answer_to(ask(keeper)) is None
    assert answer_to(ask(keeper)) == Reject.LOCAL_LIMIT_EXCEEDED.value


def test_who_was_rejected_takes_no_place(keeper: Gatekeeper) -> None:
    """Or a stranger who asks often would keep everybody out."""
    for _ in range(5):
        ask(keeper, replace(ASKS, called_ae="OTHER"))

    assert answer_to(ask(keeper)) is None


def test_a_gate_that_fails_lets_nobody_in(catalog: Catalog) -> None:
    """Pynetdicom logs the exception and would go on to accept."""
    gate = Mock()
    gate.judge.side_effect = ZeroDivisionError
    assoc = Association()

    with pytest.raises(ZeroDivisionError):
        Gatekeeper(gate, catalog, lambda: NOW).requested(event(assoc))

    assert answer_to(assoc) == Reject.NO_REASON_GIVEN.value
    assert turned_away(catalog) == [Rejected("CT1", "RADNODE", "10.1.2.3", "the gate failed")]


def test_who_cannot_even_be_named_is_rejected_by_its_address(
    keeper: Gatekeeper, catalog: Catalog
) -> None:
    """The caller is read after the refusal was made up."""
    assoc = Association()
    assoc.dul = SimpleNamespace()  # its socket has gone

    with pytest.raises(AttributeError):
        keeper.requested(event(assoc))

    assert answer_to(assoc) == Reject.NO_REASON_GIVEN.value
    assert turned_away(catalog) == [Rejected("", "", "10.1.2.3", "the gate failed")]


def test_a_rejection_that_cannot_be_written_down_is_answered_all_the_same(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk must not let anybody in."""
    monkeypatch.setattr(
        type(catalog.access), "note_rejection", Mock(side_effect=StoreError("disk full"))
    )
    with capture_logs() as logs:
        assoc = ask(
            Gatekeeper(Gate((), "RADNODE", False, 2), catalog, lambda: NOW),
            replace(ASKS, called_ae="OTHER"),
        )

    assert answer_to(assoc) == Reject.CALLED_AE_NOT_RECOGNISED.value
    assert ("error", "disk full") in [(one["log_level"], one["because"]) for one in logs]


def test_who_never_named_itself_is_counted_by_its_address(
    keeper: Gatekeeper, catalog: Catalog
) -> None:
    """Its reason may come from the network: it is cut."""
    keeper.turned_away("10.9.9.9", "x" * 300)

    assert turned_away(catalog) == [Rejected("", "", "10.9.9.9", "x" * 200)]


def test_what_was_proposed_in_vain_is_shown(keeper: Gatekeeper, catalog: Catalog) -> None:
    """Something of it is served: the peer was let in, and is not turned away."""
    assoc = Association(
        ASKS,
        ContextAnswer(1, CT, "1.2", ACCEPTED),
        ContextAnswer(3, MR, "", NO_TRANSFER_SYNTAX),
        ContextAnswer(5, "Doe^Jane", "", NO_ABSTRACT_SYNTAX),
    )

    with capture_logs() as logs:
        keeper.accepted(event(assoc))

    (shown,) = logs
    assert (shown["calling_ae"], shown["address"], shown["count"]) == ("CT1", "10.1.2.3", 2)
    assert shown["refused"] == [
        f"{MR}: transfer syntaxes not supported",
        "no UID: abstract syntax not supported",
    ]
    assert turned_away(catalog) == []


def _answers() -> Iterator[ContextAnswer]:
    for number in range(10):
        yield ContextAnswer(2 * number + 1, f"1.2.{number}", "", NO_ABSTRACT_SYNTAX)


def test_of_whom_nothing_is_served_the_first_reason_is_kept(
    keeper: Gatekeeper, catalog: Catalog
) -> None:
    """It was let in, and can send nothing; of many reasons eight are shown, and how many."""
    with capture_logs() as logs:
        keeper.accepted(event(Association(ASKS, *_answers())))

    assert (len(logs[0]["refused"]), logs[0]["count"]) == (8, 10)
    assert turned_away(catalog) == [
        Rejected(
            "CT1",
            "RADNODE",
            "10.1.2.3",
            "nothing it proposes is served: 1.2.0: abstract syntax not supported",
        )
    ]


def test_what_is_accepted_whole_is_not_spoken_of(keeper: Gatekeeper, catalog: Catalog) -> None:
    """The normal case."""
    with capture_logs() as logs:
        keeper.accepted(event(Association(ASKS, ContextAnswer(1, CT, "1.2", ACCEPTED))))

    assert logs == []
    assert turned_away(catalog) == []


def test_a_caller_is_read_from_its_request() -> None:
    """Titles, address, and the names in its certificate: none without TLS."""
    caller: Any = Association()

    found = caller_of(caller)

    assert (found.calling_ae, found.called_ae, found.address) == ("CT1", "RADNODE", "10.1.2.3")
    assert found.certificate == frozenset()

"""Association requests read liberally: what nobody needs is passed over, whatever is in it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom.pdu import A_ASSOCIATE_AC

from node.receive.gate import Reject, unserved
from node.receive.negotiation import negotiate
from node.wire.request import Negotiation, Proposal, Request, acceptance, read_request
from tests.wire import associate_rq, item, pdu

MAXIMUM = item(0x51, struct.pack(">I", 16384))
CONTEXT = (1, CTImageStorage, ExplicitVRLittleEndian)
OURS = (65536, "1.2.3", "RADNODE")


def roles(uid: str, scu: int, scp: int) -> bytes:
    """Return an SCP/SCU role selection sub-item (PS3.7 Table D.3-9)."""
    return item(0x54, struct.pack(">H", len(uid)) + uid.encode() + bytes((scu, scp)))


def with_tail(*items: bytes) -> bytes:
    """Return a request with something behind its items."""
    return pdu(1, associate_rq([CONTEXT])[6:] + b"".join(items))


@pytest.mark.parametrize(
    ("octets", "title"),
    [
        (b"CT1", "CT1"),
        (b"CT1".ljust(16, b"\0"), "CT1"),
        (b"CT1\0\x04\x7f\x01", "CT1"),
        (b"  CT 1", "CT 1"),
        (b"R\xd6NTGEN", "R?NTGEN"),
        ("RÖNTGEN".encode(), "R??NTGEN"),
        (b"CT\\1", "CT?1"),
        (b"CT\t1", "CT?1"),
        (b"\xff" * 16, "?" * 16),
        (b"", ""),
        (b"\0" * 16, ""),
        (b"A" * 16, "A" * 16),
    ],
)
def test_titles_end_at_a_nul_and_can_be_shown(octets: bytes, title: str) -> None:
    """pynetdicom#746, #967, #921: scanners pad them with whatever was in memory."""
    request = read_request(associate_rq([CONTEXT], called=octets, calling=octets))

    assert (request.called_ae, request.calling_ae) == (title, title)


@pytest.mark.parametrize(
    "user",
    [
        b"",
        MAXIMUM,
        MAXIMUM + item(0x52, b""),
        MAXIMUM + item(0x52, b"CANON_MR"),
        MAXIMUM + item(0x55, b"VERY_LONG_VERSION_NAME"),
        MAXIMUM + item(0x55, b"MR_VB17A\0\0"),
        MAXIMUM + item(0x55, "Versión".encode()),
        item(0x55, b"V") + item(0x52, b"1.2") + MAXIMUM,
        MAXIMUM + item(0x5A, b"abcd") + item(0x60, b""),
        MAXIMUM + item(0x53, b"\0\5\0\5"),
        MAXIMUM + item(0x53, b""),
        MAXIMUM + item(0x54, b""),
        MAXIMUM + item(0x54, b"\0\xff1.2"),
        MAXIMUM + item(0x56, struct.pack(">H", 7) + b"1.2.3.4" + b"\1"),
        MAXIMUM + item(0x57, b"\0\xff"),
        MAXIMUM + item(0x58, b"\x09\1\0\5a.b.c\0\0"),
        MAXIMUM + item(0x58, b""),
        MAXIMUM + b"\x55\0\xff\xff",
        MAXIMUM + b"\x55",
    ],
)
def test_user_information_nobody_needs_is_passed_over(user: bytes) -> None:
    """Unknown, cut short, empty, too long, in any order (PS3.8 Section 9.3.1)."""
    request = read_request(associate_rq([CONTEXT], user=user))

    assert unserved(request) is None
    assert request.maximum_length == 16384
    assert request.proposals == (Proposal(1, CTImageStorage, (ExplicitVRLittleEndian,)),)


@pytest.mark.parametrize(
    "tail", [item(0x70, b"abcd"), item(0x99, b""), b"\0", b"\0\0\0", b"\x70\0\xff\xff", b"noise"]
)
def test_what_stands_behind_the_items_is_passed_over(tail: bytes) -> None:
    """An item nobody knows, or none at all."""
    request = read_request(with_tail(tail))

    assert unserved(request) is None
    assert len(request.proposals) == 1


def test_items_in_another_order_are_read() -> None:
    """User information first, the application context last."""
    whole = associate_rq([CONTEXT])
    parts, at = [], 74
    while at < len(whole):
        end = at + 4 + struct.unpack_from(">H", whole, at + 2)[0]
        parts.append(whole[at:end])
        at = end

    turned = read_request(pdu(1, whole[6:74] + b"".join(reversed(parts))))

    assert turned == read_request(whole)


@pytest.mark.parametrize(("version", "served"), [(1, True), (3, True), (0xFFFF, True), (0, False)])
def test_only_bit_0_of_the_version_counts(version: int, served: bool) -> None:
    """PS3.8 Table 9-11."""
    whole = associate_rq([CONTEXT])
    refusal = unserved(read_request(whole[:6] + struct.pack(">H", version) + whole[8:]))

    assert (refusal is None) == served
    if refusal is not None:
        assert refusal.answer is Reject.PROTOCOL_VERSION_NOT_SUPPORTED
        assert "0000H" in refusal.because


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (pdu(1, b"\0\1" + bytes(20)), "28 octets"),
        (with_tail(b"\x20\0\0\x20\1\0\0\0"), "20H of 32 octets where 4 are left"),
        (with_tail(b"\x50\0\xff\xff"), "50H of 65535 octets where 0"),
    ],
)
def test_what_lacks_a_part_that_is_needed_is_told_with_its_sender(
    octets: bytes, told: str
) -> None:
    """It is answered by a rejection, not by silence."""
    request = read_request(octets)
    refusal = unserved(request)

    assert refusal is not None
    assert refusal.answer is Reject.NOT_UNDERSTOOD
    assert told in refusal.because
    assert request.calling_ae == ("WIRE" if len(octets) > 74 else "")


def test_nobody_is_refused() -> None:
    """16 spaces name no application entity (PS3.8 Table 9-11)."""
    refusal = unserved(read_request(associate_rq([CONTEXT], calling=b"")))

    assert refusal is not None
    assert refusal.answer is Reject.CALLING_AE_NOT_RECOGNISED


def test_of_two_contexts_of_one_id_the_first_counts() -> None:
    """Their answers could not be told apart."""
    twice = [CONTEXT, (1, MRImageStorage, ImplicitVRLittleEndian), (3, MRImageStorage, "")]
    request = read_request(associate_rq(twice))

    assert request.proposals == (
        Proposal(1, CTImageStorage, (ExplicitVRLittleEndian,)),
        Proposal(3, MRImageStorage, ()),
    )


def test_padded_uids_are_trimmed() -> None:
    """With a NUL or a space, as in a data set."""
    request = read_request(
        associate_rq([(1, f"{CTImageStorage}\0", f"{ExplicitVRLittleEndian}\0")])
    )

    assert request.proposals == (Proposal(1, CTImageStorage, (ExplicitVRLittleEndian,)),)


def test_an_acceptance_echoes_what_it_must_and_can_be_read() -> None:
    """The peer's titles and reserved octets come back as they were (PS3.8 Table 9-17)."""
    odd = associate_rq([(2, CTImageStorage, ExplicitVRLittleEndian), (5, "no UID", "1.2")])
    odd = odd[:10] + b"R\xd6NTGEN\0" + odd[18:42] + b"\xff" * 32 + odd[74:]
    request = read_request(odd)
    answers = negotiate(request).answers

    octets = acceptance(request, Negotiation(answers, {CTImageStorage: (True, False)}), OURS)

    assert octets[10:74] == odd[10:74]
    read = A_ASSOCIATE_AC()
    read.decode(octets[:10] + b"A".ljust(16) + b"B".ljust(16) + octets[42:])
    context, other = read.presentation_context
    assert (context.context_id, context.result) == (2, 0)
    assert context.transfer_syntax == ExplicitVRLittleEndian
    assert other.result == 3
    assert read.user_information is not None
    assert read.user_information.maximum_length == 65536
    assert read.user_information.role_selection[CTImageStorage].scu_role == 1


def test_neither_role_is_no_proposal() -> None:
    """Then the requestor is the SCU; to grant it nothing would leave it no role at all."""
    user = (
        MAXIMUM
        + roles(CTImageStorage, 0, 0)
        + roles(MRImageStorage, 1, 1)
        + roles("1.2.3.4.5", 1, 0)
    )
    request = read_request(
        associate_rq([CONTEXT, (3, MRImageStorage, ImplicitVRLittleEndian)], user=user)
    )

    assert negotiate(request).roles == {MRImageStorage: (True, True)}


@given(st.binary(max_size=400))
def test_any_octets_are_answered(octets: bytes) -> None:
    """Whatever follows a valid beginning, there is a request and an answer to it."""
    request = read_request(pdu(1, associate_rq([CONTEXT])[6:74] + octets))

    assert isinstance(request, Request)
    assert acceptance(request, negotiate(request), OURS)[0] == 2

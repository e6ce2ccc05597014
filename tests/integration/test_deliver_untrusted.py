"""C-STORE to peers that answer something else, or nothing that ever ends."""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.deliver.association import Peer
from node.deliver.dimse import DimseSender
from tests.listening import slowly
from tests.outbound import series, states
from tests.wire import P_DATA_TF, command, element, pdu, pdv
from tests.wire_scp import Request, wire_scp


def _sender(port: int, connect_s: float = 10, response_s: float = 10) -> DimseSender:
    return DimseSender("pacs", Peer("PACS", "127.0.0.1", port, "RADNODE", connect_s, response_s))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"message_id": 999}, "answered message 999"),
        ({"message_id": 0}, "answered message 0"),
        ({"sop_instance": "1.2.3"}, "another SOP Instance"),
    ],
    ids=["another message", "message 0", "another instance"],
)
def test_an_answer_to_something_else_is_no_answer(
    tmp_path: Path, what: dict[str, int | str], said: str
) -> None:
    """PS3.7 Section 9.3.1.2: it may be for what was sent before, or by somebody else."""

    def second_differs(request: Request) -> list[bytes]:
        return [request.answer(**what) if request.number == 2 else request.answer()]  # type: ignore[arg-type]

    sent = series(tmp_path, 4)
    with wire_scp(second_differs) as scp:
        outcomes = list(_sender(scp.port).send(sent))

    assert states(outcomes) == ["delivered", "retry", "delivered", "delivered"]
    assert "protocol error" in outcomes[1].reason
    assert said in outcomes[1].reason
    assert outcomes[1].tried
    assert [one.sop_instance for one in scp.requests] == [one.sop_instance_uid for one in sent]
    assert len(scp.proposed) == 2  # what comes after a wrong answer belongs to nothing


def test_the_answer_need_not_name_the_instance(tmp_path: Path) -> None:
    """Table 9.3-2: Affected SOP Instance UID is a user option of the response."""
    with wire_scp(lambda request: [request.answer(sop_instance="")]) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 2)))

    assert states(outcomes) == ["delivered"] * 2


def test_the_answer_of_before_is_not_the_next_one(tmp_path: Path) -> None:
    """Success twice for the first: the second instance may never have been looked at."""

    def twice(request: Request) -> list[bytes]:
        if request.number == 1:
            return [request.answer() * 2]
        return [request.answer(0xA700)] if request.number == 2 else [request.answer()]

    with wire_scp(twice) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 3)))

    assert states(outcomes)[0] == "delivered"
    assert states(outcomes)[1] == "retry"


def _echo(request: Request) -> bytes:
    asked = command(0x0030, element(0x0110, struct.pack("<H", 7)), data=False)
    return pdu(P_DATA_TF, pdv(request.context, 3, asked))


def _answer_without_end(request: Request) -> Iterator[bytes]:
    while True:
        yield pdu(P_DATA_TF, pdv(request.context, 1, bytes(10_000)))


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: [_echo(request)],
        lambda request: [pdu(P_DATA_TF, pdv(request.context, 3, b""))],
        lambda request: [request.answer(sop_instance="1." + "2" * 70)],
        lambda request: [struct.pack(">BBI", P_DATA_TF, 0, 0x7FFFFFFF) + bytes(100)],
        _answer_without_end,
    ],
    ids=[
        "a request",
        "an empty command",
        "a UID that is none",
        "a PDU of 2 GB",
        "a command without end",
    ],
)
def test_what_is_no_answer_ends_the_association(
    tmp_path: Path, answer: Callable[[Request], Iterable[bytes]]
) -> None:
    """Not the instance is to blame, and not for as long as the peer likes."""
    with wire_scp(answer) as scp:
        outcomes = list(_sender(scp.port, response_s=30).send(series(tmp_path, 3)))

    assert states(outcomes) == ["retry"] * 3
    assert [outcome.tried for outcome in outcomes] == [True, True, False]
    assert not any(outcome.blamed for outcome in outcomes)


def test_an_answer_by_octets_does_not_outlive_its_time(tmp_path: Path) -> None:
    """Each octet comes in time, and the answer never."""
    sent = series(tmp_path, 1)
    with wire_scp(lambda request: slowly(request.answer() * 5)) as scp:
        outcomes = list(_sender(scp.port, response_s=0.5).send(sent))
        scp.cut_off.wait(30)

    assert states(outcomes) == ["retry"]
    assert scp.cut_off.is_set()  # else it would have gone on for half a minute


def test_an_acceptance_by_octets_does_not_outlive_its_time(tmp_path: Path) -> None:
    """As the answer to a C-STORE."""
    endless = struct.pack(">BBI", 2, 0, 2000) + bytes(2000)
    with wire_scp(accepting=lambda _octets: slowly(endless)) as scp:
        outcomes = list(_sender(scp.port, connect_s=0.5).send(series(tmp_path, 1)))
        scp.cut_off.wait(30)

    assert states(outcomes) == ["retry"]
    assert scp.cut_off.is_set()


def test_a_peer_that_reads_nothing_is_left(tmp_path: Path) -> None:
    """A large instance fills all buffers; whoever takes nothing of it does not hold the slot."""
    (item,) = series(tmp_path, 1, side=2500)
    with wire_scp(reads=False) as scp:
        outcomes = list(_sender(scp.port, response_s=0.5).send([item]))

    assert states(outcomes) == ["retry"]


@pytest.mark.parametrize("length", [1, 6, 7, 20])
def test_a_peer_that_takes_no_message_is_not_the_fault_of_the_instance(
    tmp_path: Path, length: int
) -> None:
    """It announces PDUs into which no fragment fits: parking what it is sent helps nobody."""
    with wire_scp(maximum_length=length) as scp:
        outcomes = list(_sender(scp.port).send(series(tmp_path, 2)))

    assert states(outcomes) == ["retry"] * 2


GROUP_2 = (
    b"\x02\x00\x10\x00UI\x12\x00" + b"1.2.840.10008.1.2\0"
    b"\x02\x00\x12\x00UI\x14\x00" + b"1.2.40.0.13.0.0.113\0"
)


@pytest.mark.parametrize("head", [GROUP_2, b"\x00\x00\x02\x00UI\x04\x001.2\0" + GROUP_2])
def test_a_data_set_that_begins_with_group_0002_goes_as_it_came(
    tmp_path: Path, head: bytes
) -> None:
    """What names another transfer syntax there is no File Meta Information of ours."""
    (item,) = series(tmp_path, 1)
    content = item.path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00UI")  # SOP Class UID opens the data set
    item.path.write_bytes(content[:start] + head + content[start:])

    with wire_scp() as scp:
        outcomes = list(_sender(scp.port).send([item]))

    assert states(outcomes) == ["delivered"]
    (request,) = scp.requests
    assert request.data == head + content[start:]
    assert (item.sop_class_uid, [ExplicitVRLittleEndian]) in scp.proposed[0]


@pytest.mark.parametrize("vr", [b"??", b"--", b"  ", b"xy"])
def test_illegal_vrs_and_tags_out_of_order_go_as_they_came(tmp_path: Path, vr: bytes) -> None:
    """Nobody decodes what the peer takes as it is stored."""
    (item,) = series(tmp_path, 1)
    content = item.path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00UI")
    odd = b"\x09\x00\x10\x00" + vr + b"\x04\x00ABCD" + b"\x08\x00\x70\x00LO\x02\x00X "
    item.path.write_bytes(content + odd)

    with wire_scp() as scp:
        outcomes = list(_sender(scp.port).send([item]))

    assert states(outcomes) == ["delivered"]
    assert scp.requests[0].data == content[start:] + odd


def test_the_row_and_not_the_file_says_which_syntax(tmp_path: Path) -> None:
    """The row is what the door found out; see `OutboundInstance`."""
    (item,) = series(tmp_path, 1)
    odd = replace(item, transfer_syntax_uid=ImplicitVRLittleEndian)

    with wire_scp() as scp:
        outcomes = list(_sender(scp.port).send([odd]))

    assert states(outcomes) == ["delivered"]
    number = scp.requests[0].context // 2
    assert scp.proposed[0][number] == (item.sop_class_uid, [ImplicitVRLittleEndian])

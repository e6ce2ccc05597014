"""Requests as scanners make them are accepted; whoever is not is answered, and shown to people."""

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    HangingProtocolStorage,
    ImplicitVRLittleEndian,
)

from node.receive.statuses import StoreStatus
from node.settings import ReceiveSection
from tests.node_process import wait_for
from tests.outbound import ct_slice
from tests.receiver import Node, encoded, running_receiver
from tests.wire import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    P_DATA_TF,
    Wire,
    associate_rq,
    command,
    element,
    item,
    pdu,
    pdv,
)

EXPLICIT = ExplicitVRLittleEndian
MAXIMUM = item(0x51, struct.pack(">I", 16384))


def of(version: int) -> bytes:
    """Return a request of another protocol version."""
    whole = associate_rq()
    return whole[:6] + struct.pack(">H", version) + whole[8:]


def shown(node: Node) -> list[tuple[str, str, str]]:
    """Return who is shown as turned away: calling AE, called AE, reason."""
    peers = [one.peer for one in node.catalog.access.rejections()]
    return [(one.calling_ae, one.called_ae, one.reason) for one in peers]


@pytest.mark.parametrize(
    ("request_", "context"),
    [
        (associate_rq(called=b"RADNODE".ljust(16, b"\0"), calling=b"CT1\0\x04\x7f"), 1),
        (associate_rq(calling=b"R\xd6NTGEN"), 1),
        (associate_rq(calling=b"A\\B"), 1),
        (associate_rq([(2, CTImageStorage, EXPLICIT)]), 2),
        (associate_rq([(0, CTImageStorage, EXPLICIT)]), 0),
        (associate_rq([(number, CTImageStorage, EXPLICIT) for number in range(256)]), 255),
        (associate_rq([(1, CTImageStorage, EXPLICIT), (1, "1.2", EXPLICIT)]), 1),
        (associate_rq([(1, CTImageStorage, f"9.9.9 {EXPLICIT}")]), 1),
        (associate_rq(user=b""), 1),
        (associate_rq(user=MAXIMUM + item(0x55, b"A_VERSION_OF_MORE_THAN_16")), 1),
        (of(3), 1),
    ],
    ids=[
        "nulls",
        "no ASCII",
        "backslash",
        "even id",
        "id 0",
        "256 contexts",
        "one id twice",
        "private syntax first",
        "no user information",
        "long version name",
        "version 3",
    ],
)
def test_an_odd_request_is_served(node: Node, request_: bytes, context: int) -> None:
    """An instance is stored, and the release is answered."""
    ds = ct_slice(1)
    with Wire(node.scp.server_address[1]) as wire:
        wire.send(request_)
        wire.expect(ASSOCIATE_AC)
        status = wire.store(ds.SOPInstanceUID, [encoded(ds)], context=context)
        wire.release()

    assert status == StoreStatus.SUCCESS
    assert shown(node) == []


def test_a_context_without_a_syntax_we_know_is_refused_alone(node: Node) -> None:
    """Result 4; an instance over another context of the same association is stored."""
    ds = ct_slice(1)
    contexts = [(1, CTImageStorage, "1.2.840.113619.5.2"), (3, CTImageStorage, EXPLICIT)]
    with Wire(node.scp.server_address[1]) as wire:
        wire.send(associate_rq(contexts))
        answer = wire.expect(ASSOCIATE_AC)
        assert wire.store(ds.SOPInstanceUID, [encoded(ds)], context=3) == StoreStatus.SUCCESS
        assert shown(node) == []

    assert b"\x01\0\x04\0" in answer
    assert b"\x03\0\0\0" in answer


@pytest.mark.parametrize(
    ("request_", "answer", "row"),
    [
        (associate_rq(calling=b""), b"\1\1\3", ("", "RADNODE", "it names no calling AE title")),
        (associate_rq(called=b""), b"\1\1\7", ("WIRE", "", "it must call RADNODE")),
        (associate_rq(called=b"\xff"), b"\1\1\7", ("WIRE", "?", "it must call RADNODE")),
        (
            of(2),
            b"\1\2\2",
            ("WIRE", "RADNODE", "protocol version 0002H: expected bit 0 (PS3.8 Table 9-11)"),
        ),
        (
            pdu(1, associate_rq()[6:] + b"\x20\0\0\x20"),
            b"\1\2\1",
            ("WIRE", "RADNODE", "cannot be read: an item 20H of 32 octets where 0 are left"),
        ),
        (
            pdu(1, b"\0\1"),
            b"\1\2\1",
            ("", "", "cannot be read: a request of 8 octets: expected at least 74"),
        ),
    ],
    ids=["nobody calls", "nobody is called", "another is called", "version", "cut", "short"],
)
def test_who_cannot_be_served_is_rejected_and_shown(
    node: Node, request_: bytes, answer: bytes, row: tuple[str, str, str]
) -> None:
    """Result, source and reason (PS3.8 Table 9-21), and a row for `radnode sources`."""
    with Wire(node.scp.server_address[1]) as wire:
        wire.send(request_)
        assert wire.expect(ASSOCIATE_RJ) == b"\0" + answer

    wait_for(lambda: shown(node) == [row], "the rejection to be shown", 20)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "it began with octet 47H"),
        (b"\x16\x03\x01\x02\0\x01\0\1\xfc", "it speaks TLS"),
        (associate_rq()[:50], "did not come whole"),
        (pdu(P_DATA_TF, b""), "it began with octet 04H"),
    ],
    ids=["HTTP", "TLS", "cut short", "data"],
)
def test_who_asks_for_no_association_is_shown(node: Node, octets: bytes, told: str) -> None:
    """A wrong port, a broken line: from which address, and what came.

    Who only looks whether the port is open, and leaves again, was not turned away.
    """
    Wire(node.scp.server_address[1]).socket.close()
    with Wire(node.scp.server_address[1]) as wire:
        wire.send(octets)
        wire.socket.shutdown(socket.SHUT_WR)

        wait_for(lambda: any(told in one[2] for one in shown(node)), "a row", 20)
    (only,) = node.catalog.access.rejections()
    assert only.peer.address == "127.0.0.1"


def test_who_says_nothing_in_time_is_shown(tmp_path: Path) -> None:
    """A connection held open by nobody."""
    with (
        running_receiver(tmp_path, ReceiveSection(negotiation_timeout_s=1.0)) as node,
        Wire(node.scp.server_address[1]),
    ):
        wait_for(lambda: bool(shown(node)), "a row", 20)

        assert [one[2] for one in shown(node)] == ["it asked for nothing in 1 s"]


def test_a_flood_of_connections_is_shown_once(tmp_path: Path) -> None:
    """Each in a row would let it keep us busy."""
    with running_receiver(tmp_path, ReceiveSection(maximum_associations=1)) as node:
        port = node.scp.server_address[1]
        waiting = [Wire(port)]
        for _ in range(3):
            refused = Wire(port)
            assert refused.socket.recv(1) == b""
            refused.socket.close()
        for one in waiting:
            one.socket.close()

        assert shown(node) == [("", "", "too many connections wait")]
        (only,) = node.catalog.access.rejections()
        assert only.times == 1


def odd(*elements: bytes) -> Callable[[str], bytes]:
    """Return what makes the command of a C-STORE request with further elements."""
    return lambda uid: command(
        0x0001,
        element(0x0002, CTImageStorage.encode()),
        element(0x0110, struct.pack("<H", 1)),
        element(0x1000, uid.encode()),
        *elements,
        data=True,
    )


@pytest.mark.parametrize(
    "made",
    [
        odd(),
        odd(element(0x0700, b"\xff\xff")),
        odd(element(0x0700, b"")),
        odd(element(0x0700, b"\0\0"), element(0x1030, b"\xd6" * 20), element(0x1031, b"")),
        lambda uid: odd()(uid + " " * (2 - len(uid) % 2)),
    ],
    ids=["no priority", "priority FFFF", "empty priority", "odd originator", "blanks"],
)
def test_a_command_is_read_as_far_as_it_is_needed(
    node: Node, made: Callable[[str], bytes]
) -> None:
    """What storing does not need is nobody's harm."""
    ds = ct_slice(1)
    with Wire(node.scp.server_address[1]) as wire:
        wire.associate([(1, CTImageStorage, ImplicitVRLittleEndian)])
        wire.send(pdu(P_DATA_TF, pdv(1, 3, made(ds.SOPInstanceUID))))
        wire.send(pdu(P_DATA_TF, pdv(1, 2, encoded(ds, ImplicitVRLittleEndian))))
        assert wire.status() == StoreStatus.SUCCESS


def test_a_second_request_ends_the_association(node: Node) -> None:
    """PS3.8 Table 9-10, state 6."""
    with Wire(node.scp.server_address[1]).associate() as wire:
        wire.send(associate_rq())
        kind, _ = wire.read()

    assert kind == ABORT


def test_an_object_of_no_patient_is_stored(node: Node) -> None:
    """A hanging protocol has no study and no series: it stands alone, under its own UID."""
    ds = ct_slice(1)
    ds.SOPClassUID = HangingProtocolStorage
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PixelData"):
        del ds[keyword]
    with Wire(node.scp.server_address[1]) as wire:
        wire.associate([(1, HangingProtocolStorage, EXPLICIT)])
        status = wire.store(ds.SOPInstanceUID, [encoded(ds)], HangingProtocolStorage)

    assert status == StoreStatus.SUCCESS
    (series,) = node.catalog.studies.series_of(ds.SOPInstanceUID)
    assert series.series_instance_uid == ds.SOPInstanceUID


def test_what_nothing_serves_is_refused(node: Node) -> None:
    """Worklist and print: result 3, as dcmtk answers; and people see who asked."""
    others = [(1, "1.2.840.10008.5.1.4.31", EXPLICIT), (3, "1.2.840.10008.5.1.1.9", EXPLICIT)]
    with Wire(node.scp.server_address[1]) as wire:
        wire.send(associate_rq(others))
        answer = wire.expect(ASSOCIATE_AC)

        assert b"\x01\0\x03\0" in answer
        assert b"\x03\0\x03\0" in answer
        reason = f"nothing it proposes is served: {others[0][1]}: abstract syntax not supported"
        wait_for(lambda: shown(node) == [("WIRE", "RADNODE", reason)], "a row", 20)

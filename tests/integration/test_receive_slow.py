"""Peers that stop halfway: each is cut off, and the node goes on serving others."""

import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from node.receive.statuses import StoreStatus
from node.settings import ReceiveSection
from node.settings.tls import ClientTls
from node.settings.trust import TlsSection
from tests.certificates import Authority
from tests.node_process import wait_for
from tests.outbound import ct_slice
from tests.receiver import Node, running_receiver, send, sender
from tests.wire import ClosedError, Wire

PATIENCE = ReceiveSection(negotiation_timeout_s=0.5, network_timeout_s=0.5, maximum_associations=5)
REQUEST = struct.pack(">BBI", 0x01, 0, 400)  # the head of an A-ASSOCIATE-RQ of 400 octets


@pytest.fixture
def node(tmp_path: Path, signer: Authority) -> Iterator[Node]:
    """Run a receiver with little patience, on a plain and a TLS port."""
    own = signer.pair()
    (tmp_path / "node").mkdir()
    section = TlsSection(
        port=0,
        certificate_file=own.certificate,
        key_file=own.key,
        client_certificate="none",
    )
    with running_receiver(tmp_path / "node", PATIENCE, tls=section) as running:
        yield running


def is_cut_off(wire: socket.socket, drip: bytes = b"") -> bool:
    """Tell whether the node ends a connection, while octets drip into it."""
    wire.settimeout(0.05)
    for _ in range(2000):
        try:
            if drip:
                wire.send(drip)
            if wire.recv(4096) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:  # reset
            return True
    return False


def others_are_served_until_it_is_cut_off(node: Node, wire: socket.socket, drip: bytes) -> bool:
    """Serve other peers while octets drip into `wire`, and tell whether the node ends it."""
    ended: list[bool] = []
    dripping = threading.Thread(target=lambda: ended.append(is_cut_off(wire, drip)))
    dripping.start()
    served_meanwhile = served(node, 1)
    dripping.join()
    return served_meanwhile and ended == [True]


def served(node: Node, number: int) -> bool:
    """Tell whether another peer is served; cut off on a busy machine, it tries again."""
    wait_for(lambda: served_at_once(node, number), "another peer to be served", 30)
    return True


def associated(node: Node) -> Association:
    """Open an association; cut off on a busy machine before it came about, try again."""
    opened: list[Association] = []

    def is_open() -> bool:
        opened.append(node.associate())
        return opened[-1].is_established

    wait_for(is_open, "an association", 30)
    return opened[-1]


def served_at_once(node: Node, number: int) -> bool:
    """Tell whether another peer is served."""
    assoc = node.associate()
    try:
        status = send(assoc, ct_slice(number)) if assoc.is_established else None
    except (AttributeError, RuntimeError):  # no answer, or the association has ended
        return False
    if assoc.is_established:
        assoc.release()
    return status == StoreStatus.SUCCESS


def nobody_is_held() -> bool:
    """Tell whether no thread of the node waits for a peer any more."""
    return not any(
        (isinstance(thread, Association) and thread.is_acceptor)
        or (isinstance(thread, DULServiceProvider) and thread.assoc.is_acceptor)
        for thread in threading.enumerate()
    )


@pytest.mark.parametrize("port", ["plain", "tls"])
@pytest.mark.parametrize(
    ("head", "drip"),
    [(b"", b""), (REQUEST[:3], b""), (REQUEST, b"\0"), (REQUEST + bytes(60), b"")],
    ids=["nothing", "half a head", "an octet now and then", "half a request"],
)
def test_a_peer_that_stops_before_it_is_associated(
    node: Node, port: str, head: bytes, drip: bytes
) -> None:
    """On the TLS port the same octets are a handshake that never comes about."""
    address = node.scp.server_address if port == "plain" else node.scp.tls_address
    with socket.create_connection(address) as wire:
        wire.sendall(head)
        assert others_are_served_until_it_is_cut_off(node, wire, drip)
    assert served(node, 2)
    wait_for(nobody_is_held, "the threads", 20)


def test_a_tls_handshake_that_is_never_finished(node: Node) -> None:
    """A true ClientHello, and then an octet now and then."""
    hello = bytes.fromhex("16030100c8010000c40303") + bytes(100)
    with socket.create_connection(node.scp.tls_address) as wire:
        wire.sendall(hello)
        assert others_are_served_until_it_is_cut_off(node, wire, b"\0")


def test_silent_tls_clients_do_not_hold_the_door(tmp_path: Path, signer: Authority) -> None:
    """However long they may take: handshakes do not wait for each other."""
    own = signer.pair()
    (tmp_path / "node").mkdir()
    section = TlsSection(
        port=0,
        certificate_file=own.certificate,
        key_file=own.key,
        client_certificate="none",
    )
    long = ReceiveSection(negotiation_timeout_s=600)
    with running_receiver(tmp_path / "node", long, tls=section) as node, ExitStack() as silent:
        for _ in range(3):
            silent.enter_context(socket.create_connection(node.scp.tls_address))
        assert "0000" in sender(node.scp.tls_address[1], ClientTls(signer.ca)).check()
        assert served(node, 1)


def announced(length: int) -> bytes:
    """Return the head of a P-DATA-TF PDU of so many octets."""
    return struct.pack(">BBI", 0x04, 0, length)


def fragment(octets: bytes, control: int) -> bytes:
    """Return a P-DATA-TF PDU with one fragment of a message in context 1."""
    return announced(len(octets) + 6) + struct.pack(">IBB", len(octets) + 2, 1, control) + octets


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"", b""),
        (announced(1000), b""),
        (announced(1000), b"\0"),
        (announced(0xFFFFFFFF), b""),
        (announced(0xFFFFFFFF), bytes(65536)),
        (fragment(b"\0", 0x01), fragment(b"\0", 0x01)),
        (b"\x09\0\0\0\0\0", b""),
    ],
    ids=[
        "nothing",
        "half a PDU",
        "a PDU by octets",
        "4 GiB announced",
        "4 GiB sent",
        "a message by octets",
        "no such PDU",
    ],
)
def test_a_peer_that_stops_while_associated(node: Node, head: bytes, drip: bytes) -> None:
    """Another peer is served meanwhile."""
    held = associated(node)
    wrapped = held.dul.socket
    assert wrapped is not None
    assert wrapped.socket is not None
    held._reactor_checkpoint.clear()  # what is read from here on is ours
    wait_for(lambda: held._is_paused, "the peer's own thread", 20)
    held.dul.kill_dul()
    held.dul.join()

    wire = wrapped.socket
    with suppress(OSError):  # cut off already, on a busy machine: that is what it is about
        wire.sendall(head)
    assert others_are_served_until_it_is_cut_off(node, wire, drip)
    wire.close()
    assert served(node, 2)
    wait_for(nobody_is_held, "the threads", 20)
    held._kill = True
    held._reactor_checkpoint.set()


@pytest.mark.parametrize("associated", [False, True])
def test_a_pdu_that_comes_steadily_and_takes_too_long(node: Node, associated: bool) -> None:
    """Fast enough for the pace of a message, and never silent: the PDU has an end of its own."""
    whole = 2 << 20
    with Wire(node.scp.server_address[1]) as wire:
        if associated:
            wire.associate()
        wire.send(announced(whole) if associated else struct.pack(">BBI", 0x01, 0, whole))
        sent = 0
        ended = False
        wire.socket.settimeout(0.02)
        while not ended and sent < whole:
            sent += 4096
            ended = is_closed_after(wire, bytes(4096))
    assert ended
    assert sent < whole
    assert served(node, 1)


def is_closed_after(wire: Wire, octets: bytes) -> bool:
    """Send octets, and tell whether the node ends the connection, at most one time limit later."""
    try:
        wire.send(octets)
        return wire.socket.recv(4096) == b""
    except TimeoutError:
        return False
    except (ClosedError, OSError):
        return True


def test_one_address_cannot_hold_the_door(tmp_path: Path) -> None:
    """Connections without an association are limited for each address: others get in."""
    long = ReceiveSection(negotiation_timeout_s=600, maximum_associations=5)
    with running_receiver(tmp_path, long) as node, ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(socket.create_connection(node.scp.server_address))
        with socket.create_connection(node.scp.server_address) as one_more:
            assert is_cut_off(one_more)
        ae = AE("SCANNER")
        ae.add_requested_context(CTImageStorage)
        host, port = node.scp.server_address
        assoc = ae.associate(host, port, ae_title="RADNODE", bind_address=("127.0.0.2", 0))
        assert assoc.is_established
        assoc.release()
        silent.close()
        wait_for(lambda: served(node, 1), "the door to be free again", 20)


def test_a_huge_pdu_is_answered_with_an_abort(tmp_path: Path) -> None:
    """At once, not when the time is over: before the association and in it."""
    long = ReceiveSection(negotiation_timeout_s=600, network_timeout_s=600)
    with running_receiver(tmp_path, long) as node:
        with socket.create_connection(node.scp.server_address, timeout=60) as wire:
            wire.sendall(struct.pack(">BBI", 0x01, 0, 0xFFFFFFFF))
            assert wire.recv(100)[:1] == b"\x07"
        assert served(node, 1)


def test_silent_connections_do_not_count_as_associations(tmp_path: Path) -> None:
    """Pynetdicom would reject a real peer while others only hold a connection."""
    # With little patience the first would be gone before the last one comes.
    long = ReceiveSection(negotiation_timeout_s=600, network_timeout_s=600, maximum_associations=5)
    with running_receiver(tmp_path, long) as node, ExitStack() as silent:
        for number in range(3):
            silent.enter_context(
                socket.create_connection(
                    node.scp.server_address, source_address=(f"127.0.0.{number + 3}", 0)
                )
            )
        opened = [node.associate() for _ in range(long.maximum_associations)]
        assert all(assoc.is_established for assoc in opened)
        assert node.associate().is_rejected
        for assoc in opened:
            assoc.release()


def test_memory_is_not_taken_for_what_is_only_announced(node: Node) -> None:
    """A length is a promise of the peer; nothing is set aside for it."""
    peak = allocation(lambda: is_cut_off_after(node, struct.pack(">BBI", 0x01, 0, 0xFFFFFFFF)))
    assert peak < 8 << 20


def is_cut_off_after(node: Node, head: bytes) -> None:
    """Send octets, and wait for the end."""
    with socket.create_connection(node.scp.server_address) as wire:
        wire.sendall(head)
        assert is_cut_off(wire)


def allocation(work: Callable[[], None]) -> int:
    """Return the peak of memory that Python took while `work` ran, in octets."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

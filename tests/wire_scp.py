"""A Storage SCP written by hand, byte by byte: it can answer what no library would."""

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.listening import listening
from tests.wire import (
    APPLICATION_CONTEXT,
    ASSOCIATE_AC,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    ClosedError,
    command,
    element,
    elements,
    item,
    pdu,
    pdv,
    read_pdu,
)


@dataclass(frozen=True)
class Request:
    """One C-STORE request as it came.

    Attributes
    ----------
    number : int
        Counted from 1 over all associations.
    context : int
        Presentation context.
    message_id : int
    sop_class, sop_instance : str
    data : bytes
        The data set, octet for octet.
    """

    number: int
    context: int
    message_id: int
    sop_class: str
    sop_instance: str
    data: bytes

    def answer(
        self,
        status: int = 0x0000,
        message_id: int | None = None,
        sop_instance: str | None = None,
        context: int | None = None,
    ) -> bytes:
        """Return a C-STORE response (PS3.7 Table 9.3-2) in a PDU; '' leaves the instance out."""
        named = self.sop_instance if sop_instance is None else sop_instance
        replied = self.message_id if message_id is None else message_id
        rest = [element(0x0002, self.sop_class.encode())]
        rest += [element(0x0120, struct.pack("<H", replied))]
        rest += [element(0x0900, struct.pack("<H", status))]
        rest += [element(0x1000, named.encode())] if named else []
        fragment = pdv(context or self.context, 3, command(0x8001, *rest, data=False))
        return pdu(P_DATA_TF, fragment)


Answer = Callable[[Request], Iterable[bytes]]
"""What is put on the wire for a request, piece by piece."""


@dataclass
class WireScp:
    """A peer on loopback.

    Attributes
    ----------
    answer : Answer
    accepting : callable
        Makes the pieces that are sent for an A-ASSOCIATE-AC PDU.
    reads : bool
        Whether it reads what comes on an association that it has accepted.
    requests : list[Request]
        What has come.
    proposed : list[list[tuple[str, list[str]]]]
        Abstract syntax and transfer syntaxes of every context, for each association.
    cut_off : threading.Event
        The caller hung up before all was said.
    """

    answer: Answer
    accepting: Callable[[bytes], Iterable[bytes]] = lambda accepted: [accepted]
    maximum_length: int = 16384
    reads: bool = True
    requests: list[Request] = field(default_factory=list)
    proposed: list[list[tuple[str, list[str]]]] = field(default_factory=list)
    cut_off: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def serve(self, wire: socket.socket) -> None:
        """Serve one connection until it ends."""
        with suppress(ClosedError):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._say(wire, self.accepting(self._accepted(read_pdu(wire)[1])))
            if not self.reads:
                self.stopped.wait(60)
                return
            values: list[tuple[int, int, bytes]] = []
            while True:
                kind, body = read_pdu(wire)
                if kind == RELEASE_RQ:
                    wire.sendall(pdu(RELEASE_RP, bytes(4)))
                    return
                if kind != P_DATA_TF:
                    return
                values += _values(body)
                if values[-1][1] == 2:
                    self._say(wire, self.answer(self._request(values)))
                    values = []

    def _say(self, wire: socket.socket, pieces: Iterable[bytes]) -> None:
        try:
            for piece in pieces:
                if self.stopped.is_set():
                    return
                wire.sendall(piece)
        except ConnectionError:
            self.cut_off.set()
            raise

    def _accepted(self, body: bytes) -> bytes:
        """Return an A-ASSOCIATE-AC that takes each context in its first transfer syntax."""
        contexts = [
            (value[0], _items(value[4:])) for kind, value in _items(body[68:]) if kind == 0x20
        ]
        results = b""
        proposed = []
        for number, parts in contexts:
            syntaxes = [value.decode() for kind, value in parts if kind == 0x40]
            proposed.append((parts[0][1].decode(), syntaxes))
            results += item(0x21, bytes((number, 0, 0, 0)) + item(0x40, syntaxes[0].encode()))
        self.proposed.append(proposed)
        user = item(0x51, struct.pack(">I", self.maximum_length)) + item(0x52, b"1.2.3.4")
        head = struct.pack(">HH", 1, 0) + body[4:68]
        application = item(0x10, APPLICATION_CONTEXT.encode())
        return pdu(ASSOCIATE_AC, head + application + results + item(0x50, user))

    def _request(self, values: list[tuple[int, int, bytes]]) -> Request:
        said = elements(b"".join(part for _, control, part in values if control & 1))
        made = Request(
            len(self.requests) + 1,
            values[0][0],
            int.from_bytes(said[0x0110], "little"),
            said[0x0002].rstrip(b"\0").decode(),
            said[0x1000].rstrip(b"\0").decode(),
            b"".join(part for _, control, part in values if not control & 1),
        )
        self.requests.append(made)
        return made


@contextmanager
def wire_scp(
    answer: Answer = lambda request: [request.answer()], **others: object
) -> Iterator[WireScp]:
    """Run a peer for one test."""
    scp = WireScp(answer, **others)  # type: ignore[arg-type]
    with listening(scp.serve) as scp.port:
        try:
            yield scp
        finally:
            scp.stopped.set()


def _items(octets: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(octets):
        kind, _, length = struct.unpack_from(">BBH", octets, at)
        found.append((kind, octets[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def _values(body: bytes) -> list[tuple[int, int, bytes]]:
    found, at = [], 0
    while at < len(body):
        length, context, control = struct.unpack_from(">IBB", body, at)
        found.append((context, control, body[at + 6 : at + 4 + length]))
        at += 4 + length
    return found

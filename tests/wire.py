"""A DICOM peer written by hand, byte by byte: it can say what no library would."""

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ASSOCIATE_RQ: Final = 1
ASSOCIATE_AC: Final = 2
ASSOCIATE_RJ: Final = 3
P_DATA_TF: Final = 4
RELEASE_RQ: Final = 5
RELEASE_RP: Final = 6
ABORT: Final = 7

VERIFICATION: Final = "1.2.840.10008.1.1"
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
PATIENCE_S: Final = 60.0

Context = tuple[int, str, str]
"""Presentation context: id, abstract syntax, transfer syntax."""

CONTEXTS: Final[tuple[Context, ...]] = (
    (1, CTImageStorage, ExplicitVRLittleEndian),
    (3, VERIFICATION, "1.2.840.10008.1.2"),
)


class ClosedError(Exception):
    """The other side has ended the conversation: an abort, a rejection, or a closed connection."""


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU (PS3.8 Section 9.3.1)."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """Return an item of an A-ASSOCIATE PDU (PS3.8 Section 9.3.2)."""
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(
    contexts: Sequence[Context] = CONTEXTS,
    called: bytes = b"RADNODE",
    calling: bytes = b"WIRE",
    maximum_length: int = 16384,
    user: bytes | None = None,
) -> bytes:
    """Return an A-ASSOCIATE-RQ PDU (PS3.8 Table 9-11).

    Transfer syntaxes of a context stand with blanks between them; `user` is put in place of
    the usual user information sub-items.
    """
    proposed = b"".join(
        item(
            0x20,
            bytes((number, 0, 0, 0))
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, one.encode()) for one in transfer.split(" ")),
        )
        for number, abstract, transfer in contexts
    )
    if user is None:
        user = item(0x51, struct.pack(">I", maximum_length)) + item(0x52, b"1.2.3.4")
    return pdu(
        ASSOCIATE_RQ,
        struct.pack(">HH", 1, 0)
        + called.ljust(16)
        + calling.ljust(16)
        + bytes(32)
        + item(0x10, APPLICATION_CONTEXT.encode())
        + proposed
        + item(0x50, user),
    )


def element(number: int, value: bytes) -> bytes:
    """Return a command element (PS3.7 Section 6.3.1), padded with a null."""
    value += bytes(len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def command(field_: int, *elements: bytes, data: bool) -> bytes:
    """Return a command set; `data`: a data set follows."""
    body = (
        element(0x0100, struct.pack("<H", field_))
        + element(0x0800, struct.pack("<H", 1 if data else 0x0101))
        + b"".join(elements)
    )
    return element(0x0000, struct.pack("<I", len(body))) + body


def store_rq(sop_class: str, sop_instance: str, message_id: int = 1) -> bytes:
    """Return the command set of a C-STORE request (PS3.7 Table 9.3-1)."""
    return command(
        0x0001,
        element(0x0002, sop_class.encode()),
        element(0x0110, struct.pack("<H", message_id)),
        element(0x0700, struct.pack("<H", 0)),
        element(0x1000, sop_instance.encode()),
        data=True,
    )


def echo_rq(message_id: int = 1) -> bytes:
    """Return the command set of a C-ECHO request (PS3.7 Table 9.3-12)."""
    return command(
        0x0030,
        element(0x0002, VERIFICATION.encode()),
        element(0x0110, struct.pack("<H", message_id)),
        data=False,
    )


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """Return a Presentation Data Value item (PS3.8 Table 9-23)."""
    return struct.pack(">IBB", len(fragment) + 2, context, control) + fragment


def elements(octets: bytes) -> dict[int, bytes]:
    """Return the values of a command set by the numbers of their elements in group 0000."""
    found, at = {}, 0
    while at < len(octets):
        _, number, length = struct.unpack_from("<HHI", octets, at)
        found[number] = octets[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Return the next PDU of a connection: its type and body.

    Raises
    ------
    ClosedError
        If there is none.
    """
    kind, _, length = struct.unpack(">BBI", _exactly(connection, 6))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, octets: int) -> bytes:
    got = bytearray()
    while len(got) < octets:
        try:
            piece = connection.recv(octets - len(got))
        except TimeoutError:
            raise
        except OSError as error:
            raise ClosedError from error
        if not piece:
            raise ClosedError
        got += piece
    return bytes(got)


@dataclass
class Wire:
    """One connection to a receiver on this machine."""

    port: int
    answered: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Send anything.

        Raises
        ------
        ClosedError
            If nobody listens any more.
        """
        try:
            self.socket.sendall(octets)
        except OSError as error:
            raise ClosedError from error

    def read(self) -> tuple[int, bytes]:
        """Return the next PDU: its type and body.

        Raises
        ------
        ClosedError
            If there is none.
        """
        return read_pdu(self.socket)

    def expect(self, kind: int) -> bytes:
        """Return the body of the next PDU, which must be of that type.

        Raises
        ------
        ClosedError
            If it is another, or there is none.
        """
        found, body = self.read()
        if found != kind:
            raise ClosedError(f"PDU type {found} instead of {kind}")
        return body

    def associate(self, contexts: Sequence[Context] = CONTEXTS) -> Self:
        """Open an association."""
        self.send(associate_rq(contexts))
        self.expect(ASSOCIATE_AC)
        return self

    def status(self) -> int:
        """Return the status of the next response."""
        body = self.expect(P_DATA_TF)
        found = elements(body[6:])  # behind the head of its only item
        if 0x0900 in found:
            return int.from_bytes(found[0x0900], "little")
        raise ClosedError("a response without a status")

    def echo(self, context: int = 3) -> int:
        """Ask for a C-ECHO and return its status."""
        self.send(pdu(P_DATA_TF, pdv(context, 3, echo_rq())))
        return self.status()

    def store(
        self,
        sop_instance: str,
        pieces: Iterable[bytes],
        sop_class: str = CTImageStorage,
        context: int = 1,
    ) -> int:
        """Send a C-STORE request, each piece as a fragment, and return the status."""
        self.send(pdu(P_DATA_TF, pdv(context, 3, store_rq(sop_class, sop_instance))))
        for piece in pieces:
            self.send(pdu(P_DATA_TF, pdv(context, 0, piece)))
        self.send(pdu(P_DATA_TF, pdv(context, 2, b"")))
        return self.status()

    def release(self) -> None:
        """Release the association."""
        self.send(pdu(RELEASE_RQ, bytes(4)))
        self.expect(RELEASE_RP)

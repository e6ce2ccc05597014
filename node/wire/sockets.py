"""The socket of an association that we accept: it waits for data, within limits."""

import select
import socket
import ssl
import time
from typing import Any, Final, cast

from pynetdicom.transport import AssociationSocket

_WAIT_S: Final = 0.005  # how long a response of the other thread (C-ECHO, release) may wait
_PIECE: Final = 1 << 20  # read at most; the length of a PDU is what the peer says it is
_LARGEST_PDU: Final = 4 << 20  # octets; far more than we announce, for peers that do not look
_HEAD: Final = 6  # octets of any PDU: type, reserved, length
_LEAST_PACE: Final = 1024  # octets a second of a message that takes longer than the time limit


class Pace:
    """Whether a message comes as fast as it must: one octet a second could go on for years."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._octets = 0

    def step(self, octets: int, unfinished: bool, timeout_s: float) -> None:
        """Count octets of the present message.

        Raises
        ------
        TimeoutError
            If a message has been coming for longer than `timeout_s`, and too slowly.
        """
        now = time.monotonic()
        if not unfinished:
            self._began, self._octets = now, 0
        self._octets += octets
        taken = now - self._began
        if taken > timeout_s and self._octets < taken * _LEAST_PACE:
            raise TimeoutError(f"{self._octets} octets in {taken:.0f} s")


class AcceptorSocket(AssociationSocket):
    """A socket that waits for data a little, and reads what there is."""

    pace: Pace
    began: bytes = b""  # the first octets that came

    @property
    def ready(self) -> bool:
        """Tell whether there are data; wait a little for them."""
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        try:
            return bool(select.select([self.socket], [], [], _WAIT_S)[0])
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # transport connection closed
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Return so many bytes, or fewer when the peer has closed the connection.

        Raises
        ------
        OSError
            If they do not come in time, or are more than any PDU may have; pynetdicom then
            ends the association.
        """
        if nr_bytes > _LARGEST_PDU:
            self.event_queue.put("Evt19")  # invalid PDU: the peer is sent an A-ABORT
            raise OSError(f"a PDU of {nr_bytes} octets is announced")
        wire = cast("socket.socket", self.socket)
        timeout_s = self._timeout_s()
        if wire.gettimeout() != timeout_s:
            # Of each read, and of each write: a peer that does not read cannot hold us either.
            wire.settimeout(timeout_s)
        deadline = time.monotonic() + timeout_s
        received = bytearray()
        while len(received) < nr_bytes:
            if time.monotonic() > deadline:
                raise TimeoutError("a PDU by octets")
            piece = wire.recv(min(nr_bytes - len(received), _PIECE))
            if not piece:
                break
            received += piece
            self.began = self.began or bytes(piece[:_HEAD])
        self.pace.step(len(received), cast("Any", self.assoc.dimse).unfinished, timeout_s)
        return received

    def _timeout_s(self) -> float:
        assoc = self.assoc
        limit = assoc.network_timeout if assoc.is_established else assoc.acse_timeout
        return cast("float", limit)

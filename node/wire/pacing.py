"""What a peer may cost us: memory and time on an association that we requested.

pynetdicom reads a file in pieces, but puts all of them into a queue without end while its other
thread sends the first; and to a peer that announces no limit it sends the file in one piece. What
the peer sends it takes whole, however long it is and however long it takes: one octet a second
keeps a thread for ever, and so does a peer that reads one octet a second.
"""

import queue
import socket
import time
from contextlib import suppress
from typing import Any, Final, cast

import structlog
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from node.errors import TransientDeliveryError

log = structlog.get_logger()

_LARGEST_PDU: Final = 1 << 18  # octets; larger ones are no faster
MOST_WAITING: Final = 8  # PDUs
_LOOK_S: Final = 0.1  # how often it is noticed that the association is over
_LARGEST_PDU_TAKEN: Final = 1 << 20  # octets; far more than we announce
_LARGEST_MESSAGE_TAKEN: Final = 8 << 20  # octets; a report on 1000 instances has 0.2 million
_MOST_UNASKED: Final = 64  # messages of the peer beyond one for each of ours
LEAST_PACE: Final = 4096  # octets a second that a peer must take of what we send
_LEAST_PDU: Final = 64  # octets that a peer must take at once
_ESTABLISHED: Final = "Sta6"  # PS3.8 Table 9-3: ready for data
_GRACE_S: Final = 1.0  # for an A-ABORT to leave


def pace(assoc: Association, connect_s: float, response_s: float) -> None:
    """Bound what an association that we requested holds, and how long it may take.

    Parameters
    ----------
    connect_s, response_s : float
        How long one PDU of the peer may take to arrive, in seconds: before the association is
        established, and then.
    """
    assoc.dimse.__class__ = _RequestorDimse
    assoc.dul.to_provider_queue = BoundedQueue(assoc, response_s)
    if assoc.dul.socket is not None:
        assoc.dul.socket.__class__ = _RequestorSocket
        cast("_RequestorSocket", assoc.dul.socket).limits_s = (connect_s, response_s)


def give_up(assoc: Association) -> None:
    """End an association, by an A-ABORT where that leaves in time; its threads and socket end.

    Parameters
    ----------
    assoc : Association
        Ours as requestor, in any state.
    """
    waiting = assoc.dul.to_provider_queue
    if isinstance(waiting, BoundedQueue):
        waiting.until = time.monotonic()
    with suppress(TransientDeliveryError):
        if assoc.is_established and assoc.dul.state_machine.current_state == _ESTABLISHED:
            assoc.abort(block=False)
    assoc.dul.join(_GRACE_S)
    if assoc.dul.socket is not None:
        assoc.dul.socket._shutdown_socket()
    assoc.kill()


class _RequestorSocket(AssociationSocket):
    """Reads a PDU that is neither too long nor too long on its way."""

    limits_s: tuple[float, float]

    def recv(self, nr_bytes: int) -> bytearray:
        """Return so many octets, or fewer where the peer has closed the connection.

        Raises
        ------
        OSError
            If they do not come in time, or are more than we take; pynetdicom then ends the
            association.
        """
        if nr_bytes > _LARGEST_PDU_TAKEN:
            raise OSError(f"a PDU of {nr_bytes} octets is announced")
        wire = cast("socket.socket", self.socket)
        before, after = self.limits_s
        until = time.monotonic() + (after if self.assoc.is_established else before)
        received = bytearray()
        try:
            while len(received) < nr_bytes:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError("a PDU by octets")
                wire.settimeout(left_s)
                piece = wire.recv(nr_bytes - len(received))
                if not piece:
                    break
                received += piece
        finally:
            with suppress(OSError):  # closed meanwhile
                wire.settimeout(after)
        return received


class _RequestorDimse(DIMSEServiceProvider):
    """Sends PDUs no larger than the peer takes, nor than we like to hold; takes no more either."""

    _octets = 0
    _sent = 0
    _taken = 0

    @property
    def maximum_pdu_size(self) -> int:
        """The most octets of a PDU; a peer that announces 0 takes any (PS3.8 Section D.1).

        Raises
        ------
        TransientDeliveryError
            If the peer announces so few that no message fits: it is broken, not the instance.
        """
        announced = super().maximum_pdu_size or _LARGEST_PDU
        if announced < _LEAST_PDU:
            raise TransientDeliveryError(f"the peer takes PDUs of {announced} octets at most")
        return min(announced, _LARGEST_PDU)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; one may come back for each of ours.

        Raises
        ------
        TransientDeliveryError
            If the peer takes it too slowly.
        """
        self._sent += 1
        if isinstance(self.dul.to_provider_queue, BoundedQueue):
            self.dul.to_provider_queue.begin()
        super().send_msg(primitive, context_id)

    def receive_primitive(self, primitive: Any) -> None:
        """Take a part of a message; abort where it never ends, or they never do."""
        self._octets += sum(len(data) for _, data in primitive.presentation_data_value_list)
        if self._octets > _LARGEST_MESSAGE_TAKEN or self._taken > self._sent + _MOST_UNASKED:
            self._refuse("messages without end")
            return
        try:
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001 - what is no message would end the thread
            self._refuse(f"no message ({type(error).__name__})")
            return
        if "Evt19" in self.dul.event_queue.queue:  # it was no message, says pynetdicom
            self._refuse("no message")
        elif self.message is None:
            self._octets = 0
            self._taken += 1

    def _refuse(self, what: str) -> None:
        """Abort, and tell whoever waits for an answer."""
        log.warning("association aborted", peer=self.assoc.acceptor.ae_title, because=what)
        if "Evt19" not in self.dul.event_queue.queue:  # invalid PDU: the peer is sent an A-ABORT
            self.dul.event_queue.put("Evt19")
        self.assoc._sent_abort = True  # a second one is no event of that state (PS3.8 Table 9-10)
        self.assoc.is_aborted, self.assoc.is_established = True, False
        self.msg_queue.put((None, None))


class BoundedQueue(queue.Queue[Any]):
    """What is to be sent; who adds to it waits while it is full, as long as it is emptied."""

    def __init__(self, assoc: Association, timeout_s: float) -> None:
        super().__init__(MOST_WAITING)
        self._assoc = assoc
        self._timeout_s = timeout_s
        self.until = float("inf")

    def begin(self) -> None:
        """Begin a message: each part of it gives the peer more time, by its length."""
        self.until = time.monotonic() + self._timeout_s

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add a PDU; one for an association that is over is dropped, nobody would send it.

        Raises
        ------
        TransientDeliveryError
            If the peer takes the message too slowly.
        """
        while self._assoc.dul.is_alive():
            with suppress(queue.Full):
                super().put(item, block, timeout or _LOOK_S)
                if isinstance(item, P_DATA):
                    octets = sum(len(data) for _, data in item.presentation_data_value_list)
                    self.until += octets / LEAST_PACE
                return
            if time.monotonic() > self.until:
                raise TransientDeliveryError("the peer takes what it is sent too slowly")

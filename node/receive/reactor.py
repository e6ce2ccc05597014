"""pynetdicom's association threads, made to wait for data instead of sleeping between looks.

pynetdicom 3 gives every association two threads that each sleep 1 ms, look, and sleep again;
an instance passes from one to the other and its response back. Between the sleeps it reads the
socket in pieces of 4 KiB. Measured on loopback with 0.5 MB slices, this costs more than the
three fsyncs of an instance. There is no public way to change it, so all that is private to
pynetdicom is in this file: `quicken` is called when a connection opens, before its threads run.
"""

import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Final, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE, N_EVENT_REPORT
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AssociationSocket

from node.receive.encoded import store_response

_WAIT_S: Final = 0.005  # how long a response of the other thread (C-ECHO, release) may wait
_LOOK_S: Final = 0.05  # how often one who waits for a response looks whether the peer is there
_PIECE: Final = 1 << 20  # read at most; the length of a PDU is what the peer says it is
_LARGEST_PDU: Final = 4 << 20  # octets; far more than we announce, for peers that do not look
_LEAST_PACE: Final = 1024  # octets a second of a message that takes longer than the time limit


def quicken(event: Event) -> None:
    """Let an association read large pieces, wait on its socket and store in one thread."""
    assoc = event.assoc
    wrapped = assoc.dul.socket
    if wrapped is None or wrapped.socket is None:
        return
    # Nagle's algorithm would wait 40 ms for an acknowledgement before each response.
    wrapped.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wrapped.__class__ = _WaitingSocket
    cast("_WaitingSocket", wrapped).pace = _Pace()
    assoc.dimse.msg_queue = _StoringQueue(assoc)
    assoc.dimse.__class__ = _BriefDimse
    cast("_BriefDimse", assoc.dimse).sending = threading.Lock()


class _Pace:
    """Whether a message comes as fast as it must: one octet a second could go on for years."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._octets = 0

    def step(self, octets: int, unfinished: bool, patience: float) -> None:
        """Count octets of the present message.

        Raises
        ------
        TimeoutError
            If a message has been coming for longer than `patience`, and too slowly.
        """
        now = time.monotonic()
        if not unfinished:
            self._began, self._octets = now, 0
        self._octets += octets
        taken = now - self._began
        if taken > patience and self._octets < taken * _LEAST_PACE:
            raise TimeoutError(f"{self._octets} octets in {taken:.0f} s")


class _WaitingSocket(AssociationSocket):
    """A socket that waits for data a little, and reads what there is."""

    pace: _Pace

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
        patience = self._patience()
        deadline = time.monotonic() + patience
        received = bytearray()
        while len(received) < nr_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("half a PDU, and then nothing")
            wire.settimeout(left)
            piece = wire.recv(min(nr_bytes - len(received), _PIECE))
            if not piece:
                break
            received += piece
        # What is sent waits as long: a peer that does not read cannot hold us either.
        wire.settimeout(patience)
        self.pace.step(len(received), self.assoc.dimse.message is not None, patience)
        return received

    def _patience(self) -> float:
        assoc = self.assoc
        limit = assoc.network_timeout if assoc.is_established else assoc.acse_timeout
        return cast("float", limit)


class _BriefDimse(DIMSEServiceProvider):
    """Sends the response of a C-STORE, a few dozen bytes, without making a `Dataset` of it."""

    sending: threading.Lock

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send one message at a time: fragments of two must not mix (PS3.8 Annex E)."""
        with self.sending:
            self._send(primitive, context_id)

    def _send(self, primitive: Any, context_id: int) -> None:
        """Send a C-STORE response; leave any other message to pynetdicom."""
        if not isinstance(primitive, C_STORE) or primitive.MessageIDBeingRespondedTo is None:
            super().send_msg(primitive, context_id)
            return
        command = store_response(
            str(primitive.AffectedSOPClassUID or ""),
            str(primitive.AffectedSOPInstanceUID or ""),
            primitive.MessageIDBeingRespondedTo,
            cast("int", primitive.Status),
        )
        if 0 < self.maximum_pdu_size < len(command) + 6:  # PDV item header, PS3.8 Table 9-23
            super().send_msg(primitive, context_id)
            return
        message = P_DATA()
        # Message control header 3: a command, and its last fragment (PS3.8 Section E.2).
        value: Any = [context_id, b"\x03" + command]
        message.presentation_data_value_list = [value]
        self.dul.send_pdu(message)


class Responses:
    """Where responses to what we ask of a peer go, apart from its own requests."""

    def __init__(self) -> None:
        self._responses: queue.Queue[Any] = queue.Queue()

    def response(
        self, message_id: int, patience_s: float, alive: Callable[[], bool]
    ) -> Any | None:
        """Return the response to a message; None if none comes in time or the peer has gone."""
        for _ in range(int(patience_s / _LOOK_S)):
            try:
                response = self._responses.get(timeout=_LOOK_S)
            except queue.Empty:
                if not alive():
                    return None
            else:
                if response.MessageIDBeingRespondedTo == message_id:
                    return response
        return None


class _StoringQueue(queue.Queue[Any], Responses):
    """Where complete messages go: a C-STORE is served at once, in the thread that read it.

    The peer waits for the response anyway, and there is no C-CANCEL of a C-STORE, so nothing
    could be read in the meantime. All else is left to pynetdicom's other thread.
    """

    def __init__(self, assoc: Association) -> None:
        queue.Queue.__init__(self)
        Responses.__init__(self)
        self._assoc = assoc

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Serve a C-STORE request; queue any other message."""
        context_id, message = item
        if isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo is not None:
            self._responses.put(message)
            return
        context = self._assoc._accepted_cx.get(context_id)
        if (
            not isinstance(message, C_STORE)
            or message.MessageID is None
            or context is None
            or not self._assoc.is_established
        ):
            super().put(item, block, timeout)
            return
        try:
            StorageServiceClass(self._assoc).SCP(message, context)
        except (ValueError, TypeError, AttributeError, KeyError):
            # The response cannot be made: let pynetdicom try, and abort as it does.
            super().put(item, block, timeout)

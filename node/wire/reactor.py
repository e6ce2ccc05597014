"""pynetdicom's association threads, made to wait for data instead of sleeping between looks.

pynetdicom 3 gives every association two threads that each sleep 1 ms, look, and sleep again;
an instance passes from one to the other and its response back. Between the sleeps it reads the
socket in pieces of 4 KiB. Measured on loopback with 0.5 MB slices, this costs more than the
three fsyncs of an instance. Data sets it gathers in memory, however large they are. There is no
public way to change it: `replace_reactor` is called when a connection opens, before its threads
run, and gives them classes of ours.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any, Final, cast

import structlog
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.events import Event
from pynetdicom.pdu import A_ASSOCIATE_AC

from node.errors import MalformedMessageError
from node.wire.acceptor import AcceptorAcse, AssociateRequest
from node.wire.assembly import PDV, Assembly, Sink, values
from node.wire.callbacks import Callbacks, TurnedAway
from node.wire.message_queues import WaitingMessages
from node.wire.request import ASSOCIATE_RQ, read_request
from node.wire.response import store_response
from node.wire.sinks import sink, whole
from node.wire.sockets import AcceptorSocket, Pace

log = structlog.get_logger()

_P_DATA_TF: Final = 4  # PDU type (PS3.8 Table 9-22)
_TLS: Final = 0x16  # first octet of a handshake (RFC 8446 Section 5.1)


def replace_reactor(event: Event, callbacks: Callbacks) -> None:
    """Let an association read large pieces, wait on its socket and store in one thread.

    Parameters
    ----------
    event : Event
        ``EVT_CONN_OPEN`` of a connection that a listener took.
    callbacks : Callbacks
        What is asked and told while the association lasts.
    """
    assoc = event.assoc
    wrapped = assoc.dul.socket
    if wrapped is None or wrapped.socket is None:
        return
    assoc.__class__ = _AcceptorAssociation
    assoc.dul.__class__ = _AcceptorDul
    cast("_AcceptorDul", assoc.dul).turned_away = callbacks.turned_away
    assoc.acse.__class__ = AcceptorAcse
    cast("AcceptorAcse", assoc.acse).negotiate = callbacks.negotiate
    wrapped.__class__ = AcceptorSocket
    cast("AcceptorSocket", wrapped).pace = Pace()
    assoc.dimse.msg_queue = WaitingMessages(assoc)
    assoc.dimse.__class__ = _AcceptorDimse
    cast("_AcceptorDimse", assoc.dimse).sending = threading.Lock()
    cast("_AcceptorDimse", assoc.dimse).receive_into(callbacks)
    # Nagle's algorithm would wait 40 ms for an acknowledgement before each response.
    with suppress(OSError):  # the peer has gone again
        wrapped.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _closed(assoc: Association) -> None:
    """Report that a connection has ended; idempotent.

    The upper layer may have reported it before the other thread has reported its beginning.
    """
    address = assoc.requestor.address_info
    where = address.as_tuple if address is not None else ("", 0)
    evt.trigger(assoc, evt.EVT_CONN_CLOSE, {"address": where})


def _failed(assoc: Association, error: Exception) -> None:
    log.warning(
        "association failed",
        calling_ae=assoc.requestor.ae_title,
        address=_address(assoc),
        because=type(error).__name__,
    )


def _address(assoc: Association) -> str:
    found = assoc.requestor.address_info
    return found.address if found is not None else ""


class _AcceptorAssociation(Association):
    """An association whose thread ends, and its connection with it, whatever the peer sends."""

    def run(self) -> None:
        """Run the association."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - what the peer asked for is its own harm
            _failed(self, error)
        finally:
            self._kill = True  # nobody takes messages any more
            if self.dul.socket is not None and self.dul.is_alive():
                self.dul.socket._shutdown_socket()
            _closed(self)


class _Data:
    """A P-DATA-TF PDU: views of the octets as they were read."""

    def __init__(self, found: list[PDV]) -> None:
        self.values = found

    def to_primitive(self) -> "_Data":
        """Return what the state machine hands to `_AcceptorDimse.receive_primitive`."""
        return self


class _AcceptorDul(DULServiceProvider):
    """Reads data without copies, and leaves nothing behind when its connection has ended."""

    turned_away: TurnedAway
    asked: bool = False
    waits_since: float

    def run(self) -> None:
        """Run the upper layer."""
        self.waits_since = time.monotonic()
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - what the peer sent is its own harm
            _failed(self.assoc, error)
        finally:
            self._end()

    def idle_timer_expired(self) -> bool:
        """Tell whether the peer has been silent for too long; while we serve it, it is we."""
        serving = cast("_AcceptorDimse", self.assoc.dimse).serving
        return not serving and super().idle_timer_expired()

    def _end(self) -> None:
        cast("_AcceptorDimse", self.assoc.dimse).assembly.discard()
        self.to_user_queue.put(cast("Any", None))  # the other thread may wait for a request
        if self.state_machine.current_state != "Sta1":  # it was not the state machine that ended
            if self.socket is not None:
                self.socket._shutdown_socket()
            _closed(self.assoc)
        if not self.asked and (because := self._unasked()):
            self.turned_away(_address(self.assoc), because)

    def _unasked(self) -> str:
        """Return why whoever connected got no answer, or '' where it left by itself."""
        began = cast("AcceptorSocket", self.socket).began
        if began[:1] == bytes((_TLS,)):
            return "it speaks TLS, and this port does not"
        if began[:1] == bytes((ASSOCIATE_RQ,)):
            return "its association request did not come whole, or is too long"
        if began:
            return f"no association request: it began with octet {began[0]:02X}H, expected 01H"
        limit = self._timeout_s()
        waited = time.monotonic() - self.waits_since >= limit
        return f"it asked for nothing in {limit:.0f} s" if waited else ""

    def _timeout_s(self) -> float:
        return cast("float", self.assoc.acse_timeout)

    def _send(self, pdu: Any) -> None:
        """Send a PDU; an acceptance says what pynetdicom could not encode."""
        if isinstance(pdu, A_ASSOCIATE_AC) and self.socket is not None:
            self.socket.send(cast("AcceptorAcse", self.assoc.acse).acceptance)
        else:
            super()._send(pdu)

    def _decode_pdu(self, bytestream: bytearray) -> tuple[Any, str]:
        """Return the PDU and its event; what cannot be decoded raises, and ends all."""
        if bytestream[0] == _P_DATA_TF:
            return _Data(values(memoryview(bytestream))), "Evt10"
        if bytestream[0] == ASSOCIATE_RQ:
            self.asked = True
            return AssociateRequest(read_request(bytes(bytestream))), "Evt6"
        pdu, event = super()._decode_pdu(bytestream)
        pdu.to_primitive()  # what cannot become one would kill the thread, in the state machine
        return pdu, event


class _AcceptorDimse(DIMSEServiceProvider):
    """Takes messages apart as they come in, and answers a C-STORE in a few dozen bytes."""

    assembly: Assembly
    unfinished: bool = False
    serving: bool = False
    _callbacks: Callbacks

    def receive_into(self, callbacks: Callbacks) -> None:
        """Let data sets of C-STORE requests go where these say."""
        self._callbacks = callbacks
        self.assembly = Assembly(self._begin)

    def receive_primitive(self, primitive: Any) -> None:
        """Take the fragments of one PDU; end the association where they make no message."""
        self.serving = True
        try:
            for value in cast("_Data", primitive).values:
                self.assembly.take(value)
        except MalformedMessageError as error:
            log.warning(
                "association aborted",
                calling_ae=self.assoc.requestor.ae_title,
                because=str(error),
            )
            self.assembly.discard()
            self.dul.event_queue.put("Evt19")  # invalid PDU: the peer is sent an A-ABORT
        finally:
            self.dul._idle_timer.restart()
            self.serving = False
        self.unfinished = self.assembly.unfinished

    def _begin(self, context: int, command: bytes) -> Sink:
        if context not in self.assoc._accepted_cx:
            raise MalformedMessageError("a presentation context that was not accepted")
        return sink(self.assoc, context, command, self._callbacks, self.receive_whole)

    def receive_whole(self, context: int, fragments: list[bytes]) -> None:
        """Let pynetdicom serve a message that is complete."""
        super().receive_primitive(whole(context, fragments))

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
        # Message control header 3: a command, and its last fragment (PS3.8 Section E.2).
        self.dul.send_pdu(whole(context_id, [b"\x03" + command]))

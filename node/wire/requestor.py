"""Associations that we request: a reactor that stops when it says so, one exchange at a time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from node.wire.pacing import pace


class RequestorAssociation(Association):
    """An association on which a peer may report while we ask, or leave.

    pynetdicom serves an N-EVENT-REPORT in a thread of its own, which at its end says that the
    reactor goes on. Where that has just stopped for us to send, we would wait for it for ever.
    Here only the reactor itself, which is this thread, says whether it has stopped.
    """

    @property
    def _is_paused(self) -> bool:
        return self._kill or bool(self.__dict__.get("paused", False))

    @_is_paused.setter
    def _is_paused(self, paused: bool) -> None:
        if threading.current_thread() is self:
            self.__dict__["paused"] = paused


class _Checkpoint(threading.Event):
    """Where the reactor stops for us to send; it goes on and says so in one step.

    pynetdicom's reactor goes on and then says so. Who stops it in between takes it for stopped,
    and it takes the answer to what is then sent: on a busy machine an instance that had arrived
    counted as failed, once the time for its answer was over.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._step = threading.Lock()
        self.set()

    def clear(self) -> None:
        """Stop the reactor where it passes next."""
        with self._step:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Let the reactor pass once it may."""
        while super().wait(timeout):
            with self._step:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False


def prepare(event: Event, connect_s: float, response_s: float) -> None:
    """Make an association ready as its connection opens, and send small packets at once.

    Nagle's algorithm against the peer's delayed acknowledgement stalls every instance by about
    40 ms. pynetdicom offers no option and no other way to the socket. It also takes the time
    limit off it: then half a PDU would hold a thread for ever.

    Parameters
    ----------
    event : Event
        ``EVT_CONN_OPEN`` of a connection that we make.
    connect_s, response_s : float
        How long one PDU of the peer may take to arrive, in seconds: before the association is
        established, and then.
    """
    make_requestor(event)
    pace(event.assoc, connect_s, response_s)
    wrapped = event.assoc.dul.socket
    if wrapped is not None and wrapped.socket is not None:
        wrapped.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped.socket.settimeout(response_s)


def make_requestor(event: Event) -> None:
    """Make an association one of ours as its connection opens, before its reactor runs."""
    event.assoc.__class__ = RequestorAssociation
    event.assoc._reactor_checkpoint = _Checkpoint(event.assoc)


def send_from(message: C_STORE, path: Path, start: int) -> None:
    """Let the data set of a request be read from a file while it is sent.

    Parameters
    ----------
    message : C_STORE
        The request primitive that is to be sent.
    path : Path
        DICOM file; it must not change until the request is sent.
    start : int
        Where in the file the data set begins, in octets.
    """
    message._dataset_path = path, start


def exchange(association: Association, message: C_STORE, context_id: int) -> object:
    """Send one message; return the next one that comes, or None where none comes in time.

    Parameters
    ----------
    association : Association
        Established; its reactor is stopped meanwhile.
    message : C_STORE
        Request primitive with its data set or its file.
    context_id : int
        Of the presentation context it goes over.

    Returns
    -------
    object
        A response primitive of DIMSE, or None.

    Raises
    ------
    OSError
        If the file that is sent cannot be read to its end.
    TransientDeliveryError
        If the peer takes it too slowly, or PDUs that are too small for any message.
    """
    with _reactor_stopped(association):
        association.dimse.send_msg(message, context_id)
        _, answer = association.dimse.get_msg(block=True)
        return answer


@contextmanager
def _reactor_stopped(association: Association) -> Iterator[None]:
    """Keep pynetdicom's reactor from taking the answer."""
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.0001)
    try:
        yield
    finally:
        association._reactor_checkpoint.set()

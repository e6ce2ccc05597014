"""A Storage SCP that misbehaves as a test tells it to, and remembers what came."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partialmethod
from typing import Any
from unittest.mock import patch

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import A_RELEASE_RQ
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from tests.listening import listening
from tests.peers import free_port

ABORT = -1
"""Abort the association in the midst of an instance, and answer nothing."""

HANG = -2
"""Answer nothing, and stay; see `FaultPeer.let_go`."""

Script = Callable[["FaultPeer", str], int]
"""Returns the status of an instance, or one of the above."""


def willing(_peer: "FaultPeer", _uid: str) -> int:
    """Store everything."""
    return 0x0000


class FaultPeer:
    """One application entity on one port, which may be down.

    Attributes
    ----------
    script : Script
        What it answers to each C-STORE.
    asked, stored : list[str]
        SOP Instance UIDs of every C-STORE, and of those answered with Success or a warning.
    at_once : int
        The most associations it had at once.
    """

    def __init__(self, script: Script = willing) -> None:
        self.script = script
        self.asked: list[str] = []
        self.stored: list[str] = []
        self.associations = 0
        self.echoes = 0
        self.at_once = 0
        self.supported: dict[str, list[str]] = {CTImageStorage: [ExplicitVRLittleEndian]}
        self.known_callers: list[str] = []
        self.maximum_associations = 100  # those that have ended count until their threads have
        self.port = free_port()
        self._open: set[Association] = set()
        self._lock = threading.Lock()
        self._server: ThreadedAssociationServer | None = None
        self._let_go = threading.Event()

    def start(self) -> None:
        """Listen."""
        ae = AE("PACS")
        for sop_class, syntaxes in self.supported.items():
            ae.add_supported_context(sop_class, syntaxes)
        ae.add_supported_context(Verification)
        ae.require_calling_aet = self.known_callers
        ae.maximum_associations = self.maximum_associations
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_PDU_RECV, self._heard),
            (evt.EVT_CONN_CLOSE, self._ended),
        ]
        often = partialmethod(ThreadedAssociationServer.serve_forever, poll_interval=0.01)
        with patch.object(ThreadedAssociationServer, "serve_forever", often):
            server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        assert server is not None
        self._server = server

    def stop(self) -> None:
        """Go down."""
        self._let_go.set()
        if self._server is not None:
            self._server.shutdown()
            self._server = None
        self._let_go = threading.Event()

    def let_go(self) -> None:
        """Answer what hangs."""
        self._let_go.set()

    def is_alone(self) -> bool:
        """Tell whether it has an association with nobody, and so room for another."""
        return self._server is None or not self._server.active_associations

    def _accepted(self, event: evt.Event) -> None:
        with self._lock:
            self.associations += 1
            self._open.add(event.assoc)
            self.at_once = max(self.at_once, len(self._open))

    def _heard(self, event: evt.Event) -> None:
        # Before the release is answered: after that the other side may open the next one.
        if isinstance(event.pdu, A_RELEASE_RQ):
            self._ended(event)

    def _ended(self, event: evt.Event) -> None:
        with self._lock:
            self._open.discard(event.assoc)

    def _echo(self, _event: evt.Event) -> int:
        self.echoes += 1
        return 0x0000

    def _store(self, event: evt.Event) -> int:
        request = event.request
        assert isinstance(request, C_STORE)
        uid = str(request.AffectedSOPInstanceUID)
        self.asked.append(uid)
        answer = self.script(self, uid)
        if answer == ABORT:
            event.assoc.abort()
            return 0x0110
        if answer == HANG:
            self._let_go.wait(60)
            return 0x0110
        if answer == 0x0000 or 0xB000 <= answer <= 0xBFFF:
            self.stored.append(uid)
        return answer


@contextmanager
def fault_peer(script: Script = willing, *, up: bool = True) -> Iterator[FaultPeer]:
    """Run a peer for one test."""
    peer = FaultPeer(script)
    if up:
        peer.start()
    try:
        yield peer
    finally:
        peer.stop()


@contextmanager
def hangs_up_in_negotiation(port: int) -> Iterator[list[int]]:
    """Listen on a port, and close every connection at its first octets; yield their counts."""
    seen: list[int] = []
    with listening(lambda wire: seen.append(len(wire.recv(4096))), port):
        yield seen


def scripted(answers: Sequence[int]) -> Script:
    """Return a script that gives these answers, one after the other, and then stores all."""
    left = iter(answers)

    def answer(_peer: FaultPeer, _uid: str) -> int:
        return next(left, 0x0000)

    return answer

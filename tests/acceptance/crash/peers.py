"""The two who see all: a scanner that repeats what was not taken, a peer that forgets nothing."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final, cast

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from node.commitment.messages import PUSH_MODEL, read_request, report_of
from node.settings import DimseDestination
from node.wire.requestor import make_requestor
from tests.commitment_peer import report_anew

AGAIN_S: Final = 0.3
SUCCESS: Final = 0x0000


@dataclass
class Arrivals:
    """What came of one SOP Instance UID.

    Attributes
    ----------
    digests
        How often data sets of which SHA-256 came.
    first : float
        When, by the monotonic clock.
    """

    sop_class_uid: str
    first: float
    digests: Counter[str] = field(default_factory=Counter)


class RecordingPeer:
    """A Storage SCP that remembers every instance: its UID, its SHA-256, and how often it came."""

    def __init__(self) -> None:
        self.held: dict[str, Arrivals] = {}
        self.node: DimseDestination | None = None
        self.reports = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reporting: list[threading.Thread] = []
        ae = AE("RECORDER")
        ae.supported_contexts = AllStoragePresentationContexts
        ae.add_supported_context(Verification)
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._asked),
        ]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self._server = cast("ThreadedAssociationServer", server)
        self.port = int(self._server.server_address[1])

    def _store(self, event: Event) -> int:
        request = cast("C_STORE", event.request)
        data = cast("BytesIO", request.DataSet).getvalue()
        uid, sop_class = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
        with self._lock:
            known = self.held.setdefault(uid, Arrivals(sop_class, time.monotonic()))
            known.digests[hashlib.sha256(data).hexdigest()] += 1
        return SUCCESS

    def _asked(self, event: Event) -> tuple[int, None]:
        """Take a request for storage commitment; the report goes on an association of its own."""
        transaction, wanted = read_request(event.action_information)
        held = [one for one in wanted if one.sop_instance_uid in self.held]
        assert len(held) == len(wanted), "asked to commit to what was never sent"
        report = threading.Thread(target=self._report, args=report_of(transaction, held, []))
        self._reporting.append(report)
        report.start()
        return SUCCESS, None

    def _report(self, event_type: int, information: Dataset) -> None:
        """Report until it is taken, as an SCP does that keeps its word."""
        assert self.node is not None
        address = (self.node.host, self.node.port)
        while not self._ended.wait(AGAIN_S):
            try:
                status = report_anew(address, self.node.ae_title, event_type, information)
            except (AssertionError, RuntimeError):  # the node was killed; it comes back
                continue
            if status == SUCCESS:
                self.reports += 1
                return

    def close(self) -> None:
        """Stop listening, and reporting."""
        self._ended.set()
        for report in self._reporting:
            report.join()
        self._server.shutdown()


@dataclass(frozen=True)
class SentStudy:
    """One made study as its scanner holds it: file and SHA-256 of the data set by UID."""

    study_instance_uid: str
    ct_series_uid: str
    files: dict[str, tuple[Path, str]]


@dataclass
class Scanner:
    """A Storage SCU that sends again what was not answered with Success.

    Attributes
    ----------
    acknowledged
        When, by the monotonic clock, each instance was.
    longest_wait_s
        The longest that an instance had to be offered until it was taken.
    before_each
        Done before each instance.
    """

    node: DimseDestination
    before_each: Callable[[], object] = lambda: None
    acknowledged: dict[str, float] = field(default_factory=dict)
    longest_wait_s: float = 0.0
    refused: int = 0

    def send(self, study: SentStudy, patience_s: float, meanwhile: Callable[[], None]) -> None:
        """Return when every instance of the study was acknowledged; `meanwhile` between tries.

        Raises
        ------
        AssertionError
            If that does not come to pass.
        """
        started = time.monotonic()
        while missing := [uid for uid in study.files if uid not in self.acknowledged]:
            assert time.monotonic() - started < patience_s, f"{len(missing)} were never taken"
            self._offer({uid: study.files[uid][0] for uid in missing})
            if any(uid not in self.acknowledged for uid in missing):
                threading.Event().wait(AGAIN_S)
                meanwhile()
        self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - started)

    def _offer(self, files: dict[str, Path]) -> None:
        ae = AE("SCANNER")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
        for sop_class in {pydicom.dcmread(path, specific_tags=[]).file_meta[0x00020002].value
                          for path in files.values()}:  # fmt: skip
            ae.add_requested_context(sop_class, pydicom.uid.ExplicitVRLittleEndian)
        to = (self.node.host, self.node.port)
        handlers: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, make_requestor)]
        association = ae.associate(*to, ae_title=self.node.ae_title, evt_handlers=handlers)
        if not association.is_established:
            return
        for uid, path in files.items():
            self.before_each()
            try:
                status = association.send_c_store(path).get("Status")
            except RuntimeError:  # the association is over: its receiver was killed
                return
            if status == SUCCESS:
                self.acknowledged[uid] = time.monotonic()
            elif status is not None:
                self.refused += 1
            else:
                return
        association.release()

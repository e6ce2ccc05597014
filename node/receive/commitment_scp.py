"""Storage commitment at the receiver: requests and reports of peers, and our own reports.

A request is answered once its row is committed: from then on a report is owed, whatever is
killed. It goes out on the same association while that stays open, else on a new one to the
address that `[[sources]]` gives for the peer (PS3.4 Section J.3.3).
"""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import structlog
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.events import Event
from pynetdicom.presentation import build_context

from node.commitment.holding import Holding, held
from node.commitment.messages import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    Status,
    read_request,
    report_of,
)
from node.commitment.reports import BROKEN, Reports, unreadable
from node.deliver.association import Peer, associated
from node.deliver.attempts import doubled, next_delay
from node.errors import DeliveryError, StoreError, frames_of, reason_of
from node.store.catalog import Catalog
from node.store.commitments.promises import Promise
from node.store.commitments.requests import Reference
from node.store.files import InstanceFiles
from node.wire.notification import notify

log = structlog.get_logger()

_LOOK_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_Key = tuple[str, str]


@dataclass
class _Asked:
    """The association on which something was asked, and whether that has been answered."""

    association: Association
    answered: bool = False


class CommitmentScp:
    """Answers what peers ask and report, and reports what it owes from a thread of its own.

    Parameters
    ----------
    catalog, files
        What we hold.
    sources : mapping
        Where peers listen for reports, by AE title.
    clock : callable
        Seconds since the epoch.
    wait : callable
        Takes an event and for how many seconds at most to wait for it.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: InstanceFiles,
        sources: Mapping[str, Peer],
        clock: Callable[[], float],
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._sources = sources
        self._clock = clock
        self._wait = wait
        self._random = random.SystemRandom().random
        self._reports = Reports(catalog, clock, self._random)
        self._asked: dict[_Key, _Asked] = {}
        self._noting = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commitment", daemon=True)

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What the receiver's server has to call."""
        return [
            (evt.EVT_N_ACTION, self._requested),
            (evt.EVT_N_EVENT_REPORT, self._reported),
            (evt.EVT_DIMSE_SENT, self._sent),
        ]

    def start(self) -> None:
        """Begin to report what is owed."""
        self._thread.start()

    def close(self) -> None:
        """Stop reporting; what is still owed is reported after the next start."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()

    def _requested(self, event: Event) -> tuple[int, None]:
        """Answer an N-ACTION (PS3.4 Section J.3.2)."""
        request = cast("N_ACTION", event.request)
        peer = event.assoc.requestor.ae_title
        if request.RequestedSOPInstanceUID != PUSH_MODEL_INSTANCE:
            return Status.NO_SUCH_INSTANCE, None
        if request.ActionTypeID != REQUEST:
            return Status.NO_SUCH_ACTION, None
        try:
            transaction, wanted = read_request(event.action_information)
        except BROKEN as error:
            log.warning("commitment request refused", calling_ae=peer, because=unreadable(error))
            return Status.INVALID_ARGUMENT, None
        try:
            taken = self._promised((transaction, peer), wanted, event.assoc)
        except StoreError as error:
            log.error("commitment request not kept", because=str(error))  # noqa: TRY400
            return Status.RESOURCE_LIMITATION, None
        if not taken:
            log.warning("Transaction UID in use", calling_ae=peer, transaction=transaction)
            return Status.INVALID_ARGUMENT, None
        log.info("commitment asked", calling_ae=peer, transaction=transaction, of=len(wanted))
        return Status.SUCCESS, None

    def _promised(self, key: _Key, wanted: Sequence[Reference], association: Association) -> bool:
        """Keep a request and where it was asked; tell whether its Transaction UID may be used."""
        with self._noting:
            self._asked[key] = _Asked(association)
            taken = False
            try:
                taken = self._catalog.promises.promise(*key, wanted, self._clock())
            finally:
                if not taken:
                    self._asked.pop(key, None)
        return taken

    def _reported(self, event: Event) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT about what we asked of the peer."""
        request = cast("N_EVENT_REPORT", event.request)
        status = self._reports.take(
            str(request.AffectedSOPInstanceUID or ""),
            request.EventTypeID,
            lambda: event.event_information,
            event.assoc.requestor.ae_title,
        )
        return status, None

    def _sent(self, event: Event) -> None:
        """Note that a request is being answered: no report may overtake the answer."""
        if isinstance(event.message, N_ACTION_RSP):
            for asked in list(self._asked.values()):
                asked.answered = asked.answered or asked.association is event.assoc
            self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            if failures:  # a request that comes meanwhile wakes nobody
                pause = doubled(failures, _LOOK_S, _LONGEST_PAUSE_S, self._random)
                self._wait(self._stopped, pause)
            else:
                self._wait(self._wake, _LOOK_S)
            self._wake.clear()
            try:
                self.report_owed()
                failures = 0
            except Exception as error:  # noqa: BLE001 - were it to end, nobody would report
                failures += 1
                log.error(  # noqa: TRY400
                    "commitment not reported",
                    because=reason_of(error),
                    frames=[] if isinstance(error, StoreError) else frames_of(error),
                )

    def report_owed(self) -> None:
        """Report what is due; a report that does not get through is due again later.

        A peer that cannot be reached is called once: what else it is owed waits as well, and
        does not hold up the reports of others; nor does a report that fails of a defect.

        Raises
        ------
        StoreError
            If the rows cannot be read or written.
        """
        away: dict[str, str] = {}
        for promise in self._catalog.promises.owed(self._clock()):
            if self._stopped.is_set():
                return
            key = (promise.transaction_uid, promise.calling_ae)
            asked = self._asked.get(key)
            if asked and not asked.answered and asked.association.is_established:
                continue
            self._asked.pop(key, None)
            association = asked.association if asked else None
            try:
                if association is None and promise.calling_ae in away:
                    self._later(promise, away[promise.calling_ae])
                else:
                    self._report(promise, association, away)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - one report must never stop all others
                self._later(promise, reason_of(error))

    def _report(
        self, promise: Promise, association: Association | None, away: dict[str, str]
    ) -> None:
        holding = held(promise.wanted, self._catalog, self._files)
        refused = self._told(promise, holding, association, away)
        if refused:
            self._later(promise, refused)
        else:
            self._note(
                promise,
                lambda: self._catalog.promises.keep(promise, holding.committed, self._clock()),
            )
            log.info(
                "commitment given",
                to=promise.calling_ae,
                transaction=promise.transaction_uid,
                committed=len(holding.committed),
                failed=len(holding.failed),
            )

    def _later(self, promise: Promise, refused: str) -> None:
        """Note why a report did not get through, and when to try again, if at all."""
        delay = next_delay(promise.attempts + 1, self._random)
        known = promise.calling_ae in self._sources
        log.warning("commitment not reported", to=promise.calling_ae, because=refused)
        if delay is None or not known:
            self._note(promise, lambda: self._catalog.promises.park(promise, refused))
        else:
            due_at = self._clock() + delay
            self._note(promise, lambda: self._catalog.promises.owe_later(promise, refused, due_at))

    def _note(self, promise: Promise, change: Callable[[], None]) -> None:
        """Note what became of a report, unless the same was asked again meanwhile.

        That is owed a report of its own, which the row says already.
        """
        with self._noting:
            if (promise.transaction_uid, promise.calling_ae) not in self._asked:
                change()

    def _told(
        self,
        promise: Promise,
        holding: Holding,
        association: Association | None,
        away: dict[str, str],
    ) -> str:
        """Tell the peer; return why it did not hear, '' where it did."""
        kind, report = report_of(promise.transaction_uid, holding.references, holding.failed)
        if association is not None:
            status = notify(association, PUSH_MODEL, PUSH_MODEL_INSTANCE, kind, report)
            if status == Status.SUCCESS:
                return ""
        peer = self._sources.get(promise.calling_ae)
        if peer is None:
            return f"[[sources]] has no address for {promise.calling_ae}"
        try:
            with associated(peer, [build_context(PUSH_MODEL)], provide=[PUSH_MODEL]) as opened:
                if not opened.is_established:
                    return f"{peer}: does not take reports of storage commitment"
                response, _ = opened.send_n_event_report(
                    report, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE
                )
        except DeliveryError as error:
            away[promise.calling_ae] = str(error)
            return str(error)
        except RuntimeError as error:  # it has left again
            return str(error)
        if "Status" not in response:
            return f"{peer}: no answer to the report"
        return "" if response.Status == 0 else f"{peer}: answered {response.Status:04X}"

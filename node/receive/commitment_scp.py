"""Storage commitment at the receiver: requests and reports of peers, and our own reports.

A request is answered once its row is committed: from then on a report is owed, whatever is
killed. It goes out on the same association while that stays open (PS3.4 Section J.3.3); what does
not get through there is left to the worker, which calls the address of `[[sources]]`.
"""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, cast

import structlog
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.events import Event

from node.commitment.holding import held
from node.commitment.messages import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST,
    Status,
    read_request,
    report_of,
)
from node.commitment.reports import BROKEN, Reports, unreadable
from node.deliver.attempts import Retries
from node.errors import StoreError, frames_of, reason_of
from node.model.commitment import Reference
from node.model.work import Task, WorkKind
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.wire.notification import notify

log = structlog.get_logger()

_AT_ONCE: Final = 8
"""Reports that go out at once; a peer may take half a minute to take one."""


@dataclass(frozen=True)
class _Asked:
    """What was asked on an association, and the report on it, which we have claimed."""

    association: Association
    task: Task
    wanted: Sequence[Reference]


class CommitmentScp:
    """Answers what peers ask and report; reports on the association on which it was asked.

    Parameters
    ----------
    catalog, files
        What we hold.
    holder : str
        Name of this process, which no other that lives has.
    clock : callable
        Seconds since the epoch.
    retries : mapping
        How often a destination is asked for an instance, and how far apart, by its name.
    """

    def __init__(
        self,
        catalog: Catalog,
        files: InstanceFiles,
        holder: str,
        clock: Callable[[], float],
        retries: Mapping[str, Retries],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._holder = holder
        self._clock = clock
        self._reports = Reports(catalog, random.SystemRandom().random, retries)
        self._asked: list[_Asked] = []
        self._noting = threading.Lock()
        self._reporting = ThreadPoolExecutor(_AT_ONCE, "commitment")
        self._let_go()

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What the receiver's server has to call."""
        return [
            (evt.EVT_N_ACTION, self._requested),
            (evt.EVT_N_EVENT_REPORT, self._reported),
            (evt.EVT_DIMSE_SENT, self._sent),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]

    def close(self) -> None:
        """Stop reporting, and leave what is still owed to the worker."""
        self._reporting.shutdown(cancel_futures=True)
        try:
            self._let_go()
        except StoreError as error:  # the next start does it
            log.error("commitment not reported", because=str(error))  # noqa: TRY400

    def _let_go(self) -> None:
        self._catalog.claims.give_up(self._holder, [WorkKind.REPORT])

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
            task = self._catalog.promises.promise(
                transaction, peer, wanted, self._holder, self._clock()
            )
        except StoreError as error:
            log.error("commitment request not kept", because=str(error))  # noqa: TRY400
            return Status.RESOURCE_LIMITATION, None
        if task is None:
            log.warning("Transaction UID in use", calling_ae=peer, transaction=transaction)
            return Status.INVALID_ARGUMENT, None
        with self._noting:
            self._asked.append(_Asked(event.assoc, task, wanted))
        log.info("commitment asked", calling_ae=peer, transaction=transaction, of=len(wanted))
        return Status.SUCCESS, None

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
        """Report once a request is answered: no report may overtake the answer."""
        if isinstance(event.message, N_ACTION_RSP):
            self._report_all(event.assoc)

    def _closed(self, event: Event) -> None:
        """Leave to the worker what could not even be answered."""
        self._report_all(event.assoc)

    def _report_all(self, association: Association) -> None:
        with self._noting:
            mine = [asked for asked in self._asked if asked.association is association]
            self._asked = [asked for asked in self._asked if asked.association is not association]
        for asked in mine:
            try:
                self._reporting.submit(self._report, asked)
            except RuntimeError:  # the receiver ends
                return

    def _report(self, asked: _Asked) -> None:
        """Report once; what does not get through, the worker reports at once."""
        try:
            refused = self._notified(asked)
            if refused:
                log.info("commitment not reported here", to=asked.task.lane, because=refused)
                self._catalog.work.later(asked.task, 0.0, attempts=0, reason=refused)
        except Exception as error:  # noqa: BLE001 - its thread must not die of one report
            log.error(  # noqa: TRY400
                "commitment not reported",
                because=reason_of(error),
                frames=[] if isinstance(error, StoreError) else frames_of(error),
            )

    def _notified(self, asked: _Asked) -> str:
        """Tell the peer on its association; return why it did not hear, '' where it did."""
        if not asked.association.is_established:
            return "the association has ended"
        task = asked.task
        holding = held(asked.wanted, self._catalog, self._files)
        kind, report = report_of(task.key, holding.references, holding.failed)
        status = notify(asked.association, PUSH_MODEL, PUSH_MODEL_INSTANCE, kind, report)
        if status != Status.SUCCESS:
            return "no answer" if status is None else f"answered {status:04X}"
        self._catalog.promises.keep(task, holding.committed, self._clock())
        log.info(
            "commitment given",
            to=task.lane,
            transaction=task.key,
            committed=len(holding.committed),
            failed=len(holding.failed),
        )
        return ""

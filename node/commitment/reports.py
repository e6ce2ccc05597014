"""Reports that come in, on whatever association: read, believed as far as they may be, kept."""

import struct
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

from node.commitment.messages import (
    ALL_COMMITTED,
    PUSH_MODEL_INSTANCE,
    SOME_FAILED,
    CommitmentReport,
    Status,
    read_report,
    remedy,
    worded,
)
from node.deliver.attempts import Retries, next_delay
from node.errors import StoreError, UnreadableMessageError
from node.model.commitment import Remedied
from node.store.catalog import Catalog

log = structlog.get_logger()

BROKEN: Final = (
    UnreadableMessageError,
    BytesLengthException,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    struct.error,
)
"""What reading a data set of a stranger may raise."""


def unreadable(error: Exception) -> str:
    """Return why a message cannot be read, without what stands in it unless we said it.

    Parameters
    ----------
    error : Exception
        Raised when a message was read.

    Returns
    -------
    str
    """
    return str(error) if isinstance(error, UnreadableMessageError) else type(error).__name__


class Reports:
    """Takes N-EVENT-REPORTs of storage commitment (PS3.4 Section J.3.3).

    Parameters
    ----------
    catalog : Catalog
    random : callable
        Draws from [0, 1).
    retries : mapping
        How often a destination is asked, and how far apart, by its name.
    """

    def __init__(
        self,
        catalog: Catalog,
        random: Callable[[], float],
        retries: Mapping[str, Retries],
    ) -> None:
        self._catalog = catalog
        self._random = random
        self._retries = retries

    def take(
        self,
        sop_instance_uid: str,
        event_type: int | None,
        information: Callable[[], Dataset],
        sender: str,
    ) -> Status:
        """Keep what a report says, and return what the sender is answered.

        Parameters
        ----------
        sop_instance_uid : str
            Affected SOP Instance UID; there is only one that is right.
        event_type : int or None
            Event Type ID: 1 success, 2 failures (PS3.4 Table J.3-2); None where it was left out.
        information : callable
            Decodes the Event Information.
        sender : str
            AE title, for the log: a destination may report under another one than it stores.

        Returns
        -------
        Status
            Success only after the rows are committed; 0110 for a transaction that is not
            ours or rows that were not written, so that the sender may come again.
        """
        if sop_instance_uid != PUSH_MODEL_INSTANCE:
            return Status.NO_SUCH_INSTANCE
        if event_type not in (ALL_COMMITTED, SOME_FAILED):
            return Status.NO_SUCH_EVENT_TYPE
        try:
            report = read_report(information())
        except BROKEN as error:
            log.warning("commitment report unreadable", sender=sender, because=unreadable(error))
            return Status.INVALID_ARGUMENT
        return self._kept(report, sender)

    def _kept(self, report: CommitmentReport, sender: str) -> Status:
        transaction = report.transaction_uid
        try:
            known = self._catalog.reports.take(
                transaction, report.committed, report.failed, self.decide, self._catalog.work.now()
            )
        except StoreError as error:
            log.error("commitment report not kept", because=str(error))  # noqa: TRY400
            return Status.PROCESSING_FAILURE
        if not known:
            log.warning("report of a transaction not ours", sender=sender, transaction=transaction)
            return Status.PROCESSING_FAILURE
        log.info(
            "commitment reported",
            sender=sender,
            transaction=transaction,
            committed=len(report.committed),
            failed=len(report.failed),
        )
        return Status.SUCCESS

    def decide(self, destination: str, reason: int, attempts: int) -> Remedied:
        """Return what follows a failure; after the last attempt, a person must look.

        What the peer has lost is sent at once the first time, and after growing waits then.

        Parameters
        ----------
        destination : str
            Who reported.
        reason : int
            Failure Reason (0008,1197), PS3.3 C.14.1.1.
        attempts : int
            How often it was asked for the instance so far, this time included.

        Returns
        -------
        Remedied
        """
        retries = self._retries.get(destination, Retries())
        delay = next_delay(attempts, self._random, retries)
        if delay is None:
            return Remedied("park", 0.0, f"{worded(reason)}, after {attempts} requests")
        then = remedy(reason)
        wait_s = 0.0 if then == "send" and attempts == 1 else delay
        return Remedied(then, wait_s, worded(reason))

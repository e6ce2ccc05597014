"""Pruning at work: rows about what is long over are removed; see `node.store.pruning`."""

from collections.abc import Callable

import structlog

from node.model.work import WorkKind
from node.store.catalog import Catalog
from node.upkeep.retention import DAY_S

log = structlog.get_logger()


class PruningJob:
    """Removes rows about what is long over; see `node.store.pruning` for what that is.

    Parameters
    ----------
    records_days : float
        How long associations and storage commitment stay.
    batches_days : float
        How long the rows of series and batches that are through stay.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        catalog: Catalog,
        records_days: float,
        batches_days: float,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._records_s = records_days * DAY_S
        self._batches_s = batches_days * DAY_S
        self._clock = clock

    def tick(self) -> None:
        """Remove what is old enough."""
        now = self._clock()
        before = now - self._records_s
        owners = (self._catalog.access, self._catalog.promises, self._catalog.requests)
        records = sum(owner.prune(before) for owner in owners)
        records += self._catalog.work.prune([WorkKind.ASK, WorkKind.REPORT], before)
        through = [
            WorkKind.RECOGNISE,
            WorkKind.SEGMENT,
            WorkKind.SUMMARISE,
            WorkKind.DELIVER,
        ]
        batches = self._catalog.work.prune(through, now - self._batches_s)
        if records or batches:
            log.info("old rows removed", records=records, batches=batches)

"""Pruning at work: rows about what is long over are removed; see `node.store.pruning`."""

from collections.abc import Callable

import structlog

from node.store.catalog import Catalog
from node.upkeep.retention import DAY_S

log = structlog.get_logger()


class Pruner:
    """Removes rows about what is long over; see `node.store.pruning` for what that is.

    Parameters
    ----------
    records_days : float
        How long associations and storage commitment stay.
    turns_days : float
        How long the turns of batches that are through stay.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self, catalog: Catalog, records_days: float, turns_days: float, clock: Callable[[], float]
    ) -> None:
        self._catalog = catalog
        self._records_s = records_days * DAY_S
        self._turns_s = turns_days * DAY_S
        self._clock = clock

    def tick(self) -> None:
        """Remove what is old enough."""
        now = self._clock()
        records = self._catalog.prune_records(now - self._records_s)
        turns = self._catalog.prune_dispatches(now - self._turns_s)
        if records or turns:
            log.info("old rows removed", records=records, turns=turns)

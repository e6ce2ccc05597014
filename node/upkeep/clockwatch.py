"""Notices that the clock was set: by hand, by a time server, by a host that slept."""

from collections.abc import Callable
from typing import Final

import structlog

from node.store.catalog import Catalog

log = structlog.get_logger()

NOTICED_S: Final = 5.0
"""Less is the slewing of a time server, or a thread that waited its turn."""


class ClockWatch:
    """Compares the clock of the day with a monotonic one, from the moment it is made.

    Parameters
    ----------
    clock : callable
        Seconds since the epoch.
    monotonic : callable
        Seconds since any moment; never set back.
    """

    def __init__(
        self, catalog: Catalog, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._monotonic = monotonic
        self._apart = clock() - monotonic()

    def look(self) -> None:
        """Move along what is due, where the clock was set since the last look.

        Raises
        ------
        StoreError
            If that could not be written; the next look tries again.
        """
        apart = self._clock() - self._monotonic()
        moved = apart - self._apart
        if abs(moved) < NOTICED_S:
            return
        self._catalog.clock.move_due_times(moved)
        self._apart = apart
        log.warning("the clock was set", by_s=round(moved, 1))

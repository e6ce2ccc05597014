"""Whose turn it is: what is claimed next for delivery."""

from collections.abc import Callable, Mapping, Sequence
from datetime import time
from typing import Final

import structlog

from node.deliver.turns import Terms, chosen, held_because
from node.model.records import Outlet
from node.model.work import Task
from node.store.catalog import Catalog
from node.store.work.waiting import Waiting

log = structlog.get_logger()

AT_ONCE: Final = 16
"""Batches on their way at once, over all destinations; each has its first one besides."""


class Dispatcher:
    """Decides whose turn it is.

    Parameters
    ----------
    catalog
        Where the rows are.
    terms
        By name of destination.
    local_time
        Time of day where the node stands.
    """

    def __init__(
        self,
        catalog: Catalog,
        terms: Mapping[str, Terms],
        local_time: Callable[[], time],
    ) -> None:
        self._catalog = catalog
        self._terms = terms
        self._local_time = local_time

    def adopt(self) -> None:
        """Give a turn to every batch that lost its own; once, at start."""
        if adopted := self._catalog.deliveries.adopt():
            log.error("batches had something pending and no turn", batches=adopted)

    def choose(self, waiting: Waiting, room: int) -> Sequence[Task]:
        """Return the batches to send next, of destinations that nothing holds up."""
        outlets = self._catalog.outlets.all()
        in_flight = waiting.claimed()
        due: dict[str, list[Task]] = {}
        for name in waiting.lanes():
            terms, outlet = self._terms.get(name, Terms()), outlets.get(name, Outlet())
            free = terms.connections - in_flight.get(name, 0)
            local = self._local_time()
            if free <= 0 or held_because(terms, outlet, local, urgent=True):
                continue
            only_urgent = bool(held_because(terms, outlet, local, urgent=False))
            due[name] = waiting.first(name, free, only_urgent=only_urgent)
        return chosen(due, in_flight, self._terms, AT_ONCE)[:room]

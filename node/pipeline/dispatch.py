"""What the worker's clock does for delivery: which batch is next, which open circuit is probed.

A job is queued before its row says so: its id is made of the row, and queuing it twice does
nothing, so that the next look finishes what this one began.
"""

from collections.abc import Callable, Mapping
from datetime import time
from functools import partial
from typing import Final, Protocol

import structlog

from node.deliver import breaker
from node.deliver.turns import Terms, chosen, held_because
from node.model.records import Dispatch, Outlet
from node.pipeline.delivering import Delivering
from node.pipeline.engine import Fate
from node.pipeline.workflows import Workflows, delivery_job
from node.store.catalog import Catalog

log = structlog.get_logger()

AT_ONCE: Final = 16
"""Batches on their way at once, over all destinations; each has its first one besides."""

OVERDUE_S: Final = 60.0
"""A job that has not come back after this is asked for; most are only long."""


class Fates(Protocol):
    """What mending needs of the engine."""

    def fate(self, workflow_id: str) -> Fate:
        """Return what became of a job."""


class Dispatcher:
    """Queues what is due at destinations that nothing holds up.

    Parameters
    ----------
    catalog
        Where the rows are.
    terms
        By name of destination.
    clock
        Seconds since the epoch.
    local_time
        Time of day where the node stands.
    """

    def __init__(
        self,
        catalog: Catalog,
        terms: Mapping[str, Terms],
        clock: Callable[[], float],
        local_time: Callable[[], time],
    ) -> None:
        self._catalog = catalog
        self._terms = terms
        self._clock = clock
        self._local_time = local_time

    def adopt(self) -> None:
        """Give a turn to every batch that lost its own; once, at start."""
        if adopted := self._catalog.dispatches.adopt(self._clock()):
            log.error("batches had something pending and no turn", batches=adopted)

    def look(self, workflows: Workflows) -> None:
        """Queue probes and batches whose time has come."""
        outlets = self._catalog.outlets.all()
        self._probe(outlets, workflows)
        self._queue(outlets, workflows)

    def mend(self, engine: Fates, delivering: Delivering) -> None:
        """Put batches back whose job is gone; one that died counts as a failed attempt."""
        now = self._clock()
        for job in self._catalog.dispatches.queued_before(now - OVERDUE_S):
            fate = engine.fate(delivery_job(job.destination, job.batch, job.serial))
            if fate.state == "dead":
                log.error("delivery died", destination=job.destination, because=fate.reason)
                delivering.fail(job, f"delivery died: {fate.reason}")
            elif fate.state == "gone":
                self._catalog.dispatches.put_back(job, job.attempts, now, now)

    def _probe(self, outlets: Mapping[str, Outlet], workflows: Workflows) -> None:
        now = self._clock()
        for name, outlet in outlets.items():
            circuit = outlet.circuit
            if name in self._terms and not outlet.paused and breaker.probe_due(circuit, now):
                workflows.probe(name, circuit.probes)
                self._catalog.outlets.change_circuit(name, partial(breaker.probing, now=now), now)

    def _queue(self, outlets: Mapping[str, Outlet], workflows: Workflows) -> None:
        now = self._clock()
        in_flight = self._catalog.dispatches.in_flight()
        due: dict[str, list[Dispatch]] = {}
        for name in self._catalog.dispatches.due_destinations(now):
            terms, outlet = self._terms.get(name, Terms()), outlets.get(name, Outlet())
            free = terms.connections - in_flight.get(name, 0)
            local = self._local_time()
            if free <= 0 or held_because(terms, outlet, local, urgent=True):
                continue
            only_urgent = bool(held_because(terms, outlet, local, urgent=False))
            due[name] = self._catalog.dispatches.due(name, now, free, only_urgent)
        for job in chosen(due, in_flight, self._terms, AT_ONCE):
            workflows.deliver(job.destination, job.batch, job.serial)
            self._catalog.dispatches.mark_queued(job.destination, job.batch, job.serial, now)

"""What a probe does: asks a destination whose circuit is open whether it is there again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from node.deliver import breaker
from node.deliver.destination import Destination
from node.errors import DeliveryError
from node.model.records import Circuit, Outlet
from node.model.work import Task
from node.store.catalog import Catalog
from node.store.work.waiting import Waiting

log = structlog.get_logger()


@dataclass(frozen=True)
class Probing:
    """Probes destinations, one at a time of each.

    Attributes
    ----------
    destinations
        By name, as in the settings.
    clock : callable
        Seconds since the epoch.
    random : callable
        A number in [0, 1), for jitter.
    """

    catalog: Catalog
    destinations: Mapping[str, Destination]
    clock: Callable[[], float]
    random: Callable[[], float]

    def choose(self, waiting: Waiting, room: int) -> Sequence[Task]:
        """Return the probes to send next, of destinations that nobody has paused.

        That of one which is no longer in the settings waits until it is there again.
        """
        outlets = self.catalog.outlets.all()
        due = [
            task
            for name in waiting.lanes()
            if name in self.destinations and not outlets.get(name, Outlet()).paused
            for task in waiting.first(name, 1)
        ]
        return sorted(due, key=lambda task: task.due_at)[:room]

    def probe(self, task: Task) -> None:
        """Ask once; attempts go on where it answers."""
        target = self.destinations.get(task.lane)
        if target is None:  # claimed by the worker before, which knew it
            self.catalog.work.later(task, 0.0, attempts=task.attempts, reason=task.reason)
            return
        try:
            answer = target.check()
        except DeliveryError as error:
            self._end(task, partial(breaker.probe_failed, reason=str(error)))
        else:
            log.info("destination answers again", destination=task.lane, answer=answer)
            self._end(task, breaker.probe_answered)

    def bury(self, task: Task) -> None:
        """Count a probe whose job died: the destination did not answer it."""
        self._end(task, partial(breaker.probe_failed, reason=f"probe died: {task.reason}"))

    def _end(self, task: Task, change: Callable[[Circuit], Circuit]) -> None:
        wait_s = partial(breaker.probe_wait_s, random=self.random)
        self.catalog.outlets.end_probe(task, change, self.clock(), wait_s)

"""Time that passes in tests of due work, a clock that somebody sets, and what is due by it."""

from typing import Protocol

import sqlalchemy as sa

from node.model.keys import RevisionKey
from node.model.work import Task, WorkKind
from node.store.catalog import Catalog
from node.store.tables import due_clock
from node.store.work.waiting import Waiting


class Moment:
    """A clock that the test has; a catalog that goes by it takes it for the database's."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.now


class Clocked(Protocol):
    """What has a catalog and the time by which it goes."""

    @property
    def catalog(self) -> Catalog:
        """The rows."""

    now: float


def pass_time(bench: Clocked, seconds: float) -> None:
    """Let time pass as on a node that runs: somebody looked for work all along.

    To add to `now` alone is to set the clock.
    """
    with bench.catalog.write() as connection:
        note_looks(connection, seconds)
        bench.now += seconds


def note_looks(connection: sa.Connection, seconds: float) -> None:
    """Note that somebody looked for work for so long."""
    connection.execute(sa.update(due_clock).values(seen_at=due_clock.c.seen_at + seconds))


def batches_due(
    catalog: Catalog, destination: str, now: float, *, only_urgent: bool = False
) -> list[Task]:
    """Return the batches that are due at a destination at a time, the next first."""
    with catalog.read() as connection:
        waiting = Waiting(connection, WorkKind.DELIVER, now)
        return waiting.first(destination, 1000, only_urgent=only_urgent)


def destinations_due(catalog: Catalog, now: float) -> list[str]:
    """Return where a batch is due at a time."""
    with catalog.read() as connection:
        return Waiting(connection, WorkKind.DELIVER, now).lanes()


def batch_claimed(catalog: Catalog, destination: str, batch: str) -> Task:
    """Claim a batch that is due, as the worker does to send it."""

    def this(waiting: Waiting) -> list[Task]:
        return [one for one in waiting.first(destination, 1000) if one.key == batch]

    (task,) = catalog.claims.claim(WorkKind.DELIVER, this, "worker")
    return task


def task_claimed(catalog: Catalog, kind: WorkKind, series: str = "") -> Task:
    """Claim the one thing that is due of a kind, or of a series, for the test to do."""

    def this(waiting: Waiting) -> list[Task]:
        return [task for task in waiting.first("", 1000) if task.key.startswith(series)]

    (task,) = catalog.claims.claim(kind, this, "test")
    return task


def revisions_due(catalog: Catalog) -> list[tuple[str, int]]:
    """Return the revisions that are to be recognised, or that are at it, the oldest first."""
    keys = [RevisionKey.parse(task.key) for task in catalog.work.open(WorkKind.RECOGNISE, "")]
    return [(key.series, key.number) for key in keys]

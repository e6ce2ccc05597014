"""Rows of work that is due, read as what comes next."""

import math
from typing import Final

import sqlalchemy as sa

from node.model.states import AT_WORK, WorkState
from node.model.work import Task, WorkKind
from node.store.tables import work
from node.store.work.tasks import COLUMNS, task_of

_LANE: Final = sa.select(sa.func.min(work.c.lane)).where(
    work.c.kind == sa.bindparam("kind"), work.c.state == WorkState.WAITING
)
_NEXT_DUE: Final = sa.select(sa.func.min(work.c.due_at)).where(
    work.c.kind == sa.bindparam("kind"),
    work.c.state == WorkState.WAITING,
    work.c.lane == sa.bindparam("lane"),
    work.c.urgent == sa.bindparam("urgent"),
)
_LANE_AFTER: Final = _LANE.where(work.c.lane > sa.bindparam("after"))


class Waiting:
    """What may be claimed now of one kind, and what is claimed already."""

    def __init__(self, connection: sa.Connection, kind: WorkKind, now: float) -> None:
        self._connection = connection
        self._kind = kind
        self._now = now

    def lanes(self) -> list[str]:
        """Return the lanes in which something is due.

        From lane to lane along the index: a hundred thousand that wait in one are not read.
        """
        found: list[str] = []
        lane: str | None = self._connection.execute(_LANE, {"kind": self._kind}).scalar()
        while lane is not None:
            due = sa.select(work.c.serial).where(*_due(self._kind, self._now), work.c.lane == lane)
            if any(
                self._connection.execute(due.where(work.c.urgent == urgent).limit(1)).first()
                for urgent in (True, False)
            ):
                found.append(lane)
            after = {"kind": self._kind, "after": lane}
            lane = self._connection.execute(_LANE_AFTER, after).scalar()
        return found

    def next_due_s(self) -> float:
        """Return in how many seconds something is due next, 0 where it is; infinity: nothing."""
        soonest = math.inf
        lane: str | None = self._connection.execute(_LANE, {"kind": self._kind}).scalar()
        while lane is not None:
            for urgent in (True, False):
                waiting = {"kind": self._kind, "lane": lane, "urgent": urgent}
                due_at = self._connection.execute(_NEXT_DUE, waiting).scalar()
                soonest = soonest if due_at is None else min(soonest, due_at - self._now)
            after = {"kind": self._kind, "after": lane}
            lane = self._connection.execute(_LANE_AFTER, after).scalar()
        return max(soonest, 0.0)

    def first(self, lane: str, limit: int, *, only_urgent: bool = False) -> list[Task]:
        """Return what comes next in a lane, the urgent first."""
        found: list[Task] = []
        # One after the other: ordered by both, all that waits would be read.
        for urgent in (True,) if only_urgent else (True, False):
            query = (
                sa.select(*COLUMNS)
                .where(*_due(self._kind, self._now), work.c.lane == lane)
                .where(work.c.urgent == urgent)
                .order_by(work.c.due_at, work.c.key)
                .limit(max(limit - len(found), 0))
                .with_for_update(skip_locked=True)
            )
            found += [task_of(row) for row in self._connection.execute(query)]
        return found

    def claimed(self) -> dict[str, int]:
        """Return how much is claimed or dead, by lane."""
        query = (
            sa.select(work.c.lane, sa.func.count().label("held"))
            .where(work.c.kind == self._kind, work.c.state.in_(AT_WORK))
            .group_by(work.c.lane)
        )
        return {row.lane: row.held for row in self._connection.execute(query)}


def _due(kind: WorkKind, now: float) -> list[sa.ColumnElement[bool]]:
    return [work.c.kind == kind, work.c.state == WorkState.WAITING, work.c.due_at <= now]

"""Rows of table `work` as tasks: their columns, how some are selected, and how a claim ends."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from node.model.states import Move, WorkState
from node.model.work import Task, TaskKey, WorkKind
from node.store.tables import work

NOTHING_BEGUN: Final = {"begins": 0, "reason": ""}
FRESH: Final = {"attempts": 0} | NOTHING_BEGUN
"""As if nothing had been tried yet."""

COLUMNS: Final = (
    work.c.kind,
    work.c.lane,
    work.c.key,
    work.c.state,
    work.c.serial,
    work.c.attempts,
    work.c.begins,
    work.c.urgent,
    work.c.due_at,
    work.c.changed_at,
    work.c.reason,
    work.c.detail,
)


def task_of(row: Any) -> Task:
    """Return what a row of these columns says."""
    return Task(
        kind=WorkKind(row.kind),
        lane=row.lane,
        key=row.key,
        state=WorkState(row.state),
        serial=row.serial,
        attempts=row.attempts,
        begins=row.begins,
        urgent=row.urgent,
        due_at=row.due_at,
        since=row.changed_at,
        reason=row.reason,
        detail=row.detail,
    )


def task_is(of: TaskKey) -> list[sa.ColumnElement[bool]]:
    """Select a piece of work."""
    return [work.c.kind == of.kind, work.c.lane == of.lane, work.c.key == of.key]


def claim_is(of: TaskKey, serial: int) -> list[sa.ColumnElement[bool]]:
    """Select a piece of work as one claim, and no later one, has it."""
    return [*task_is(of), work.c.serial == serial]


_KEY: Final = (work.c.kind, work.c.lane, work.c.key)


def in_key_order(*which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select rows, locked by their keys one after the other, as an order locks them."""
    locked = sa.select(*_KEY).where(*which).order_by(*_KEY)
    return sa.tuple_(*_KEY).in_(locked.with_for_update())


def unlocked(*which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select rows that nobody is changing: the next look, half a second later, has the others."""
    return sa.tuple_(*_KEY).in_(sa.select(*_KEY).where(*which).with_for_update(skip_locked=True))


def end_claim(
    connection: sa.Connection,
    of: TaskKey,
    serial: int,
    move: Move[WorkState],
    values: Mapping[str, Any],
    now: float,
) -> bool:
    """Move a piece of work from a claim on; tell whether nobody has claimed it since."""
    ended = (
        sa.update(work)
        .where(*claim_is(of, serial), work.c.state.in_(move.of))
        .values(state=move.to, holder="", lease_until=None, changed_at=now, **values)
        .returning(work.c.serial)
    )
    return connection.execute(ended).first() is not None

"""Until when a claim holds: leases, by a clock that somebody may set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from node.model.states import WORK_LEASE_ENDED, WorkState
from node.model.work import TaskKey
from node.store.tables import work
from node.store.work.due_clock import DueClock
from node.store.work.tasks import claim_is, in_key_order, unlocked

LEASE_S: Final = 60.0
RENEWED_S: Final = 15.0
UNHEARD: Final = "its process was not heard of any more"
CLAIM_LOCK: Final = 0x574F524B  # any constant; PostgreSQL's lock name for claims

Serials = Mapping[TaskKey, int]
"""What a process is at: the serial of its claim, by key."""

Mover = Callable[[sa.Connection, float], None]
"""Moves due times that stand in rows of another owner; takes by how much, in seconds."""


class Leases:
    """How long claims hold; each method is part of a transaction.

    Parameters
    ----------
    clock : DueClock
        By which they end.
    movers
        What else is due by that clock, and moves with it where somebody sets it.
    """

    def __init__(self, clock: DueClock, movers: Sequence[Mover] = ()) -> None:
        self._clock = clock
        self._movers = tuple(movers)

    def look_at_clock(self, connection: sa.Connection, *, starting: bool) -> float:
        """Return the time; where it was set, what is due is moved along. One process at a time."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CLAIM_LOCK)))
        now, moved = self._clock.note(connection, starting=starting)
        if moved:
            self._move_due_times(connection, moved, now)
        return now

    def renew(self, connection: sa.Connection, held: Serials, now: float) -> None:
        """Let what a process is at go on being its own."""
        old = work.c.lease_until < now + LEASE_S - RENEWED_S
        for of, serial in held.items():
            connection.execute(
                sa.update(work)
                .where(unlocked(*claim_is(of, serial), work.c.state == WorkState.CLAIMED, old))
                .values(lease_until=now + LEASE_S)
            )

    def end(
        self, connection: sa.Connection, now: float, which: sa.ColumnElement[bool], *, reason: str
    ) -> int:
        """Let wait again what a process was at; return how much."""
        ended = (
            sa.update(work)
            .where(work.c.state.in_(WORK_LEASE_ENDED.of), which)
            .values(
                state=WORK_LEASE_ENDED.to, serial=work.c.serial + 1, due_at=now, changed_at=now,
                holder="", lease_until=None, reason=reason,
            )
            .returning(work.c.serial)
        )  # fmt: skip
        return len(connection.execute(ended).all())

    def end_unheard(self, connection: sa.Connection, now: float) -> None:
        """Let wait again what is held by processes that have not been heard of for `LEASE_S`."""
        self.end(connection, now, unlocked(work.c.lease_until < now), reason=UNHEARD)

    def is_ageing(self, connection: sa.Connection, now: float, *, renewing: bool) -> bool:
        """Tell whether a lease is over or, for who renews its own, will soon be; reads only."""
        until = now + (LEASE_S - RENEWED_S if renewing else 0.0)
        ageing = sa.select(work.c.serial).where(
            work.c.state == WorkState.CLAIMED, work.c.lease_until < until
        )
        return connection.execute(ageing.limit(1)).first() is not None

    def _move_due_times(self, connection: sa.Connection, seconds: float, now: float) -> None:
        """Let all be due as far ahead as it was before the clock was set.

        What was written since it was set forward is due by the new clock already. When that was
        is not known; it was between the last look and this one, which are far apart.
        """
        for move in self._movers:  # first: who changes such a row changes what is due after it
            move(connection, seconds)
        before = work.c.changed_at < now - max(seconds, 0.0) / 2
        written_since = sa.and_(sa.literal(seconds > 0), ~before)
        connection.execute(
            sa.update(work)
            .where(in_key_order(work.c.state != WorkState.DONE))
            .values(
                due_at=sa.case((written_since, work.c.due_at), else_=work.c.due_at + seconds),
                lease_until=work.c.lease_until + seconds,
            )
        )

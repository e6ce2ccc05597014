"""Work that is due: what is done next, when, and who is at it; the owner of table `work`.

A piece of work waits until it is due and its turn comes; a process claims it, for as long as it
says now and then that it is still there; it ends done, waiting for a later attempt, or dead. All
of that by conditional UPDATEs: nothing is claimed twice, and who was overtaken changes nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from node.model.states import (
    AT_WORK,
    WORK_ADDED,
    WORK_CLAIMED,
    WORK_DIED,
    WORK_DONE,
    WORK_EMPTIED,
    WORK_HASTENED,
    WORK_LATER,
    WORK_LEASE_ENDED,
    WORK_PUT_OFF,
    WORK_TAKEN_OVER,
    WORK_UNBURIED,
    Move,
    WorkState,
)
from node.model.work import Task, TaskKey, WorkKind
from node.store.database import Database
from node.store.due_clock import DueClock
from node.store.pruning import Spent, prune
from node.store.tables import work
from node.store.waiting import COLUMNS, Waiting, task_of

LEASE_S: Final = 60.0
RENEWED_S: Final = 15.0
PUT_OFF_AT_ONCE: Final = 1000
UNHEARD: Final = "its process was not heard of any more"
CLAIM_LOCK: Final = 0x574F524B  # any constant; PostgreSQL's lock name for claims

Claims = Mapping[TaskKey, int]
"""What a process is at: serials by key."""

Pick = Callable[[Waiting], Sequence[Task]]
"""Picks what to claim."""

Mover = Callable[[sa.Connection, float], None]
"""Moves due times that stand in rows of another owner; takes by how much, in seconds."""


class Work:
    """The owner of what is due.

    Parameters
    ----------
    database
        Where the rows are.
    clock : DueClock
        By which they are due.
    movers
        What else is due by that clock, and moves with it where somebody sets it.
    """

    def __init__(self, database: Database, clock: DueClock, movers: Sequence[Mover] = ()) -> None:
        self._database = database
        self._clock = clock
        self._movers = tuple(movers)

    def now(self) -> float:
        """Return the time by which things are due, in seconds since the epoch."""
        with self._database.read() as connection:
            return self._clock.now(connection)

    # -- what is to be done: called within the transaction that makes it so

    def add(
        self,
        connection: sa.Connection,
        of: TaskKey,
        *,
        wait_s: float = 0.0,
        urgent: bool = False,
        again: bool = True,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Let something be done after a wait; what waits already, or is at work, is left alone.

        Whoever is at it, and asks within its last transaction whether anything is left to do,
        waits for the end of this one.

        Parameters
        ----------
        again : bool
            Whether what was done before is to be done again.
        detail : mapping, optional
            What the kind needs besides, as JSON.
        """
        now = self._clock.now(connection)
        values = {"state": WORK_ADDED.to, "due_at": now + wait_s, "changed_at": now} | _FRESH
        insert = self._database.insert(work).values(
            kind=of.kind, lane=of.lane, key=of.key, serial=0, urgent=urgent,
            detail=dict(detail or {}), **values,
        )  # fmt: skip
        due = sa.and_(work.c.state.in_(WORK_ADDED.of), sa.literal(again))
        known = {
            name: sa.case((due, insert.excluded[name]), else_=work.c[name])
            for name in ("state", "due_at", "attempts", "begins", "reason", "detail", "changed_at")
        }
        known["urgent"] = sa.case(
            (due, sa.or_(work.c.urgent, insert.excluded.urgent)), else_=work.c.urgent
        )
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=[work.c.kind, work.c.lane, work.c.key], set_=known
            )
        )

    def hasten(self, connection: sa.Connection, of: TaskKey, *, anew: bool) -> int:
        """Let something be done at once, unless a process is at it; return how much that is.

        Parameters
        ----------
        anew : bool
            As if nothing had failed yet.
        """
        self.add(connection, of, again=False)
        now = self._clock.now(connection)
        values = {"due_at": now, "changed_at": now} | (_FRESH if anew else _ENDED)
        hastened = (
            sa.update(work)
            .where(*_named(of), work.c.state.in_(WORK_HASTENED.of))
            .values(state=WORK_HASTENED.to, **values)
            .returning(work.c.serial)
        )
        return len(connection.execute(hastened).all())

    def lock(self, connection: sa.Connection, of: TaskKey) -> None:
        """Let everybody who would change what is due of something wait for this transaction."""
        query = sa.select(work.c.serial).where(*_named(of))
        connection.execute(query.with_for_update())

    def empty(self, connection: sa.Connection, of: TaskKey) -> None:
        """Note that nothing is left to do of something; whoever is at it is stale."""
        now = self._clock.now(connection)
        connection.execute(
            sa.update(work)
            .where(*_named(of), work.c.state.in_(WORK_EMPTIED.of))
            .values(
                state=WORK_EMPTIED.to, serial=work.c.serial + 1, holder="", lease_until=None,
                changed_at=now, **_ENDED,
            )
        )  # fmt: skip

    def restart(self, connection: sa.Connection, of: TaskKey) -> None:
        """Let something be done from its beginning, at once; whoever is at it is stale."""
        self.empty(connection, of)
        self.add(connection, of)

    def is_held(self, connection: sa.Connection, task: Task) -> bool:
        """Tell whether a claim still holds; what changes it waits for this transaction."""
        query = sa.select(work.c.serial).where(
            *_is(task.of, task.serial), work.c.state.in_(AT_WORK)
        )
        return connection.execute(query.with_for_update()).first() is not None

    def claim_at_once(
        self, connection: sa.Connection, of: TaskKey, holder: str, lease_s: float = LEASE_S
    ) -> Task:
        """Give something to the process that asks for it, whoever was at it; others are stale."""
        now = self._clock.now(connection)
        mine = {
            "state": WORK_TAKEN_OVER.to, "holder": holder, "lease_until": now + lease_s,
            "due_at": now, "changed_at": now, "detail": {},
        } | _FRESH  # fmt: skip
        insert = self._database.insert(work).values(
            kind=of.kind, lane=of.lane, key=of.key, serial=1, urgent=False, **mine
        )
        claimed = insert.on_conflict_do_update(
            index_elements=[work.c.kind, work.c.lane, work.c.key],
            set_=mine | {"serial": work.c.serial + 1},
        ).returning(*COLUMNS)
        return task_of(connection.execute(claimed).one())

    # -- who does it

    def claim(
        self,
        kind: WorkKind,
        choose: Pick,
        holder: str,
        held: Claims | None = None,
    ) -> list[Task]:
        """Give a process what it may do next of a kind.

        What is held by a process that has not been heard of for `LEASE_S` waits again. Where
        nothing is due and nothing has to be noted, nothing is written.

        Parameters
        ----------
        choose : callable
            Picks among what is due.
        holder : str
            Name of the process.
        held : mapping
            What the process is at, of any kind.

        Raises
        ------
        StoreError
            If the rows cannot be read or changed.
        """
        if not self._is_something_to_do(kind, held or {}):
            return []
        with self._database.write() as connection:
            now = self._look_at_clock(connection, starting=False)
            self._renew(connection, held or {}, now)
            over = _free(work.c.lease_until < now)
            self._end_leases(connection, now, over, reason=UNHEARD)
            chosen = choose(Waiting(connection, kind, now))
            return [
                task_of(row)
                for task in chosen
                for row in connection.execute(_claimed(task, holder, now))
            ]

    def resume(self, holder: str, kinds: Collection[WorkKind]) -> list[Task]:
        """Return what a process of this name was at when it ended; its leases begin anew.

        The caller knows that no other process has the name, and calls this before it looks for
        work: the time that has passed since anybody looked has passed in truth.
        """
        with self._database.write() as connection:
            now = self._look_at_clock(connection, starting=True)
            renewed = (
                sa.update(work)
                .where(
                    _in_order(
                        work.c.state == WorkState.CLAIMED,
                        work.c.holder == holder,
                        work.c.kind.in_(kinds),
                    )
                )
                .values(lease_until=now + LEASE_S)
                .returning(*COLUMNS)
            )
            return [task_of(row) for row in connection.execute(renewed)]

    def end_in_order(self, holder: str) -> None:
        """Note that the process of this name ends because it was told to.

        What it has begun goes on at its next start, or elsewhere when the lease is over, and this
        begin is not counted: it has killed nobody.
        """
        begun = (work.c.holder == holder, work.c.state == WorkState.CLAIMED, work.c.begins > 0)
        with self._database.write() as connection:
            connection.execute(
                sa.update(work).where(_in_order(*begun)).values(begins=work.c.begins - 1)
            )

    def give_up(self, holder: str, kinds: Collection[WorkKind]) -> int:
        """Let wait again what a process of this name was at, for others; return how much.

        The caller is that process, at its end; or its successor, at its start.
        """
        with self._database.write() as connection:
            now = self._look_at_clock(connection, starting=True)
            mine = (work.c.holder == holder, work.c.kind.in_(kinds))
            ended = _in_order(work.c.state.in_(WORK_LEASE_ENDED.of), *mine)
            return self._end_leases(connection, now, ended, reason="its process has ended")

    def put_off(
        self, kind: WorkKind, lane: str, wait_s: Callable[[int], float], reason: str
    ) -> None:
        """Let all that is due in a lane wait as well, as if it had been tried.

        Parameters
        ----------
        wait_s : callable
            Takes how many attempts have failed; returns how long to wait, in seconds.
        """
        with self._database.write() as connection:
            now = self._clock.now(connection)
            for task in Waiting(connection, kind, now).first(lane, PUT_OFF_AT_ONCE):
                attempts = task.attempts + 1
                connection.execute(
                    sa.update(work)
                    .where(*_is(task.of, task.serial), work.c.state.in_(WORK_PUT_OFF.of))
                    .values(
                        state=WORK_PUT_OFF.to, due_at=now + wait_s(attempts),
                        attempts=attempts, reason=reason, changed_at=now,
                    )
                )  # fmt: skip

    def begin(self, of: TaskKey, serial: int, lives: int) -> Task | None:
        """Return what is to be done, at the begin of its job; None where the job is stale.

        Parameters
        ----------
        lives : int
            Begun more often than this without an end, it is dead: it kills its process.
        """
        with self._database.write() as connection:
            now = self._clock.now(connection)
            begun = connection.execute(
                sa.update(work)
                .where(*_is(of, serial), work.c.state == WorkState.CLAIMED)
                .values(begins=work.c.begins + 1, lease_until=now + LEASE_S)
                .returning(*COLUMNS)
            ).one_or_none()
            if begun is None:
                return None
            if begun.begins <= lives:
                return task_of(begun)
            reason = f"its process died {lives} times"
            self._die(connection, of, serial, reason)
            return None

    # -- how it ends; each does nothing where somebody else has claimed it since

    def done(self, task: Task) -> bool:
        """Note that something is done."""
        with self._database.write() as connection:
            return self.done_in(connection, task)

    def done_in(self, connection: sa.Connection, task: Task) -> bool:
        """Note within a transaction that something is done; tell whether it was ours."""
        now = self._clock.now(connection)
        return self._end(connection, task.of, task.serial, WORK_DONE, _ENDED, now)

    def later(
        self,
        task: Task,
        wait_s: float,
        *,
        attempts: int,
        reason: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> bool:
        """Let something be tried again after a wait."""
        with self._database.write() as connection:
            return self.later_in(
                connection, task, wait_s, attempts=attempts, reason=reason, detail=detail
            )

    def later_in(
        self,
        connection: sa.Connection,
        task: Task,
        wait_s: float,
        *,
        attempts: int,
        reason: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> bool:
        """Let something be tried again, within a transaction; tell whether it was ours.

        Parameters
        ----------
        detail : mapping, optional
            What the kind needs besides from now on, where that is something else.
        """
        now = self._clock.now(connection)
        values = {"due_at": now + wait_s, "attempts": attempts, "begins": 0, "reason": reason}
        if detail is not None:
            values["detail"] = dict(detail)
        return self._end(connection, task.of, task.serial, WORK_LATER, values, now)

    def die(self, of: TaskKey, serial: int, reason: str) -> bool:
        """Note that the job of something raised what nobody foresaw."""
        with self._database.write() as connection:
            return self._die(connection, of, serial, reason)

    def put_off_burial(self, dead: Task, wait_s: float) -> None:
        """Let what died be seen to after a wait: what should follow from its death failed."""
        with self._database.write() as connection:
            now = self._clock.now(connection)
            connection.execute(
                sa.update(work)
                .where(*_is(dead.of, dead.serial), work.c.state.in_(WORK_UNBURIED.of))
                .values(state=WORK_UNBURIED.to, due_at=now + wait_s)
            )

    def prune(self, kinds: Collection[WorkKind], before: float) -> int:
        """Remove what was done of some kinds before a time; return how much."""
        over = (
            work.c.kind.in_(kinds),
            work.c.state == WorkState.DONE,
            work.c.changed_at < before,
        )
        return prune(self._database, Spent(work, over, over))

    # -- what is there

    def dead(self, kind: WorkKind) -> list[Task]:
        """Return what died and is to be seen to now."""
        of_kind = sa.select(*COLUMNS).where(work.c.kind == kind, work.c.state == WorkState.DEAD)
        with self._database.read() as connection:
            to_be_seen = of_kind.where(work.c.due_at <= self._clock.now(connection))
            return [task_of(row) for row in connection.execute(to_be_seen.order_by(work.c.due_at))]

    def next_due_s(self, kind: WorkKind) -> float:
        """Return in how many seconds something of a kind is due next, if no row changes.

        Parameters
        ----------
        kind : WorkKind
            What is looked for.

        Returns
        -------
        float
            0 where something is due; infinity where nothing waits.
        """
        with self._database.read() as connection:
            return Waiting(connection, kind, self._clock.now(connection)).next_due_s()

    def task(self, of: TaskKey) -> Task | None:
        """Return one piece of work."""
        found = self._found(work.c.kind == of.kind, work.c.lane == of.lane, work.c.key == of.key)
        return found[0] if found else None

    def open(self, kind: WorkKind, lane: str) -> list[Task]:
        """Return what is not done in a lane, the next first."""
        return self._found(
            work.c.kind == kind, work.c.lane == lane, work.c.state != WorkState.DONE
        )

    def _found(self, *where: sa.ColumnElement[bool]) -> list[Task]:
        query = sa.select(*COLUMNS).where(*where).order_by(work.c.due_at, work.c.key)
        with self._database.read() as connection:
            return [task_of(row) for row in connection.execute(query)]

    def _is_something_to_do(self, kind: WorkKind, held: Claims) -> bool:
        """Tell whether a look has to write: most have not, and each commit waits for a disk."""
        with self._database.read() as connection:
            reading = self._clock.read(connection)
            if not reading.is_noted:
                return True
            until = reading.now + (LEASE_S - RENEWED_S if held else 0.0)
            ageing = sa.select(work.c.serial).where(
                work.c.state == WorkState.CLAIMED, work.c.lease_until < until
            )
            if connection.execute(ageing.limit(1)).first() is not None:
                return True
            return bool(Waiting(connection, kind, reading.now).lanes())

    def _look_at_clock(self, connection: sa.Connection, *, starting: bool) -> float:
        """Return the time; where it was set, what is due is moved along. One process at a time."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(CLAIM_LOCK)))
        now, moved = self._clock.note(connection, starting=starting)
        if moved:
            self._move_due_times(connection, moved, now)
        return now

    def _renew(self, connection: sa.Connection, held: Claims, now: float) -> None:
        old = work.c.lease_until < now + LEASE_S - RENEWED_S
        for of, serial in held.items():
            connection.execute(
                sa.update(work)
                .where(_free(*_is(of, serial), work.c.state == WorkState.CLAIMED, old))
                .values(lease_until=now + LEASE_S)
            )

    def _end_leases(
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
            .where(_in_order(work.c.state != WorkState.DONE))
            .values(
                due_at=sa.case((written_since, work.c.due_at), else_=work.c.due_at + seconds),
                lease_until=work.c.lease_until + seconds,
            )
        )

    def _die(self, connection: sa.Connection, of: TaskKey, serial: int, reason: str) -> bool:
        now = self._clock.now(connection)
        values = {"reason": reason, "due_at": now}
        return self._end(connection, of, serial, WORK_DIED, values, now)

    def _end(
        self,
        connection: sa.Connection,
        of: TaskKey,
        serial: int,
        move: Move[WorkState],
        values: Mapping[str, Any],
        now: float,
    ) -> bool:
        ended = (
            sa.update(work)
            .where(*_is(of, serial), work.c.state.in_(move.of))
            .values(state=move.to, holder="", lease_until=None, changed_at=now, **values)
            .returning(work.c.serial)
        )
        return connection.execute(ended).first() is not None


_ENDED: Final = {"begins": 0, "reason": ""}
_FRESH: Final = {"attempts": 0} | _ENDED


def _named(of: TaskKey) -> list[sa.ColumnElement[bool]]:
    return [work.c.kind == of.kind, work.c.lane == of.lane, work.c.key == of.key]


def _is(of: TaskKey, serial: int) -> list[sa.ColumnElement[bool]]:
    return [*_named(of), work.c.serial == serial]


_KEY: Final = (work.c.kind, work.c.lane, work.c.key)


def _in_order(*which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select rows, locked by their keys one after the other, as an order locks them."""
    locked = sa.select(*_KEY).where(*which).order_by(*_KEY)
    return sa.tuple_(*_KEY).in_(locked.with_for_update())


def _free(*which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select rows that nobody is changing: the next look, half a second later, has the others."""
    return sa.tuple_(*_KEY).in_(sa.select(*_KEY).where(*which).with_for_update(skip_locked=True))


def _claimed(task: Task, holder: str, now: float) -> sa.Executable:
    """Return the UPDATE that gives a piece of work to a process; none but one gets it."""
    return (
        sa.update(work)
        .where(*_is(task.of, task.serial), work.c.state.in_(WORK_CLAIMED.of))
        .values(
            state=WORK_CLAIMED.to, serial=task.serial + 1, holder=holder,
            lease_until=now + LEASE_S, changed_at=now,
        )
        .returning(*COLUMNS)
    )  # fmt: skip

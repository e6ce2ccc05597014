"""What is to be done, when, and how it ended; the owner of table `work`, with `claims`.

A piece of work waits until it is due and its turn comes; a process claims it; it ends done,
waiting for a later attempt, or dead. All of that by conditional UPDATEs: nothing is claimed twice,
and who was overtaken changes nothing.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa

from node.model.states import (
    AT_WORK,
    WORK_ADDED,
    WORK_DONE,
    WORK_EMPTIED,
    WORK_HASTENED,
    WORK_LATER,
    WORK_PUT_OFF,
    WorkState,
)
from node.model.work import Task, TaskKey, WorkKind
from node.store.database import Database
from node.store.pruning import Spent, prune
from node.store.tables import work
from node.store.work.due_clock import DueClock
from node.store.work.tasks import (
    COLUMNS,
    FRESH,
    NOTHING_BEGUN,
    claim_is,
    end_claim,
    task_is,
    task_of,
)
from node.store.work.waiting import Waiting
from node.store.work.wakes import Wakes

PUT_OFF_AT_ONCE: Final = 1000


class Work:
    """What is to be done.

    Parameters
    ----------
    database
        Where the rows are.
    clock : DueClock
        By which they are due.
    wakes : Wakes
        Who looks for what this process adds.
    """

    def __init__(self, database: Database, clock: DueClock, wakes: Wakes) -> None:
        self._database = database
        self._clock = clock
        self._wakes = wakes

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
        values = {"state": WORK_ADDED.to, "due_at": now + wait_s, "changed_at": now} | FRESH
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
        self._database.after_commit(connection, self._wakes.wake(of.kind))

    def hasten(self, connection: sa.Connection, of: TaskKey, *, anew: bool) -> int:
        """Let something be done at once, unless a process is at it; return how much that is.

        Parameters
        ----------
        anew : bool
            As if nothing had failed yet.
        """
        self.add(connection, of, again=False)
        now = self._clock.now(connection)
        values = {"due_at": now, "changed_at": now} | (FRESH if anew else NOTHING_BEGUN)
        hastened = (
            sa.update(work)
            .where(*task_is(of), work.c.state.in_(WORK_HASTENED.of))
            .values(state=WORK_HASTENED.to, **values)
            .returning(work.c.serial)
        )
        return len(connection.execute(hastened).all())

    def lock(self, connection: sa.Connection, of: TaskKey) -> None:
        """Let everybody who would change what is due of something wait for this transaction."""
        query = sa.select(work.c.serial).where(*task_is(of))
        connection.execute(query.with_for_update())

    def empty(self, connection: sa.Connection, of: TaskKey) -> None:
        """Note that nothing is left to do of something; whoever is at it is stale."""
        now = self._clock.now(connection)
        connection.execute(
            sa.update(work)
            .where(*task_is(of), work.c.state.in_(WORK_EMPTIED.of))
            .values(
                state=WORK_EMPTIED.to, serial=work.c.serial + 1, holder="", lease_until=None,
                changed_at=now, **NOTHING_BEGUN,
            )
        )  # fmt: skip

    def tell(self, connection: sa.Connection, of: TaskKey, detail: Mapping[str, Any]) -> None:
        """Let whoever is at something find what else it needs when it ends; nobody is, nothing."""
        at_work = (*task_is(of), work.c.state.in_(AT_WORK))
        connection.execute(sa.update(work).where(*at_work).values(detail=dict(detail)))

    def restart(self, connection: sa.Connection, of: TaskKey) -> None:
        """Let something be done from its beginning, at once; whoever is at it is stale."""
        self.empty(connection, of)
        self.add(connection, of)

    def is_held(self, connection: sa.Connection, task: Task) -> bool:
        """Tell whether a claim still holds; what changes it waits for this transaction."""
        return self.held_detail(connection, task) is not None

    def held_detail(self, connection: sa.Connection, task: Task) -> Mapping[str, Any] | None:
        """Return what a claim is told by now, None where it does not hold; as `is_held`."""
        query = sa.select(work.c.detail).where(
            *claim_is(task.of, task.serial), work.c.state.in_(AT_WORK)
        )
        found: Mapping[str, Any] | None = connection.execute(query.with_for_update()).scalar()
        return found

    # -- how it ends; each does nothing where somebody else has claimed it since

    def done(self, task: Task) -> bool:
        """Note that something is done."""
        with self._database.write() as connection:
            return self.done_in(connection, task)

    def done_in(self, connection: sa.Connection, task: Task) -> bool:
        """Note within a transaction that something is done; tell whether it was ours."""
        now = self._clock.now(connection)
        return end_claim(connection, task.of, task.serial, WORK_DONE, NOTHING_BEGUN, now)

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
        return end_claim(connection, task.of, task.serial, WORK_LATER, values, now)

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
                    .where(*claim_is(task.of, task.serial), work.c.state.in_(WORK_PUT_OFF.of))
                    .values(
                        state=WORK_PUT_OFF.to, due_at=now + wait_s(attempts),
                        attempts=attempts, reason=reason, changed_at=now,
                    )
                )  # fmt: skip

    def prune(self, kinds: Collection[WorkKind], before: float) -> int:
        """Remove what was done of some kinds before a time; return how much."""
        over = (
            work.c.kind.in_(kinds),
            work.c.state == WorkState.DONE,
            work.c.changed_at < before,
        )
        return prune(self._database, Spent(work, over, over))

    # -- what is there

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

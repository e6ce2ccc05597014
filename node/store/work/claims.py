"""Which process is at what is due: claims, and what died under them.

A process claims what is due for as long as it says now and then that it is still there. What it
begins and does not end counts as its death; where it was not heard of, others claim it anew.
"""

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa

from node.model.states import (
    WORK_CLAIMED,
    WORK_DIED,
    WORK_LEASE_ENDED,
    WORK_TAKEN_OVER,
    WORK_UNBURIED,
    WorkState,
)
from node.model.work import Task, TaskKey, WorkKind
from node.store.database import Database
from node.store.tables import work
from node.store.work.due_clock import DueClock
from node.store.work.leases import LEASE_S, Leases, Serials
from node.store.work.tasks import (
    COLUMNS,
    FRESH,
    claim_is,
    end_claim,
    in_key_order,
    task_of,
)
from node.store.work.waiting import Waiting
from node.store.work.wakes import Wakes

Pick = Callable[[Waiting], Sequence[Task]]
"""Picks what to claim."""


class Claims:
    """Who is at what is due.

    Parameters
    ----------
    database
        Where the rows are.
    clock : DueClock
        By which they are due.
    leases : Leases
        How long claims hold, by the same clock.
    wakes : Wakes
        Who looks for what can be claimed.
    """

    def __init__(self, database: Database, clock: DueClock, leases: Leases, wakes: Wakes) -> None:
        self.wakes = wakes
        self._database = database
        self._clock = clock
        self._leases = leases

    def claim(
        self,
        kind: WorkKind,
        choose: Pick,
        holder: str,
        held: Serials | None = None,
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
            now = self._leases.look_at_clock(connection, starting=False)
            self._leases.renew(connection, held or {}, now)
            self._leases.end_unheard(connection, now)
            chosen = choose(Waiting(connection, kind, now))
            return [
                task_of(row)
                for task in chosen
                for row in connection.execute(_claimed(task, holder, now))
            ]

    def claim_at_once(
        self, connection: sa.Connection, of: TaskKey, holder: str, lease_s: float = LEASE_S
    ) -> Task:
        """Give something to the process that asks for it, whoever was at it; others are stale."""
        now = self._clock.now(connection)
        mine = {
            "state": WORK_TAKEN_OVER.to, "holder": holder, "lease_until": now + lease_s,
            "due_at": now, "changed_at": now, "detail": {},
        } | FRESH  # fmt: skip
        insert = self._database.insert(work).values(
            kind=of.kind, lane=of.lane, key=of.key, serial=1, urgent=False, **mine
        )
        claimed = insert.on_conflict_do_update(
            index_elements=[work.c.kind, work.c.lane, work.c.key],
            set_=mine | {"serial": work.c.serial + 1},
        ).returning(*COLUMNS)
        return task_of(connection.execute(claimed).one())

    def resume(self, holder: str, kinds: Collection[WorkKind]) -> list[Task]:
        """Return what a process of this name was at when it ended; its leases begin anew.

        The caller knows that no other process has the name, and calls this before it looks for
        work: the time that has passed since anybody looked has passed in truth.
        """
        with self._database.write() as connection:
            now = self._leases.look_at_clock(connection, starting=True)
            renewed = (
                sa.update(work)
                .where(
                    in_key_order(
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
                sa.update(work).where(in_key_order(*begun)).values(begins=work.c.begins - 1)
            )

    def give_up(self, holder: str, kinds: Collection[WorkKind]) -> int:
        """Let wait again what a process of this name was at, for others; return how much.

        The caller is that process, at its end; or its successor, at its start.
        """
        with self._database.write() as connection:
            now = self._leases.look_at_clock(connection, starting=True)
            mine = (work.c.holder == holder, work.c.kind.in_(kinds))
            ended = in_key_order(work.c.state.in_(WORK_LEASE_ENDED.of), *mine)
            return self._leases.end(connection, now, ended, reason="its process has ended")

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
                .where(*claim_is(of, serial), work.c.state == WorkState.CLAIMED)
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

    def die(self, of: TaskKey, serial: int, reason: str) -> bool:
        """Note that the job of something raised what nobody foresaw."""
        with self._database.write() as connection:
            return self._die(connection, of, serial, reason)

    def dead(self, kind: WorkKind) -> list[Task]:
        """Return what died and is to be seen to now."""
        of_kind = sa.select(*COLUMNS).where(work.c.kind == kind, work.c.state == WorkState.DEAD)
        with self._database.read() as connection:
            to_be_seen = of_kind.where(work.c.due_at <= self._clock.now(connection))
            return [task_of(row) for row in connection.execute(to_be_seen.order_by(work.c.due_at))]

    def put_off_burial(self, dead: Task, wait_s: float) -> None:
        """Let what died be seen to after a wait: what should follow from its death failed."""
        with self._database.write() as connection:
            now = self._clock.now(connection)
            connection.execute(
                sa.update(work)
                .where(*claim_is(dead.of, dead.serial), work.c.state.in_(WORK_UNBURIED.of))
                .values(state=WORK_UNBURIED.to, due_at=now + wait_s)
            )

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

    def _is_something_to_do(self, kind: WorkKind, held: Serials) -> bool:
        """Tell whether a look has to write: most have not, and each commit waits for a disk."""
        with self._database.read() as connection:
            reading = self._clock.read(connection)
            if not reading.is_noted:
                return True
            if self._leases.is_ageing(connection, reading.now, renewing=bool(held)):
                return True
            return bool(Waiting(connection, kind, reading.now).lanes())

    def _die(self, connection: sa.Connection, of: TaskKey, serial: int, reason: str) -> bool:
        now = self._clock.now(connection)
        values = {"reason": reason, "due_at": now}
        return end_claim(connection, of, serial, WORK_DIED, values, now)


def _claimed(task: Task, holder: str, now: float) -> sa.Executable:
    """Return the UPDATE that gives a piece of work to a process; none but one gets it."""
    return (
        sa.update(work)
        .where(*claim_is(task.of, task.serial), work.c.state.in_(WORK_CLAIMED.of))
        .values(
            state=WORK_CLAIMED.to, serial=task.serial + 1, holder=holder,
            lease_until=now + LEASE_S, changed_at=now,
        )
        .returning(*COLUMNS)
    )  # fmt: skip

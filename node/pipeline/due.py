"""Does the work that is due: claims it in rows, runs it as jobs of the engine, sees to what died.

The same for every kind. A job is started as soon as its task is claimed: how many of a kind run at
once is decided there. Its id is made of the claim, so that starting it twice does nothing; its
first act is to ask whether the claim still holds. What is killed between two steps:

=========================================  ====================================================
between                                    goes on because
=========================================  ====================================================
claim, and its job started                 a restart starts what it had claimed
job started, begun, at work                the engine resumes it at a restart
its effect, and the row that says so       it is done again: every step may run twice
the row, and the end of its job            the resumed job is stale, and does nothing
any two, and the machine is gone           its lease ends; another process claims it
=========================================  ====================================================
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import structlog

from node.errors import StoreError, frames_of, reason_of
from node.model.work import Task, TaskKey, WorkKind
from node.pipeline.engine import ENDS, KNOWN, RECOVERY_ATTEMPTS, Workflow
from node.pipeline.ticker import Look
from node.store.work.claims import Claims
from node.store.work.waiting import Waiting

log = structlog.get_logger()

UNBEGUN_S: Final = 60.0
"""A job that has not begun by then is not ours any more: its lease ends. What is started begins at
once; but what the engine was to resume may be lost, or be at work in another process."""

UNBURIED_S: Final = 60.0
"""So long does a death wait whose burial failed: its cause may pass, and each try is logged."""

UNREADY_S: Final = 1.0
"""How soon it is seen that jobs of a kind can begin."""

UNCOUNTED: Final = 1_000_000
"""Deaths that the engine may count: the row counts those of its job, from its begin on. The engine
counts a process that died at its start, too, and would then leave a claim that nobody is at."""

_GOES_ON: Final = "this process ends; the job goes on at its next start"

Choose = Callable[[Waiting, int], Sequence[Task]]
"""Picks what to claim next; takes how many jobs of the kind this process has room for."""


class Jobs(Protocol):
    """What is needed of the engine."""

    def workflow(self, name: str, lives: int) -> Callable[[Workflow], Workflow]:
        """Register a durable workflow, resumed after so many deaths of the process at most."""

    def start(self, job: str, workflow: Workflow, *arguments: object) -> None:
        """Run a job at once, in a thread of its own; one that is known is left as it is."""


@dataclass(frozen=True)
class Handler:
    """What is done of one kind.

    Attributes
    ----------
    at_once : int
        How many jobs of the kind this process runs at once.
    do : callable
        Makes one attempt, and says in the rows how it ended; made of steps of the engine.
    bury : callable
        Says what follows for a task that died: it is done, or tried later.
    lives : int
        Begun more often than this without an end, it is dead.
    is_ready : callable
        Tells whether jobs of the kind can begin; until then none is claimed.
    """

    kind: WorkKind
    at_once: int
    do: Callable[[Task], None]
    bury: Callable[[Task], None]
    choose: Choose
    lives: int = RECOVERY_ATTEMPTS
    is_ready: Callable[[], bool] = lambda: True


@dataclass
class _OwnClaim:
    """A claim of this process."""

    serial: int
    since: float
    begun: bool = False


class DueWork:
    """Claims and does what is due; one in a process.

    Parameters
    ----------
    holder : str
        Name of this process; no other that lives has it.
    monotonic : callable
        Seconds since any moment; never set back.
    """

    def __init__(
        self,
        engine: Jobs,
        claims: Claims,
        holder: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._claims = claims
        self._holder = holder
        self._monotonic = monotonic
        self._handlers: dict[WorkKind, Handler] = {}
        self._jobs: dict[WorkKind, Workflow] = {}
        self._holds: dict[TaskKey, _OwnClaim] = {}
        self._noting = threading.Lock()
        self._beginning = threading.Lock()
        self._is_ending = False

    def add(self, handlers: Iterable[Handler]) -> None:
        """Define the jobs of some kinds, on an engine that is not launched yet."""
        for handler in handlers:
            self._handlers[handler.kind] = handler
            run = partial(self._run, handler)

            def job(lane: str, key: str, serial: int, run: Workflow = run) -> None:
                run(lane, key, serial)

            self._jobs[handler.kind] = self._engine.workflow(handler.kind, UNCOUNTED)(job)

    @property
    def kinds(self) -> list[WorkKind]:
        """What this process does."""
        return list(self._handlers)

    def looks(self) -> list[Look]:
        """Return what is looked at: each kind, woken when there may be something to claim."""
        return [
            Look(partial(self.look, kind), self._claims.wakes.event(kind)) for kind in self.kinds
        ]

    def resume(self, launch: Callable[[], None]) -> None:
        """Go on with what a process of this name was at when it ended; once, at the start.

        Parameters
        ----------
        launch : callable
            Launches the engine, which begins at once to resume jobs: they find themselves held.
        """
        unready = [kind for kind in self.kinds if not self._handlers[kind].is_ready()]
        if unready:  # it waits for whoever is ready first; what of it the engine resumes is stale
            self._claims.give_up(self._holder, unready)
        left = self._claims.resume(self._holder, self.kinds)
        for task in left:
            self._hold(task)
        launch()
        for task in left:
            self._start(task)

    def close(self, close: Callable[[], None]) -> None:
        """End in order: what is begun goes on at the next start, and that is not its death.

        Parameters
        ----------
        close : callable
            Closes the engine. What a job is at may go on for a while; how it ends, the engine can
            no longer keep.
        """
        with self._beginning:
            self._is_ending = True
        close()
        self._claims.end_in_order(self._holder)

    def look(self, kind: WorkKind) -> float:
        """See to what died of a kind, and start what is due and has its turn.

        Returns
        -------
        float
            In how many seconds something is due next, if no row changes until then; 0 where
            something is and has not its turn. Where jobs of the kind cannot begin yet, when to
            ask again.

        Raises
        ------
        StoreError
            If the rows cannot be read or changed; the next look goes on.
        """
        handler = self._handlers[kind]
        for dead in self._claims.dead(kind):
            log.error("a job died", kind=kind, lane=dead.lane, because=dead.reason)
            self._bury(handler, dead)
        if not handler.is_ready():
            return UNREADY_S
        held = self._held()
        room = handler.at_once - sum(of.kind == kind for of in held)
        for task in self._claims.claim(kind, partial(_chosen, handler, room), self._holder, held):
            self._hold(task)
            self._start(task)
        return self._claims.next_due_s(kind)

    def _bury(self, handler: Handler, dead: Task) -> None:
        """See to what died; where nobody foresaw how that fails, later, and to the others now."""
        try:
            handler.bury(dead)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - it may be what killed the job
            log.error(  # noqa: TRY400 - the text of a traceback may quote a header value
                "a dead job was not seen to",
                kind=dead.kind, lane=dead.lane, because=reason_of(error), frames=frames_of(error),
            )  # fmt: skip
            self._claims.put_off_burial(dead, UNBURIED_S)

    def _hold(self, task: Task) -> None:
        with self._noting:
            self._holds[task.of] = _OwnClaim(task.serial, self._monotonic())

    def _start(self, task: Task) -> None:
        job = self._jobs[task.kind]
        try:
            self._engine.start(task.job, job, task.lane, task.key, task.serial)
        except BaseException:
            self._release(task.of, task.serial)  # else its lease would be kept up for ever
            raise

    def _held(self) -> dict[TaskKey, int]:
        old = self._monotonic() - UNBEGUN_S
        with self._noting:
            return {
                of: hold.serial
                for of, hold in self._holds.items()
                if hold.begun or hold.since >= old
            }

    def _run(self, handler: Handler, lane: str, key: str, serial: int) -> None:
        """Make one attempt: the body of a job."""
        of = TaskKey(handler.kind, lane, key)
        try:
            task = self._begun(of, serial, handler.lives)
            if task is not None:
                handler.do(task)
        except (StoreError, *ENDS):  # nothing can be said in rows now: its lease ends
            raise
        except BaseException as error:
            if self._is_ending:
                raise SystemExit(_GOES_ON) from None
            self._claims.die(of, serial, _reason(error))
            raise
        finally:
            self._release(of, serial)
            self._claims.wakes.wake(of.kind)()  # there is room for another

    def _begun(self, of: TaskKey, serial: int, lives: int) -> Task | None:
        with self._beginning:
            if self._is_ending:
                raise SystemExit(_GOES_ON)
            task = self._claims.begin(of, serial, lives)
        if task is not None:
            with self._noting:
                self._holds[of] = _OwnClaim(serial, self._monotonic(), begun=True)
        return task

    def _release(self, of: TaskKey, serial: int) -> None:
        with self._noting:
            hold = self._holds.get(of)
            if hold is not None and hold.serial == serial:
                del self._holds[of]


def _chosen(handler: Handler, room: int, waiting: Waiting) -> Sequence[Task]:
    return handler.choose(waiting, room) if room > 0 else []


def _reason(error: BaseException) -> str:
    """Return why a job died; of an error that nobody foresaw its place alone."""
    return str(error) if isinstance(error, KNOWN) else reason_of(error)


def in_turn(per_lane: int | None = None) -> Choose:
    """Return what serves the urgent first, then who waits longest, so many of a lane at once."""

    def choose(waiting: Waiting, room: int) -> Sequence[Task]:
        claimed = waiting.claimed()
        found: list[Task] = []
        for lane in waiting.lanes():
            free = room if per_lane is None else min(room, per_lane - claimed.get(lane, 0))
            found += waiting.first(lane, free)
        found.sort(key=lambda task: (not task.urgent, task.due_at, task.lane, task.key))
        return found[:room]

    return choose

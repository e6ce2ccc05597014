"""What is due is done, once as far as rows can tell, whenever its process is killed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.errors import StoreError, UnusableSeriesError
from node.model.states import WorkState
from node.model.work import Task, TaskKey, WorkKind
from node.pipeline.due import DueWork, Handler, in_turn
from node.pipeline.engine import Engine
from node.store.catalog import Catalog
from node.store.work.leases import LEASE_S
from tests.lives import life
from tests.node_process import wait_for
from tests.store_rows import open_catalog

KEY = TaskKey(WorkKind.REPORT, "SCANNER", "2.25.1")


class Worker:
    """One process that does one kind of work."""

    def __init__(self, folder: Path, engine: Engine, do: Callable[[Task], None]) -> None:
        self.now = 1000.0
        self.engine = engine
        self.catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}", lambda: self.now)
        self.buried: list[str] = []
        self.due = DueWork(engine, self.catalog.claims, "a", lambda: self.now)
        step = engine.step(do, "do")
        self.due.add([Handler(WorkKind.REPORT, 2, step, self._bury, in_turn(1))])
        self.due.resume(engine.launch)

    def _bury(self, task: Task) -> None:
        self.buried.append(task.reason)
        self.catalog.work.done(task)

    def add(self, *keys: TaskKey) -> None:
        """Let things be done."""
        with self.catalog.write() as connection:
            for key in keys:
                self.catalog.work.add(connection, key)

    def look(self, seconds: float = 0.0) -> None:
        """Let time pass, and look."""
        self.now += seconds
        self.due.look(WorkKind.REPORT)

    def is_done(self, key: TaskKey = KEY) -> bool:
        """Tell whether something is done."""
        task = self.catalog.work.task(key)
        return task is not None and task.state is WorkState.DONE


MakeWorker = Callable[[Callable[[Task], None]], Worker]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeWorker]:
    """Make a worker that does what the test says."""
    with ExitStack() as stack:

        def made(do: Callable[[Task], None]) -> Worker:
            engine = Engine(f"sqlite:///{tmp_path / 'pipeline.sqlite'}", "a")
            stack.callback(engine.close)
            worker = Worker(tmp_path, engine, do)
            stack.callback(worker.catalog.close)
            return worker

        yield made


def test_what_is_due_is_done_once_in_each_lane_at_a_time(make: MakeWorker) -> None:
    """Its handler says in the rows how it ended."""
    did: list[str] = []

    def do(task: Task) -> None:
        did.append(task.key)
        worker.catalog.work.done(task)

    worker = make(do)
    keys = [TaskKey(WorkKind.REPORT, lane, f"{lane}{n}") for lane in "AB" for n in range(2)]
    worker.add(*keys)
    worker.look()
    worker.look()
    wait_for(lambda: len(did) == 2, "the first of each", 60)
    wait_for(lambda: worker.is_done(keys[0]) and worker.is_done(keys[2]), "their ends", 60)
    assert sorted(did) == ["A0", "B0"]

    def rest() -> bool:
        worker.look()
        return all(worker.is_done(key) for key in keys)

    wait_for(rest, "the others", 60)
    assert sorted(did) == ["A0", "A1", "B0", "B1"]


def test_what_is_tried_later_is_a_job_of_its_own(make: MakeWorker) -> None:
    """After its wait, with how often it failed."""
    attempts: list[int] = []

    def do(task: Task) -> None:
        attempts.append(task.attempts)
        if task.attempts < 2:
            worker.catalog.work.later(task, 5.0, attempts=task.attempts + 1, reason="no")
        else:
            worker.catalog.work.done(task)

    worker = make(do)
    worker.add(KEY)
    worker.look()
    wait_for(lambda: attempts == [0], "the first attempt", 60)
    wait_for(lambda: _state(worker) is WorkState.WAITING, "its end", 60)
    worker.look(4.9)
    assert _state(worker) is WorkState.WAITING

    def goes_on() -> bool:
        worker.look(5.0)
        return worker.is_done()

    wait_for(goes_on, "the others", 60)
    assert attempts == [0, 1, 2]


def _do_nothing_else(worker: Worker, task: Task) -> None:
    worker.catalog.work.done(task)


def _state(worker: Worker) -> WorkState:
    task = worker.catalog.work.task(KEY)
    assert task is not None
    return task.state


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnusableSeriesError("no slices"), "no slices"),
        (ValueError("DOE^JOHN"), "ValueError at node.pipeline.engine:"),
    ],
)
def test_what_raises_is_buried_with_its_reason(
    make: MakeWorker, error: Exception, reason: str
) -> None:
    """And what nobody foresaw tells its place, not its text."""

    def do(_task: Task) -> None:
        raise error

    worker = make(do)
    worker.add(KEY)

    def buried() -> bool:
        worker.look()
        return bool(worker.buried)

    wait_for(buried, "the burial", 60)
    assert worker.buried[0].startswith(reason)
    assert worker.is_done()


def test_a_database_that_is_gone_for_a_while_is_no_death(make: MakeWorker) -> None:
    """The step is tried again, in the same life and under the same claim."""
    failures = [StoreError("locked")] * 4

    def do(task: Task) -> None:
        if failures:
            raise failures.pop()
        worker.catalog.work.done(task)

    worker = make(do)
    worker.add(KEY)
    worker.look()
    wait_for(worker.is_done, "the end", 60)
    assert worker.buried == []


def test_what_could_not_be_started_is_started_by_a_later_look(
    make: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline's database is locked: the claim ends with its lease."""
    worker = make(lambda task: _do_nothing_else(worker, task))
    worker.add(KEY)

    def locked(*_: object) -> None:
        raise StoreError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(worker.engine, "start", locked)
        with pytest.raises(StoreError):
            worker.look()
    for _ in range(int(LEASE_S / 10) + 1):
        worker.look(10.0)

    wait_for(worker.is_done, "the end", 60)


def test_what_a_worker_is_at_that_ends_in_order_goes_on_at_the_next_start(
    make: MakeWorker,
) -> None:
    """It is not buried, though the engine that is closed cannot keep how its step ended."""
    reached, goes_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        reached.set()
        goes_on.wait(60)

    worker = make(hold)
    worker.add(KEY)
    worker.look()
    assert reached.wait(60)
    worker.due.close(worker.engine.close)
    goes_on.set()
    wait_for(_no_job_runs, "its end", 60)
    left = worker.catalog.work.task(KEY)
    again = make(lambda task: _do_nothing_else(again, task))
    wait_for(again.is_done, "the same at the next start", 60)

    assert left is not None
    assert (left.state, left.begins, left.serial) == (WorkState.CLAIMED, 0, 1)
    assert worker.buried + again.buried == []


def _no_job_runs() -> bool:
    return not any("dbos-executor" in thread.name for thread in threading.enumerate())


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _live(folder: Path, where: str) -> None:
    """Do what is due, in a process of its own; kill it where the test says."""
    catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
    engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", "a")
    due = DueWork(engine, catalog.claims, "a")

    def passing(place: str) -> None:
        if where == place:
            _die()

    def do(task: Task) -> None:
        passing("begun")
        with (folder / "did").open("a") as file:
            file.write("x")
        passing("effect")
        catalog.work.done(task)
        passing("row")

    def bury(task: Task) -> None:
        (folder / "buried").write_text(task.reason)
        catalog.work.done(task)

    due.add([Handler(WorkKind.REPORT, 1, engine.step(do, "do"), bury, in_turn(1))])
    _spoil(where, engine, catalog, launched=False)
    if catalog.work.task(KEY) is None:
        with catalog.write() as connection:
            catalog.work.add(connection, KEY)
    due.resume(engine.launch)
    _spoil(where, engine, catalog, launched=True)
    while _unfinished(catalog):
        due.look(WorkKind.REPORT)
        threading.Event().wait(0.05)
    engine.close()


def _spoil(where: str, engine: Engine, catalog: Catalog, *, launched: bool) -> None:
    """Let the process end in a method of the node's own; what is claimed at first must pass."""
    start = engine.start
    spoilt: dict[tuple[str, bool], tuple[object, str, Callable[..., object]]] = {
        ("unbegun", False): (catalog.claims, "begin", _die),
        ("claimed", True): (engine, "start", _die),
        ("started", True): (engine, "start", lambda *job: _die(start(*job))),
    }
    if (where, launched) in spoilt:
        setattr(*spoilt[where, launched])


def _unfinished(catalog: Catalog) -> bool:
    task = catalog.work.task(KEY)
    return task is None or task.state is not WorkState.DONE


def _lives(folder: Path, *where: str) -> list[int]:
    return [life(_live, folder, at) for at in where]


@pytest.mark.parametrize("where", ["claimed", "started", "begun", "effect", "row"])
def test_what_is_killed_between_any_two_steps_is_done(tmp_path: Path, where: str) -> None:
    """Soon after the restart, without the end of a lease; twice only where nobody can know."""
    assert _lives(tmp_path, where, "nowhere") == [-signal.SIGKILL, 0]

    did = (tmp_path / "did").read_text("ascii")
    assert did == ("xx" if where == "effect" else "x")
    assert not (tmp_path / "buried").exists()


def test_what_kills_its_process_each_time_is_buried(tmp_path: Path) -> None:
    """After its lives, and the others have their turn."""
    codes = _lives(tmp_path, *["begun"] * 4)

    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert (tmp_path / "buried").read_text("ascii") == "its process died 3 times"


def test_deaths_before_its_begin_are_not_those_of_a_job(tmp_path: Path) -> None:
    """Whatever kills the worker at its start: once it lives, what it had claimed is done."""
    codes = _lives(tmp_path, *["unbegun"] * 6, "nowhere")

    assert codes == [-signal.SIGKILL] * 6 + [0]
    assert (tmp_path / "did").read_text("ascii") == "x"


def test_what_is_not_begun_for_long_is_given_up(make: MakeWorker) -> None:
    """A job that the engine has lost must not be held for ever."""
    worker = make(lambda task: _do_nothing_else(worker, task))
    worker.engine.start = lambda *_: None  # type: ignore[method-assign]
    worker.add(KEY)
    worker.look()
    for _ in range(70):
        worker.look(10.0)
    task = worker.catalog.work.task(KEY)

    assert task is not None
    assert task.serial > 1

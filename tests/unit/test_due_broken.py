"""What is due stays due, whoever dies, is slow, or gives an order just then."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from node.model.states import WorkState
from node.model.work import Task, TaskKey, WorkKind
from node.pipeline.due import UNBEGUN_S, DueWork, Handler, in_turn
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL
from node.store.deliveries.scope import Scope
from node.store.tables import work
from tests.due_time import Moment
from tests.store_rows import stored

Workflow = Callable[..., Any]
KEY = TaskKey(WorkKind.REPORT, "SCANNER", "2.25.1")


class SharedJobs:
    """Stands for the engine of several processes, which share one database."""

    def __init__(self) -> None:
        self.unfinished: list[tuple[str, tuple[Any, ...]]] = []
        self.known: set[str] = set()

    def process(self, executor: str) -> "OneProcess":
        """Return the engine of one more process, or of the same one, started again."""
        return OneProcess(self, executor)


class OneProcess:
    """The engine as one process has it."""

    def __init__(self, shared: SharedJobs, executor: str) -> None:
        self.shared = shared
        self.executor = executor
        self.workflows: list[Workflow] = []

    def workflow(self, name: str, lives: int) -> Callable[[Workflow], Workflow]:
        """Keep a function."""
        assert name
        assert lives

        def kept(function: Workflow) -> Workflow:
            self.workflows.append(function)
            return function

        return kept

    def start(self, job: str, workflow: Workflow, *arguments: Any) -> None:
        """Keep a job until the test runs it; one that is known is left as it is."""
        assert workflow in self.workflows
        if job not in self.shared.known:
            self.shared.known.add(job)
            self.shared.unfinished.append((self.executor, arguments))

    def run(self, executor: str = "") -> int:
        """Run all jobs that an executor, or this one, has not ended; return how many."""
        mine = [job for job in self.shared.unfinished if job[0] == (executor or self.executor)]
        self.shared.unfinished = [job for job in self.shared.unfinished if job not in mine]
        for _, arguments in mine:
            self.workflows[0](*arguments)
        return len(mine)


class Process:
    """A worker that does one kind of work."""

    def __init__(self, catalog: Catalog, shared: SharedJobs, holder: str, at_once: int) -> None:
        self.seconds = 0.0
        self.catalog = catalog
        self.did: list[str] = []
        self.engine = shared.process(holder)
        self.due = DueWork(self.engine, catalog.claims, holder, lambda: self.seconds)
        self.due.add([Handler(WorkKind.REPORT, at_once, self.do, self.bury, in_turn())])

    def do(self, task: Task) -> None:
        """Do it."""
        self.did.append(task.key)
        self.catalog.work.done(task)

    def bury(self, task: Task) -> None:
        """See to what died."""
        self.catalog.work.done(task)

    def run(self) -> int:
        """Run what this process has started."""
        return self.engine.run()


def assert_ran(process: Process) -> None:
    """Let an engine that is launched run what it has at once."""
    assert process.run() == 1


def _add(catalog: Catalog, *keys: TaskKey) -> None:
    with catalog.write() as connection:
        for key in keys:
            catalog.work.add(connection, key)


def test_two_workers_on_one_pipeline_keep_their_places(empty_catalog: Catalog) -> None:
    """A job that the other worker takes must not fill a place here until its hold is old."""
    shared = SharedJobs()
    a = Process(empty_catalog, shared, "a", at_once=2)
    b = Process(empty_catalog, shared, "b", at_once=2)
    keys = [TaskKey(WorkKind.REPORT, "SCANNER", f"2.25.{number}") for number in range(8)]
    _add(empty_catalog, *keys)
    for _ in range(8):
        a.due.look(WorkKind.REPORT)
        b.run()
        a.run()
    assert sorted(a.did + b.did) == [key.key for key in keys]


def test_a_catalog_that_was_put_back_counts_anew_and_nothing_waits(
    empty_catalog: Catalog, moment: Moment
) -> None:
    """The engine knows jobs with the same serials; they are not those of these claims."""
    process = Process(empty_catalog, SharedJobs(), "a", at_once=1)
    for _ in range(2):
        _add(empty_catalog, KEY)
        process.due.look(WorkKind.REPORT)
        assert process.run() == 1
        with empty_catalog.write() as connection:
            connection.execute(sa.delete(work))
        moment.now += 1.0
    assert process.did == [KEY.key] * 2


def test_what_cannot_be_buried_does_not_hold_up_the_others(empty_catalog: Catalog) -> None:
    """It is logged, and seen to again at the next look."""
    process = Process(empty_catalog, SharedJobs(), "a", at_once=2)
    _add(empty_catalog, KEY)
    (task,) = empty_catalog.claims.claim(WorkKind.REPORT, lambda w: w.first("SCANNER", 1), "z")
    assert empty_catalog.claims.die(task.of, task.serial, "odd")
    other = TaskKey(WorkKind.REPORT, "OTHER", "2.25.2")
    _add(empty_catalog, other)

    def fails(_: Task) -> None:
        raise ValueError("nobody foresaw this")

    process.due = DueWork(process.engine, empty_catalog.claims, "a", lambda: 0.0)
    process.engine.workflows.clear()
    process.due.add([Handler(WorkKind.REPORT, 2, process.do, fails, in_turn())])
    process.due.look(WorkKind.REPORT)
    process.run()
    assert process.did == [other.key]
    left = empty_catalog.work.task(KEY)
    assert left is not None
    assert left.state is WorkState.DEAD


def test_a_job_that_ended_while_others_were_resumed_leaves_its_place(
    empty_catalog: Catalog,
) -> None:
    """The engine resumes jobs as soon as it is launched, before their rows were looked at."""
    _add(empty_catalog, KEY)
    shared = SharedJobs()
    killed = Process(empty_catalog, shared, "a", at_once=1)
    killed.due.look(WorkKind.REPORT)
    again = Process(empty_catalog, shared, "a", at_once=1)
    again.due.resume(lambda: assert_ran(again))
    assert again.did == [KEY.key]
    other = TaskKey(WorkKind.REPORT, "OTHER", "2.25.2")
    _add(empty_catalog, other)
    again.due.look(WorkKind.REPORT)
    again.run()
    assert again.did == [KEY.key, other.key]


def test_a_job_that_another_process_resumed_leaves_its_place_after_a_while(
    empty_catalog: Catalog,
) -> None:
    """The engine's queue of what is to be resumed is shared by all who use its database."""
    _add(empty_catalog, KEY)
    shared = SharedJobs()
    Process(empty_catalog, shared, "a", at_once=1).due.look(WorkKind.REPORT)
    again = Process(empty_catalog, shared, "a", at_once=1)
    another = Process(empty_catalog, shared, "b", at_once=1)
    again.due.resume(lambda: None)
    another.engine.run("a")
    assert (another.did, again.run()) == ([KEY.key], 0)
    _add(empty_catalog, other := TaskKey(WorkKind.REPORT, "OTHER", "2.25.2"))
    again.due.look(WorkKind.REPORT)
    assert again.run() == 0
    again.seconds += UNBEGUN_S + 1
    again.due.look(WorkKind.REPORT)
    assert again.run() == 1
    assert again.did == [other.key]


def test_a_resumed_job_that_runs_for_long_keeps_its_claim(empty_catalog: Catalog) -> None:
    """It began before the rows were looked at; it is no job that never began."""
    _add(empty_catalog, KEY)
    shared = SharedJobs()
    Process(empty_catalog, shared, "a", at_once=1).due.look(WorkKind.REPORT)
    again = Process(empty_catalog, shared, "a", at_once=1)
    began, ends = threading.Event(), threading.Event()

    def slow(task: Task) -> None:
        began.set()
        assert ends.wait(60)
        empty_catalog.work.done(task)

    again.due = DueWork(again.engine, empty_catalog.claims, "a", lambda: again.seconds)
    again.engine.workflows.clear()
    again.due.add([Handler(WorkKind.REPORT, 1, slow, again.bury, in_turn())])
    thread = threading.Thread(target=again.run)

    def launch() -> None:
        thread.start()
        assert began.wait(60)

    try:
        again.due.resume(launch)
        assert began.wait(60)
        again.seconds += UNBEGUN_S + 1
        other = TaskKey(WorkKind.REPORT, "OTHER", "2.25.2")
        _add(empty_catalog, other)
        again.due.look(WorkKind.REPORT)
        waits = empty_catalog.work.task(other)
        assert waits is not None
        assert waits.state is WorkState.WAITING  # its place is taken
    finally:
        ends.set()
        thread.join()
    again.due.look(WorkKind.REPORT)
    waits = empty_catalog.work.task(other)
    assert waits is not None
    assert waits.state is WorkState.CLAIMED


def test_what_is_asked_for_while_its_batch_is_cancelled_is_due(
    empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order finds nothing pending that it can see yet: the other transaction goes on."""
    for number in range(2):
        empty_catalog.studies.record(stored(number), 100.0)
    uids = [stored(number).sop_instance_uid for number in range(2)]
    empty_catalog.deliveries.add("b", "pacs", uids[:1], 100.0)
    real = empty_catalog.work.add
    cancelled: list[int] = []

    def cancel() -> None:
        cancelled.append(empty_catalog.orders.give(CANCEL, Scope("pacs", uids[0]), 101.0))

    thread = threading.Thread(target=cancel)

    def add(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        if not thread.ident:
            thread.start()
            thread.join(1.0)  # it waits for the end of this transaction

    monkeypatch.setattr(empty_catalog.work, "add", add)
    empty_catalog.deliveries.add("b", "pacs", uids[1:], 101.0)
    thread.join(60)
    assert cancelled == [1]
    assert dict(empty_catalog.delivery_states.counted(Scope())["pacs"]) == {
        "cancelled": 1,
        "pending": 1,
    }
    task = empty_catalog.work.task(TaskKey(WorkKind.DELIVER, "pacs", "b"))
    assert task is not None
    assert task.state is WorkState.WAITING


def test_what_is_written_after_the_clock_was_set_forward_is_not_moved(
    empty_catalog: Catalog, moment: Moment
) -> None:
    """Due by the new clock, before any look has found that it was set: a day too late."""
    early, late = KEY, TaskKey(WorkKind.REPORT, "SCANNER", "2.25.2")
    process = Process(empty_catalog, SharedJobs(), "a", at_once=1)
    process.due.look(WorkKind.REPORT)
    with empty_catalog.write() as connection:
        empty_catalog.work.add(connection, early, wait_s=60.0)
    moment.now += 86400.0
    with empty_catalog.write() as connection:
        empty_catalog.work.add(connection, late, wait_s=60.0)
    moment.now += 0.5
    process.due.look(WorkKind.REPORT)
    waits = {
        task.key: task.due_at - moment.now
        for task in empty_catalog.work.open(WorkKind.REPORT, "SCANNER")
    }
    assert waits[early.key] == pytest.approx(60.0, abs=1.0)
    assert waits[late.key] == pytest.approx(60.0, abs=1.0)

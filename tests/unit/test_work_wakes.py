"""Who looks for work is woken as soon as this process has made some, or has room; not before."""

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

from node.model.work import Task, TaskKey, WorkKind
from node.pipeline import ticker
from node.pipeline.due import DueWork, Handler, in_turn
from node.pipeline.ticker import Ticker
from node.store.catalog import Catalog
from node.store.work.wakes import Wakes

KEYS = [TaskKey(WorkKind.REPORT, "SCANNER", f"2.25.{number}") for number in range(3)]


def woken(catalog: Catalog) -> list[WorkKind]:
    """Return the kinds whose looks are woken."""
    return [kind for kind in WorkKind if catalog.claims.wakes.event(kind).is_set()]


def test_a_look_is_woken_once_the_row_can_be_seen(
    empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Woken before the commit it would find nothing, and rest."""
    seen: list[Task | None] = []

    def look() -> None:
        with closing(Catalog(empty_catalog.url)) as another:
            seen.append(another.work.task(KEYS[0]))

    def wake(_: Wakes, kind: WorkKind) -> Callable[[], None]:
        assert kind is WorkKind.REPORT
        return look

    monkeypatch.setattr(Wakes, "wake", wake)
    with empty_catalog.write() as connection:
        empty_catalog.work.add(connection, KEYS[0])
        assert seen == []

    assert [task and task.of for task in seen] == [KEYS[0]]


def test_only_the_look_at_the_kind_that_was_added_is_woken(empty_catalog: Catalog) -> None:
    """A delivery of a thousand instances is no reason to look at anything else."""
    with empty_catalog.write() as connection:
        empty_catalog.work.add(connection, KEYS[0])
        empty_catalog.work.add(connection, KEYS[1])
        assert woken(empty_catalog) == []

    assert woken(empty_catalog) == [WorkKind.REPORT]


def test_what_is_hastened_wakes_its_look(empty_catalog: Catalog) -> None:
    """What waits for an hour is due now."""
    with empty_catalog.write() as connection:
        empty_catalog.work.add(connection, KEYS[0], wait_s=3600)
    empty_catalog.claims.wakes.event(WorkKind.REPORT).clear()

    with empty_catalog.write() as connection:
        assert empty_catalog.work.hasten(connection, KEYS[0], anew=True) == 1

    assert woken(empty_catalog) == [WorkKind.REPORT]


def test_what_is_rolled_back_wakes_nobody_later(empty_catalog: Catalog) -> None:
    """The connection is used again, by another transaction."""

    def fail() -> None:
        with empty_catalog.write() as connection:
            empty_catalog.work.add(connection, KEYS[0])
            raise ArithmeticError

    with suppress(ArithmeticError):
        fail()
    with empty_catalog.write() as connection:
        empty_catalog.work.lock(connection, KEYS[0])

    assert woken(empty_catalog) == []


class ThreadedJobs:
    """Stands for the engine: each job in a thread of its own, from its start."""

    def workflow(
        self, name: str, lives: int
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Leave a function as it is."""
        assert name
        assert lives
        return lambda function: function

    def start(self, job: str, workflow: Callable[..., Any], *arguments: Any) -> None:
        """Run a job."""
        threading.Thread(target=workflow, args=arguments, name=job).start()


def test_what_is_added_is_begun_at_once_and_the_next_when_there_is_room(
    empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look comes by the clock here, and nobody watches the rows."""
    monkeypatch.setattr(ticker, "WATCH_S", 600.0)
    monkeypatch.setattr(ticker, "LONGEST_REST_S", 600.0)
    did: list[str] = []
    all_done = threading.Event()

    def do(task: Task) -> None:
        did.append(task.key)
        empty_catalog.work.done(task)
        if len(did) == len(KEYS):
            all_done.set()

    due = DueWork(ThreadedJobs(), empty_catalog.claims, "worker")
    due.add([Handler(WorkKind.REPORT, 1, do, do, in_turn())])
    due.resume(lambda: None)
    with Ticker([], due.looks(), lambda: False):
        with empty_catalog.write() as connection:
            for key in KEYS:
                empty_catalog.work.add(connection, key)
        assert all_done.wait(60)

    assert sorted(did) == [key.key for key in KEYS]

"""Work that is due: claimed once, by whomever; what a dead process was at is done by another."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.model.states import WorkState
from node.model.work import Task, TaskKey, WorkKind
from node.store.catalog import Catalog
from node.store.work.claims import Claims
from node.store.work.due_clock import DueClock
from node.store.work.leases import LEASE_S, Leases
from node.store.work.waiting import Waiting
from node.store.work.wakes import Wakes
from node.store.work.work import Work
from tests.peers import ROOT

KEY = TaskKey(WorkKind.REPORT, "SCANNER", "2.25.1")


class Time:
    """The database's clock as the test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def time() -> Time:
    """Return a clock that the test sets."""
    return Time()


@dataclass(frozen=True)
class Due:
    """The owner of what is due, by a clock that the test sets."""

    work: Work
    claims: Claims


@pytest.fixture
def due(empty_catalog: Catalog, time: Time) -> Due:
    """Return the owner of an empty table, on each of the two databases."""
    clock = DueClock(time)
    wakes = Wakes()
    claims = Claims(empty_catalog, clock, Leases(clock), wakes)
    return Due(Work(empty_catalog, clock, wakes), claims)


def add(catalog: Catalog, due: Due, *keys: TaskKey, wait_s: float = 0.0) -> None:
    """Let things be done after a wait."""
    with catalog.write() as connection:
        for key in keys:
            due.work.add(connection, key, wait_s=wait_s)


def everything(waiting: Waiting) -> list[Task]:
    """Choose all that is due."""
    return [one for lane in waiting.lanes() for one in waiting.first(lane, 1000)]


def claimed(due: Due, holder: str = "a") -> list[Task]:
    """Claim all that is due."""
    return due.claims.claim(WorkKind.REPORT, everything, holder)


def live_on(due: Due, time: Time, seconds: float, holder: str, *held: Task) -> list[Task]:
    """Let a process look now and then for so long; return what it is given."""
    given: list[Task] = []
    for _ in range(int(seconds / 10)):
        time.now += 10
        mine = {one.of: one.serial for one in (*held, *given)}
        given += due.claims.claim(WorkKind.REPORT, everything, holder, mine)
    return given


def test_what_is_due_is_claimed_once(empty_catalog: Catalog, due: Due, time: Time) -> None:
    """In the order of its lanes and its times; what is not due waits."""
    other = TaskKey(WorkKind.REPORT, "A", "2")
    add(empty_catalog, due, KEY, other)
    add(empty_catalog, due, TaskKey(WorkKind.REPORT, "A", "1"), wait_s=1.0)

    assert [(one.of, one.serial) for one in claimed(due)] == [(other, 1), (KEY, 1)]
    assert claimed(due, "b") == []
    time.now += 1
    assert [one.key for one in claimed(due, "b")] == ["1"]


def test_the_urgent_come_first_and_alone_where_only_they_may(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """A window holds up all others."""
    with empty_catalog.write() as connection:
        for number in range(4):
            key = TaskKey(WorkKind.REPORT, "A", str(number))
            due.work.add(connection, key, urgent=number in (1, 3))

    def urgent(waiting: Waiting) -> list[Task]:
        return waiting.first("A", 10, only_urgent=True)

    def two(waiting: Waiting) -> list[Task]:
        return waiting.first("A", 3)

    with empty_catalog.read() as connection:
        assert [one.key for one in two(Waiting(connection, WorkKind.REPORT, time.now))] == [
            "1", "3", "0",
        ]  # fmt: skip
    assert [one.key for one in due.claims.claim(WorkKind.REPORT, urgent, "a")] == ["1", "3"]


def test_who_chooses_sees_what_is_claimed_in_each_lane(empty_catalog: Catalog, due: Due) -> None:
    """So that a destination keeps its connections, whoever claims."""
    add(empty_catalog, due, *[TaskKey(WorkKind.REPORT, "A", str(n)) for n in range(3)])
    seen: list[dict[str, int]] = []

    def one_each(waiting: Waiting) -> Sequence[Task]:
        seen.append(waiting.claimed())
        return [] if waiting.claimed() else waiting.first("A", 1)

    assert len(due.claims.claim(WorkKind.REPORT, one_each, "a")) == 1
    assert due.claims.claim(WorkKind.REPORT, one_each, "b") == []
    assert seen == [{}, {"A": 1}]


def test_many_threads_claim_nothing_twice(empty_catalog: Catalog, due: Due) -> None:
    """And nothing is left over."""
    keys = [TaskKey(WorkKind.REPORT, f"lane {n % 3}", str(n)) for n in range(60)]
    add(empty_catalog, due, *keys)
    given: list[Task] = []

    def some(waiting: Waiting) -> list[Task]:
        return [one for lane in waiting.lanes() for one in waiting.first(lane, 2)]

    def takes(name: str) -> None:
        while found := due.claims.claim(WorkKind.REPORT, some, name):
            given.extend(found)

    threads = [threading.Thread(target=takes, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(one.of for one in given) == Counter(keys)


CLAIMER = """
import sys, threading
from node.model.work import WorkKind
from node.store.catalog import Catalog

catalog = Catalog(sys.argv[1], lambda: 1000.0)
def some(waiting):
    return [one for lane in waiting.lanes() for one in waiting.first(lane, 1)]
print("ready", flush=True)
sys.stdin.readline()
while found := catalog.claims.claim(WorkKind.REPORT, some, sys.argv[2]):
    for one in found:
        print(one.key, flush=True)
catalog.close()
"""


def test_two_processes_claim_nothing_twice(empty_catalog: Catalog, due: Due) -> None:
    """As two workers do, on either database."""
    keys = [TaskKey(WorkKind.REPORT, f"lane {n % 2}", str(n)) for n in range(60)]
    add(empty_catalog, due, *keys)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, empty_catalog.url, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = [process.communicate("go\n", timeout=120)[0].split() for process in processes]

    assert Counter(told[0] + told[1]) == Counter(one.key for one in keys)
    assert [process.returncode for process in processes] == [0, 0]


def test_a_job_begins_only_while_its_claim_holds(empty_catalog: Catalog, due: Due) -> None:
    """Queued twice, resumed late, of an earlier claim: it does nothing."""
    add(empty_catalog, due, KEY)
    (task,) = claimed(due)

    begun = due.claims.begin(KEY, task.serial, lives=3)
    assert begun is not None
    assert begun.of == KEY
    assert due.claims.begin(KEY, task.serial - 1, lives=3) is None
    assert due.work.later(task, 0.0, attempts=1, reason="nobody there")
    assert due.claims.begin(KEY, task.serial, lives=3) is None
    (again,) = claimed(due)
    assert (again.serial, again.attempts, again.reason) == (2, 1, "nobody there")
    assert not due.work.done(task)
    assert due.work.done(again)
    assert not due.work.later(again, 0.0, attempts=0)


def test_the_lease_of_a_dead_process_ends(empty_catalog: Catalog, due: Due, time: Time) -> None:
    """Another has it, and whoever wakes up again is stale."""
    add(empty_catalog, due, KEY)
    (task,) = claimed(due, "dead")

    assert live_on(due, time, LEASE_S, "alive") == []
    (again,) = live_on(due, time, 10, "alive")

    assert again.of == KEY
    assert again.serial > task.serial
    assert due.claims.begin(KEY, task.serial, lives=3) is None
    assert not due.work.done(task)
    assert not due.claims.die(KEY, task.serial, "too late")
    assert due.claims.begin(KEY, again.serial, lives=3) is not None


def test_the_lease_of_a_living_process_does_not_end(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """However long it is at it."""
    add(empty_catalog, due, KEY)
    (task,) = claimed(due)

    assert live_on(due, time, 10 * LEASE_S, "a", task) == []
    assert due.work.done(task)


def test_nobody_loses_a_lease_where_all_were_stopped(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """The database was gone for an hour, or the machine slept."""
    add(empty_catalog, due, KEY)
    (task,) = claimed(due)
    time.now += 3600

    assert claimed(due, "another") == []
    assert due.work.done(task)


def test_what_kills_its_process_each_time_is_dead(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """Counted in the row: neither a new process nor another machine begins anew."""
    add(empty_catalog, due, KEY)
    for _ in range(2):
        (task,) = claimed(due)
        assert due.claims.begin(KEY, task.serial, lives=3) is not None
        live_on(due, time, LEASE_S, "b")
        time.now += 1
    (task,) = claimed(due)
    assert due.claims.begin(KEY, task.serial, lives=3) is not None
    assert due.claims.begin(KEY, task.serial, lives=3) is None  # resumed once more

    (dead,) = due.claims.dead(WorkKind.REPORT)
    assert (dead.of, dead.reason) == (KEY, "its process died 3 times")
    assert claimed(due) == []
    assert due.work.later(dead, 5.0, attempts=1, reason=dead.reason)
    time.now += 5
    (again,) = claimed(due)
    assert (again.begins, again.attempts) == (0, 1)


def test_what_raised_is_dead_with_its_reason(empty_catalog: Catalog, due: Due) -> None:
    """Its kind decides what follows."""
    add(empty_catalog, due, KEY)
    (task,) = claimed(due)
    assert due.claims.die(KEY, task.serial, "ValueError at node.x:1")

    (dead,) = due.claims.dead(WorkKind.REPORT)
    assert dead.reason == "ValueError at node.x:1"
    assert due.work.done(dead)
    assert due.claims.dead(WorkKind.REPORT) == []


def test_a_process_that_starts_again_goes_on_with_what_it_was_at(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """Under its name, however long it was down; not with what others are at."""
    add(empty_catalog, due, KEY, TaskKey(WorkKind.REPORT, "B", "1"))
    mine, _ = claimed(due, "a")
    time.now += 86400

    (resumed,) = due.claims.resume("a", [WorkKind.REPORT])[:1]

    assert resumed.serial == mine.serial
    assert due.claims.resume("b", [WorkKind.REPORT]) == []
    assert claimed(due, "a") == []
    assert due.claims.begin(resumed.of, resumed.serial, lives=3) is not None


def test_what_is_added_twice_is_there_once(empty_catalog: Catalog, due: Due, time: Time) -> None:
    """What waits keeps its time, what is at work its process; what is done is due again."""
    add(empty_catalog, due, KEY, wait_s=10)
    add(empty_catalog, due, KEY)
    assert claimed(due) == []
    time.now += 10
    (task,) = claimed(due)
    add(empty_catalog, due, KEY)
    assert claimed(due) == []
    assert due.work.done(task)

    add(empty_catalog, due, KEY, wait_s=3)
    assert claimed(due) == []
    time.now += 3
    (again,) = claimed(due)
    assert again.serial > task.serial


def test_what_is_claimed_at_once_makes_others_stale(empty_catalog: Catalog, due: Due) -> None:
    """A request that is made again while its report goes out is owed a report of its own."""
    with empty_catalog.write() as connection:
        first = due.claims.claim_at_once(connection, KEY, "receiver")
    with empty_catalog.write() as connection:
        second = due.claims.claim_at_once(connection, KEY, "receiver")

    assert not due.work.done(first)
    assert due.work.done(second)


def test_what_a_process_gives_up_is_due_for_others(empty_catalog: Catalog, due: Due) -> None:
    """At its end, or at the start of its successor; what others are at stays theirs."""
    with empty_catalog.write() as connection:
        mine = due.claims.claim_at_once(connection, KEY, "receiver")
    add(empty_catalog, due, TaskKey(WorkKind.REPORT, "B", "1"))
    (other,) = claimed(due, "b")

    assert due.claims.give_up("receiver", [WorkKind.REPORT]) == 1
    assert [one.of for one in claimed(due, "b")] == [KEY]
    assert not due.work.done(mine)
    assert due.work.done(other)


def test_a_lane_that_is_away_is_put_off(empty_catalog: Catalog, due: Due, time: Time) -> None:
    """All that is due in it waits as if it had been tried; other lanes do not."""
    mine = [TaskKey(WorkKind.REPORT, "A", str(n)) for n in range(3)]
    add(empty_catalog, due, *mine, TaskKey(WorkKind.REPORT, "B", "1"))

    due.work.put_off(WorkKind.REPORT, "A", lambda attempts: 10.0 * attempts, "nobody there")

    assert [one.lane for one in claimed(due)] == ["B"]
    time.now += 10
    assert [(one.attempts, one.reason) for one in claimed(due)] == [(1, "nobody there")] * 3


@pytest.mark.parametrize("seconds", [-3600.0, 86400.0, -6.0])
def test_a_clock_that_is_set_moves_what_is_due(
    empty_catalog: Catalog, due: Due, time: Time, seconds: float
) -> None:
    """Half a minute is half a minute, whatever the clock says then."""
    add(empty_catalog, due, KEY, wait_s=30)
    (task,) = due.work.open(WorkKind.REPORT, "SCANNER")
    assert claimed(due) == []
    time.now += seconds

    assert claimed(due) == []
    (moved,) = due.work.open(WorkKind.REPORT, "SCANNER")
    assert moved.due_at == task.due_at + seconds
    assert [one.of for one in live_on(due, time, 30, "a")] == [KEY]


def test_time_that_passed_while_nobody_ran_has_passed(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """After a day without a node, what was to be tried in an hour is due."""
    add(empty_catalog, due, KEY, wait_s=3600)
    assert claimed(due) == []
    time.now += 86400

    due.claims.resume("a", [WorkKind.REPORT])
    assert [one.of for one in claimed(due)] == [KEY]


def test_a_clock_set_back_while_nobody_ran_delays_nothing(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """The battery of a machine was empty: it starts in another year."""
    add(empty_catalog, due, KEY, wait_s=30)
    assert claimed(due) == []
    time.now -= 1e8

    due.claims.resume("a", [WorkKind.REPORT])
    assert claimed(due) == []
    assert [one.of for one in live_on(due, time, 30, "a")] == [KEY]


def test_a_look_that_finds_nothing_writes_nothing(
    empty_catalog: Catalog, due: Due, time: Time
) -> None:
    """Each commit waits for a disk, and a node looks twice a second."""
    add(empty_catalog, due, KEY, wait_s=30)
    assert claimed(due) == []
    writes: list[str] = []
    sa.event.listen(
        empty_catalog.engine, "before_cursor_execute", lambda *a: writes.append(str(a[2]))
    )

    for _ in range(9):
        time.now += 0.5
        assert claimed(due) == []

    assert not [one for one in writes if one.startswith(("UPDATE", "INSERT"))]


def test_the_clock_is_that_of_the_database(empty_catalog: Catalog, tmp_path: Path) -> None:
    """Seconds since the epoch; on PostgreSQL those of the server."""
    import time as system

    before = system.time()
    with empty_catalog.read() as connection:
        now = DueClock().now(connection)
    assert before - 5 <= now <= system.time() + 5


def test_states_of_a_task_are_what_the_table_says(empty_catalog: Catalog, due: Due) -> None:
    """Waiting, claimed, done."""
    add(empty_catalog, due, KEY)
    states: list[WorkState] = []
    for step in (lambda: None, lambda: claimed(due), lambda: due.work.done(_now(due))):
        step()
        states.append(_now(due).state)
    assert states == [WorkState.WAITING, WorkState.CLAIMED, WorkState.DONE]


def _now(due: Due) -> Task:
    task = due.work.task(KEY)
    assert task is not None
    return task


def test_an_end_in_good_order_is_no_death(empty_catalog: Catalog, due: Due) -> None:
    """Ten updates during a long segmentation are not the segmentation's fault; kills are."""
    add(empty_catalog, due, KEY)
    (task,) = claimed(due)
    for _ in range(10):
        assert due.claims.begin(KEY, task.serial, lives=3) is not None
        due.claims.end_in_order("another")
        due.claims.end_in_order("a")
    for _ in range(3):
        assert due.claims.begin(KEY, task.serial, lives=3) is not None
    assert due.claims.begin(KEY, task.serial, lives=3) is None
    due.claims.end_in_order("a")
    assert [dead.reason for dead in due.claims.dead(KEY.kind)] == ["its process died 3 times"]

"""Two who change the same rows wait for one another in one order: PostgreSQL never ends one.

One is stopped after each of its statements in turn, while the other does all that it can: whatever
locks they take, both of them end.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from node.deliver import breaker
from node.errors import DecisionError, StoreError
from node.model.commitment import Failed, Reference, Remedied
from node.model.failures import FailureKind
from node.model.states import DeliveryState, RevisionState
from node.model.work import Task, TaskKey, WorkKind
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL, REPLAY, REPLAY_DELIVERED
from node.store.deliveries.scope import Scope
from node.store.studies.candidates import Candidate
from node.store.work.leases import LEASE_S
from node.store.work.waiting import Waiting
from node.upkeep.quarantine import wanted
from tests.due_time import Moment
from tests.peers import RunningPostgresql
from tests.store_rows import SERIES, STUDY, catalog_on, stored, uid

pytestmark = pytest.mark.postgresql

STOPPED_S = 0.15
CT = stored(0).sop_class_uid
T1 = "2.25.1"
REFERENCES = [Reference(CT, uid(number)) for number in range(3)]

Act = Callable[[Catalog], object]


@dataclass
class Actor:
    """Somebody with connections of its own, who can be stopped after a statement."""

    catalog: Catalog
    stop_after: int = -1
    done: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    failed: list[StoreError] = field(default_factory=list)

    def __post_init__(self) -> None:
        sa.event.listen(self.catalog.engine, "after_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self.done += 1
        if self.done == self.stop_after:
            self.stopped.set()
            assert self.goes_on.wait(60)

    def act(self, act: Act) -> threading.Thread:
        """Do something in a thread."""

        def run() -> None:
            try:
                act(self.catalog)
            except DecisionError:
                pass  # the other was first
            except StoreError as error:
                self.failed.append(error)
            finally:
                self.stopped.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread


@pytest.fixture
def moment() -> Moment:
    """Return the clock that work is due by."""
    return Moment(1000.0)


@pytest.fixture
def catalog(postgresql_server: RunningPostgresql, moment: Moment) -> Iterator[Catalog]:
    """Give an empty catalog, for rows to be put in anew."""
    with catalog_on(postgresql_server.url, moment) as made:
        yield made


def _empty(catalog: Catalog) -> None:
    tables = "work, due_clock, delivery, outlet, instance, series, revision, quarantine"
    commitment = "commitment_request, commitment_part, commitment_promise"
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql(f"TRUNCATE {tables}, {commitment}")


def _meet(catalog: Catalog, prepare: Act, first: Act, second: Act) -> int:
    """Stop the first one after each of its statements in turn; return how many it makes."""
    statement = 0
    while True:
        statement += 1
        _empty(catalog)
        prepare(catalog)
        a, b = (
            Actor(Catalog(catalog.url, lambda: 1000.0), statement),
            Actor(Catalog(catalog.url, lambda: 1000.0)),
        )
        running = a.act(first)
        assert a.stopped.wait(60)
        other = b.act(second)
        other.join(STOPPED_S)
        a.goes_on.set()
        running.join(60)
        other.join(60)
        assert (a.failed, b.failed) == ([], []), f"stopped after statement {statement}"
        a.catalog.close()
        b.catalog.close()
        if a.done < statement:
            return statement - 1


# -- what is there


def _delivered(catalog: Catalog) -> None:
    for number in range(3):
        catalog.studies.record(stored(number), 100.0)
    catalog.deliveries.add("b", "pacs", [uid(n) for n in range(3)], 101.0)
    for number in range(3):
        catalog.deliveries.put_outcome(uid(number), "pacs", DeliveryState.DELIVERED, "", 102.0)


def _decide(*_: object) -> Remedied:
    return Remedied("send", 0.0, "lost")


def _asked(catalog: Catalog) -> None:
    """One of three is to be sent again already; what of the others, the peer has yet to say."""
    _delivered(catalog)
    assert catalog.requests.open("pacs", T1, 9, 1000.0, 2000.0) == 3
    catalog.requests.begin(T1)
    catalog.reports.take(T1, [], [Failed(REFERENCES[0], 0x0112)], _decide, 1001.0)


def _claims(catalog: Catalog) -> dict[TaskKey, int]:
    """Two batches that this process is at, its leases old; one whose process is gone."""
    for number in range(4):
        catalog.studies.record(stored(number), 100.0)
        catalog.deliveries.add(f"b{number}", "pacs", [uid(number)], 101.0)
    early = Catalog(catalog.url, lambda: 1000.0 - LEASE_S - 1)

    def three(waiting: Waiting) -> list[Task]:
        return waiting.first("pacs", 9)[:3]

    with early.write() as connection:
        connection.exec_driver_sql("UPDATE work SET due_at = 0, changed_at = 0")
        connection.exec_driver_sql("DELETE FROM due_clock")
    given = early.claims.claim(WorkKind.DELIVER, three, "a")
    early.close()
    with catalog.write() as connection:
        connection.exec_driver_sql("UPDATE due_clock SET seen_at = 990")
    assert len(given) == 3
    return {task.of: task.serial for task in reversed(given[1:])}


def _held(catalog: Catalog) -> None:
    catalog.studies.record(stored(0), 100.0)
    catalog.revisions.settle(SERIES, {}, 101.0)
    catalog.revisions.finish(SERIES, 1, RevisionState.UNUSABLE, "ERROR", FailureKind.SEGMENTATION)
    for hold in wanted(catalog.unheld.revisions(), [], []):
        catalog.quarantine.hold(hold, 102.0)


def _opened(catalog: Catalog) -> None:
    failed = partial(breaker.failed, reason="nobody there", break_after=1)
    catalog.outlets.change_circuit("pacs", failed, 100.0)
    catalog.claims.claim(WorkKind.PROBE, lambda w: w.first("pacs", 1), "a")


# -- what is done


def _look(catalog: Catalog) -> None:
    held = {TaskKey(WorkKind.DELIVER, "pacs", f"b{number}"): 1 for number in (2, 1)}
    catalog.claims.claim(WorkKind.DELIVER, lambda w: w.first("pacs", 9), "a", held)


def _hasten(catalog: Catalog) -> None:
    catalog.orders.hasten(Scope("pacs"))


def _give_up(catalog: Catalog) -> None:
    catalog.claims.give_up("a", [WorkKind.DELIVER])


def _take(catalog: Catalog) -> None:
    failed = [Failed(REFERENCES[2], 0x0112), Failed(REFERENCES[1], 0x0112)]
    assert catalog.reports.take(T1, [], failed, _decide, 1002.0)


def _fail(catalog: Catalog) -> None:
    catalog.requests.fail(T1, "no answer", lambda _: 30.0, 1002.0)


def _order(order: Any) -> Act:
    return lambda catalog: catalog.orders.give(order, Scope("pacs"), 1002.0)


def _start_again(catalog: Catalog) -> None:
    for held in catalog.quarantine.held():
        catalog.quarantine.start_again(held, 103.0)


def _begin_round(catalog: Catalog) -> None:
    candidate = Candidate(STUDY, SERIES, 1, "through")
    catalog.quarantine.begin_round(candidate, False, 103.0)


def _promise(catalog: Catalog) -> Task | None:
    return catalog.promises.promise(T1, "SCANNER", REFERENCES, "receiver", 100.0)


def _keep(catalog: Catalog) -> None:
    task = catalog.work.task(TaskKey(WorkKind.REPORT, "SCANNER", T1))
    assert task is not None
    catalog.promises.keep(task, [stored(0)], 101.0)


def _end_probe(catalog: Catalog) -> None:
    task = catalog.work.task(TaskKey(WorkKind.PROBE, "pacs", ""))
    assert task is not None
    catalog.outlets.end_probe(task, breaker.probe_answered, 101.0, lambda _: 30.0)


def _probe_now(catalog: Catalog) -> None:
    catalog.outlets.probe_at_once("pacs", breaker.hastened, 101.0)


def _add(catalog: Catalog) -> None:
    catalog.deliveries.add("b", "pacs", [uid(n) for n in (2, 1, 0)], 101.0)


PAIRS: dict[str, tuple[Act, Act, Act]] = {
    "claim, hasten": (_claims, _look, _hasten),
    "hasten, give up": (_claims, _hasten, _give_up),
    "report, replay": (_asked, _take, _order(REPLAY)),
    "report, send again": (_asked, _take, _order(REPLAY_DELIVERED)),
    "report, cancel": (_asked, _take, _order(CANCEL)),
    "report, request failed": (_asked, _take, _fail),
    "run again, new round": (_held, _start_again, _begin_round),
    "reported, asked again": (_promise, _keep, _promise),
    "probe, now": (_opened, _end_probe, _probe_now),
    "add, send again": (_delivered, _add, _order(REPLAY_DELIVERED)),
}


@pytest.mark.parametrize("turned", [False, True], ids=["", "the other way round"])
@pytest.mark.parametrize("pair", PAIRS)
def test_neither_is_ended_for_the_other(catalog: Catalog, pair: str, turned: bool) -> None:
    """An operator's order is obeyed, a report kept: nobody has to come again."""
    prepare, first, second = PAIRS[pair]
    if turned:
        first, second = second, first

    assert _meet(catalog, prepare, first, second) >= 3

"""A revision is done as its rows say, whoever has it run again, is slow, or is there twice."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from node.model.failures import FailureKind, HoldKind
from node.model.keys import HeldRevision, RevisionKey
from node.model.records import Hold
from node.model.states import RevisionState
from node.model.work import (
    SegmentationPlan,
    Task,
    WorkKind,
    recognition_of,
    segmentation_of,
)
from node.pipeline import workflows
from node.pipeline.due import UNBURIED_S, DueWork, Handler, in_turn
from node.pipeline.giving_up import GivingUp
from node.pipeline.stages import Stages
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.studies.revisions import Ending
from tests.due_time import Moment, pass_time, revisions_due, task_claimed
from tests.inline_jobs import HandEngine, InlineJobs
from tests.store_rows import SERIES, STUDY, stored

ROUTED = Ending(RevisionState.QUEUED, segmentation=SegmentationPlan(("pacs",)))
DONE = Ending(RevisionState.DONE)


def settled(catalog: Catalog, *series: str) -> None:
    """Let each of these series have its first revision."""
    for uid in series or (SERIES,):
        catalog.studies.record(stored(1, series=uid), 100.0)
        assert catalog.revisions.settle(uid, {}, 101.0) == 1


def held(catalog: Catalog) -> Callable[[], None]:
    """Let the revision be held; return what has it run again."""
    catalog.quarantine.hold(Hold(HoldKind.MIXED, STUDY, SERIES, HeldRevision(1), "x"), 201.0)
    (one,) = catalog.quarantine.held()
    return lambda: catalog.quarantine.start_again(one, 202.0)


def at_work(catalog: Catalog, kind: WorkKind) -> Task:
    """Return the claim of the first revision's recognition or segmentation."""
    settled(catalog)
    task = task_claimed(catalog, WorkKind.RECOGNISE)
    if kind is WorkKind.RECOGNISE:
        return task
    assert catalog.revisions.end(task, ROUTED)
    return task_claimed(catalog, WorkKind.SEGMENT)


def together(*each: Callable[[], object]) -> list[BaseException]:
    """Run these at once; return what they raised."""
    raised: list[BaseException] = []
    ready = threading.Barrier(len(each))

    def run(one: Callable[[], object]) -> None:
        ready.wait(60)
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@pytest.mark.parametrize("kind", [WorkKind.RECOGNISE, WorkKind.SEGMENT])
@pytest.mark.parametrize("first", ["end", "replay", "both"])
def test_a_replay_while_a_job_ends_begins_anew_whichever_comes_first(
    empty_catalog: Catalog, kind: WorkKind, first: str
) -> None:
    """The new round is at its beginning, and nothing of the old one is due or claimed."""
    task = at_work(empty_catalog, kind)
    replay = held(empty_catalog)
    ending = ROUTED if kind is WorkKind.RECOGNISE else DONE

    def end() -> None:
        empty_catalog.revisions.end(task, ending)

    steps = [end, replay] if first == "end" else [replay, end]
    raised = together(*steps) if first == "both" else [step() for step in steps]

    assert raised in ([], [None, None])
    (row,) = empty_catalog.revisions.of_series(SERIES)
    assert row.state is RevisionState.COMPLETE
    assert revisions_due(empty_catalog) == [(SERIES, 1)]
    assert empty_catalog.work.open(WorkKind.SEGMENT, "") == []
    again = task_claimed(empty_catalog, WorkKind.RECOGNISE)
    assert again.of != task.of or again.serial > task.serial


@pytest.mark.parametrize("kind", [WorkKind.RECOGNISE, WorkKind.SEGMENT])
def test_a_reprocess_while_a_job_is_at_work_changes_nothing(
    empty_catalog: Catalog, kind: WorkKind
) -> None:
    """It is judged by the rules of today anyway; its end is told as if nobody had asked."""
    task = at_work(empty_catalog, kind)
    (candidate,) = empty_catalog.candidates.named(SERIES)

    assert candidate.standing == "in work"
    assert not empty_catalog.quarantine.begin_round(candidate, True, 202.0)

    assert empty_catalog.work.task(task.of) == task
    assert empty_catalog.revisions.end(task, DONE)
    (candidate,) = empty_catalog.candidates.named(SERIES)
    assert empty_catalog.quarantine.begin_round(candidate, True, 203.0)
    assert task_claimed(empty_catalog, WorkKind.RECOGNISE).key == task.key


def test_a_new_revision_is_work_of_its_own(empty_catalog: Catalog) -> None:
    """While the one before is at work: neither waits for the other, or ends it."""
    first = at_work(empty_catalog, WorkKind.SEGMENT)
    empty_catalog.studies.record(stored(2, at=110.0), 110.0)
    assert empty_catalog.revisions.settle(SERIES, {}, 111.0) == 2

    second = task_claimed(empty_catalog, WorkKind.RECOGNISE)
    assert RevisionKey.parse(second.key) == RevisionKey(SERIES, 2)
    assert empty_catalog.revisions.end(second, ROUTED)
    assert empty_catalog.revisions.end(first, DONE)

    assert [one.state for one in empty_catalog.revisions.of_series(SERIES)] == ["done", "queued"]
    assert task_claimed(empty_catalog, WorkKind.SEGMENT).key == second.key


@pytest.mark.parametrize("at", ["settled", "add"])
def test_a_revision_has_its_work_or_is_not_there(
    empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Killed between the two rows, the next look settles it; there is nothing in between."""
    empty_catalog.studies.record(stored(1), 100.0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    owner = empty_catalog.studies if at == "settled" else empty_catalog.work
    with monkeypatch.context() as patch:
        patch.setattr(owner, at, killed)
        with pytest.raises(KeyboardInterrupt):
            empty_catalog.revisions.settle(SERIES, {}, 101.0)

    assert empty_catalog.revisions.of_series(SERIES) == []
    assert revisions_due(empty_catalog) == []
    assert empty_catalog.revisions.settle(SERIES, {}, 102.0) == 1
    assert revisions_due(empty_catalog) == [(SERIES, 1)]


@pytest.mark.parametrize("round_of", ["replay", "reprocess"])
def test_a_round_has_its_work_or_is_not_begun(
    empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch, round_of: str
) -> None:
    """An order that was killed half-way was not given."""
    task = at_work(empty_catalog, WorkKind.RECOGNISE)
    assert empty_catalog.revisions.end(
        task, Ending(RevisionState.UNUSABLE, "x", FailureKind.MIXED)
    )
    replay = held(empty_catalog)
    (candidate,) = empty_catalog.candidates.named(SERIES)
    before = empty_catalog.ledger.proof().entries

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def order() -> object:
        if round_of == "replay":
            return replay()
        return empty_catalog.quarantine.begin_round(candidate, False, 203.0)

    with monkeypatch.context() as patch:
        patch.setattr(empty_catalog.work, "restart", killed)
        with pytest.raises(KeyboardInterrupt):
            order()
    assert revisions_due(empty_catalog) == []
    assert empty_catalog.ledger.proof().entries == before

    order()
    assert revisions_due(empty_catalog) == [(SERIES, 1)]


def test_the_end_of_a_recognition_is_one_with_the_segmentation_that_follows(
    empty_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between them, the recognition is still ours to end."""
    task = at_work(empty_catalog, WorkKind.RECOGNISE)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(empty_catalog.work, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            empty_catalog.revisions.end(task, ROUTED)
    assert empty_catalog.work.task(task.of) == task
    (row,) = empty_catalog.revisions.of_series(SERIES)
    assert row.state is RevisionState.COMPLETE

    assert empty_catalog.revisions.end(task, ROUTED)
    assert task_claimed(empty_catalog, WorkKind.SEGMENT).key == task.key


def test_so_many_are_at_work_and_die_so_often(catalog: Catalog) -> None:
    """A segmentation holds the one place of its network, and outlives many restarts.

    Both wait for the networks, unlike everything else.
    """
    dead = GivingUp(catalog, InstanceFiles(Path()))
    networks = SimpleNamespace(is_ready=lambda: False)
    parts = SimpleNamespace(classify=None, route=None, segment=None, networks=networks)
    stages = cast(Stages, parts)

    recognise = workflows.recognition(HandEngine(), stages, dead)
    segment = workflows.segmentation(HandEngine(), stages, dead)

    assert (recognise.kind, recognise.at_once, recognise.lives) == (WorkKind.RECOGNISE, 2, 3)
    assert (segment.kind, segment.at_once, segment.lives) == (WorkKind.SEGMENT, 1, 10)
    assert (recognise.is_ready(), segment.is_ready()) == (False, False)


class Worker:
    """One of several that recognise and segment what is due in one catalog."""

    def __init__(self, url: str, moment: Moment, name: str) -> None:
        self.catalog = Catalog(url, moment)
        self.did: list[tuple[WorkKind, str]] = []
        self.most: Counter[WorkKind] = Counter()
        self.due = DueWork(InlineJobs(), self.catalog.claims, name)
        nobody = self.nobody
        self.due.add(
            [
                Handler(WorkKind.RECOGNISE, 2, self._ending(ROUTED), nobody, in_turn()),
                Handler(WorkKind.SEGMENT, 1, self._ending(DONE), nobody, in_turn()),
            ]
        )

    def nobody(self, dead: Task) -> None:
        """Nothing dies here."""
        raise AssertionError(dead)

    def _ending(self, ending: Ending) -> Callable[[Task], None]:
        def do(task: Task) -> None:
            if self.catalog.revisions.end(task, ending):
                self.did.append((task.kind, task.key))

        return do

    def run(self, count: int) -> None:
        """Look until all of it is through."""
        for _ in range(4000):
            for kind in (WorkKind.RECOGNISE, WorkKind.SEGMENT):
                self.due.look(kind)
            found = [one.standing for one in self.catalog.candidates.named(STUDY)]
            if found.count("through") == count:
                return
        raise AssertionError("not through")


def test_two_workers_do_each_revision_once(empty_catalog: Catalog, moment: Moment) -> None:
    """Between them, and in the order in which they came as far as each can tell."""
    series = [f"{SERIES}.{number}" for number in range(12)]
    settled(empty_catalog, *series)
    workers = [Worker(empty_catalog.url, moment, name) for name in ("a", "b")]

    raised = together(*[lambda one=one: one.run(len(series)) for one in workers])

    assert raised == []
    did = Counter(done for one in workers for done in one.did)
    wanted = [RevisionKey(uid, 1) for uid in series]
    assert did == Counter(
        (of.kind, of.key) for key in wanted for of in (recognition_of(key), segmentation_of(key))
    )
    for one in workers:
        one.catalog.close()


def test_what_cannot_be_buried_is_tried_again_after_a_while(
    catalog: Catalog, moment: Moment
) -> None:
    """Not twice a second with a line of the log each time; its cause may have passed by then."""
    task = at_work(catalog, WorkKind.RECOGNISE)
    assert catalog.claims.die(task.of, task.serial, "odd")
    tried: list[Task] = []

    def fails_once(dead: Task) -> None:
        tried.append(dead)
        if len(tried) == 1:
            raise ValueError("nobody foresaw this")
        assert catalog.revisions.end(dead, DONE)

    due = DueWork(InlineJobs(), catalog.claims, "a")
    due.add([Handler(WorkKind.RECOGNISE, 2, lambda _: None, fails_once, in_turn())])
    clocked = _Clocked(catalog, moment)
    for _ in range(10):
        due.look(WorkKind.RECOGNISE)
        pass_time(clocked, 0.5)
    assert len(tried) == 1
    pass_time(clocked, UNBURIED_S)
    due.look(WorkKind.RECOGNISE)

    assert len(tried) == 2
    assert revisions_due(catalog) == []


class _Clocked:
    def __init__(self, catalog: Catalog, moment: Moment) -> None:
        self.catalog = catalog
        self._moment = moment

    @property
    def now(self) -> float:
        """The time."""
        return self._moment.now

    @now.setter
    def now(self, value: float) -> None:
        self._moment.now = value

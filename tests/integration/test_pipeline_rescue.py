"""Jobs that died or are gone: their series ends with a reason, or is done again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import SegmentationStorage

from node.model.failures import FailureKind
from node.model.keys import Batch, BatchKind
from node.model.states import WorkState
from node.model.work import Task, WorkKind
from tests.bench import Bench, slices
from tests.due_time import task_claimed
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for


def died(bench: Bench, task: Task, reason: str) -> None:
    """Let the job of a task have died, and let somebody look."""
    assert bench.catalog.claims.die(task.of, task.serial, reason)
    bench.worker.due.look(task.kind)


def test_images_travel_even_where_recognition_dies(bench: Bench) -> None:
    """A series whose recognition fails for good is routed by its header alone."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)

    wait_for(lambda: len(bench.pacs.sent) == 6 and bench.nothing_pending(), "the images", 60)
    wait_for(bench.ends("unusable"), "the reason", 60)
    row = bench.last()
    assert row is not None
    assert row.failure_kind is FailureKind.RECOGNITION
    assert "the network fell over" not in row.reason  # a text nobody of us wrote
    assert "RuntimeError at node." in row.reason
    assert bench.catalog.work.open(WorkKind.RECOGNISE, "") == []


def test_a_series_that_cannot_even_be_routed_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last resort died too: the reason stands on the series."""
    asked: list[object] = []

    def no_route(*arguments: object) -> None:
        asked.append(arguments)
        raise RuntimeError("no route")

    monkeypatch.setattr("node.pipeline.stages.Sending.send", no_route)
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("unusable"), "the reason", 60)

    row = bench.last()
    assert row is not None
    assert row.reason.startswith("routing died: RuntimeError at node.")
    assert row.failure_kind is FailureKind.ROUTING
    assert len(asked) == 2
    assert bench.catalog.work.open(WorkKind.RECOGNISE, "") == []


def test_a_result_that_was_written_and_never_recorded_does_not_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job killed between file and row, and never run again, leaves no file without a row."""
    leftovers: list[Path] = []

    def cut_off(*_: object) -> None:
        leftovers.extend(bench.derived_files())
        raise RuntimeError("killed before the row")

    monkeypatch.setattr(bench.catalog.results, "put", cut_off)
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(bench.ends("unusable"), "the reason", 60)

    assert len(leftovers) == 2
    assert bench.derived_files() == []
    assert len(bench.catalog.instances.of_series(SERIES)) == 6
    row = bench.last()
    assert row is not None
    assert row.reason.startswith("segmentation died")


def test_what_cannot_be_removed_now_is_removed_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its series is not given up before: else nobody would look for it again."""
    recognition = bench.take_in(*slices(*range(6)))
    bench.stages.route(recognition, bench.stages.classify(SERIES, 1))
    task = task_claimed(bench.catalog, WorkKind.SEGMENT)
    with monkeypatch.context() as patch:
        patch.setattr("node.pipeline.giving_up.remove_leftovers", lambda *_: 1 / 0)
        died(bench, task, "killed")
        row = bench.last()
        assert row is not None
        assert row.state == "queued"
        bench.worker.due.look(WorkKind.SEGMENT)  # not twice a second
    bench.worker.due.look(WorkKind.SEGMENT)
    assert bench.ends("queued")()

    bench.now += 61
    bench.worker.due.look(WorkKind.SEGMENT)

    assert bench.ends("unusable")()


@pytest.mark.parametrize("again", ["before", "after"])
def test_an_earlier_rounds_death_removes_nothing_of_the_present_one(
    bench: Bench, again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released from quarantine, a series may be writing its result while the dead job is seen."""
    recognition = bench.take_in(*slices(*range(6)))
    bench.stages.route(recognition, bench.stages.classify(SERIES, 1))
    task = task_claimed(bench.catalog, WorkKind.SEGMENT)
    bench.stages.segment(task)
    recorded = bench.derived_files()
    coming = recorded[0].with_name("2.25.1.dcm")
    coming.write_bytes(b"its row comes in a moment")
    first = bench.segmentation("pacs")
    seen = bench.catalog.claims.dead

    def run_again(kind: WorkKind) -> list[Task]:
        dead = seen(kind)
        if kind is WorkKind.SEGMENT:  # others are looked at all the time
            second = bench.segmentation("pacs")
            assert second.serial > first.serial
        return dead

    if again == "after":  # the look has read it, and somebody else was faster
        monkeypatch.setattr(bench.catalog.claims, "dead", run_again)
    else:
        bench.segmentation("pacs")
    bench.catalog.claims.die(first.of, first.serial, "killed")
    bench.worker.due.look(WorkKind.SEGMENT)

    assert coming.exists()
    assert bench.ends("done")()


def test_a_segmentation_that_was_overtaken_sends_nothing(bench: Bench) -> None:
    """Run again, or given up, since: its results are kept, and what it says ends nothing."""
    recognition = bench.take_in(*slices(*range(6)))
    bench.stages.route(recognition, bench.stages.classify(SERIES, 1))
    stale = task_claimed(bench.catalog, WorkKind.SEGMENT)
    present = bench.segmentation("pacs")

    bench.stages.segment(stale)

    def results() -> int:
        batches = [Batch.parse(one.batch) for one in bench.catalog.delivery_states.of_study(STUDY)]
        return sum(batch.kind is BatchKind.RESULT for batch in batches)

    assert results() == 0
    assert bench.ends("queued")()
    bench.stages.segment(present)
    assert results() == 2
    assert bench.ends("done")()


@pytest.mark.parametrize("at", [WorkKind.RECOGNISE, WorkKind.SEGMENT])
def test_a_series_whose_job_is_gone_is_done_again(
    tmp_path: Path, make_bench: Callable[..., Bench], at: WorkKind
) -> None:
    """The pipeline's database was lost, or is older than the catalog: a restored copy."""
    before = make_bench(tmp_path / "before")
    recognition = before.take_in(*slices(*range(6)))
    if at is WorkKind.SEGMENT:
        before.stages.route(recognition, before.stages.classify(SERIES, 1))
        task_claimed(before.catalog, at)
        wait_for(before.all_delivered, "the images", 60)  # none is under way in the copy

    def copy(folder: Path) -> None:
        without = shutil.ignore_patterns("pipeline.sqlite*")
        shutil.copytree(tmp_path / "before", folder, ignore=without)

    bench = make_bench(tmp_path / "after", copy)
    bench.now += 3
    for _ in range(7):  # whoever had claimed it is not heard of any more
        bench.now += 10
        bench.worker.due.look(at)
    wait_for(bench.ends("done"), "the end", 60)
    wait_for(bench.nothing_pending, "the results", 60)
    assert len(bench.pacs.sent) == 8 - len(before.pacs.sent)
    assert len(bench.sent(SegmentationStorage)) == 1
    for kind in (WorkKind.RECOGNISE, WorkKind.SEGMENT):
        assert bench.catalog.work.open(kind, "") == []


def test_what_was_begun_is_not_begun_twice(bench: Bench) -> None:
    """Waiting, at work or dead: each has somebody who looks after it."""
    task = bench.take_in(*slices(*range(6)))
    for state in (WorkState.CLAIMED, WorkState.DEAD):
        bench.worker.sweep.settle()
        found = bench.catalog.work.task(task.of)
        assert found is not None
        assert (found.state, found.serial) == (state, task.serial)
        bench.catalog.claims.die(task.of, task.serial, "killed")

"""Jobs that died or are gone: their series ends with a reason, or is queued again."""

import pytest

from node.pipeline.engine import DeadJob
from tests.bench import Bench, Dead, slices
from tests.made_ct import SERIES
from tests.node_process import wait_for


def test_images_travel_even_where_recognition_dies(bench: Bench) -> None:
    """A series whose recognition fails for good is routed by its header alone."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: bool(bench.engine.dead()), "the dead job", 60)

    bench.sweep.rescue(bench.engine, bench.workflows)
    bench.sweep.rescue(bench.engine, bench.workflows)

    wait_for(lambda: len(bench.pacs.sent) == 6 and bench.nothing_pending(), "the images", 60)
    wait_for(bench.ends("unusable"), "the reason", 60)
    row = bench.last()
    assert row is not None
    assert "the network fell over" not in row.reason  # a text nobody of us wrote
    assert "RuntimeError at node." in row.reason


def test_a_series_that_cannot_even_be_routed_says_so(bench: Bench) -> None:
    """The last resort died too: the reason stands on the series."""
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("done"), "the verdict", 60)
    job = DeadJob("series/x", "series", (SERIES, 1, "recognition died"), "ERROR: no route")

    bench.sweep.rescue(Dead(job), bench.workflows)

    row = bench.last()
    assert row is not None
    assert (row.state, row.reason) == ("unusable", "routing died: ERROR: no route")


def test_a_result_that_was_written_and_never_recorded_does_not_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job killed between file and row, and never run again, leaves no file without a row."""

    def cut_off(*_: object) -> None:
        raise RuntimeError("killed before the row")

    monkeypatch.setattr(bench.catalog.results, "put", cut_off)
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: bool(bench.engine.dead()), "the dead job", 60)
    leftovers = bench.derived_files()

    bench.sweep.rescue(bench.engine, bench.workflows)

    assert len(leftovers) == 2
    assert bench.derived_files() == []
    assert len(bench.catalog.instances.of_series(SERIES)) == 6
    row = bench.last()
    assert row is not None
    assert row.reason.startswith("segmentation died")


def test_an_earlier_rounds_death_removes_nothing_of_the_present_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released from quarantine, a series may be writing its result while the dead job is seen."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    recorded = bench.derived_files()
    coming = recorded[0].with_name("2.25.1.dcm")
    coming.write_bytes(b"its row comes in a moment")
    job = DeadJob("segment/x", "segment", (SERIES, 1, ["pacs"], [], 0), "ERROR: killed")
    monkeypatch.setattr(bench.catalog.quarantine, "rounds", lambda *_: 1)

    bench.sweep.rescue(Dead(job), bench.workflows)

    assert coming.exists()


def test_a_series_whose_job_is_gone_is_queued_again(bench: Bench) -> None:
    """The pipeline's database was lost, or is older than the catalog: a restored copy."""
    bench.receive(*slices(*range(6)))
    bench.now += 3
    bench.sweep.settle()
    bench.catalog.revisions.mark_queued(SERIES, 1)
    bench.sweep.mend(bench.engine)
    assert bench.catalog.revisions.unqueued() == []  # it may be about to be queued

    bench.now += 61
    bench.sweep.mend(bench.engine)
    bench.tick(0)

    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    bench.now += 61
    bench.sweep.mend(bench.engine)
    assert bench.catalog.revisions.unqueued() == []
    assert bench.ends("done")()


def test_a_series_whose_job_is_there_is_not_queued_again(bench: Bench) -> None:
    """Waiting, running or dead: each has somebody who looks after it."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: bool(bench.engine.dead()), "the dead job", 60)
    bench.now += 61

    bench.sweep.mend(bench.engine)

    assert bench.catalog.revisions.unqueued() == []

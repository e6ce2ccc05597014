"""Series, their revisions, findings, derived objects and deliveries in the catalog."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from node.errors import StoreError
from node.model.failures import FailureKind, HoldKind
from node.model.keys import HeldRevision
from node.model.records import Delivery, Finding, Hold
from node.model.states import DeliveryState, Origin, RevisionState
from node.model.work import SegmentationPlan, WorkKind
from node.store.catalog import Catalog
from node.store.studies.revisions import Ending
from node.views.studies import page_of_studies
from tests.due_time import revisions_due, task_claimed
from tests.store_rows import SERIES, STUDY, stored


@pytest.fixture
def catalog(empty_catalog: Catalog) -> Catalog:
    """Return a catalog that holds one series of three instances."""
    for number in range(1, 4):
        empty_catalog.studies.record(stored(number, at=100.0 + number), 100.0 + number)
    return empty_catalog


def test_progress_tells_how_a_series_comes_in(catalog: Catalog) -> None:
    """Times of the first and the last instance, and the count."""
    (progress,) = catalog.studies.unsettled()

    assert (progress.series_instance_uid, progress.study_instance_uid) == (SERIES, STUDY)
    assert (progress.revision, progress.instance_count) == (0, 3)
    assert (progress.first_instance_at, progress.last_instance_at) == (101.0, 103.0)


def test_settling_makes_a_revision_with_its_evidence(catalog: Catalog) -> None:
    """Promise 2: what the verdict rests on is kept."""
    assert catalog.revisions.settle(SERIES, {"because": "quiet"}, 200.0) == 1

    (revision,) = catalog.revisions.of_series(SERIES)
    assert (revision.state, revision.instance_count) == ("complete", 3)
    assert (revision.evidence, revision.completed_at) == ({"because": "quiet"}, 200.0)
    assert catalog.studies.unsettled() == []


@pytest.mark.parametrize("judged", [3, None])
def test_an_instance_that_comes_while_a_series_is_settled_is_not_lost(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, judged: int | None
) -> None:
    """It belongs to this revision or waits for the next: in none, it would be sent nowhere."""
    receiver = Catalog(catalog.url)
    told, go_on = threading.Event(), threading.Event()
    tell = receiver.ledger.tell

    def tell_slowly(*arguments: Any) -> None:
        told.set()  # the rows of instance and series are written, and not committed yet
        assert go_on.wait(60)
        tell(*arguments)

    monkeypatch.setattr(receiver.ledger, "tell", tell_slowly)
    with ThreadPoolExecutor() as others:
        coming = others.submit(receiver.studies.record, stored(4, at=104.0), 104.0)
        assert told.wait(60)
        settled = others.submit(catalog.revisions.settle, SERIES, {}, 200.0, judged)
        time.sleep(0.2)  # it reads the series, or waits for it
        go_on.set()
        assert coming.result() == "new"
        number = settled.result()
    receiver.close()

    of_revision = catalog.instances.of_series(SERIES, revision=1)
    assert number == (1 if judged is None else None)
    assert [one.instance_count for one in catalog.studies.unsettled()] == [4] * (number is None)
    assert len(of_revision) == (4 if number else 0)


def test_settling_twice_is_settling_once(catalog: Catalog) -> None:
    """A sweep that is killed between verdict and queue runs again."""
    catalog.revisions.settle(SERIES, {"because": "first"}, 200.0)

    assert catalog.revisions.settle(SERIES, {"because": "second"}, 201.0) == 1

    (revision,) = catalog.revisions.of_series(SERIES)
    assert revision.evidence == {"because": "first"}


def test_a_late_instance_makes_another_revision(catalog: Catalog) -> None:
    """Of all instances, not only of the late one; progress is about the late one."""
    catalog.revisions.settle(SERIES, {}, 200.0)
    catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
    catalog.studies.record(stored(4, at=300.0), 300.0)

    (progress,) = catalog.studies.unsettled()
    assert (progress.revision, progress.instance_count) == (1, 4)
    assert (progress.first_instance_at, progress.last_instance_at) == (300.0, 300.0)
    (summary,) = catalog.studies.series_of(STUDY)
    assert summary.state == "receiving"

    assert catalog.revisions.settle(SERIES, {}, 400.0) == 2
    assert [
        (r.revision, r.state, r.instance_count) for r in catalog.revisions.of_series(SERIES)
    ] == [
        (1, "done", 3),
        (2, "complete", 4),
    ]


def test_a_series_that_never_came_cannot_be_settled(catalog: Catalog) -> None:
    """The caller is wrong, and hears it."""
    with pytest.raises(StoreError):
        catalog.revisions.settle("9.9", {}, 200.0)


def test_a_revision_is_recognised_and_segmented_once(catalog: Catalog) -> None:
    """Complete, queued, done: each with the work that follows, in one transaction."""
    catalog.revisions.settle(SERIES, {}, 200.0)
    catalog.revisions.settle(SERIES, {}, 201.0)
    assert revisions_due(catalog) == [(SERIES, 1)]

    recognition = task_claimed(catalog, WorkKind.RECOGNISE)
    plan = SegmentationPlan(("pacs", "archive"), ("pacs",))
    routed = Ending(RevisionState.QUEUED, "no rule", segmentation=plan)
    assert [catalog.revisions.end(recognition, routed) for _ in range(2)] == [True, False]
    assert revisions_due(catalog) == []

    segmentation = task_claimed(catalog, WorkKind.SEGMENT)
    assert SegmentationPlan.from_json(segmentation.detail) == plan
    ending = Ending(RevisionState.UNUSABLE, "no pixels", FailureKind.SEGMENTATION)
    assert [catalog.revisions.end(segmentation, ending) for _ in range(2)] == [True, False]
    assert not catalog.revisions.end(recognition, routed)
    (summary,) = catalog.studies.series_of(STUDY)
    assert (summary.state, summary.reason) == ("unusable", "no pixels")
    assert catalog.work.open(WorkKind.SEGMENT, "") == []


@pytest.mark.parametrize("at_work", [WorkKind.RECOGNISE, WorkKind.SEGMENT])
@pytest.mark.parametrize("dead", [False, True])
def test_whoever_is_at_a_revision_that_is_run_again_is_stale(
    catalog: Catalog, at_work: WorkKind, dead: bool
) -> None:
    """What it says of its end changes nothing; and the new round begins at the beginning."""
    catalog.revisions.settle(SERIES, {}, 200.0)
    stale = task_claimed(catalog, WorkKind.RECOGNISE)
    routed = Ending(RevisionState.QUEUED, segmentation=SegmentationPlan(("pacs",)))
    if at_work is WorkKind.SEGMENT:
        assert catalog.revisions.end(stale, routed)
        stale = task_claimed(catalog, WorkKind.SEGMENT)
    if dead:
        assert catalog.claims.die(stale.of, stale.serial, "killed")
    catalog.quarantine.hold(Hold(HoldKind.MIXED, STUDY, SERIES, HeldRevision(1), "x"), 201.0)
    (held,) = catalog.quarantine.held()

    catalog.quarantine.start_again(held, 202.0)

    assert not catalog.revisions.end(stale, Ending(RevisionState.DONE))
    assert not catalog.claims.die(stale.of, stale.serial, "killed")
    (row,) = catalog.revisions.of_series(SERIES)
    assert row.state is RevisionState.COMPLETE
    assert catalog.work.open(WorkKind.SEGMENT, "") == []
    again = task_claimed(catalog, WorkKind.RECOGNISE)
    assert (again.attempts, again.begins, again.reason, again.detail) == (0, 0, "", {})
    assert catalog.revisions.end(again, routed)
    assert task_claimed(catalog, WorkKind.SEGMENT).serial > (
        stale.serial if at_work is WorkKind.SEGMENT else 0
    )


def test_what_was_noted_of_a_death_is_not_that_of_the_next_round(catalog: Catalog) -> None:
    """Else a series whose first recognition died would never be recognised again."""
    catalog.revisions.settle(SERIES, {}, 200.0)
    first = task_claimed(catalog, WorkKind.RECOGNISE)
    assert catalog.work.later(first, 0.0, attempts=1, reason="died", detail={"died": {}})
    assert task_claimed(catalog, WorkKind.RECOGNISE).detail == {"died": {}}
    second = catalog.work.task(first.of)
    assert second is not None
    assert catalog.revisions.end(second, Ending(RevisionState.UNUSABLE, "died"))

    (one,) = catalog.candidates.named(SERIES)
    assert catalog.quarantine.begin_round(one, False, 202.0)

    assert task_claimed(catalog, WorkKind.RECOGNISE).detail == {}


def test_studies_come_with_the_latest_first(catalog: Catalog) -> None:
    """Counted over their series."""
    catalog.studies.record(stored(1, series="1.2.3.5"), 500.0)

    (study,) = page_of_studies(catalog).studies

    assert (study.study_instance_uid, study.series_count, study.instance_count) == (STUDY, 2, 4)
    assert study.last_instance_at == 500.0
    assert [s.series_instance_uid for s in catalog.studies.series_of(STUDY)] == [SERIES, "1.2.3.5"]


def test_findings_are_replaced_per_revision(catalog: Catalog) -> None:
    """A step that runs again leaves what it left the first time; the latest is the default."""
    plane = Finding("plane", "axial", 0.9, "pixels", {"p": [0.9, 0.1]})
    unknown = Finding("sequence", None, 0.4, "fused")
    coverage = Finding("coverage", ["chest", "abdomen"], 0.8, "header")

    catalog.findings.put(SERIES, 1, [plane], 100.0)
    catalog.findings.put(SERIES, 1, [unknown, plane], 100.0)
    assert catalog.findings.of_series(SERIES) == [unknown, plane]

    catalog.findings.put(SERIES, 2, [coverage], 100.0)
    assert catalog.findings.of_series(SERIES) == [coverage]
    assert catalog.findings.of_series(SERIES, 1) == [unknown, plane]

    catalog.findings.put(SERIES, 2, [], 100.0)
    assert catalog.findings.of_series(SERIES, 2) == []


def test_derived_objects_belong_to_a_revision(catalog: Catalog) -> None:
    """A second attempt replaces the row; another revision has its own objects."""
    seg, again, late = (stored(n, series="1.2.3.5", origin=Origin.DERIVED) for n in (1, 2, 3))
    report = stored(1, series="1.2.3.6", origin=Origin.DERIVED)

    catalog.results.put(SERIES, 1, {"seg": seg}, 200.0)
    catalog.results.put(SERIES, 1, {"seg": again}, 201.0)
    catalog.results.put(SERIES, 1, {"report": report}, 202.0)
    assert catalog.results.of_series(SERIES) == [("report", report), ("seg", again)]

    catalog.results.put(SERIES, 2, {"seg": late}, 300.0)
    assert catalog.results.of_series(SERIES) == [("seg", late)]
    assert catalog.results.of_series(SERIES, 1) == [("report", report), ("seg", again)]
    assert catalog.results.of_series("9.9") == []


def test_a_derived_object_does_not_make_its_series_receive(catalog: Catalog) -> None:
    """Results are no input: nothing to settle, nothing to classify."""
    catalog.revisions.settle(SERIES, {}, 200.0)

    catalog.results.put(SERIES, 1, {"seg": stored(9, origin=Origin.DERIVED)}, 201.0)

    assert catalog.studies.unsettled() == []
    (summary,) = catalog.studies.series_of(STUDY)
    assert summary.instance_count == 3


def test_a_delivery_is_pending_until_it_is_not(catalog: Catalog) -> None:
    """Each instance at each destination by itself."""
    uids = [stored(n).sop_instance_uid for n in (1, 2, 3)]
    catalog.deliveries.add("batch", "pacs", uids, 200.0)
    catalog.deliveries.add("batch", "archive", uids[:1], 200.0)

    catalog.deliveries.put_outcome(uids[0], "pacs", DeliveryState.DELIVERED, "", 201.0)
    catalog.deliveries.put_outcome(uids[1], "pacs", DeliveryState.PENDING, "no answer", 201.0)
    catalog.deliveries.put_outcome(uids[1], "pacs", DeliveryState.PENDING, "A700", 202.0)
    catalog.deliveries.put_outcome(uids[2], "pacs", DeliveryState.PARKED, "C000", 201.0)

    assert [i.sop_instance_uid for i in catalog.pending.of_batch("batch", "pacs")] == [uids[1]]
    assert [i.sop_instance_uid for i in catalog.pending.of_batch("batch", "archive")] == [uids[0]]
    assert catalog.pending.of_batch("other", "pacs") == []
    assert catalog.delivery_states.of_study(STUDY) == [
        Delivery(uids[0], "archive", "batch", DeliveryState.PENDING, 0, "", None, SERIES),
        Delivery(uids[0], "pacs", "batch", DeliveryState.DELIVERED, 1, "", None, SERIES),
        Delivery(uids[1], "pacs", "batch", DeliveryState.PENDING, 2, "A700", None, SERIES),
        Delivery(uids[2], "pacs", "batch", DeliveryState.PARKED, 1, "C000", None, SERIES),
    ]


def test_what_was_delivered_is_not_asked_for_again(catalog: Catalog) -> None:
    """A step that runs again, or a later revision, keeps the rows that exist."""
    uids = [stored(n).sop_instance_uid for n in (1, 2)]
    catalog.deliveries.add("first", "pacs", uids[:1], 200.0)
    catalog.deliveries.put_outcome(uids[0], "pacs", DeliveryState.DELIVERED, "", 201.0)

    catalog.deliveries.add("first", "pacs", uids[:1], 202.0)
    catalog.deliveries.add("second", "pacs", uids, 300.0)
    catalog.deliveries.add("second", "pacs", [], 300.0)

    assert catalog.pending.of_batch("first", "pacs") == []
    assert [i.sop_instance_uid for i in catalog.pending.of_batch("second", "pacs")] == [uids[1]]


def test_an_instance_that_came_since_the_verdict_is_judged_first(catalog: Catalog) -> None:
    """What was not judged must not slip into the revision."""
    assert catalog.revisions.settle(SERIES, {}, 200.0, judged=2) is None
    assert catalog.revisions.settle(SERIES, {}, 200.0, judged=3) == 1


def test_a_revision_is_of_the_instances_it_was_judged_on(catalog: Catalog) -> None:
    """A step that runs again after a late instance works on the same images as before."""
    catalog.revisions.settle(SERIES, {}, 200.0)
    catalog.studies.record(stored(4, at=300.0), 300.0)

    assert len(catalog.instances.of_series(SERIES, revision=1)) == 3
    assert len(catalog.instances.of_series(SERIES)) == 4

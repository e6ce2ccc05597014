"""The report of a study is due once nothing of it is open, and is noted once for what it tells."""

import threading
from dataclasses import replace

import pytest

from node.errors import UidTakenError
from node.model.findings import SOME_INSTANCES, FindingName
from node.model.records import Finding, StoredInstance
from node.model.states import Origin, RevisionState, WorkState
from node.model.work import Task, WorkKind, summary_of
from node.store.catalog import Catalog
from node.store.studies.results import Making
from node.store.studies.revisions import Ending
from node.store.studies.summaries import SEND_AGAIN, SummaryRow
from tests.due_time import task_claimed
from tests.store_rows import SERIES, STUDY, stored

OTHER = f"{SERIES}.2"
ROUTED = Ending(RevisionState.DONE, summary_to={"pacs": False})
NOBODY = Ending(RevisionState.DONE, summary_to={})
NOW = Making(200.0, 3600)


def plane(value: str | None = "axial", probability: float = 0.9) -> Finding:
    """Return a finding that is told."""
    return Finding(FindingName.PLANE, value, probability, "fused")


def settled(catalog: Catalog, series: str, number: int = 1) -> None:
    """Let a series come in, or an instance more of it, and be due."""
    catalog.studies.record(stored(number, series=series), 100.0)
    assert catalog.revisions.settle(series, {}, 101.0) == number


def recognised(
    catalog: Catalog,
    series: str,
    ending: Ending = ROUTED,
    found: Finding | None = None,
    number: int = 1,
) -> None:
    """Recognise a revision that is due."""
    task = task_claimed(catalog, WorkKind.RECOGNISE, f"{series}/{number}")
    catalog.findings.put(series, number, [found or plane()], 150.0)
    assert catalog.revisions.end(task, ending)


def due(catalog: Catalog) -> list[str]:
    """Return the studies of which a report is due, or being written."""
    return [task.key for task in catalog.work.open(WorkKind.SUMMARISE, "")]


def claimed(catalog: Catalog) -> Task:
    """Claim the report that is due."""
    return task_claimed(catalog, WorkKind.SUMMARISE)


def report(number: int = 1, sha256: str = "a" * 64) -> StoredInstance:
    """Return the record of a report."""
    made = stored(number, series=f"{STUDY}.77", sha256=sha256, origin=Origin.DERIVED)
    return replace(made, head_sha256="b" * 64)


def test_a_report_is_due_when_the_last_open_series_was_recognised(empty_catalog: Catalog) -> None:
    """Not while another is to be recognised, or comes in."""
    for series in (SERIES, OTHER):
        settled(empty_catalog, series)
    empty_catalog.studies.record(stored(1, series=f"{SERIES}.3"), 100.0)

    recognised(empty_catalog, SERIES)
    assert due(empty_catalog) == []
    recognised(empty_catalog, OTHER)
    assert due(empty_catalog) == []
    assert empty_catalog.revisions.settle(f"{SERIES}.3", {}, 102.0) == 1
    recognised(empty_catalog, f"{SERIES}.3", NOBODY)

    assert due(empty_catalog) == [STUDY]


def test_of_two_recognitions_that_end_at_once_one_lets_the_report_be_due(
    empty_catalog: Catalog,
) -> None:
    """Each would find the other's series open, and nobody would write it."""
    for round_ in range(1, 6):
        tasks = []
        for series in (SERIES, OTHER):
            settled(empty_catalog, series, round_)
            tasks.append(task_claimed(empty_catalog, WorkKind.RECOGNISE, f"{series}/{round_}"))
        ready = threading.Barrier(2)

        def end(task: Task, ready: threading.Barrier = ready) -> None:
            ready.wait(60)
            empty_catalog.revisions.end(task, ROUTED)

        threads = [threading.Thread(target=end, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert due(empty_catalog) == [STUDY]
        assert empty_catalog.work.done(claimed(empty_catalog))


def test_a_report_that_nobody_wants_is_not_due(empty_catalog: Catalog) -> None:
    """No rule names a destination of results."""
    settled(empty_catalog, SERIES)

    recognised(empty_catalog, SERIES, NOBODY)

    assert due(empty_catalog) == []


def test_the_end_of_a_segmentation_lets_no_report_be_due(empty_catalog: Catalog) -> None:
    """It tells what was recognised, which stands by then; who wants it stays as it was."""
    settled(empty_catalog, SERIES)
    recognised(empty_catalog, SERIES)
    assert empty_catalog.work.done(claimed(empty_catalog))

    empty_catalog.revisions.finish(SERIES, 1, RevisionState.DONE)

    assert due(empty_catalog) == []
    (row,) = empty_catalog.revisions.of_series(SERIES)
    assert row.summary_to == {"pacs": False}


def test_what_is_told_is_of_the_last_revisions(empty_catalog: Catalog) -> None:
    """An image of the first revision stands for its series; destinations are those of all."""
    settled(empty_catalog, SERIES)
    settled(empty_catalog, OTHER)
    recognised(empty_catalog, SERIES, replace(ROUTED, summary_to={"pacs": True}))
    recognised(empty_catalog, OTHER, replace(ROUTED, summary_to={"pacs": False, "web": False}))
    before = empty_catalog.summaries.recognised(STUDY)
    settled(empty_catalog, SERIES, 2)
    assert empty_catalog.summaries.recognised(STUDY).is_open
    recognised(empty_catalog, SERIES, ROUTED, plane("coronal"), 2)

    after = empty_catalog.summaries.recognised(STUDY)

    assert before.wanted_by == {"pacs": True, "web": False}
    assert after.wanted_by == {"pacs": False, "web": False}
    assert [one.series_instance_uid for one in after.series] == [SERIES, OTHER]
    assert [one.findings[0].value for one in after.series] == ["coronal", "axial"]
    assert after.series[0].first_image == before.series[0].first_image
    assert after.sha256 != before.sha256
    assert not after.is_open


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (plane("axial", 0.90000001), True),
        (plane("axial", 0.91), False),
        (plane("coronal"), False),
        (replace(plane(), evidence={"because": ["told in other words"]}), True),
        (replace(plane(), model_sha256="c" * 64), False),
    ],
    ids=["rounded", "surer", "other", "words", "weights"],
)
def test_nothing_new_is_told_where_the_digest_is_the_same(
    empty_catalog: Catalog, found: Finding, same: bool
) -> None:
    """Findings, how sure they are, and what saw them: what the report tells."""
    settled(empty_catalog, SERIES)
    recognised(empty_catalog, SERIES)
    before = empty_catalog.summaries.recognised(STUDY)

    empty_catalog.findings.put(SERIES, 1, [found], 160.0)

    assert (empty_catalog.summaries.recognised(STUDY).sha256 == before.sha256) is same


def test_own_output_is_not_told_of(empty_catalog: Catalog) -> None:
    """A series of it alone is left out; beside images it does not stand for them."""
    own = Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused")
    some = replace(own, evidence={SOME_INSTANCES: [stored(1).sop_instance_uid]})
    for number in (1, 2):
        empty_catalog.studies.record(stored(number), 100.0)
    assert empty_catalog.revisions.settle(SERIES, {}, 101.0) == 1
    settled(empty_catalog, OTHER)

    empty_catalog.findings.put(SERIES, 1, [plane(), some], 150.0)
    empty_catalog.findings.put(OTHER, 1, [own], 150.0)

    (told,) = empty_catalog.summaries.recognised(STUDY).series
    assert told.series_instance_uid == SERIES
    assert told.first_image.sop_instance_uid == stored(2).sop_instance_uid


def test_a_study_of_which_nothing_is_known_says_so(empty_catalog: Catalog) -> None:
    """Unknown findings alone, an empty list among them, are nothing to tell."""
    settled(empty_catalog, SERIES)
    empty_list = Finding(FindingName.COVERAGE, [], 0.9, "fused")
    empty_catalog.findings.put(SERIES, 1, [plane(None), empty_list], 150.0)

    assert not empty_catalog.summaries.recognised(STUDY).is_known
    empty_catalog.findings.put(SERIES, 1, [plane(), empty_list], 150.0)
    assert empty_catalog.summaries.recognised(STUDY).is_known


def test_what_changed_while_a_report_was_written_is_told_after_it(
    empty_catalog: Catalog,
) -> None:
    """A slice came, and was recognised, meanwhile: nobody else would let it be due."""
    settled(empty_catalog, SERIES)
    recognised(empty_catalog, SERIES)
    task = claimed(empty_catalog)
    seen = empty_catalog.summaries.recognised(STUDY)
    settled(empty_catalog, SERIES, 2)
    recognised(empty_catalog, SERIES, found=plane("coronal"), number=2)

    empty_catalog.summaries.end(task, seen)

    again = claimed(empty_catalog)
    assert again.serial > task.serial
    empty_catalog.summaries.end(again, empty_catalog.summaries.recognised(STUDY))
    assert due(empty_catalog) == []
    empty_catalog.summaries.end(task, seen)  # whoever is stale changes nothing
    assert due(empty_catalog) == []


def test_what_is_to_be_sent_again_meanwhile_is_sent_after_it(empty_catalog: Catalog) -> None:
    """An operator's order that came while the report was written is not lost."""
    settled(empty_catalog, SERIES)
    recognised(empty_catalog, SERIES)
    task = claimed(empty_catalog)
    with empty_catalog.write() as connection:
        empty_catalog.summaries.let_be_due(connection, STUDY, send_again=True)

    empty_catalog.summaries.end(task, empty_catalog.summaries.recognised(STUDY))

    again = claimed(empty_catalog)
    assert again.detail == {SEND_AGAIN: True}
    empty_catalog.summaries.end(again, empty_catalog.summaries.recognised(STUDY))
    assert due(empty_catalog) == []


def test_a_study_that_is_open_again_is_told_of_by_the_end_of_that(empty_catalog: Catalog) -> None:
    """The report at work ends; the next one is due with the next end of a recognition."""
    settled(empty_catalog, SERIES)
    recognised(empty_catalog, SERIES)
    task = claimed(empty_catalog)
    seen = empty_catalog.summaries.recognised(STUDY)
    settled(empty_catalog, SERIES, 2)

    empty_catalog.summaries.end(task, seen)

    assert due(empty_catalog) == []
    recognised(empty_catalog, SERIES, number=2)
    assert due(empty_catalog) == [STUDY]


def test_a_report_is_dated_once_for_what_it_tells(empty_catalog: Catalog) -> None:
    """A repeat has the first one's moment; other content, once one was kept, has the next row."""
    first = empty_catalog.summaries.begin(STUDY, "1" * 64, NOW)
    again = empty_catalog.summaries.begin(STUDY, "1" * 64, Making(300.0, 0))
    other = empty_catalog.summaries.begin(STUDY, "2" * 64, Making(400.0, 0))
    empty_catalog.summaries.put(1, report(), 401.0)
    kept = empty_catalog.summaries.begin(STUDY, "2" * 64, Making(500.0, 0))
    second = empty_catalog.summaries.begin(STUDY, "3" * 64, Making(600.0, 0))

    assert first == again == SummaryRow(1, "1" * 64, NOW, NOW, 0, None)
    assert other.number == 1
    assert other.made == Making(400.0, 0)  # nobody was told of the one before
    assert kept == replace(other, sop_instance_uid=report().sop_instance_uid)
    assert (second.number, second.made, second.series_made) == (
        2,
        Making(600.0, 0),
        Making(400.0, 0),
    )


def test_a_report_is_told_to_the_ledger_once(empty_catalog: Catalog) -> None:
    """A step that runs again after it has nothing to tell."""
    settled(empty_catalog, SERIES)
    empty_catalog.summaries.begin(STUDY, "1" * 64, NOW)

    for _ in range(2):
        empty_catalog.summaries.put(1, report(), 201.0)

    told = [one for one in empty_catalog.ledger.history(STUDY) if one.event == "derived"]
    assert [one.detail["of"] for one in told] == [STUDY]
    assert empty_catalog.summaries.of_study(STUDY) == [(1, replace(report(), head_sha256=""))]
    assert empty_catalog.custody.standing(STUDY, []).derived == {
        (STUDY, 1, "summary"): report().sop_instance_uid
    }


def test_a_taken_uid_makes_another_edition(empty_catalog: Catalog) -> None:
    """What was received stays; the next edition has a moment of its own. Twice is once."""
    empty_catalog.studies.record(stored(1, series=f"{STUDY}.77"), 100.0)
    row = empty_catalog.summaries.begin(STUDY, "1" * 64, NOW)
    with pytest.raises(UidTakenError):
        empty_catalog.summaries.put(1, report(), 201.0)

    for at in (300.0, 301.0):
        empty_catalog.summaries.next_edition(STUDY, row, report().sop_instance_uid, Making(at, 0))

    after = empty_catalog.summaries.begin(STUDY, "1" * 64, Making(400.0, 0))
    assert (after.edition, after.made, after.sop_instance_uid) == (1, Making(300.0, 0), None)
    told = [one.event for one in empty_catalog.ledger.history(STUDY)]
    assert told.count("uid taken") == 1


def test_a_report_stays_until_the_last_series_of_its_study_goes(empty_catalog: Catalog) -> None:
    """And while one is due, none goes; a tombstone that comes back goes with its study again."""
    for series in (SERIES, OTHER):
        settled(empty_catalog, series)
        recognised(empty_catalog, series)
    row = empty_catalog.summaries.begin(STUDY, "1" * 64, NOW)
    empty_catalog.summaries.put(row.number, report(), 201.0)
    everything = [*(stored(1, series=one) for one in (SERIES, OTHER)), report()]
    for one in everything:
        uid = one.sop_instance_uid
        empty_catalog.deliveries.add("source/x/1", "pacs", [uid], 202.0)
        empty_catalog.deliveries.put_outcome(uid, "pacs", "delivered", "", 203.0)  # type: ignore[arg-type]
    retention = empty_catalog.retention

    assert "worked on" in retention.kept_because(SERIES, 1e6, ())
    assert empty_catalog.work.done(claimed(empty_catalog))
    assert retention.delete(SERIES, 1e6, (), 300.0) == 1
    assert retention.delete(OTHER, 1e6, (), 301.0) == 2
    assert empty_catalog.instances.get(report().sop_instance_uid).deleted_at == 301.0  # type: ignore[union-attr]

    back = replace(report(), path=report().path.with_name("again.dcm"), origin=Origin.RECEIVED)
    empty_catalog.studies.record(back, 400.0)
    aged = [uid for uid in retention.aged(1e6) if not retention.kept_because(uid, 1e6, ())]
    assert aged == [SERIES]
    assert retention.delete(SERIES, 1e6, (), 500.0) == 1


def test_rows_of_reports_that_are_through_are_pruned(empty_catalog: Catalog) -> None:
    """As those of other batches are."""
    settled(empty_catalog, SERIES)
    recognised(empty_catalog, SERIES)
    task = claimed(empty_catalog)
    assert empty_catalog.work.done(task)

    assert empty_catalog.work.prune([WorkKind.SUMMARISE], 1e12) == 1
    assert empty_catalog.work.task(summary_of(STUDY)) is None
    assert task.state is WorkState.CLAIMED

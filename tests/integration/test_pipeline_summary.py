"""One report for each study: written when nothing of it is open, sent once, revised."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from node.audit.custody import changed_files
from node.classify.recognition_report import SERIES_DESCRIPTION
from node.model.work import Task, WorkKind
from node.pipeline.reprocess import reprocess
from node.pipeline.summarising import Summarising
from node.settings import Rule
from node.store.deliveries.scope import Scope
from tests.bench import RULES, Bench, slices
from tests.due_time import task_claimed
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for

LATE = f"{SERIES}.7"
TOLD = (
    Rule(name="all", when="true", deliver=("pacs",)),
    Rule(name="told", when="true", results_to=("pacs",)),
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Make a bench whose rules want reports, and no segmentation."""
    with closing(Bench(tmp_path, TOLD)) as made:
        yield made


def late_series(*indices: int) -> list[Dataset]:
    """Return slices of another series of the study."""
    made = slices(*indices)
    for ds in made:
        ds.SeriesInstanceUID = LATE
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID}.7"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.SeriesDescription = "late"
    return made


def come_in(bench: Bench, *images: Dataset) -> None:
    """Let images come, and all that follows be done."""
    bench.receive(*images)
    bench.tick(61)
    wait_for(bench.nothing_pending, "everything", 60)


def reports(bench: Bench) -> list[Dataset]:
    """Return the reports that arrived."""
    return [ds for ds in bench.sent(ComprehensiveSRStorage) if _is_report(ds)]


def _is_report(ds: Dataset) -> bool:
    return bool(ds.SeriesDescription == SERIES_DESCRIPTION)


def uidrefs(items: list[Dataset]) -> Iterator[Dataset]:
    """Yield the content items of a report that are UIDs of series."""
    for item in items:
        if item.get("ValueType") == "UIDREF":
            yield item
        yield from uidrefs(list(item.get("ContentSequence") or []))


def series_of(report: Dataset) -> set[str]:
    """Return the Series Instance UIDs that a report tells of."""
    return {
        str(item.UID)
        for item in uidrefs(list(report.ContentSequence))
        if item.ConceptNameCodeSequence[0].CodeValue == "112002"
    }


def test_a_study_has_one_report_and_a_late_series_makes_the_next(bench: Bench) -> None:
    """The second names the first as its predecessor; the ledger tells of both."""
    come_in(bench, *slices(*range(6)))
    (first,) = reports(bench)

    come_in(bench, *late_series(*range(6)))

    _, second = reports(bench)
    assert series_of(first) == {SERIES}
    assert series_of(second) == {SERIES, LATE}
    assert "PredecessorDocumentsSequence" not in first
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID == series.SeriesInstanceUID
    history = bench.catalog.ledger.history(STUDY)
    assert [one.event for one in history].count("derived") == 2
    assert list(changed_files(bench.catalog, bench.files, history)) == []


def test_a_late_slice_that_changes_no_finding_makes_no_report(bench: Bench) -> None:
    """There is nothing new to tell; the slice itself is delivered."""
    come_in(bench, *slices(*range(6)))

    come_in(bench, *slices(6))

    assert len(bench.pacs.sent) == 6 + 1 + 1
    assert len(reports(bench)) == 1


@pytest.mark.parametrize(
    ("changed", "again", "sent"),
    [(False, False, 1), (True, False, 2), (False, True, 2)],
    ids=["the same", "changed", "send again"],
)
def test_reprocessing_makes_a_report_where_findings_changed(
    bench: Bench, changed: bool, again: bool, sent: int
) -> None:
    """The same findings make none; what an operator wants sent again is, and is the same."""
    come_in(bench, *slices(*range(6)))
    if changed:
        bench.classifier.digest = "1" * 64
    candidates = bench.catalog.candidates.named(STUDY)

    assert reprocess(bench.catalog, bench.files, candidates, again, bench.now)["run again"] == 1
    wait_for(bench.nothing_pending, "everything", 60)

    found = reports(bench)
    assert len(found) == sent
    assert len({ds.SOPInstanceUID for ds in found}) == 1 + changed


def test_a_destination_that_is_named_later_gets_the_report_there_is(tmp_path: Path) -> None:
    """A rule was mended; nothing is made anew."""
    with closing(Bench(tmp_path, RULES)) as before:
        come_in(before, *slices(*range(6)))
        assert reports(before) == []
    with closing(Bench(tmp_path, TOLD)) as after:
        candidates = after.catalog.candidates.named(STUDY)
        reprocess(after.catalog, after.files, candidates, False, after.now)
        wait_for(after.nothing_pending, "everything", 60)

        assert len(reports(after)) == 1


def summary_due(bench: Bench, *images: Dataset) -> Task:
    """Let images come in and be recognised by hand; return the report that is due."""
    bench.by_hand(WorkKind.SUMMARISE)
    recognition = bench.take_in(*images)
    series = str(images[0].SeriesInstanceUID)
    bench.stages.route(recognition, bench.stages.classify(series, 1))
    return task_claimed(bench.catalog, WorkKind.SUMMARISE)


@pytest.mark.parametrize("killed_at", ["put", "add", "end"])
def test_a_step_that_runs_again_makes_one_report_of_the_same_bytes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    """Killed before its row, before its delivery, before its end; the next day it runs again."""
    task = summary_due(bench, *slices(*range(6)))
    step = Summarising(bench.catalog, bench.files, bench.clock)
    owner = bench.catalog.deliveries if killed_at == "add" else bench.catalog.summaries

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, killed_at, cut_off)
        with pytest.raises(KeyboardInterrupt):
            step.summarise(task)
    before = [path.read_bytes() for path in bench.derived_files()]
    assert len(before) == 1
    the_next_day = Summarising(bench.catalog, bench.files, lambda: bench.now + 86400.0)

    the_next_day.summarise(task)
    the_next_day.summarise(task)  # stale by now

    assert [path.read_bytes() for path in bench.derived_files()] == before
    ((number, made),) = bench.catalog.summaries.of_study(STUDY)
    assert number == 1
    wait_for(bench.nothing_pending, "everything", 60)
    (arrived,) = reports(bench)
    assert arrived.SOPInstanceUID == made.sop_instance_uid
    assert (
        list(changed_files(bench.catalog, bench.files, bench.catalog.ledger.history(STUDY))) == []
    )


def test_what_changed_between_a_death_and_the_next_attempt_leaves_no_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report that was written and not recorded tells what is not true any more."""
    task = summary_due(bench, *slices(*range(6)))
    step = Summarising(bench.catalog, bench.files, bench.clock)

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bench.catalog.summaries, "put", cut_off)
        with pytest.raises(KeyboardInterrupt):
            step.summarise(task)
    (leftover,) = bench.derived_files()
    found = bench.catalog.findings.of_series(SERIES, 1)
    surer = [replace(one, probability=0.999) for one in found]
    bench.catalog.findings.put(SERIES, 1, surer, bench.now)
    bench.now += 10

    step.summarise(task)

    (made,) = bench.derived_files()
    assert made != leftover
    assert [number for number, _ in bench.catalog.summaries.of_study(STUDY)] == [1]


def test_a_received_report_is_never_replaced(tmp_path: Path) -> None:
    """A new node gets an earlier report from the archive, corrected, and then the images."""
    folders = [tmp_path / name for name in ("first", "twin")]
    for folder in folders:
        folder.mkdir()
    with closing(Bench(folders[0], TOLD)) as first:
        task = summary_due(first, *slices(*range(6)))
        Summarising(first.catalog, first.files, first.clock).summarise(task)
        (path,) = first.derived_files()
        back = pydicom.dcmread(path)
    back.PatientName = "Corrected^Name"
    with closing(Bench(folders[1], TOLD)) as twin:
        twin.receive(back)
        task = summary_due_beside(twin, back)

        Summarising(twin.catalog, twin.files, twin.clock).summarise(task)

        ((_, made),) = twin.catalog.summaries.of_study(STUDY)
        assert made.sop_instance_uid != back.SOPInstanceUID
        kept = twin.catalog.instances.get(str(back.SOPInstanceUID))
        assert kept is not None
        assert str(pydicom.dcmread(twin.files.absolute(kept.path)).PatientName) == "Corrected^Name"
        assert len(twin.derived_files()) == 1


def summary_due_beside(bench: Bench, report: Dataset) -> Task:
    """Let the images come to a node that has a report; return the one that is due."""
    bench.by_hand(WorkKind.SUMMARISE)
    bench.receive(*slices(*range(6)))
    bench.tick(61)
    for series in (str(report.SeriesInstanceUID), SERIES):
        recognition = task_claimed(bench.catalog, WorkKind.RECOGNISE, f"{series}/")
        bench.stages.route(recognition, bench.stages.classify(series, 1))
    return task_claimed(bench.catalog, WorkKind.SUMMARISE)


def test_a_study_of_which_nothing_is_known_has_no_report(bench: Bench) -> None:
    """Until one said something: then the next one says that nobody can tell."""
    task = summary_due(bench, *slices(*range(6)))
    step = Summarising(bench.catalog, bench.files, bench.clock)
    found = bench.catalog.findings.of_series(SERIES, 1)
    unknown = [replace(one, value=None) for one in found]

    bench.catalog.findings.put(SERIES, 1, unknown, bench.now)
    step.summarise(task)
    before = list(bench.catalog.summaries.of_study(STUDY))
    for findings in (found, unknown):
        bench.catalog.findings.put(SERIES, 1, findings, bench.now)
        with bench.catalog.write() as connection:
            bench.catalog.work.add(connection, task.of)
        step.summarise(task_claimed(bench.catalog, WorkKind.SUMMARISE))

    assert before == []
    assert [number for number, _ in bench.catalog.summaries.of_study(STUDY)] == [1, 2]


def test_own_output_alone_has_no_report(bench: Bench) -> None:
    """The report of another node, come without the images."""
    come_in(bench, *slices(*range(6)))
    (report,) = reports(bench)
    report.StudyInstanceUID = f"{STUDY}.9"
    report.SOPInstanceUID = f"{STUDY}.9.1"
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.SeriesInstanceUID = f"{STUDY}.9.2"

    come_in(bench, report)

    assert bench.catalog.summaries.of_study(f"{STUDY}.9") == []
    assert bench.catalog.work.open(WorkKind.SUMMARISE, "") == []


def test_a_study_of_two_patients_has_no_report_and_none_goes_on(bench: Bench) -> None:
    """One of the two lies under the wrong study: nobody's report is right."""
    bench.pacs.down = True
    come_in_only(bench, *slices(*range(6)))
    others = late_series(*range(6))
    for ds in others:
        ds.PatientID, ds.PatientName = "another", "Another^Patient"

    come_in_only(bench, *others)

    ((number, made),) = bench.catalog.summaries.of_study(STUDY)
    assert number == 1
    scope = Scope(uid=made.sop_instance_uid)
    assert bench.catalog.delivery_states.counted(scope)["pacs"] == {"cancelled": 1}


def come_in_only(bench: Bench, *images: Dataset) -> None:
    """Let images come, and all be done that does not need the destination."""
    bench.receive(*images)
    bench.tick(61)
    wait_for(bench.at_rest, "rest", 60)


def test_what_nobody_has_a_use_for_is_not_made(bench: Bench) -> None:
    """The destination is told to get none."""
    stages = replace(bench.stages, unsummarised=frozenset({"pacs"}))
    recognition = bench.take_in(*slices(*range(6)))

    stages.route(recognition, stages.classify(SERIES, 1))

    assert bench.catalog.work.open(WorkKind.SUMMARISE, "") == []
    (row,) = bench.catalog.revisions.of_series(SERIES)
    assert row.summary_to == {}


def test_a_report_whose_job_died_is_given_up_and_asked_for_again(bench: Bench) -> None:
    """What it wrote goes; the next recognition of the study lets it be due."""
    task = summary_due(bench, *slices(*range(6)))
    step = Summarising(bench.catalog, bench.files, bench.clock)
    bench.catalog.claims.die(task.of, task.serial, "killed")

    step.bury(task)

    assert bench.catalog.work.open(WorkKind.SUMMARISE, "") == []
    recognition = bench.take_in(*late_series(*range(6)))
    bench.stages.route(recognition, bench.stages.classify(LATE, 1))
    assert [one.key for one in bench.catalog.work.open(WorkKind.SUMMARISE, "")] == [STUDY]

"""Images that do not belong together travel, are never measured, and are held."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SegmentationStorage
from rich.console import Console

from node.cli.study_tables import study_table
from node.model.failures import WORDS, Failure, FailureKind
from node.model.work import WorkKind
from node.networks import Networks
from node.upkeep.quarantine import Quarantine
from node.views.study import view_of_study
from tests.bench import Bench, slices
from tests.due_time import task_claimed
from tests.made_ct import SAGITTAL, SERIES, STUDY, Edit, MadeModel, lopsided
from tests.node_process import wait_for

MIXED = WORDS[FailureKind.MIXED]
OTHER = f"{SERIES}.77"
OTHER_STUDY = f"{STUDY}.88"


def another_series(**values: object) -> list[Dataset]:
    """Return six slices in a series of their own, changed."""
    made = slices(*range(6))
    for ds in made:
        ds.SeriesInstanceUID, ds.SOPInstanceUID = OTHER, f"{ds.SOPInstanceUID}.77"
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return made


def settled(bench: Bench, sent: int) -> list[tuple[str, str]]:
    """Let all of it go through; return series and reason of what is held then."""
    bench.tick(3)
    wait_for(
        lambda: len(bench.pacs.sent) == sent and bench.nothing_pending() and bench.at_rest(),
        "all of it",
        60,
    )
    Quarantine(bench.catalog, bench.files, bench.clock).look()
    held = [one.hold for one in bench.catalog.quarantine.held()]
    assert all(one.kind == "mixed" for one in held)
    return sorted((one.series_instance_uid, one.reason) for one in held)


def _patient(ds: Dataset, index: int) -> None:
    ds.PatientID = "A" if index < 4 else "B"


def _issuer(ds: Dataset, index: int) -> None:
    ds.IssuerOfPatientID = "EAST" if index < 4 else "WEST"


def _frame(ds: Dataset, index: int) -> None:
    ds.FrameOfReferenceUID = "1.2.3" if index < 4 else "1.2.4"


def _modality(ds: Dataset, index: int) -> None:
    ds.Modality = "CT" if index < 4 else "MR"


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (_patient, "2 patients"),
        (_issuer, "2 patients"),
        (_frame, "2 different values of FrameOfReferenceUID"),
        (_modality, "2 different values of Modality"),
    ],
    ids=["patient", "issuer", "frame of reference", "modality"],
)
def test_a_mixed_series_travels_unmeasured_and_is_held(
    bench: Bench, edit: Edit, what: str
) -> None:
    """SEG and SR once went out for one patient, with slices of another in them."""
    mixed = slices(*range(6))
    for index, ds in enumerate(mixed):
        edit(ds, index)
    bench.receive(*mixed)

    ((series, reason),) = settled(bench, sent=6)

    assert series == SERIES
    assert reason == f"{MIXED}Series {SERIES}: {what} (4 and 2 of 6 images); expected one."
    assert {one.source for one in bench.catalog.findings.of_series(SERIES)} == {"header", "fused"}
    by_uid = {ds.SOPInstanceUID: ds for ds in bench.pacs.sent}
    assert all(by_uid[ds.SOPInstanceUID] == ds for ds in mixed)


def test_two_patients_in_one_study_have_no_result(bench: Bench) -> None:
    """Each series is of one patient; one of them lies under the wrong study."""
    bench.receive(*slices(*range(6)), *another_series(PatientID="OTHER"))

    held = settled(bench, sent=12)

    told = f"{MIXED}2 patients in one study (6 and 6 of 12 images, 2 series); expected one"
    assert held == [(SERIES, told), (OTHER, told)]


def test_a_second_patient_who_comes_later_has_the_first_held_too(bench: Bench) -> None:
    """What went out cannot be called back, and must not stand there as if all were well."""
    bench.receive(*slices(*range(6)))
    assert settled(bench, sent=8) == []

    bench.receive(*another_series(PatientID="OTHER"))

    assert [series for series, _ in settled(bench, sent=14)] == [SERIES, OTHER]
    assert len(bench.sent(SegmentationStorage)) == 1


def test_a_second_patient_who_comes_while_the_liver_is_sought_is_seen(bench: Bench) -> None:
    """Segmenting takes minutes; what was true before need not be after."""

    def find(shape: tuple[int, ...]) -> NDArray[np.bool_]:
        bench.receive(*another_series(PatientID="OTHER"))
        return lopsided(shape)

    networks = Networks(bench.classifier, MadeModel(find))
    bench.stages = replace(bench.stages, networks=networks)
    recognition = bench.take_in(*slices(*range(6)))

    unrecognised = bench.stages.classify(SERIES, 1)
    assert unrecognised == Failure().as_json()
    bench.stages.route(recognition, unrecognised)
    bench.stages.segment(task_claimed(bench.catalog, WorkKind.SEGMENT))

    row = bench.last()
    assert row is not None
    assert row.state == "unusable"
    assert row.reason.startswith(f"{MIXED}2 patients in one study (6 and 6 of 12 images")
    assert bench.catalog.results.of_series(SERIES) == []
    assert bench.derived_files() == []


def test_results_that_are_not_on_their_way_yet_stay_here(bench: Bench) -> None:
    """The archive was down when the second patient came: nobody gets the first one's SEG."""
    bench.pacs.down = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(bench.ends("done"), "the first patient's result", 60)

    bench.receive(*another_series(PatientID="OTHER"))
    bench.tick(3)
    wait_for(bench.ends("unusable"), "the verdict", 60)

    made = {one.sop_instance_uid for _, one in bench.catalog.results.of_series(SERIES)}
    states = {
        (d.sop_instance_uid in made, d.state)
        for d in bench.catalog.delivery_states.of_study(STUDY)
    }
    assert states == {(True, "cancelled"), (False, "pending")}


@pytest.mark.parametrize(
    "values",
    [
        {"PatientID": " MADE ", "PatientName": "MADE^UP^^"},
        {"IssuerOfPatientID": "EAST"},
        {"PatientID": "", "PatientName": ""},
        {"FrameOfReferenceUID": "1.2.3"},
    ],
    ids=["spelling", "an issuer here and none there", "nobody named", "a frame of its own"],
)
def test_what_may_differ_between_series_holds_nothing(
    bench: Bench, values: dict[str, str]
) -> None:
    """Devices of one hospital fill in more or less."""
    bench.receive(*slices(*range(6)), *another_series(**values))

    assert settled(bench, sent=16) == []


def test_a_lone_reformat_costs_the_series_nothing(bench: Bench) -> None:
    """Plane, findings and SEG are those of the slices; the reformat travels like any image."""
    images = slices(*range(12))
    odd = images[-1]
    odd.SOPInstanceUID = f"{SERIES}.0"  # the first of the series by its UID
    odd.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]
    odd.ImageOrientationPatient = list(SAGITTAL)
    bench.receive(*images)

    assert settled(bench, sent=14) == []

    (seg,) = bench.sent(SegmentationStorage)
    (listed,) = seg.ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for item in listed.ReferencedInstanceSequence}
    assert named == {ds.SOPInstanceUID for ds in images[:11]}
    report = next(ds for ds in bench.pacs.sent if ds.Modality == "SR")
    assert str(odd.SOPInstanceUID) not in str(report.CurrentRequestedProcedureEvidenceSequence)
    found = {(f.name, f.source): f.value for f in bench.catalog.findings.of_series(SERIES)}
    assert found["plane", "fused"] == "axial"
    assert found["localizer", "fused"] is False
    remark = "left out 1 of 12 images: of another plane than the slices"
    assert found["remarks", "header"] == [remark]
    last = bench.last()
    assert last is not None
    assert last.evidence["because"] == "the association was released and nothing is missing"


def test_one_series_uid_in_two_studies_is_two_series(bench: Bench) -> None:
    """Each has its own findings, its own SEG and SR, and its images as they came."""
    first, second = slices(*range(6)), slices(*range(6, 12))
    for ds in second:
        ds.StudyInstanceUID, ds.PatientID = OTHER_STUDY, "OTHER"
    bench.receive(*first)
    bench.receive(*second)

    assert settled(bench, sent=16) == []

    for study, images in ((STUDY, first), (OTHER_STUDY, second)):
        (series,) = bench.catalog.studies.series_of(study)
        assert (series.state, series.instance_count) == ("done", 6)
        assert bench.catalog.findings.of_series(series.series_instance_uid)
        (seg,) = [one for one in bench.sent(SegmentationStorage) if one.StudyInstanceUID == study]
        assert seg.PatientID == images[0].PatientID
        (listed,) = seg.ReferencedSeriesSequence
        named = {item.ReferencedSOPInstanceUID for item in listed.ReferencedInstanceSequence}
        assert named == {ds.SOPInstanceUID for ds in images}
        assert listed.SeriesInstanceUID == SERIES
    made = {ds.SeriesInstanceUID for ds in bench.pacs.sent if ds.Modality in ("SEG", "SR")}
    assert len(made) == 4
    by_uid = {ds.SOPInstanceUID: ds for ds in bench.pacs.sent}
    assert all(by_uid[ds.SOPInstanceUID] == ds for ds in (*first, *second))

    console = Console(width=200, record=True, file=StringIO())
    found = view_of_study(bench.catalog, OTHER_STUDY)
    assert found is not None
    console.print(study_table(found, names=False))
    shown = console.export_text()
    assert "another study has a series of this UID, too" in shown
    assert "liver: present" in shown

"""The recognition report of a study: every value is read back out of its bytes."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedSRStorage

from node.classify.recognition_report import (
    ALWAYS,
    CONCEPTS,
    SERIES_DESCRIPTION,
    TITLE,
    build_recognition_report,
    recognition_series_uid,
)
from node.classify.study_findings import StudyFindings
from node.errors import UnusableSeriesError
from node.identity import is_own_output
from node.model.findings import FINDINGS, UNKNOWN, FindingName, Use, is_for
from node.model.records import Finding
from node.segment.liver import encode
from radnet.labels.vocabulary import (
    CONTRAST_CODES,
    PLANE_CODES,
    REGION_CODES,
    SEQUENCE_CODES,
    Contrast,
    Plane,
    Region,
    Sequence,
)
from tests.made_ct import STUDY, edition
from tests.made_findings import RULES, WEIGHTS, findings, recognised, study

Answers = list[tuple[Code, Code, float | None]]


def _read(made: StudyFindings, revision: int = 1, *previous: Dataset) -> Dataset:
    report = build_recognition_report(made, edition(revision), previous)
    return dcmread(BytesIO(encode(report)))


def _code(items: list[Dataset]) -> Code:
    (item,) = items
    return Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)


def _named(parent: Dataset, name: Code) -> list[Dataset]:
    return [item for item in parent.ContentSequence if _code(item.ConceptNameCodeSequence) == name]


def _groups(report: Dataset) -> Iterator[Dataset]:
    (measurements,) = _named(report, codes.DCM.ImagingMeasurements)
    for group in measurements.ContentSequence:
        assert _code(group.ConceptNameCodeSequence) == codes.DCM.MeasurementGroup
        yield group


def _answers(group: Dataset) -> Answers:
    found = []
    for item in group.ContentSequence:
        if item.ValueType == "CODE" and item.RelationshipType == "CONTAINS":
            sure = None
            for number in item.get("ContentSequence", []):
                assert number.RelationshipType == "HAS PROPERTIES"
                assert _code(number.ConceptNameCodeSequence) == codes.DCM.Probability
                (measured,) = number.MeasuredValueSequence
                assert _code(measured.MeasurementUnitsCodeSequence) == codes.UCUM.NoUnits
                sure = float(measured.NumericValue)
            found.append(
                (_code(item.ConceptNameCodeSequence), _code(item.ConceptCodeSequence), sure)
            )
    return found


def _concept(name: FindingName) -> Code:
    concept = FINDINGS[name].concept
    assert concept is not None
    return concept


def test_every_finding_is_read_back() -> None:
    """Concept, value and probability of each, and whose and from what they are."""
    (group,) = _groups(_read(study()))

    assert _answers(group) == [
        (_concept(FindingName.SEQUENCE), SEQUENCE_CODES[Sequence.T2_FLAIR], 0.9375),
        (_concept(FindingName.PLANE), PLANE_CODES[Plane.AXIAL], 0.99),
        (_concept(FindingName.CONTRAST), CONTRAST_CODES[Contrast.NONCONTRAST], 0.875),
        (_concept(FindingName.COVERAGE), REGION_CODES[Region.BRAIN], 0.9688),
        (_concept(FindingName.COVERAGE_UNKNOWN), REGION_CODES[Region.UPPER_HEAD_NECK], 0.5),
    ]
    (series,) = _named(group, codes.DCM.SeriesInstanceUID)
    assert f"{STUDY}.104" == series.UID
    (source,) = _named(group, codes.DCM.SourceOfMeasurement)
    assert source.ValueType == "IMAGE"
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == f"{STUDY}.104.1"
    parameters = [item.TextValue for item in _named(group, codes.DCM.AlgorithmParameters)]
    assert parameters == [f"weights_sha256={WEIGHTS}", f"rules={RULES}"]


def test_what_nobody_can_tell_is_said_to_be_unknown() -> None:
    """Without a probability: nothing is there to be probable."""
    nothing = findings(None, None, None, (), tuple(Region))

    (group,) = _groups(_read(study(recognised(4, *nothing))))

    assert _answers(group) == [
        (_concept(FindingName.SEQUENCE), UNKNOWN, None),
        (_concept(FindingName.PLANE), UNKNOWN, None),
        (_concept(FindingName.CONTRAST), UNKNOWN, None),
        *(
            (_concept(FindingName.COVERAGE_UNKNOWN), REGION_CODES[region], 0.5)
            for region in Region
        ),
    ]


def test_every_container_is_read_item_by_item() -> None:
    """Of continuous ones OHIF shows bare values in one line, without what was asked."""
    report = _read(study(recognised(4, *findings()), recognised(5, *findings())))
    (measurements,) = _named(report, codes.DCM.ImagingMeasurements)

    containers = [report, measurements, *_groups(report)]
    assert [item.ContinuityOfContent for item in containers] == ["SEPARATE"] * 4


def test_whatever_is_written_has_a_concept() -> None:
    """A finding without one would be left out in silence."""
    assert set(CONCEPTS) == {name for name in FINDINGS if is_for(name, Use.RECOGNITION)}
    assert set(ALWAYS) <= set(CONCEPTS)


def test_the_report_belongs_to_the_study() -> None:
    """Title, series, UIDs and marks: viewers, archives and this node know it by them."""
    report = _read(study())

    assert _code(report.ConceptNameCodeSequence) == TITLE
    assert (report.StudyInstanceUID, report.PatientID) == (STUDY, "MADE")
    assert report.SeriesInstanceUID == recognition_series_uid(STUDY)
    assert report.SeriesDescription == SERIES_DESCRIPTION
    assert is_own_output(report)


@pytest.mark.parametrize("revision", [1, 2])
def test_the_same_arguments_give_the_same_bytes(revision: int) -> None:
    """A step may run twice."""
    first, second = (
        encode(build_recognition_report(study(), edition(revision))) for _ in range(2)
    )

    assert first == second


def test_the_next_revision_names_its_predecessors() -> None:
    """Another instance of the same series; the first names none."""
    first = _read(study())
    second = _read(study(), 2, first)
    third = _read(study(), 3, first, second)

    assert "PredecessorDocumentsSequence" not in first
    (before,) = third.PredecessorDocumentsSequence
    (series,) = before.ReferencedSeriesSequence
    assert before.StudyInstanceUID == STUDY
    assert [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
            for item in series.ReferencedSOPSequence] == [
        (report.SOPClassUID, report.SOPInstanceUID) for report in (first, second)
    ]  # fmt: skip
    assert len({report.SOPInstanceUID for report in (first, second, third)}) == 3
    assert {report.SeriesInstanceUID for report in (first, second, third)} == {
        series.SeriesInstanceUID
    }
    assert [report.InstanceNumber for report in (first, second, third)] == [1, 2, 3]


def test_series_stand_in_the_order_of_their_numbers() -> None:
    """However the rows come; those without a number are the last, and each is evidence."""
    numbers = [5, 40, 3, 300]
    unnumbered = replace(recognised(7, *findings()), series_number=None)

    report = _read(study(unnumbered, *(recognised(n, *findings()) for n in numbers)))

    shown = [_named(group, codes.DCM.SeriesInstanceUID)[0].UID for group in _groups(report)]
    assert shown == [f"{STUDY}.{n + 100}" for n in (3, 5, 40, 300, 7)]
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    assert {series.SeriesInstanceUID for series in evidence.ReferencedSeriesSequence} == {*shown}


HOSTILE = {
    "markup": ("<script>alert(1)</script>", "Series 4: <script>alert(1)</script>"),
    "control characters": ("T2\x00\x1b$B\r\n\x7f AX\u202e", "Series 4: T2 $B AX"),
    "backslash": ("a\\b", "Series 4: a\\b"),
    "very long": ("ä" * 100_000, "Series 4: " + "ä" * 64),
    "half a surrogate": ("T1\udc80", "Series 4: T1"),
    "blanks": (" \n ", "Series 4"),
    "another script": ("脳 T2", "Series 4: 脳 T2"),
}


@pytest.mark.parametrize(("typed", "written"), HOSTILE.values(), ids=HOSTILE)
def test_a_description_is_a_line_of_plain_text(typed: str, written: str) -> None:
    """People type anything; it is written as it is, on one line, and not too long."""
    (group,) = _groups(_read(study(recognised(4, *findings(), description=typed))))

    (called,) = _named(group, codes.DCM.TrackingIdentifier)
    assert called.TextValue == written


def test_a_series_of_which_nothing_is_known_is_unknown_in_all() -> None:
    """No finding, no number, no modality, no words."""
    bare = replace(
        recognised(4), series_number=None, modality="", series_description="", findings=()
    )

    report = _read(study(bare))

    (group,) = _groups(report)
    assert _answers(group) == [(_concept(name), UNKNOWN, None) for name in ALWAYS]
    assert _named(group, codes.DCM.TrackingIdentifier)[0].TextValue == "Series"
    (procedure,) = _named(report, codes.DCM.ProcedureReported)
    assert _code(procedure.ConceptCodeSequence) == codes.SCT.ImagingProcedure


def test_a_header_without_patient_and_study_gives_a_report() -> None:
    """Type 2 attributes are written empty."""
    bare = Dataset()
    bare.StudyInstanceUID = STUDY

    report = _read(replace(study(), original=bare))

    assert [report[name].value for name in ("PatientID", "StudyDate", "AccessionNumber")] == [
        "", "", "",
    ]  # fmt: skip


def test_what_other_versions_wrote_is_no_answer() -> None:
    """A value without a code is unknown, a probability that is none is left out."""
    odd = (
        Finding(FindingName.SEQUENCE, "FIESTA", 0.9, "fused"),
        Finding(FindingName.PLANE, "axial", float("nan"), "fused"),
        Finding(FindingName.CONTRAST, "contrast", 1.5, "fused"),
        Finding(FindingName.COVERAGE, "brain", 0.9, "fused"),
        Finding(FindingName.COVERAGE_UNKNOWN, ["brain", "tail"], 0.9, "fused", {}),
        Finding("mood", "good", 0.9, "fused"),
        Finding(FindingName.LOCALIZER, True, 1.0, "fused"),
        Finding(FindingName.LIVER, "present", 1.0, "fused"),
        Finding(FindingName.SEQUENCE, "T1", 0.9, "header"),
    )

    (group,) = _groups(_read(study(recognised(4, *odd))))

    assert _answers(group) == [
        (_concept(FindingName.SEQUENCE), UNKNOWN, None),
        (_concept(FindingName.PLANE), PLANE_CODES[Plane.AXIAL], None),
        (_concept(FindingName.CONTRAST), CONTRAST_CODES[Contrast.CONTRAST], None),
        (_concept(FindingName.COVERAGE), UNKNOWN, None),
        (_concept(FindingName.COVERAGE_UNKNOWN), REGION_CODES[Region.BRAIN], None),
        (_concept(FindingName.LOCALIZER), codes.SCT.Yes, 1.0),
    ]
    assert [item.TextValue for item in _named(group, codes.DCM.AlgorithmParameters)] == [
        f"rules={RULES}"
    ]


def test_what_is_no_image_is_referred_to_as_a_composite() -> None:
    """An IMAGE is an instance of an image SOP Class only (PS3.3 Section C.17.3.5)."""
    document = replace(recognised(4, modality="SR"), sop_class_uid=EnhancedSRStorage)

    (group,) = _groups(_read(study(document)))

    assert _named(group, codes.DCM.SourceOfMeasurement)[0].ValueType == "COMPOSITE"


def test_own_output_is_not_reported_on() -> None:
    """Its report would make another report."""
    own = recognised(9, Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused"))

    assert len(list(_groups(_read(study(own, recognised(4, *findings())))))) == 1
    with pytest.raises(UnusableSeriesError, match="no series found"):
        build_recognition_report(study(own), edition(1))


def test_modalities_name_what_was_done() -> None:
    """Each once, in the order of the series."""
    made = [recognised(n, modality=what) for n, what in enumerate(["PT", "CT", "PT", "MR", "US"])]

    named = _named(_read(study(*made)), codes.DCM.ProcedureReported)

    assert [_code(item.ConceptCodeSequence) for item in named] == [
        codes.LN.PETUnspecifiedBodyRegion,
        codes.LN.CTUnspecifiedBodyRegion,
        codes.LN.MRIUnspecifiedBodyRegion,
        codes.SCT.ImagingProcedure,
    ]

"""The recognition report of a study: every value is read back out of its bytes."""

from collections.abc import Iterator
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.classify.recognition_report import (
    ALWAYS,
    CONCEPTS,
    SERIES_DESCRIPTION,
    TITLE,
    build_recognition_report,
    recognition_series_uid,
)
from node.classify.study_findings import StudyFindings
from node.identity import is_own_output
from node.model.findings import FINDINGS, UNKNOWN, FindingName, Use, is_for
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

"""What the node writes about a liver: SEG, SR, coded negative, identity and revision."""

import datetime
from pathlib import Path
from typing import Self

import highdicom as hd
import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.derived.edition import Edition
from node.errors import UnusableSeriesError
from node.identity import derived_uid, is_own_output
from node.model.findings import FINDINGS, FindingName, Presence
from node.segment.liver import LiverResult, encode, segment_liver
from node.segment.seg import measured_text
from radnet.volume.series import read_volume
from tests.made_ct import (
    AXIAL,
    MADE,
    SHAPE,
    SPACING,
    STUDY,
    Edit,
    Find,
    MadeModel,
    edition,
    lopsided,
    nothing,
    rotation,
    write_ct,
)

TURN = rotation(25, 0) @ rotation(-10, 2)
OBLIQUE = (*TURN[:, 0], *TURN[:, 1])


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Write an oblique series in reversed order."""
    return write_ct(tmp_path / "ct", orientation=OBLIQUE, upwards=False)


@pytest.fixture
def result(paths: list[Path]) -> LiverResult:
    """Segment it."""
    return segment_liver(paths, MadeModel(), edition(1))


def _seg(result: LiverResult) -> hd.seg.Segmentation:
    assert result.seg is not None
    segmentation = hd.seg.Segmentation.from_dataset(result.seg)
    assert isinstance(segmentation, hd.seg.Segmentation)
    return segmentation


def test_every_frame_lies_on_the_source_image_it_names(
    paths: list[Path], result: LiverResult
) -> None:
    """A viewer draws a frame over the image it refers to, by position or by reference."""
    segmentation = _seg(result)
    sources = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, paths)}
    volume = read_volume(paths)
    mask = lopsided(volume.shape)
    frames = segmentation.pixel_array

    assert segmentation.NumberOfFrames == mask.any(axis=(1, 2)).sum()
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        reference = groups.DerivationImageSequence[0].SourceImageSequence[0]
        source = sources[reference.ReferencedSOPInstanceUID]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        assert list(position) == list(source.ImagePositionPatient)
        index = np.linalg.inv(volume.affine) @ [*map(float, source.ImagePositionPatient), 1]
        assert np.array_equal(frame > 0, mask[round(index[0])])


def test_the_segment_is_named_by_the_standard(result: LiverResult) -> None:
    """Codes, colour, algorithm and weights are what another system can read."""
    segmentation = _seg(result)
    (segment,) = segmentation.SegmentSequence

    assert segmentation.SegmentationType == "BINARY"
    assert (segmentation.Rows, segmentation.Columns) == SHAPE[1:]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "SCT"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert len(segment.RecommendedDisplayCIELabValue) == 3
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "3D-RADNet"
    assert "ab" * 32 in algorithm.AlgorithmParameters


def test_the_volume_is_read_without_a_reader_of_reports(result: LiverResult) -> None:
    """Lists of segments and of instances show it; texts of the series are the same ever after."""
    segmentation = _seg(result)
    (segment,) = segmentation.SegmentSequence

    assert f"{result.volume_ml:.1f}" == "2.3"
    assert segment.SegmentLabel == segment.SegmentDescription == "Liver 2.3 mL"
    assert segmentation.ContentDescription == "Liver 2.3 mL, automatic"
    assert segmentation.SeriesDescription == "Liver segmentation (3D-RADNet)"
    assert segment.TrackingID == "Liver"


@pytest.mark.parametrize(
    ("volume_ml", "text"),
    [(1046.4, "Liver 1046 mL"), (10.0, "Liver 10 mL"), (9.94, "Liver 9.9 mL")],
)
def test_a_volume_is_told_as_exactly_as_it_is_known(volume_ml: float, text: str) -> None:
    """Tenths of a whole liver are noise; of a sliver they are all there is."""
    assert measured_text(volume_ml) == text


@pytest.mark.parametrize("find", [lopsided, nothing])
def test_a_report_is_read_item_by_item(paths: list[Path], find: Find) -> None:
    """Of continuous containers OHIF shows bare values in one line."""
    report = segment_liver(paths, MadeModel(find), edition(1)).report

    measurements = report.ContentSequence[-1]
    containers = [report, measurements, *measurements.ContentSequence]
    assert [item.ContinuityOfContent for item in containers] == ["SEPARATE"] * 3


def _content(report: Dataset) -> hd.sr.MeasurementReport:
    content = hd.sr.ComprehensiveSR.from_dataset(report).content
    assert isinstance(content, hd.sr.MeasurementReport)
    return content


def test_the_report_says_the_volume_and_where_it_was_measured(
    paths: list[Path], result: LiverResult
) -> None:
    """One number in mL, tied to the segment it came from."""
    millilitres = lopsided(SHAPE).sum() * np.prod(SPACING) / 1000
    (group,) = _content(result.report).get_volumetric_roi_measurement_groups()
    (measurement,) = group.get_measurements()

    assert result.volume_ml == pytest.approx(millilitres)
    assert measurement.value == pytest.approx(millilitres, abs=0.01)
    assert measurement.unit.value == "ml"
    kind = FINDINGS[FindingName.LIVER_VOLUME_ML]
    assert measurement.name == kind.concept
    assert measurement.unit == kind.unit
    assert group.finding_type == codes.SCT.Liver
    segment = group.referenced_segment
    assert segment is not None
    assert segment.referenced_sop_instance_uid == _seg(result).SOPInstanceUID
    evidence = result.report.CurrentRequestedProcedureEvidenceSequence[0]
    named = {
        item.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {str(dcmread(path).SOPInstanceUID) for path in paths} < named


def test_no_liver_is_a_coded_negative(paths: list[Path]) -> None:
    """Silence would look like a node that is down."""
    result = segment_liver(paths, MadeModel(nothing), edition(1))
    content, asked = _content(result.report), FINDINGS[FindingName.LIVER]
    (group,) = content.get_image_measurement_groups()
    (evaluation,) = group.get_qualitative_evaluations(asked.concept)

    assert result.seg is None
    assert result.volume_ml == 0
    assert result.certificate == {}
    assert group.finding_type == codes.SCT.Liver
    assert evaluation.value == asked.value_codes[Presence.ABSENT]
    assert evaluation.name == Code("705057003", "SCT", "Presence")
    assert evaluation.value == Code("272519000", "SCT", "Absent")  # CID 240 "Present-Absent"
    assert not content.get_volumetric_roi_measurement_groups()


@pytest.mark.parametrize("find", [lopsided, nothing])
def test_a_second_run_writes_the_same_bytes(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, find: Find
) -> None:
    """A step resumed after a crash must not make a second result, whatever the clock says."""
    model = MadeModel(find)
    first = segment_liver(paths, model, edition(1))
    later = _Later()
    monkeypatch.setattr("highdicom.base.datetime", later)
    monkeypatch.setattr("highdicom.sr.sop.datetime", later)
    second = segment_liver(paths[::-1], model, edition(1))

    assert later.asked > 0
    assert encode(first.report) == encode(second.report)
    assert (first.seg is None) == (second.seg is None)
    if first.seg is not None and second.seg is not None:
        assert encode(first.seg) == encode(second.seg)


class _Later:
    """The module `datetime`, with a clock that stands in another year."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        if name != "datetime":
            return getattr(datetime, name)
        self.asked += 1
        return _In2031


class _In2031(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        """Return a moment of another year."""
        return cls(2031, 2, 3, 4, 5, 6, tzinfo=tz)


def test_a_late_slice_makes_a_revision_of_the_same_series(paths: list[Path]) -> None:
    """New instances in the same derived series; the report names the one it replaces."""
    first = segment_liver(paths, MadeModel(), edition(1))
    second = segment_liver(paths, MadeModel(), edition(2), [first.report])

    for one, other in ((first.seg, second.seg), (first.report, second.report)):
        assert one is not None
        assert other is not None
        assert one.SeriesInstanceUID == other.SeriesInstanceUID
        assert one.SOPInstanceUID != other.SOPInstanceUID
        assert (one.InstanceNumber, other.InstanceNumber) == (1, 2)
    predecessor = second.report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    named = predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == first.report.SOPInstanceUID
    assert (
        _seg(first).SegmentSequence[0].TrackingUID == _seg(second).SegmentSequence[0].TrackingUID
    )


def test_other_weights_make_another_object(paths: list[Path], result: LiverResult) -> None:
    """The same UID with other bytes would be a conflict in every archive."""
    model = MadeModel()
    model.digest = "cd" * 32

    assert (
        _seg(segment_liver(paths, model, edition(1))).SOPInstanceUID != _seg(result).SOPInstanceUID
    )


def test_the_node_knows_its_own_output(result: LiverResult) -> None:
    """Otherwise a PACS that sends everything back would keep it busy for ever."""
    for dataset in (result.seg, result.report):
        assert dataset is not None
        assert is_own_output(dataset)


def test_patient_and_study_are_those_of_the_source(paths: list[Path], result: LiverResult) -> None:
    """An archive files a result by these."""
    source = dcmread(paths[0])
    for dataset in (result.seg, result.report):
        assert dataset is not None
        for keyword in ("PatientID", "PatientName", "PatientSex", "StudyInstanceUID"):
            assert dataset[keyword].value == source[keyword].value
        for keyword in ("StudyDate", "StudyTime", "StudyID"):
            assert dataset[keyword].value == source[keyword].value
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID


DATES = {"InstanceCreation", "Content", "Series"}


@pytest.mark.parametrize(
    ("zone", "written"),
    [(None, "090807"), ("", "090807"), ("+0000", "070807"), ("-0330", "033807"), ("x", "090807")],
)
@pytest.mark.parametrize("find", [lopsided, nothing])
def test_a_result_is_dated_when_it_was_made(
    tmp_path: Path, zone: str | None, written: str, find: Find
) -> None:
    """A worklist sorts by these; one made today and dated as the scan says it is old.

    Times are local as the source's are, or of the zone that the source names (PS3.3 C.12.1.1.8).
    """

    def zoned(ds: Dataset, _index: int) -> None:
        if zone is not None:
            ds["TimezoneOffsetFromUTC"] = DataElement("TimezoneOffsetFromUTC", "SH", zone)

    result = segment_liver(write_ct(tmp_path, zoned), MadeModel(find), edition(1))

    named = zone if zone in ("+0000", "-0330") else None
    for dataset in filter(None, (result.seg, result.report)):
        for event in DATES:
            assert dataset[f"{event}Date"].value == "20261130"
            assert dataset[f"{event}Time"].value == written
        assert (dataset.StudyDate, dataset.StudyTime) == ("20260102", "030405")
        assert dataset.get("TimezoneOffsetFromUTC") == named


def test_a_later_revision_continues_the_series_of_the_first(paths: list[Path]) -> None:
    """Series Date is an attribute of the series: the same in every instance of it."""
    begun = MADE - datetime.timedelta(days=1)
    result = segment_liver(paths, MadeModel(), Edition(2, MADE, begun))

    for dataset in (result.seg, result.report):
        assert dataset is not None
        assert (dataset.SeriesDate, dataset.ContentDate) == ("20261129", "20261130")


def test_another_edition_or_moment_is_another_object(
    paths: list[Path], result: LiverResult
) -> None:
    """Two nodes with the same weights write different dates: not under one UID."""
    for other in (edition(1, number=1), edition(1, made=MADE + datetime.timedelta(seconds=1))):
        again = segment_liver(paths, MadeModel(), other)
        assert _seg(again).SOPInstanceUID != _seg(result).SOPInstanceUID
        assert again.report.SOPInstanceUID != result.report.SOPInstanceUID


def _odd_patient(ds: Dataset, _index: int) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName = "Groß"  # no caret: highdicom would quote it in a warning
    ds["PatientSex"] = DataElement("PatientSex", "LO", "0000")
    ds.PatientBirthDate, ds.PatientAge = "19700101", "056Y"
    ds.AccessionNumber = None
    ds.StudyTime = ""
    ds.StudyID = None
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "made up"
    del ds.StudyDate, ds.ContentDate, ds.ContentTime, ds.SliceThickness, ds.SeriesNumber


def test_odd_patient_attributes_are_carried_or_left_empty(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The result belongs to the same patient, whatever the archive made of the header."""
    paths = write_ct(tmp_path, _odd_patient)
    for path in paths:
        raw = path.read_bytes().replace(b"19700101", b"1970/1/1").replace(b"056Y", b"56 Y")
        path.write_bytes(raw)

    result = segment_liver(paths, MadeModel(), edition(1))

    for dataset in (result.seg, result.report):
        assert dataset is not None
        again = dcmread(tmp_path / "0.dcm")
        assert str(dataset.PatientName) == "Groß" == str(again.PatientName)
        assert dataset.PatientSex is None
        assert dataset.PatientBirthDate is None
        assert dataset.get("PatientAge") is None
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.ContentDate == "20261130"
        assert (dataset.StudyDate, dataset.StudyID, dataset.AccessionNumber) == (None, None, None)
        assert "Groß".encode() in encode(dataset)
    assert "Groß" not in caplog.text
    assert "1970" not in caplog.text


@pytest.mark.parametrize("frame", ["1.2.3.9", ""], ids=["frame of reference", "none"])
def test_multi_frame_source_is_segmented_on_its_frames(tmp_path: Path, frame: str) -> None:
    """An enhanced CT is one instance; its frames are named by number."""
    sources = [dcmread(path) for path in write_ct(tmp_path / "single", orientation=AXIAL)]
    enhanced = LegacyConvertedEnhancedCTImage(sources, "1.2.3.4", 5, "1.2.3.4.5", 1)
    enhanced.FrameOfReferenceUID = frame
    enhanced.save_as(tmp_path / "enhanced.dcm")

    result = segment_liver([tmp_path / "enhanced.dcm"], MadeModel(), edition(1))

    groups = _seg(result).PerFrameFunctionalGroupsSequence
    references = [g.DerivationImageSequence[0].SourceImageSequence[0] for g in groups]
    assert {str(r.ReferencedSOPInstanceUID) for r in references} == {"1.2.3.4.5"}
    assert all(r.ReferencedFrameNumber for r in references)
    assert _seg(result).FrameOfReferenceUID == (frame or derived_uid(STUDY, "1.2.3.4", "frame"))
    assert result.certificate["grid_error_mm"] < 0.001


def test_what_is_not_ct_is_refused(tmp_path: Path) -> None:
    """Hounsfield thresholds mean nothing in MR."""

    def mr(ds: Dataset, _index: int) -> None:
        ds.Modality = "MR"

    with pytest.raises(UnusableSeriesError, match="modality MR found; expected CT"):
        segment_liver(write_ct(tmp_path, mr), MadeModel(), edition(1))


def test_a_source_without_study_uid_is_refused(tmp_path: Path) -> None:
    """A result that refers to nothing would hang in no study."""

    def anonymous(ds: Dataset, _index: int) -> None:
        ds.StudyInstanceUID = ""

    with pytest.raises(UnusableSeriesError, match="no StudyInstanceUID"):
        segment_liver(write_ct(tmp_path, anonymous), MadeModel(), edition(1))


def _turned(ds: Dataset, index: int) -> None:
    ds.ImageOrientationPatient = [1, 0.00001 * index, 0, -0.00001 * index, 1, 0]


def _other_digits(ds: Dataset, index: int) -> None:
    ds.PixelSpacing = [f"{1.5 + 1e-7 * index:.8f}", "1.25"]


def _jittered(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [
        -30,
        -40 + 0.01 * (index % 2),
        100 + 4 * index + 0.015 * (index % 2),
    ]


def _no_frame_of_reference(ds: Dataset, _index: int) -> None:
    del ds.FrameOfReferenceUID


def _a_frame_of_reference_each(ds: Dataset, index: int) -> None:
    ds.FrameOfReferenceUID = f"1.2.3.{index + 1}"


def _odd_thickness(ds: Dataset, _index: int) -> None:
    ds.SliceThickness = None
    ds.SpacingBetweenSlices = -4


@pytest.mark.parametrize(
    "edit",
    [
        _turned,
        _other_digits,
        _jittered,
        _no_frame_of_reference,
        _a_frame_of_reference_each,
        _odd_thickness,
    ],
)
def test_last_digits_of_a_source_do_not_stop_a_result(tmp_path: Path, edit: Edit) -> None:
    """Archives round; what is one grid to a tenth of a millimetre is one grid."""
    result = segment_liver(write_ct(tmp_path, edit), MadeModel(), edition(1))

    assert result.certificate["grid_error_mm"] < 0.1
    measures = _seg(result).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(SPACING[0], abs=0.01)

"""The picture of the contours: what is burnt in, whose it is, and what it refers to."""

from pathlib import Path

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from structlog.testing import capture_logs

from node.identity import is_own_output
from node.segment.liver import LiverResult, encode, result_series_uids, segment_liver
from node.segment.picture import CONTOUR_RGB, HEAD, PANEL, drawn
from radnet.volume.series import read_volume
from tests.made_ct import SERIES, STUDY, Edit, MadeModel, edition, lopsided, nothing, write_ct


def pictured(folder: Path, edit: Edit | None = None, revision: int = 1) -> Dataset:
    """Segment a made-up series and return the capture."""
    result = segment_liver(write_ct(folder, edit), MadeModel(), edition(revision), (), True)
    assert result.capture is not None
    return result.capture


def contoured(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where the colour of the contour is."""
    same: NDArray[np.bool_] = np.all(pixels == CONTOUR_RGB, axis=-1)
    return same


def test_it_is_a_secondary_capture_that_any_viewer_shows(tmp_path: Path) -> None:
    """One frame of plain RGB; what was measured stands in the header, too."""
    capture = pictured(tmp_path)

    assert capture.SOPClassUID == SecondaryCaptureImageStorage
    assert (capture.Modality, capture.ConversionType) == ("OT", "WSD")
    assert list(capture.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert (capture.PhotometricInterpretation, capture.BitsStored) == ("RGB", 8)
    assert list(capture.PatientOrientation) == ["L", "P"]
    assert capture.ImageComments == "Liver 2.3 mL, automatic. Not for diagnosis."
    assert "PixelSpacing" not in capture  # nobody shall measure in a montage
    assert capture.SeriesInstanceUID == result_series_uids(STUDY, SERIES)[2]
    assert is_own_output(capture)


def test_it_says_which_segmentation_and_images_it_shows(tmp_path: Path) -> None:
    """Who sees the picture finds the SEG beside it."""
    result = segment_liver(write_ct(tmp_path), MadeModel(), edition(1), (), True)
    capture, segmentation = result.capture, result.seg
    assert capture is not None
    assert segmentation is not None
    shown = [f"{SERIES}.{index + 1}" for index in (4, 3, 2)]  # liver lies there: from the head

    assert capture.SeriesDescription == "Contours of Liver segmentation (3D-RADNet)"
    assert capture.SeriesDescription.endswith(segmentation.SeriesDescription)
    named = [item.ReferencedSOPInstanceUID for item in capture.SourceImageSequence]
    assert named == [*shown, segmentation.SOPInstanceUID]
    source, derived = capture.ReferencedSeriesSequence
    assert (source.SeriesInstanceUID, derived.SeriesInstanceUID) == (
        SERIES,
        segmentation.SeriesInstanceUID,
    )
    assert [item.ReferencedSOPInstanceUID for item in source.ReferencedInstanceSequence] == shown
    (only,) = derived.ReferencedInstanceSequence
    assert only.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID


def test_the_contour_lies_around_the_liver(tmp_path: Path) -> None:
    """Every pixel of it is where the edge of the mask is, and in no panel without liver."""
    volume = read_volume(write_ct(tmp_path))
    mask = lopsided(volume.shape)
    _, rows, columns = volume.shape
    index = int(np.flatnonzero(mask.any(axis=(1, 2)))[-1])
    empty = int(np.flatnonzero(~mask.any(axis=(1, 2)))[-1])

    picture = drawn(volume, mask, [index, empty], "Liver", MadeModel())

    panel, other = picture[HEAD:, :PANEL], picture[HEAD:, PANEL : 2 * PANEL]
    assert not contoured(other).any()
    down, right = np.nonzero(contoured(panel))
    scale = PANEL / max(rows * volume.spacing[1], columns * volume.spacing[2])
    top = (PANEL - round(rows * volume.spacing[1] * scale)) // 2
    inside = np.nonzero(mask[index])
    for found, voxels, spacing, start in (
        (down, inside[0], volume.spacing[1], top),
        (right, inside[1], volume.spacing[2], 0),
    ):
        assert found.min() == pytest.approx(start + voxels.min() * spacing * scale, abs=2)
        assert found.max() == pytest.approx(start + (voxels.max() + 1) * spacing * scale, abs=2)


def _other_patient(ds: Dataset, _index: int) -> None:
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Somebody^Else", "OTHER", "A-2"
    ds.PatientBirthDate, ds.StudyDate, ds.SeriesDescription = "19400102", "19990101", "Somebody"


def test_nothing_of_the_patient_is_burnt_in(tmp_path: Path) -> None:
    """Whoever it is, the pixels are the same; the header names the patient."""
    one, other = pictured(tmp_path / "one"), pictured(tmp_path / "other", _other_patient)

    assert one.PixelData == other.PixelData
    assert str(other.PatientName) == "Somebody^Else"
    assert other.StudyDate == "19990101"
    assert one.BurnedInAnnotation == other.BurnedInAnnotation == "NO"


def test_the_volume_and_the_model_are_burnt_in(tmp_path: Path) -> None:
    """Another volume or other weights are another picture, in the lines on top alone."""
    volume = read_volume(write_ct(tmp_path))
    mask, model, weights = lopsided(volume.shape), MadeModel(), MadeModel()
    weights.digest = "cd" * 32
    first = drawn(volume, mask, [2], "Liver 2 mL", model)
    others = (
        drawn(volume, mask, [2], "Liver 3 mL", model),
        drawn(volume, mask, [2], "Liver 2 mL", weights),
    )

    for other in others:
        assert not np.array_equal(first[:HEAD], other[:HEAD])
        assert np.array_equal(first[HEAD:], other[HEAD:])
    assert contoured(first[:HEAD]).sum() > 100  # "Not for diagnosis", in the contour's colour


def test_a_name_that_no_font_has_is_left_out(tmp_path: Path) -> None:
    """A site calls its model what it likes; the line keeps its length."""
    volume = read_volume(write_ct(tmp_path))
    mask, odd, plain = lopsided(volume.shape), MadeModel(), MadeModel()
    odd.name, plain.name = "Leber\n" + "肝" * 9 + "x" * 500, "Leber" + "x" * 43

    assert np.array_equal(
        drawn(volume, mask, [2], "Liver", odd), drawn(volume, mask, [2], "Liver", plain)
    )


def _burnt_in_and_lossy(ds: Dataset, _index: int) -> None:
    ds.BurnedInAnnotation, ds.LossyImageCompression = "YES", "01"
    ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = "10", "ISO_10918_1"


def test_what_the_source_says_of_its_pixels_is_true_of_the_picture(tmp_path: Path) -> None:
    """They are shown: a name in them is in it, and what they lost is lost."""
    capture = pictured(tmp_path / "odd", _burnt_in_and_lossy)

    assert capture.BurnedInAnnotation == "YES"
    assert (capture.LossyImageCompression, capture.LossyImageCompressionRatio) == ("01", 10)
    assert pictured(tmp_path / "plain").LossyImageCompression == "00"


def test_made_again_it_is_the_same_bytes_and_later_another_instance(tmp_path: Path) -> None:
    """A step that is resumed makes no second one, a late slice one of the same series."""
    first, again = pictured(tmp_path), pictured(tmp_path)
    second = pictured(tmp_path, revision=2)

    assert encode(first) == encode(again)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    dates = {first[f"{of}Date"].value for of in ("InstanceCreation", "Content", "Series")}
    assert dates == {first.DateOfSecondaryCapture} == {"20261130"}
    assert first.TimeOfSecondaryCapture == first.ContentTime == "090807"


def test_it_is_made_where_somebody_asks_and_there_is_a_liver(tmp_path: Path) -> None:
    """The other results are the same with it as without."""
    paths = write_ct(tmp_path)

    def made(model: MadeModel, with_capture: bool) -> LiverResult:
        return segment_liver(paths, model, edition(1), (), with_capture)

    plain, asked = made(MadeModel(), False), made(MadeModel(), True)
    assert plain.capture is None
    assert made(MadeModel(nothing), True).capture is None
    assert encode(plain.report) == encode(asked.report)
    assert plain.seg is not None
    assert asked.seg is not None
    assert encode(plain.seg) == encode(asked.seg)


def test_a_picture_that_cannot_be_drawn_costs_no_segmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what failed quoted: it may be a header's value."""
    monkeypatch.setattr("node.segment.capture.build_capture", lambda *_: int("Doe^John"))
    with capture_logs() as logs:
        result = segment_liver(write_ct(tmp_path), MadeModel(), edition(1), (), True)

    assert result.capture is None
    assert result.seg is not None
    (told,) = [entry for entry in logs if entry["event"] == "no capture"]
    assert told["because"].startswith("ValueError at ")
    assert "Doe" not in str(logs)


def test_a_multi_frame_source_is_named_once(tmp_path: Path) -> None:
    """It is one instance, whichever of its frames are shown."""
    sources = [dcmread(path) for path in write_ct(tmp_path / "single")]
    enhanced = LegacyConvertedEnhancedCTImage(sources, "1.2.3.4", 5, "1.2.3.4.5", 1)
    enhanced.save_as(tmp_path / "enhanced.dcm")

    result = segment_liver([tmp_path / "enhanced.dcm"], MadeModel(), edition(1), (), True)

    assert result.capture is not None
    assert result.seg is not None
    named = [item.ReferencedSOPInstanceUID for item in result.capture.SourceImageSequence]
    assert named == ["1.2.3.4.5", result.seg.SOPInstanceUID]

"""Files to volumes, and everything that must not become one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from openjpeg.utils import encode_array
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless, SegmentationStorage

from radnet.errors import GeometryError, MixedSeriesError, UnusableVolumeError
from radnet.volume.series import read_headers, read_volume
from tests.made_ct import (
    AXIAL,
    SAGITTAL,
    SERIES,
    SHAPE,
    SPACING,
    Edit,
    localizer,
    made_slice,
    of_no_size,
    rotation,
    write_ct,
)

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
TURN = rotation(25, 0) @ rotation(-10, 2)
OBLIQUE = (*TURN[:, 0], *TURN[:, 1])
ORIENTATIONS = {"axial": AXIAL, "coronal": CORONAL, "sagittal": SAGITTAL, "oblique": OBLIQUE}


@pytest.mark.parametrize("upwards", [True, False], ids=["upwards", "downwards"])
@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_every_voxel_lies_where_its_header_says(
    tmp_path: Path, orientation: tuple[float, ...], upwards: bool
) -> None:
    """One affine serves any plane and any order of slices; values are HU."""
    paths = write_ct(tmp_path, orientation=orientation, upwards=upwards)
    volume = read_volume(paths[::-1])

    assert volume.array.dtype == np.float32
    assert volume.shape == SHAPE
    assert volume.spacing == pytest.approx(SPACING)
    assert np.linalg.det(volume.affine[:3, :3]) > 0
    for index in range(SHAPE[0]):
        header = made_slice(index, orientation, upwards)
        row, column = np.array(orientation[:3]), np.array(orientation[3:])
        point = (
            np.array(header.ImagePositionPatient, dtype=float)
            + 7 * SPACING[1] * column
            + 11 * SPACING[2] * row
        )
        found = np.linalg.inv(volume.affine) @ [*point, 1]
        at = np.rint(found[:3]).astype(int)
        assert found[:3] == pytest.approx(at, abs=1e-4)
        assert volume.array[tuple(at)] == 100 * index + 7 - 11


def _set(keyword: str, value: object, only: int | None = None) -> Edit:
    def edit(ds: Dataset, index: int) -> None:
        if only is None or index == only:
            setattr(ds, keyword, value)

    return edit


def _drop(keyword: str, only: int | None = None) -> Edit:
    def edit(ds: Dataset, index: int) -> None:
        if only is None or index == only:
            delattr(ds, keyword)

    return edit


def _seg(ds: Dataset, _index: int) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SegmentationStorage


UNUSABLE = {
    "no pixel data": (_drop("PixelData", 2), "no Pixel Data"),
    "short pixel data": (_set("PixelData", bytes(64), 2), "cannot be decoded"),
    "0 x 0": (of_no_size, "0 rows and 0 columns"),
    "localizer": (localizer, "6 of 6 images are localizers"),
    "not an image": (_seg, "SOP class Segmentation Storage found"),
    "colour": (_set("SamplesPerPixel", 3), "3 samples per pixel"),
    "no position": (_drop("ImagePositionPatient", 1), "no usable ImagePositionPatient"),
    "rows differ": (_set("Rows", 16, 1), "different values of Rows"),
    "spacing differs": (_set("PixelSpacing", [1.5, 1.5], 1), "different values of PixelSpacing"),
    "spacing of nothing": (_set("PixelSpacing", [0, 0]), "expected positive mm"),
    "frames differ": (_set("FrameOfReferenceUID", "1.2.3", 1), "FrameOfReferenceUID"),
    "no rescale": (_drop("RescaleSlope", 3), "1 of 6 CT images have no Rescale"),
}


@pytest.mark.parametrize(("edit", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
@pytest.mark.parametrize("tolerant", [False, True], ids=["strict", "tolerant"])
def test_unusable_images_are_refused_by_name(
    tmp_path: Path, edit: Edit, reason: str, tolerant: bool
) -> None:
    """A person must read which series and why, and never who."""
    paths = write_ct(tmp_path, edit)

    with pytest.raises(UnusableVolumeError, match=reason) as refusal:
        read_volume(paths, tolerant=tolerant)

    assert SERIES in str(refusal.value)
    assert "Made" not in str(refusal.value)


def _at(*places: float) -> Edit:
    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-30, -40, places[index]]

    return edit


def _tilted(ds: Dataset, index: int) -> None:
    ds.ImagePositionPatient = [-30, -40 + 1.5 * index, 100 + 4 * index]


def _other_orientation(ds: Dataset, index: int) -> None:
    if index > 3:
        ds.ImageOrientationPatient = list(CORONAL)


def _skewed(ds: Dataset, _index: int) -> None:
    ds.ImageOrientationPatient = [1, 0, 0, 0.5, 0.866, 0]


STACKS: dict[str, tuple[Edit, str, bool]] = {
    "hole": (_at(0, 4, 8, 16, 20, 24), r"slice is missing between -16\.00 mm and -8\.00", True),
    "uneven": (_at(0, 4, 8, 11, 15, 19), "1 of 5 gaps differ from the usual 4.000 mm", True),
    "tilt": (_tilted, "gantry tilt, 20.6 degrees", True),
    "twice": (_at(0, 4, 8, 8, 12, 16), r"two slices at -8\.00 mm", False),
    "two planes": (_other_orientation, "2 orientations among 6 images", False),
    "skewed": (_skewed, "expected two perpendicular unit vectors", False),
}


@pytest.mark.parametrize(("edit", "reason", "readable"), STACKS.values(), ids=STACKS.keys())
def test_irregular_stacks_are_refused_for_measuring(
    tmp_path: Path, edit: Edit, reason: str, readable: bool
) -> None:
    """A volume in mL or a contour needs one spacing; recognising a series may do with less."""
    paths = write_ct(tmp_path, edit)

    with pytest.raises(GeometryError, match=reason):
        read_volume(paths)

    if readable:
        volume = read_volume(paths, tolerant=True)
        assert volume.spacing == pytest.approx(SPACING)
    else:
        with pytest.raises(GeometryError, match=reason):
            read_volume(paths, tolerant=True)


def test_one_slice_is_not_a_volume(tmp_path: Path) -> None:
    """One slice has no spacing and no content to recognise in three dimensions."""
    with pytest.raises(GeometryError, match="1 slice found; expected at least 2"):
        read_volume(write_ct(tmp_path)[:1], tolerant=True)


def test_slightly_turned_slices_are_for_recognising_only(tmp_path: Path) -> None:
    """Half a degree is nothing to see and 4 mm at the end of a contour."""

    def turned(ds: Dataset, index: int) -> None:
        if index == 3:
            ds.ImageOrientationPatient = [0.99998, 0.006, 0, -0.006, 0.99998, 0]

    paths = write_ct(tmp_path, turned)

    with pytest.raises(GeometryError, match="2 orientations"):
        read_volume(paths)
    assert read_volume(paths, tolerant=True).shape == SHAPE


def test_positions_rounded_by_an_archive_are_one_spacing(tmp_path: Path) -> None:
    """Two decimals of a 0.625 mm spacing are not a missing slice."""
    places = [round(0.625 * index, 2) for index in range(SHAPE[0])]

    assert read_volume(write_ct(tmp_path, _at(*places))).spacing[0] == pytest.approx(0.625, 0.01)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _cut_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def _other_bytes(path: Path) -> None:
    path.write_bytes(b"This is not DICOM." * 100)


@pytest.mark.parametrize("damage", [_truncate, _cut_header, _other_bytes])
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A file cut by a full disk is bad input, not a crash."""
    paths = write_ct(tmp_path)
    damage(paths[3])

    with pytest.raises(UnusableVolumeError):
        read_volume(paths)


def test_no_files_and_two_series_are_refused(tmp_path: Path) -> None:
    """A volume is one series, not what lies in a folder."""
    with pytest.raises(UnusableVolumeError, match="no instance"):
        read_headers([])
    paths = write_ct(tmp_path, _set("SeriesInstanceUID", "1.2.3", 2))
    with pytest.raises(UnusableVolumeError, match="instances of 2 series"):
        read_headers(paths)


def test_padding_of_ct_becomes_air(tmp_path: Path) -> None:
    """Padding is no measured value; -2000 written as 63536 (VR US) is padding all the same."""

    def pad(ds: Dataset, _index: int) -> None:
        pixels = np.zeros(SHAPE[1:], dtype="<i2")
        pixels[0, 0] = -2000
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15
        ds.RescaleIntercept = "0"
        ds.PixelData = pixels.tobytes()
        ds.add_new("PixelPaddingValue", "US", 63536)

    array = read_volume(write_ct(tmp_path, pad)).array

    assert array[:, 0, 0] == pytest.approx(-1024)
    assert array[:, 0, 1:] == pytest.approx(0)


def test_odd_header_values_do_not_speak(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An odd value is quoted by pydicom's warnings and log: here it is a person's name."""
    paths = write_ct(tmp_path, _set("SynchronizationFrameOfReferenceUID", "1.22.33.44"))
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"1.22.33.44", b"doe^joanna"))

    assert read_volume(paths).shape == SHAPE
    assert "doe" not in caplog.text


def test_one_bad_number_costs_one_attribute(tmp_path: Path) -> None:
    """A weight of 12,5 is no reason to lose the scan; a position of 12,5 is."""
    paths = write_ct(tmp_path, _set("PatientWeight", "123.45678"))
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"123.45678", b"123,45678"))
    assert read_volume(paths).shape == SHAPE

    paths = write_ct(tmp_path, _set("ImagePositionPatient", ["7777.7777", 0, 1], 2))
    paths[2].write_bytes(paths[2].read_bytes().replace(b"7777.7777", b"7777,7777"))
    with pytest.raises(UnusableVolumeError, match="no usable ImagePositionPatient"):
        read_volume(paths)


@pytest.mark.parametrize(
    "syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=["j2k", "jpegls", "rle"]
)
def test_compressed_slices_are_the_same_volume(tmp_path: Path, syntax: UID) -> None:
    """Archives send compressed; the decoders must be there and lossless."""
    plain = read_volume(write_ct(tmp_path / "plain")).array

    def compress(ds: Dataset, _index: int) -> None:
        if syntax == JPEG2000Lossless:
            codestream = encode_array(ds.pixel_array, bits_stored=12)
            ds.PixelData = encapsulate([codestream])
            ds["PixelData"].VR = "OB"
            ds["PixelData"].is_undefined_length = True
            ds.file_meta.TransferSyntaxUID = syntax
        else:
            ds.compress(syntax)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID

    assert np.array_equal(read_volume(write_ct(tmp_path / "small", compress)).array, plain)


def test_enhanced_ct_is_the_same_volume(tmp_path: Path) -> None:
    """One multi-frame instance holds the same voxels at the same places."""
    paths = write_ct(tmp_path / "single")
    sources = [dcmread(path) for path in paths]
    enhanced = LegacyConvertedEnhancedCTImage(sources, "1.2.3.4", 5, "1.2.3.4.5", 1)
    enhanced.save_as(tmp_path / "enhanced.dcm")

    single, multi = read_volume(paths), read_volume([tmp_path / "enhanced.dcm"])

    assert np.array_equal(single.array, multi.array)
    assert multi.affine == pytest.approx(single.affine, abs=1e-5)


def _each_its_own(ds: Dataset, index: int) -> None:
    ds.FrameOfReferenceUID = f"1.2.3.{index + 1}"


def _enhanced(paths: list[Path], folder: Path, **top: object) -> Path:
    """Write a series as one legacy converted enhanced CT, its top level changed."""
    enhanced = LegacyConvertedEnhancedCTImage(
        [dcmread(path) for path in paths], "1.2.3.4", 5, "1.2.3.4.5", 1
    )
    for keyword, value in top.items():
        setattr(enhanced, keyword, value)
    enhanced.save_as(folder / "enhanced.dcm")
    return folder / "enhanced.dcm"


def test_an_untold_frame_of_reference_is_one_rule_for_all(tmp_path: Path) -> None:
    """None at all, one for each image (LIDC), none in an enhanced image: the same volume."""
    plain = read_volume(write_ct(tmp_path / "plain"))
    none = write_ct(tmp_path / "none", _drop("FrameOfReferenceUID"))
    each = write_ct(tmp_path / "each", _each_its_own)
    enhanced = _enhanced(write_ct(tmp_path / "one"), tmp_path, FrameOfReferenceUID="")

    for paths in (none, each, [enhanced]):
        volume = read_volume(paths)
        assert volume.frame_of_reference_uid is None
        assert np.array_equal(volume.array, plain.array)
        assert volume.affine == pytest.approx(plain.affine, abs=1e-5)


def test_frames_of_two_acquisitions_are_refused_by_what_tells_them_apart(tmp_path: Path) -> None:
    """They alternate, so their positions are those of one stack."""
    paths = write_ct(tmp_path / "one", lambda ds, i: setattr(ds, "AcquisitionNumber", 1 + i % 2))

    with pytest.raises(GeometryError, match="2 stacks of slices, told apart by AcquisitionNumber"):
        read_volume([_enhanced(paths, tmp_path)])


def test_several_enhanced_instances_are_no_volume(tmp_path: Path) -> None:
    """Read from the first file alone, half a patient would pass for the whole."""
    paths = write_ct(tmp_path / "one")
    halves = []
    for number, part in enumerate((paths[:3], paths[3:])):
        sources = [dcmread(path) for path in part]
        half = LegacyConvertedEnhancedCTImage(sources, "1.2.3.4", 5, f"1.2.3.4.{number + 5}", 1)
        halves.append(tmp_path / f"{number}.dcm")
        half.save_as(halves[-1])

    assert read_volume(halves[:1]).shape == (3, *SHAPE[1:])
    with pytest.raises(UnusableVolumeError, match="2 multi-frame instances found; expected one"):
        read_volume(halves)


def test_short_pixels_of_an_enhanced_image_are_told_as_such(tmp_path: Path) -> None:
    """Its geometry is all right, and must not be blamed."""
    path = _enhanced(write_ct(tmp_path / "one"), tmp_path, PixelData=bytes(64))

    with pytest.raises(UnusableVolumeError, match="cannot be decoded"):
        read_volume([path])


def test_an_enhanced_image_without_one_regular_stack_is_told_as_such(tmp_path: Path) -> None:
    """A missing slice is a matter of its geometry."""
    paths = write_ct(tmp_path / "one", _at(0, 4, 8, 16, 20, 24))

    with pytest.raises(GeometryError, match="frames do not make one volume"):
        read_volume([_enhanced(paths, tmp_path)])


def test_two_patients_make_no_volume(tmp_path: Path) -> None:
    """Nor do two studies; the command line and training read by the same function."""
    with pytest.raises(MixedSeriesError, match=r"2 patients \(5 and 1 of 6 images\)"):
        read_volume(write_ct(tmp_path, _set("PatientID", "OTHER", 2)), tolerant=True)


def test_interleaved_acquisitions_are_one_of_them(tmp_path: Path) -> None:
    """The slices between belong to another moment, here to another patient's worth of HU."""
    paths = write_ct(tmp_path, lambda ds, i: setattr(ds, "AcquisitionNumber", 1 + i % 2))

    volume = read_volume(paths)

    assert volume.shape == (3, *SHAPE[1:])
    assert volume.spacing[0] == pytest.approx(2 * SPACING[0])
    assert sorted(set(volume.array[:, 0, 0])) == [0, 200, 400]


def test_an_enhanced_image_of_one_frame_is_no_volume(tmp_path: Path) -> None:
    """However many rows it has."""
    with pytest.raises(GeometryError, match="1 frame found; expected at least 2"):
        read_volume([_enhanced(write_ct(tmp_path / "one")[:1], tmp_path)])


def test_an_enhanced_image_whose_pixels_cannot_be_decoded_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    """The reason in words where there is one; never what stands in the file."""
    path = _enhanced(write_ct(tmp_path / "one"), tmp_path)
    ds = dcmread(path)
    del ds.PixelData
    ds.save_as(path)

    with pytest.raises(UnusableVolumeError, match=r"cannot be decoded \(.+\); expected") as told:
        read_volume([path])
    assert "Made" not in str(told.value)


def test_an_enhanced_image_of_octets_is_read_as_one_of_words(tmp_path: Path) -> None:
    """8 bits: the same values, half the size."""

    def narrow(ds: Dataset, index: int) -> None:
        pixels = np.arange(ds.Rows * ds.Columns) % 200 + index
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.PixelData = pixels.astype("u1").tobytes()

    paths = write_ct(tmp_path / "octets", narrow)

    single, multi = read_volume(paths), read_volume([_enhanced(paths, tmp_path)])

    assert np.array_equal(single.array, multi.array)
    assert single.array.max() == 199 + SHAPE[0] - 1 - 1024

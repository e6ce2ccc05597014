"""The certificate must refuse every way a segmentation can lie in the wrong place."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pack_bits

from node.errors import CertificateError
from node.segment import certificate, seg
from node.segment.certificate import certify
from node.segment.liver import encode, segment_liver
from node.segment.seg import build_segmentation
from radnet.volume.series import read_volume
from tests.made_ct import AXIAL, MadeModel, edition, lopsided, rotation, write_ct

TURN = rotation(40, 1) @ rotation(-20, 0)
SOURCES = {
    "axial": (AXIAL, True),
    "axial downwards": (AXIAL, False),
    "coronal": ((1.0, 0.0, 0.0, 0.0, 0.0, -1.0), True),
    "feet up": ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), False),
    "oblique": ((*TURN[:, 0], *TURN[:, 1]), True),
    "oblique downwards": ((*TURN[:, 0], *TURN[:, 1]), False),
}


@pytest.mark.parametrize(("orientation", "upwards"), SOURCES.values(), ids=SOURCES.keys())
def test_a_true_segmentation_is_certified(
    tmp_path: Path, orientation: tuple[float, ...], upwards: bool
) -> None:
    """Where the centroid should be is worked out here from the headers, by hand."""
    paths = write_ct(tmp_path, orientation=orientation, upwards=upwards)
    result = segment_liver(paths, MadeModel(), edition(1))
    assert result.seg is not None
    volume = read_volume(paths)
    mask = lopsided(volume.shape)
    centre = np.argwhere(mask).mean(axis=0)
    by_hand = np.zeros(3)
    for ds in map(dcmread, paths):
        index = np.linalg.inv(volume.affine) @ [*map(float, ds.ImagePositionPatient), 1]
        share = mask[round(index[0])].sum() / mask.sum()
        row, column = np.array(orientation[:3]), np.array(orientation[3:])
        inside = np.argwhere(mask[round(index[0])])
        if share:
            r, c = inside.mean(axis=0)
            point = np.array(ds.ImagePositionPatient, dtype=float)
            step_r, step_c = map(float, ds.PixelSpacing)
            by_hand += share * (point + r * step_r * column + c * step_c * row)

    assert result.certificate["centroid_lps_mm"] == pytest.approx(by_hand, abs=0.01)
    assert result.certificate["volume_ml"] == pytest.approx(result.volume_ml)
    assert result.certificate["grid_error_mm"] < 0.001
    assert (volume.affine @ [*centre, 1])[:3] == pytest.approx(by_hand, abs=0.01)


def _mirror_rows(seg: Dataset) -> None:
    _rewrite(seg, lambda frames: frames[:, ::-1])


def _mirror_columns(seg: Dataset) -> None:
    _rewrite(seg, lambda frames: frames[:, :, ::-1])


def _reverse_slices(seg: Dataset) -> None:
    _rewrite(seg, lambda frames: frames[::-1])


def _one_pixel_on(seg: Dataset) -> None:
    _rewrite(seg, lambda frames: np.roll(frames, 1, axis=2))


def _move_one_voxel(seg: Dataset) -> None:
    def swap(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        other = frames.copy()
        on, off = np.argwhere(frames > 0)[0], np.argwhere(frames == 0)[0]
        other[tuple(on)], other[tuple(off)] = 0, 1
        return other

    _rewrite(seg, swap)


def _empty(seg: Dataset) -> None:
    _rewrite(seg, np.zeros_like)


def _rewrite(seg: Dataset, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    seg.PixelData = pack_bits(np.ascontiguousarray(change(seg.pixel_array)))


def _mirrored_orientation(seg: Dataset) -> None:
    shared = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    shared.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def _other_spacing(seg: Dataset) -> None:
    shared = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    shared.PixelSpacing = list(shared.PixelSpacing)[::-1]


def _moved(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0]
        x, y, z = map(float, position.ImagePositionPatient)
        position.ImagePositionPatient = [x + 0.5, y, z]


def _one_frame_off(seg: Dataset) -> None:
    for group in seg.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0]
        x, y, z = map(float, position.ImagePositionPatient)
        position.ImagePositionPatient = [x, y, z + 4]


def _cut(seg: Dataset) -> None:
    seg.PixelData = seg.PixelData[: len(seg.PixelData) // 2]


LIES: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "rows mirrored": (_mirror_rows, "centroid lies"),
    "columns mirrored": (_mirror_columns, "centroid lies"),
    "slices reversed": (_reverse_slices, "centroid lies"),
    "one pixel on": (_one_pixel_on, "centroid lies 1.25 mm off"),
    "one voxel elsewhere": (_move_one_voxel, "off the mask's|2 voxels differ"),
    "empty": (_empty, "empty"),
    "orientation mirrored": (_mirrored_orientation, "grid lies"),
    "spacing exchanged": (_other_spacing, "grid lies"),
    "moved half a mm": (_moved, "grid lies 0.50 mm off"),
    "one slice off": (_one_frame_off, "centroid lies 4.00 mm off"),
    "cut": (_cut, "cannot be decoded"),
}


@pytest.mark.parametrize(("lie", "reason"), LIES.values(), ids=LIES.keys())
def test_a_false_segmentation_is_refused(
    tmp_path: Path, lie: Callable[[Dataset], None], reason: str
) -> None:
    """A contour on the wrong side of the patient is worse than none."""
    paths = write_ct(tmp_path)
    volume = read_volume(paths)
    result = segment_liver(paths, MadeModel(), edition(1))
    assert result.seg is not None
    written = dcmread(BytesIO(encode(result.seg)))
    certify(encode(written), lopsided(volume.shape), volume)

    lie(written)

    with pytest.raises(CertificateError, match=reason):
        certify(encode(written), lopsided(volume.shape), volume)


def test_a_symmetric_exchange_is_seen_voxel_by_voxel(tmp_path: Path) -> None:
    """Two masks of one centroid and one volume are still two masks."""
    paths = write_ct(tmp_path)
    volume = read_volume(paths)

    def bar(shape: tuple[int, ...], along_rows: bool) -> NDArray[np.bool_]:
        mask = np.zeros(shape, dtype=np.bool_)
        if along_rows:
            mask[2:4, 10:21, 15] = True
        else:
            mask[2:4, 15, 10:21] = True
        return mask

    result = segment_liver(paths, MadeModel(lambda shape: bar(shape, along_rows=True)), edition(1))
    assert result.seg is not None

    with pytest.raises(CertificateError, match=r"40 voxels differ"):
        certify(encode(result.seg), bar(volume.shape, along_rows=False), volume)


def test_a_thinner_mask_of_the_same_centroid_is_refused(tmp_path: Path) -> None:
    """The volume in the report must be that of the contour in the viewer."""
    paths = write_ct(tmp_path)
    thick, thin = np.zeros((2, 6, 32, 40), dtype=np.bool_)
    thick[1:5, 5:25, 5:25] = True
    thin[1:5, 6:24, 6:24] = True
    result = segment_liver(paths, MadeModel(lambda _shape: thin), edition(1))
    assert result.seg is not None

    with pytest.raises(CertificateError, match=r"volume is 9\.72 mL and the mask's 12\.00 mL"):
        certify(encode(result.seg), thick, read_volume(paths))


def test_no_result_leaves_when_the_decoder_sees_another_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is asked before anything is returned to be sent."""
    decode = certificate.decode

    def flipped(encoded: bytes) -> hd.Volume:
        decoded = decode(encoded)
        return decoded.with_array(decoded.array[:, ::-1])

    monkeypatch.setattr(certificate, "decode", flipped)

    with pytest.raises(CertificateError):
        segment_liver(write_ct(tmp_path), MadeModel(), edition(1))


def test_a_writer_that_mirrors_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classic fault: the array is turned to please a model and never turned back."""
    build = build_segmentation

    def mirrored(source: object, mask: NDArray[np.bool_], *rest: object) -> hd.seg.Segmentation:
        return build(source, mask[:, :, ::-1], *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(seg, "build_segmentation", mirrored)

    with pytest.raises(CertificateError):
        segment_liver(write_ct(tmp_path), MadeModel(), edition(1))

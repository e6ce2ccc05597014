"""Resampling keeps things where they are in the patient."""

from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from radnet.volume.grid import from_itk, onto, resample, to_itk
from radnet.volume.series import read_volume
from tests.made_ct import rotation

SPACING = np.array([4.0, 1.0, 1.5])


def _volume(array: NDArray[np.generic], turn: NDArray[np.float64]) -> hd.Volume:
    """Return `array` at an oblique place; index axes are (-z, y, x) turned by `turn`."""
    affine = np.eye(4)
    base = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=float)
    affine[:3, :3] = turn @ base * SPACING
    affine[:3, 3] = (-20, 35, 240)
    return hd.Volume(array, affine=affine, coordinate_system="PATIENT")


def _ball(shape: tuple[int, int, int], centre: tuple[int, int, int]) -> NDArray[np.float32]:
    index = np.indices(shape) - np.array(centre)[:, None, None, None]
    distance = np.linalg.norm(index * SPACING[:, None, None, None], axis=0)
    return np.asarray(np.clip(12 - distance, 0, 1), dtype=np.float32)


def _centroid(volume: hd.Volume) -> NDArray[np.float64]:
    weights = volume.array / volume.array.sum()
    index = [(np.indices(volume.shape)[axis] * weights).sum() for axis in range(3)]
    return np.asarray((volume.affine @ [*index, 1])[:3])


TURNS = [np.eye(3), rotation(20, 0) @ rotation(-35, 2), np.diag([-1.0, 1.0, 1.0])]


@pytest.mark.parametrize("turn", TURNS, ids=["straight", "oblique", "mirrored"])
@pytest.mark.parametrize("spacing", [(4, 5, 5), (2, 0.7, 0.9), (9, 1.0, 3)])
def test_a_ball_stays_where_it_was(
    turn: NDArray[np.float64], spacing: tuple[float, float, float]
) -> None:
    """Half a voxel of shift is a wrong contour: the centroid may move by a tenth of one."""
    volume = _volume(_ball((20, 60, 50), (7, 20, 31)), turn)

    other = resample(volume, spacing)

    assert other.spacing == pytest.approx(spacing)
    assert np.linalg.norm(_centroid(other) - _centroid(volume)) < 0.1 * max(spacing)
    more = np.array(other.shape) * spacing - np.array(volume.shape) * SPACING
    assert (more > -0.01).all()
    assert (more < spacing).all()


@pytest.mark.parametrize("turn", TURNS, ids=["straight", "oblique", "mirrored"])
def test_there_and_back_is_the_same_grid(turn: NDArray[np.float64]) -> None:
    """A mask found on the model's grid must land on the source's voxels."""
    volume = _volume(_ball((20, 60, 50), (7, 20, 31)), turn)

    back = onto(resample(volume, (2, 0.5, 0.75)), volume)

    assert back.shape == volume.shape
    inside, truth = back > 0.5, volume.array > 0.5
    assert 2 * (inside & truth).sum() / (inside.sum() + truth.sum()) > 0.98


def test_labels_are_not_mixed() -> None:
    """Between label 1 and label 5 there is no 3."""
    labels = np.ones((8, 20, 20), dtype=np.uint8)
    labels[4:] = 5
    volume = _volume(labels, np.eye(3))

    fine = resample(volume, (1, 1, 1), linear=False)

    assert fine.array.dtype == np.uint8
    assert set(np.unique(fine.array)) == {1, 5}
    assert onto(volume.with_array(labels == 5), volume).dtype == np.bool_
    assert np.array_equal(onto(volume.with_array(labels == 5), volume), labels == 5)


def test_shrinking_averages_noise_instead_of_picking_it() -> None:
    """A 5 mm voxel of a 1 mm image is a mean: noise falls with the number of voxels in it."""
    noise = np.random.default_rng(1).normal(size=(10, 100, 100)).astype(np.float32)
    volume = _volume(noise, np.eye(3))

    assert resample(volume, (4, 5, 7.5)).array.std() < 0.35


def test_beyond_the_volume_is_nothing() -> None:
    """A mask does not go on where nothing was scanned."""
    volume = _volume(np.ones((4, 10, 10), dtype=np.float32), np.eye(3))
    larger = volume.pad(5)

    values = onto(volume, larger)

    assert values.sum() == pytest.approx(400)
    assert np.array_equal(values > 0, larger.array > 0)


def test_itk_sees_the_same_points() -> None:
    """Index order differs, patient coordinates do not."""
    volume = _volume(np.zeros((4, 10, 12), dtype=np.float32), TURNS[1])

    image = to_itk(volume)

    point = volume.affine @ [3, 5, 7, 1]
    assert image.TransformIndexToPhysicalPoint((7, 5, 3)) == pytest.approx(point[:3])
    assert from_itk(image, volume).affine == pytest.approx(volume.affine)


@pytest.mark.real_data
def test_a_real_scan_agrees_with_its_nifti_by_another_program(real_data: Path) -> None:
    """Every voxel in HU and in place, as TotalSegmentator's own conversion has it."""
    volume = read_volume(sorted((real_data / "dicom" / "ct_abdomen_ts").glob("*.dcm")))
    nifti = nib.load(real_data / "liver" / "ts_dicom_ct.nii.gz")
    assert isinstance(nifti, nib.Nifti1Image)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ nifti.affine  # RAS to LPS
    array = np.asarray(nifti.dataobj, dtype=np.float32)
    other = hd.Volume(array, affine=affine, coordinate_system="PATIENT")

    assert np.abs(onto(other, volume) - volume.array).max() < 0.5

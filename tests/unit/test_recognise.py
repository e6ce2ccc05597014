"""One scan on disk: header, geometry and pixels; what cannot be read is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import pytest
from pydicom import Dataset

from radnet.errors import GeometryError, UnusableVolumeError
from radnet.inference.recognise import recognise_scan, told
from radnet.inference.scan_file import read_scan_file
from radnet.labels.vocabulary import Region
from tests.made_ct import write_ct
from tests.made_networks import UnsureClassifier

FLAT = np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def recognised(path: Path, modality: str | None = None) -> dict[str, Any]:
    """Return what is told of a scan when the pixels are unsure."""
    scan = read_scan_file(path, modality)
    return told(recognise_scan(scan, 0.6, UnsureClassifier()))  # type: ignore[arg-type]


def nifti(path: Path, affine: np.ndarray, scale: float = 1.0) -> Path:
    """Write a small volume with a recognisable value in one corner."""
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 119
    image = nib.Nifti1Image(array, affine)
    image.header.set_slope_inter(scale, -1024 if scale != 1 else 0)
    nib.save(image, path)
    return path


def test_nifti_is_read_in_patient_coordinates_and_scaled(tmp_path: Path) -> None:
    """NIfTI counts to the right and front; DICOM to the left and back."""
    path = nifti(tmp_path / "a.nii.gz", np.diag([2.0, 3.0, 4.0, 1.0]))
    volume = read_scan_file(path, "CT").volume()

    assert volume.shape == (6, 5, 4)
    assert volume.array[0, 0, 0] == 0  # the last voxel of the file is the first from the head
    assert (np.asarray(volume.affine) @ [0, 0, 0, 1]).tolist() == [-6.0, -12.0, 20.0, 1.0]


@pytest.mark.parametrize(
    ("affine", "plane"),
    [
        (np.diag([1.0, 1.0, 5.0, 1.0]), "axial"),
        (np.array([[1, 0, 0, 0], [0, 0, 5, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]), "coronal"),
        (np.array([[0, 0, 5, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]), "sagittal"),
    ],
    ids=["axial", "coronal", "sagittal"],
)
def test_plane_of_a_nifti_comes_from_its_affine(
    tmp_path: Path, affine: np.ndarray, plane: str
) -> None:
    """Geometry needs no network."""
    found = recognised(nifti(tmp_path / "a.nii", affine), "CT")

    assert found["labels"]["plane"] == plane
    assert found["labels"]["sequence"] == "CT"
    assert found["labels"]["contrast"] is None


def test_dicom_folder_is_read_with_its_header(tmp_path: Path) -> None:
    """Header and pixels stand beside each other."""
    write_ct(tmp_path)

    found = recognised(tmp_path)

    assert found["labels"]["sequence"] == "CT"
    assert found["header"]["plane"] == "axial"
    assert found["pixels"]["coverage"] == [str(region) for region in Region]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"no nifti"),
        lambda path: nib.save(nib.Nifti1Image(np.zeros((2, 2)), np.eye(4)), path),
        lambda path: nib.save(nib.Nifti1Image(np.zeros((2, 2, 2)), FLAT), path),
    ],
    ids=["garbage", "two axes", "singular"],
)
def test_what_is_no_volume_is_told(tmp_path: Path, write: Callable[[Path], object]) -> None:
    """The kind of error that `main` turns into exit status 2."""
    path = tmp_path / "x.nii"
    write(path)

    with pytest.raises(UnusableVolumeError, match=r"x\.nii"):
        read_scan_file(path, "CT").volume()


def with_tilt(ds: Dataset, index: int) -> None:
    """Shift each slice sideways."""
    ds.ImagePositionPatient = [0, index * 2.0, index * 5.0]


def with_a_gap(ds: Dataset, index: int) -> None:
    """Leave out the place of one slice."""
    ds.ImagePositionPatient = [0, 0, (index + (index > 2)) * 5.0]


@pytest.mark.parametrize("edit", [with_tilt, with_a_gap], ids=["tilt", "gap"])
def test_a_scan_that_cannot_be_measured_in_is_recognised_all_the_same(
    edit: Callable[[Dataset, int], None], tmp_path: Path
) -> None:
    """As the node does: a head CT with its tilted gantry is a head."""
    write_ct(tmp_path, edit)

    found = recognised(tmp_path)

    assert found["unusable"] == ""
    assert found["pixels"]
    with pytest.raises(GeometryError):
        read_scan_file(tmp_path).volume()


AXIAL: Final = np.diag([1.0, 1.0, 5.0, 1.0])


def test_a_nifti_that_cannot_be_ct_is_no_ct_by_default(tmp_path: Path) -> None:
    """The file does not tell; an MR without --modality was once a CT at 0.99."""
    array = np.random.default_rng(1).uniform(0, 900, (20, 20, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, AXIAL), tmp_path / "mr.nii")

    found = recognised(tmp_path / "mr.nii")

    assert found["header"]["sequence"] is None
    assert found["labels"]["sequence"] is None
    assert "taken for MR" in found["remarks"][0]
    assert found["unusable"] == ""


def test_an_mr_called_a_ct_is_told(tmp_path: Path) -> None:
    """Its pixels do not speak as a CT's."""
    array = np.random.default_rng(1).uniform(0, 900, (20, 20, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, AXIAL), tmp_path / "mr.nii")

    found = recognised(tmp_path / "mr.nii", "CT")

    assert "Is this an MR" in found["unusable"]
    assert found["pixels"] == {}


def test_the_plane_of_a_file_that_does_not_say_is_left_open(tmp_path: Path) -> None:
    """Both codes 0: its axes may be any."""
    path = nifti(tmp_path / "a.nii", AXIAL)
    image = nib.Nifti1Image.from_filename(path)
    image.set_qform(None, 0)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "b.nii")

    found = recognised(tmp_path / "b.nii", "CT")

    assert found["header"]["plane"] is None
    assert "does not say how the patient lies" in found["remarks"][0]


def test_a_ct_whose_modality_was_emptied_is_scaled_as_one(tmp_path: Path) -> None:
    """De-identification empties what it should not; the class of the images remains."""
    write_ct(tmp_path, lambda ds, _: setattr(ds, "Modality", ""))

    assert read_scan_file(tmp_path).modality == "CT"

"""Volumes that tests make, and an asymmetric body whose sides are known in the patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from radnet.volume.axes import DIRECTIONS
from tests.made_ct import made_slice

Array = NDArray[np.float64]

SHAPE: Final = (25, 50, 60)
SPACING_MM: Final = (6.0, 4.0, 4.0)  # so coarse that the slices of a NIfTI file are known by it
Sizes = tuple[tuple[int, int, int], tuple[float, float, float]]

COARSE: Final[Sizes] = (SHAPE, SPACING_MM)
FINE: Final[Sizes] = ((25, 161, 183), (6.0, 1.1, 1.1))
"""A grid whose blocks of voxels leave some over: at which end, depends on the axes' directions."""
CENTRE_MM: Final = (12.0, -25.0, 140.0)
BODY_HU: Final = 40
MARKERS: Final = {"L": 150, "P": 220, "H": 300}
"""What lies to the left, at the back and towards the head of the body, and nowhere else."""
OFF_MM: Final = {"L": 60.0, "P": 50.0, "H": 45.0}  # from its middle


def made_volume(array: NDArray[Any], affine: Array) -> hd.Volume:
    """Return [slice, row, column] at LPS mm."""
    return hd.Volume(array, affine=affine, coordinate_system="PATIENT")


def marker_mm(letter: str) -> Array:
    """Return the middle of a marker, LPS."""
    axis, sign = DIRECTIONS[letter]
    place = np.array(CENTRE_MM)
    place[axis] += sign * OFF_MM[letter]
    return place


def hounsfield(places: Array) -> NDArray[np.int16]:
    """Return the HU of the body at LPS places, (3, ...)."""
    off = places - np.reshape(CENTRE_MM, (3, *[1] * (places.ndim - 1)))
    scale = np.reshape([95.0, 75.0, 75.0], (3, *[1] * (places.ndim - 1)))
    found = np.where((np.abs(off) < scale).all(axis=0), BODY_HU, -1000)
    for letter, value in MARKERS.items():
        near = np.abs(places - marker_mm(letter).reshape(3, *[1] * (places.ndim - 1)))
        found = np.where((near < 18).all(axis=0), value, found)
    return found.astype(np.int16)


def placed(
    directions: Array, spacing_mm: Sequence[float], shape: Sequence[int]
) -> tuple[NDArray[np.int16], Array]:
    """Return the body on a grid about its middle, and the grid's affine to LPS mm.

    Parameters
    ----------
    directions
        Unit vectors of the three axes, as columns.
    """
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing_mm)
    affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    index = np.indices(shape).reshape(3, -1)
    found = hounsfield(affine[:3, :3] @ index + affine[:3, 3:])
    return found.reshape(tuple(shape)), affine


def axes(letters: str, turn: Array | None = None) -> Array:
    """Return the directions that letters such as ``LPH`` name, turned."""
    directions = np.zeros((3, 3))
    for column, letter in enumerate(letters):
        axis, sign = DIRECTIONS[letter]
        directions[axis, column] = sign
    return directions if turn is None else turn @ directions


def write_series(
    folder: Path,
    letters: str,
    turn: Array | None = None,
    names: Sequence[int] | None = None,
    grid: Sizes = COARSE,
) -> list[Path]:
    """Write the body as single-frame CT images.

    Parameters
    ----------
    letters
        Where slices (by instance number), rows and columns run, such as ``HPL``.
    names
        In which order the instances stand in the folder; None: in their own.
    """
    shape, spacing = grid
    array, affine = placed(axes(letters, turn), spacing, shape)
    folder.mkdir(parents=True)
    paths = []
    for index, name in enumerate(names or range(shape[0])):
        ds = made_slice(index)
        ds.Rows, ds.Columns = shape[1:]
        ds.PixelSpacing, ds.SliceThickness = list(spacing[1:]), spacing[0]
        step = [affine[:3, axis] / spacing[axis] for axis in (2, 1)]
        ds.ImageOrientationPatient = [f"{value:.9g}" for value in np.concatenate(step)]
        ds.ImagePositionPatient = [f"{value:.9g}" for value in affine[:3] @ [index, 0, 0, 1]]
        ds.PixelData = (array[index] + 1024).astype("<u2").tobytes()
        paths.append(folder / f"{name:03d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_nifti(
    path: Path, letters: str, turn: Array | None = None, *, mask: str = "", grid: Sizes = COARSE
) -> Path:
    """Write the body as NIfTI, or the mask of one of its markers.

    Parameters
    ----------
    letters
        Where the axes of the file run; slices are thick along the patient's length.
    """
    order = [2 - DIRECTIONS[letter][0] for letter in letters]
    shape, spacing = [grid[0][axis] for axis in order], [grid[1][axis] for axis in order]
    array, affine = placed(axes(letters, turn), spacing, shape)
    array = (array == MARKERS[mask]).astype(np.int16) if mask else array
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine), path)
    return path

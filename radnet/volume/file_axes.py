"""From the axes of a file to those of the scan as it was taken: NIfTI, NRRD, MetaImage alike."""

from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.errors import UnusableVolumeError
from radnet.volume.axes import ACQUIRED, Turn, nearest, turn_to

COARSER: Final = 1.25  # than both others: the axis along which the slices were taken


def refuse_no_place(name: str, affine: NDArray[np.float64]) -> None:
    """Refuse an affine that puts several voxels of a volume in one place, or none anywhere.

    Parameters
    ----------
    name
        How messages call the volume.
    affine
        Array index to mm, 4 x 4.

    Raises
    ------
    UnusableVolumeError
        If it is singular, or holds what is no number.
    """
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise UnusableVolumeError(f"{name}: its affine is singular; expected mm")


def stored_volume(array: NDArray[Any], affine: NDArray[np.float64]) -> tuple[hd.Volume, float]:
    """Return an array as its file orders it as a volume whose axes are perpendicular.

    Parameters
    ----------
    array
        [column, row, slice] as the file has them.
    affine
        From that index to LPS mm.

    Returns
    -------
    volume : hd.Volume
        [slice, row, column] of the file; no axis is turned.
    sideways_mm : float
        How far a corner was moved to make its axes perpendicular.
    """
    upright, sideways = _perpendicular(affine[:, [2, 1, 0, 3]], array.shape[::-1])
    volume = hd.Volume(array.transpose(2, 1, 0), affine=upright, coordinate_system="PATIENT")
    return volume, sideways


def as_taken(stored: hd.Volume, slices: int | None = None) -> Turn:
    """Return what brings a volume of a file into the axes with which its slices were taken.

    Parameters
    ----------
    stored
        As of `stored_volume`.
    slices
        The axis of the file (0 column, 1 row, 2 slice) along which slices were taken, where the
        file says so.

    Returns
    -------
    Turn
    """
    affine = np.asarray(stored.affine)
    plane = nearest(affine)[2 - _slice_axis(affine[:, [2, 1, 0, 3]], slices)]
    return turn_to(affine, ACQUIRED[plane])


def _slice_axis(affine: NDArray[np.float64], told: int | None) -> int:
    """Return the axis along which slices were taken: much coarser, or told, or the last.

    Programs reorder the axes of a file to suit themselves; a coronal scan stays one.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    coarse = int(steps.argmax())
    if steps[coarse] > COARSER * np.delete(steps, coarse).max():
        return coarse
    return 2 if told is None else int(told)


def _perpendicular(
    affine: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], float]:
    """Return the nearest affine of perpendicular axes about the same centre, and how far it is.

    Headers hold directions to a few digits, so that a right angle is one only nearly.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / steps)
    upright = affine.copy()
    turned = (left @ right) * steps
    if np.abs(turned - affine[:3, :3]).max() > 1e-9:
        upright[:3, :3] = turned
    middle = (np.array(shape) - 1) / 2
    upright[:3, 3] += (affine - upright)[:3, :3] @ middle
    corner = np.abs((affine - upright)[:3, :3]) @ middle
    return upright, float(np.linalg.norm(corner))

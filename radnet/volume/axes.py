"""The axes of a volume in another order and direction: no voxel changes, only where it stands."""

from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

DIRECTIONS: Final = {
    "L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1),
}  # fmt: skip
UPRIGHT: Final = "FPL"  # slices from head to foot, rows to the back, columns to the left
ACQUIRED: Final = ("LFP", "AFL", UPRIGHT)  # sagittal, coronal, axial, as `read_volume` has them


@dataclass(frozen=True)
class Turn:
    """Which axis comes where, and which of them then run the other way."""

    axes: tuple[int, ...]
    flipped: tuple[bool, ...]

    def there(self, volume: hd.Volume) -> hd.Volume:
        """Return `volume` turned: the same voxels at the same places in the patient (a view).

        Parameters
        ----------
        volume : hd.Volume
            On the grid that this turns from.

        Returns
        -------
        hd.Volume
        """
        affine = np.asarray(volume.affine, np.float64)
        turned = affine.copy()
        for place, (axis, flip) in enumerate(zip(self.axes, self.flipped, strict=True)):
            turned[:3, place] = affine[:3, axis] * (-1 if flip else 1)
            if flip:
                turned[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        return at(np.asarray(volume.array).transpose(self.axes)[self._steps], turned, volume)

    def back(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array on the turned grid on the grid it was turned from (a view).

        Parameters
        ----------
        array : ndarray
            Of the shape of the turned grid.

        Returns
        -------
        ndarray
        """
        return array[self._steps].transpose(np.argsort(self.axes))

    @property
    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else None) for flip in self.flipped)


def turn_to(affine: NDArray[np.float64], directions: str) -> Turn:
    """Return what brings the axes of `affine` as near as can be to `directions`.

    Parameters
    ----------
    affine
        Array index to LPS mm.
    directions
        Where the three axes are to point, such as ``FPL``.

    Returns
    -------
    Turn
    """
    cosines = _cosines(affine)
    wanted = [DIRECTIONS[letter] for letter in directions]
    places = nearest(affine)
    axes = tuple(places.index(patient) for patient, _ in wanted)
    flipped = tuple(
        bool(cosines[patient, axis] * sign < 0)
        for axis, (patient, sign) in zip(axes, wanted, strict=True)
    )
    return Turn(axes, flipped)


def turned_like(volume: hd.Volume, like: hd.Volume) -> hd.Volume:
    """Return `volume` with its axes in the order and direction of those of `like` (a view).

    Parameters
    ----------
    volume : hd.Volume
        In any order and direction of its axes.
    like : hd.Volume
        Whose order and directions are wanted.

    Returns
    -------
    hd.Volume
    """
    letters = {way: letter for letter, way in DIRECTIONS.items()}
    cosines = _cosines(like.affine)
    directions = "".join(
        letters[patient, 1 if cosines[patient, axis] > 0 else -1]
        for axis, patient in enumerate(nearest(like.affine))
    )
    return turn_to(volume.affine, directions).there(volume)


def at(array: NDArray[Any], affine: NDArray[np.float64], like: hd.Volume) -> hd.Volume:
    """Return an array as a volume in the frame of reference of another.

    Parameters
    ----------
    array
        [slice, row, column].
    affine
        Array index to LPS mm.
    like : hd.Volume
        Whose frame of reference it takes.

    Returns
    -------
    hd.Volume
    """
    return hd.Volume(
        array,
        affine=affine,
        coordinate_system=like.coordinate_system,
        frame_of_reference_uid=like.frame_of_reference_uid,
    )


def nearest(affine: NDArray[np.float64]) -> tuple[int, ...]:
    """Return for each array axis the patient axis (0 x, 1 y, 2 z) it runs along, each once."""
    cosines = np.abs(_cosines(affine))
    return max(permutations(range(3)), key=lambda p: sum(cosines[p[a], a] for a in range(3)))


def _cosines(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.asarray(affine, np.float64)[:3, :3]
    return np.asarray(matrix / np.linalg.norm(matrix, axis=0))

"""A liver mask on the grid of its scan, or the reason why it is none of this scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.datasets.reading import read_placed
from radnet.errors import DataError
from radnet.inference.preparation import sample
from radnet.volume.axes import turned_like

MOST_LOST: Final = 0.1  # of a mask's volume, on the grid of its series
SAME_PLACE: Final = 0.01  # of a voxel


def mask_beside(image: hd.Volume, file: Path, mask: Path) -> NDArray[np.bool_]:
    """Return the mask in a NIfTI file that was made on the grid of the one beside it.

    Parameters
    ----------
    image
        What `file` holds, as it is read.

    Raises
    ------
    DataError
        If it has another number of voxels, or a part of it lies elsewhere.
    """
    if image.shape != (other := turned_like(read_placed(mask), image).shape):
        raise DataError(
            f"{mask.name}: {_by(other)} voxels; {file.name} has {_by(image.shape)}. "
            "Expected the mask of this very scan"
        )
    return mask_on(image, mask)


def mask_on(image: hd.Volume, mask: Path) -> NDArray[np.bool_]:
    """Return the mask in a NIfTI file on the grid of its series, whatever its own axes.

    Raises
    ------
    DataError
        If a part of it lies elsewhere: then it is not the mask of this scan.
    """
    liver = turned_like(read_placed(mask), image)
    if _same_grid(liver, image):
        return np.asarray(liver.array > 0)
    liver = liver.with_array((liver.array > 0).astype(np.float32))
    inside = np.asarray(sample(liver, image.affine, image.spatial_shape, 0.0) > 0.5)
    before = float(liver.array.sum()) * _voxel_ml(liver)
    after = float(inside.sum()) * _voxel_ml(image)
    if abs(after - before) > MOST_LOST * before:
        raise DataError(
            f"{mask.name}: {before:.0f} mL of liver, of which {after:.0f} mL lie in its series; "
            "expected a mask of this very scan"
        )
    return inside


def _same_grid(one: hd.Volume, other: hd.Volume) -> bool:
    """Tell whether the voxels of both lie in the same places, to a hundredth of one."""
    if one.shape != other.shape:
        return False
    corners = np.array([[z, y, x, 1] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
    corners[:, :3] *= np.array(one.shape) - 1
    apart = (corners @ (one.affine - other.affine).T)[:, :3]
    return bool(np.abs(apart).max() <= SAME_PLACE * min(other.spacing))


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _voxel_ml(volume: hd.Volume) -> float:
    return abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000

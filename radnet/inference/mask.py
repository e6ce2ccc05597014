"""From the network's probabilities to one liver on the grid of the scan.

Parts are told apart on the coarse grid, where there are fifty times fewer voxels; the fine grid is
only interpolated.
"""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.inference.preparation import Affine, Array
from radnet.volume.axes import at

Mask = NDArray[np.bool_]


def on_source(probability: hd.Volume, source: hd.Volume, threshold: float) -> tuple[Mask, float]:
    """Return the largest connected liver on the grid of `source`, and its mean probability.

    Only the box of `source` that can hold liver is interpolated.
    """
    mask = np.zeros(source.shape, bool)
    liver = largest(probability.array > threshold)
    if not liver.any():
        return mask, 0.0
    mean = float(probability.array[liver].mean())
    alone = only(probability.array, liver, threshold)
    box = _box(at(alone, probability.affine, probability), source)
    if any(part.stop <= part.start for part in box):
        return mask, 0.0
    to_grid = np.linalg.inv(probability.affine) @ source.affine
    low = np.array([part.start for part in box])
    to_grid[:3, 3] += to_grid[:3, :3] @ low
    mask[box] = resampled_above(alone, to_grid, mask[box].shape, threshold)
    return mask, mean


def largest(inside: Mask) -> Mask:
    """Return the largest connected part of `inside`, its holes filled."""
    parts, count = ndimage.label(inside)
    if count == 0:
        return np.zeros_like(inside)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    part: Mask = np.asarray(parts == sizes.argmax())
    where = ndimage.find_objects(part.astype(np.uint8))[0]
    part[where] = ndimage.binary_fill_holes(part[where])
    return part


def only(probability: Array, liver: Mask, threshold: float) -> Array:
    """Return `probability` of `liver` and of the voxels around it, none of another part."""
    around = ndimage.binary_dilation(liver, ndimage.generate_binary_structure(3, 3))
    alone = np.where(around, probability, np.float32(0))
    alone[around & ~liver & (probability > threshold)] = 0
    holes = liver & (probability <= threshold)
    alone[holes] = 1
    return np.asarray(alone, np.float32)


def _box(probability: hd.Volume, source: hd.Volume) -> tuple[slice, slice, slice]:
    """Return the part of `source` that a probability above zero can reach."""
    where = np.array(
        [(axis.min() - 1, axis.max() + 1) for axis in np.nonzero(probability.array)], float
    )
    corners = np.array([(z, y, x, 1.0) for z in where[0] for y in where[1] for x in where[2]])
    index = (np.linalg.inv(source.affine) @ probability.affine @ corners.T)[:3]
    low = np.maximum(np.floor(index.min(axis=1)), 0).astype(int)
    high = np.minimum(np.ceil(index.max(axis=1)) + 1, source.shape).astype(int)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third


def resampled_above(
    array: Array, to_grid: Affine, shape: tuple[int, ...], threshold: float
) -> Mask:
    """Return where `array`, linearly interpolated at ``to_grid @ index``, is above `threshold`."""
    steps = to_grid[:3, :3]
    if np.abs(steps - np.diag(np.diag(steps))).max() > 1e-6:  # oblique, tilted or reformatted
        fine = ndimage.affine_transform(
            array, steps, to_grid[:3, 3], output_shape=shape, order=1, mode="nearest",
            output=np.float32,
        )  # fmt: skip
        return np.asarray(fine > threshold)
    across, down, along = (
        _weights(steps[axis, axis], to_grid[axis, 3], shape[axis], array.shape[axis])
        for axis in range(3)
    )
    found = np.empty(shape, bool)
    for number, row in enumerate(across):
        near = np.flatnonzero(row)
        plane = np.tensordot(row[near], array[near], axes=1)
        found[number] = down @ plane @ along.T > threshold
    return found


def _weights(step: float, start: float, count: int, size: int) -> Array:
    """Return the matrix that interpolates an axis of `size` at `count` places; ends are held."""
    places = np.clip(start + step * np.arange(count), 0, size - 1)
    left = np.minimum(np.floor(places).astype(int), max(size - 2, 0))
    share = (places - left).astype(np.float32)
    matrix = np.zeros((count, size), np.float32)
    rows = np.arange(count)
    matrix[rows, left] = 1 - share
    matrix[rows, np.minimum(left + 1, size - 1)] += share
    return matrix

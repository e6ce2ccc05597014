"""What the voxels of a T1 picture of a head are made of, by grey level and distance."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.synthesis.matter import Matter

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
M = Matter
SURE: Final = 0.8  # share from which on a voxel is taken to be of one tissue
NEAR: Final = 4  # voxels (about mm) by which a brain may differ from the atlas's
RIM: Final = 3  # of fluid and dura around a brain


def brain_matter(t1: Array, grey: Array, white: Array) -> Labels:
    """Return the tissues of a brain without a head.

    Parameters
    ----------
    t1
        (Z, Y, X) any unit; 0 outside the brain.
    grey, white
        Shares, 0 to 1, on the same grid.
    """
    fluid = np.where(t1 > 0, 1 - grey - white, 0)
    found = np.array([M.GREY, M.WHITE, M.FLUID], np.uint8)[np.argmax([grey, white, fluid], axis=0)]
    return np.where(t1 > 0, found, M.NOTHING).astype(np.uint8)


def head_matter(t1: Array, grey: Array, white: Array) -> Labels:
    """Return the tissues of a whole head, whose brain lies about where the shares say.

    Parameters
    ----------
    t1
        (Z, Y, X) T1 picture, about 1 mm.
    grey, white
        Shares of an average brain, 0 to 1, on the same grid.
    """
    level_white = float(np.median(t1[white > SURE]))
    level_grey = float(np.median(t1[grey > SURE]))
    fluid_below, white_above = 0.62 * level_grey, (level_grey + level_white) / 2
    prior = _holes_filled(_closed(grey + white > 0.25, 3))
    hull = _grown(prior, NEAR)
    bright = (t1 > fluid_below) & (t1 < 1.3 * level_white)
    brain = _largest(ndimage.binary_opening(bright & hull, iterations=1))
    brain = _grown(brain, 1) & bright & hull
    inside = _holes_filled(_closed(brain | prior & (t1 > 0), 5))
    rim = _grown(inside, RIM)
    out = _outside(t1, level_grey)
    out[rim & ~inside] = M.DURA
    out[_grown(inside, RIM - 1)] = M.FLUID
    out[brain & (t1 <= white_above)] = M.GREY
    out[brain & (t1 > white_above)] = M.WHITE
    return out


def _outside(t1: Array, grey: float) -> Labels:
    """Return what is no brain: fat, muscle and skin, and the dark of bone and sinuses."""
    head = _holes_filled(_closed(ndimage.gaussian_filter(t1, 1) > 0.2 * grey, 4))
    found = np.full(t1.shape, M.BONE, np.uint8)
    found[t1 > 0.45 * grey] = M.MUSCLE
    found[t1 > 1.1 * grey] = M.FAT
    found[~head] = M.NOTHING
    return found


def _closed(mask: Mask, voxels: int) -> Mask:
    """Return `mask` with gaps of up to twice `voxels` closed."""
    padded = np.pad(mask, voxels)
    near = ndimage.distance_transform_edt(~padded) <= voxels
    closed = ndimage.distance_transform_edt(near) > voxels
    cut = (slice(voxels, -voxels),) * 3
    return np.asarray(closed[cut] | mask)


def _grown(mask: Mask, voxels: int) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(~mask) <= voxels)


def _holes_filled(mask: Mask) -> Mask:
    """Return `mask` without holes, slice by slice: a neck is open below."""
    return np.stack([ndimage.binary_fill_holes(one) for one in mask])


def _largest(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax())

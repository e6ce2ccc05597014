"""Fluid beside the liver, as in a filled bowel, is not liver.

What the network calls liver is looked at once more. A liver has one density; a part of the mask as
dark as water that is not within it lies beside it. Cysts and necroses within it stay.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.inference.mask import largest
from radnet.inference.preparation import Array

FLUID_HU: Final = 30.0  # bowel content is darker than this
DARKER_HU: Final = 15.0  # than the liver, at least: plain CT shows a liver of 40 to 65 HU
SMALLEST: Final = 120  # voxels of 25 mm3: 3 mL
WITHIN: Final = 0.4  # of a part's surface: from this share of liver on it lies in the liver
SURE: Final = 0.8  # probability of voxels that tell what this liver's density is
LEAST_SURE: Final = 500  # of them, to know it
BLUR: Final = (0.7, 1.0, 1.0)  # voxels
THIN: Final = 2  # voxels: a rim as thin as this is a mixture with fat

Mask = NDArray[np.bool_]
CROSS: Final = ndimage.generate_binary_structure(3, 1)


def without_fluid(probability: Array, hounsfield: Array, threshold: float) -> Array:
    """Return `probability` with what is fluid beside the liver set to 0.

    Parameters
    ----------
    probability, hounsfield
        (Z, Y, X) at 4 x 2.5 x 2.5 mm, HU.
    threshold
        Probability above which a voxel is liver.
    """
    liver = largest(probability > threshold)
    core = ndimage.binary_erosion(liver & (probability > SURE), CROSS, iterations=THIN)
    if core.sum() < LEAST_SURE:
        return probability
    least = float(np.median(hounsfield[core])) - DARKER_HU
    smooth = _mean_within(hounsfield, liver)
    dark = liver & (smooth < min(least, FLUID_HU))
    parts, _ = ndimage.label(ndimage.binary_opening(dark, CROSS, iterations=THIN))
    beside = np.zeros_like(liver)
    for number, place in enumerate(ndimage.find_objects(parts), 1):
        place = tuple(slice(max(0, one.start - THIN), one.stop + THIN) for one in place)
        part = parts[place] == number
        if part.sum() >= SMALLEST and _share_in(part, liver[place], dark[place]) < WITHIN:
            beside[place] |= ndimage.binary_dilation(part, CROSS, iterations=THIN)
    border = smooth < min(least + DARKER_HU / 2, FLUID_HU + DARKER_HU / 2)
    return np.where(beside & border & liver, np.float32(0), probability)


def _mean_within(hounsfield: Array, liver: Mask) -> Array:
    """Return the mean of the voxels around each that are called liver themselves."""
    total = ndimage.gaussian_filter(np.where(liver, hounsfield, np.float32(0)), BLUR)
    count = ndimage.gaussian_filter(liver.astype(np.float32), BLUR)
    return np.asarray(total / np.maximum(count, 1e-3), np.float32)


def _share_in(part: Mask, liver: Mask, dark: Mask) -> float:
    """Return how much of the surface of `part` borders on liver proper."""
    shell = ndimage.binary_dilation(part, CROSS) & ~part & ~dark
    return float((shell & liver).sum() / max(1, int(shell.sum())))

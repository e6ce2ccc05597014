"""What no liver is looked for in: a mask on it would be wrong without a sign of it.

Bounds are wide of every real CT that was at hand (94 to 100 % of their voxels are air or soft
tissue, the shortest useful one has 11 slices) and are checked before a network runs.
"""

from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.errors import UnusableVolumeError
from radnet.volume.size import refuse_too_large

AIR_BELOW_HU: Final = -100.0  # every CT shows something lighter than fat
AIR_HU: Final = -450.0  # air, lung, padding: this and less
TISSUE_HU: Final = (-200.0, 350.0)
LEAST_LIKE_CT: Final = 0.8  # share of the voxels that are one of the two
FEWEST_SLICES: Final = 4
LEAST_EXTENT_MM: Final = (15.0, 80.0, 80.0)  # along slices, rows, columns
MOST_EXTENT_MM: Final = 2500.0
MOST_LIVER_ML: Final = 8000.0  # three times a large liver
EVERY: Final = 10  # rows and columns of which one is looked at
MANY: Final = 1_000_000  # voxels, from which that is enough


def refuse_other_than_ct(volume: hd.Volume) -> None:
    """Refuse voxels that cannot be HU, and volumes that can hold no liver.

    Parameters
    ----------
    volume : hd.Volume
        float32, [slice, row, column], LPS millimetres.

    Raises
    ------
    UnusableVolumeError
        If there are too many voxels, too few slices, lengths that are no millimetres of a
        person, or values that are not those of a CT.
    """
    refuse_too_large("this volume", volume.shape)
    _refuse_extent(volume)
    if reason := not_hounsfield(volume.array):
        raise UnusableVolumeError(reason)


def not_hounsfield(array: NDArray[np.float32]) -> str:
    """Return why the voxels of `array` cannot be HU of a CT; empty where they can."""
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        numbers = array[np.isfinite(array)]
        return not_hounsfield(numbers) if numbers.size else "no voxel is a finite number"
    if low == high:
        return f"all voxels are {low:g}; expected a CT in HU"
    if low > AIR_BELOW_HU:
        return (
            f"the lowest voxel is {low:g}; expected a CT in HU, which shows air or fat below "
            f"{AIR_BELOW_HU:g}. Is this an MR, or was Rescale Intercept (0028,1052) lost?"
        )
    if high < TISSUE_HU[0]:
        return f"the highest voxel is {high:g}; expected a CT in HU, which shows soft tissue"
    some = array[:, ::EVERY, ::EVERY] if array.ndim == 3 and array.size > MANY else array
    like_ct = (some <= AIR_HU) | ((some >= TISSUE_HU[0]) & (some <= TISSUE_HU[1]))
    if (share := float(np.mean(like_ct))) < LEAST_LIKE_CT:
        return (
            f"{share:.0%} of the voxels have HU of air or soft tissue; in a CT it is over "
            f"{LEAST_LIKE_CT:.0%}. Is this an MR, or were Rescale Slope and Intercept lost?"
        )
    return ""


def _refuse_extent(volume: hd.Volume) -> None:
    slices = volume.shape[0]
    extent = np.array(volume.spacing) * volume.shape
    if slices < FEWEST_SLICES or np.any(extent < LEAST_EXTENT_MM):
        raise UnusableVolumeError(
            f"{slices} slices, {_by(extent)} mm in all; expected at least {FEWEST_SLICES} slices "
            f"and {_by(np.array(LEAST_EXTENT_MM))} mm to find a liver in"
        )
    refuse_larger_than_a_patient(volume)


def refuse_larger_than_a_patient(volume: hd.Volume) -> None:
    """Refuse lengths that are no millimetres of a person: grids over them have no bound.

    Raises
    ------
    UnusableVolumeError
        If they are.
    """
    extent = np.array(volume.spacing) * volume.shape
    if np.any(extent > MOST_EXTENT_MM):
        raise UnusableVolumeError(
            f"{_by(extent)} mm in all; expected less than {MOST_EXTENT_MM:g} mm. Are the voxel "
            "sizes in mm?"
        )


def refuse_impossible_liver(volume_ml: float) -> None:
    """Refuse a mask that is larger than any liver.

    Raises
    ------
    UnusableVolumeError
        If it is.
    """
    if volume_ml > MOST_LIVER_ML:
        raise UnusableVolumeError(
            f"a liver of {volume_ml:,.0f} mL was found; expected at most {MOST_LIVER_ML:,.0f}. "
            "These are not the voxels of a patient's CT; no mask was made"
        )


def _by(lengths: np.ndarray) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths)

"""Volumes that tests make, and an asymmetric body whose sides are known in the patient."""

from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray


def made_volume(array: NDArray[Any], affine: NDArray[np.float64]) -> hd.Volume:
    """Return [slice, row, column] at LPS mm."""
    return hd.Volume(array, affine=affine, coordinate_system="PATIENT")

"""What of a series a montage shows: which slices, in which window, with which sides named."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

TILES: Final = 12
COLUMNS: Final = 4
WINDOW_HU: Final = (-160.0, 240.0)  # centre 40, width 400: soft tissue
LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))  # towards minus and plus of LPS x, y, z


def direction_letter(direction: NDArray[np.float64]) -> str:
    """Return the letter of the patient's side that a direction (LPS) points to most."""
    axis = int(np.argmax(np.abs(direction)))
    return LETTERS[axis][int(direction[axis] > 0)]


def chosen_slices(mask: NDArray[np.bool_], tiles: int = TILES) -> list[int]:
    """Return up to `tiles` slices, even over those with liver; over all where there is none."""
    inside = np.flatnonzero(mask.any(axis=(1, 2)))
    first, last = (inside[0], inside[-1]) if inside.size else (0, mask.shape[0] - 1)
    return sorted({round(value) for value in np.linspace(first, last, tiles)})

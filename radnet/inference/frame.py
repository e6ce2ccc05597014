"""Of a field of view that is wider than the networks' the part with the body in it."""

from typing import Final

import numpy as np
from scipy import ndimage

from radnet.inference.preparation import LIVER_SPACING_MM, LIVER_WINDOW, Stack

BODY_HU: Final = -300.0  # the body is more than this, lungs apart; so is the table
STEP_MM: Final = 10.0  # fine enough to find the middle of a body
SPARE_MM: Final = 40.0  # by which a field of view may be wider and is taken as it is


def frame(stack: Stack) -> tuple[slice, slice]:
    """Return the rows and columns to look at: those about the middle of the largest thing.

    The networks see 480 mm about the middle of what they are given. Of a patient who lies beside
    the middle of a wide field of view they would see a part.

    Parameters
    ----------
    stack
        An upright scan, [slice, row, column].
    """
    widths = [LIVER_WINDOW[axis] * LIVER_SPACING_MM[axis] for axis in (1, 2)]
    sizes = [stack.array.shape[axis] * stack.spacing_mm[axis] for axis in (1, 2)]
    if all(size <= width + SPARE_MM for size, width in zip(sizes, widths, strict=True)):
        return slice(None), slice(None)
    steps = [max(1, round(STEP_MM / spacing)) for spacing in stack.spacing_mm]
    parts, count = ndimage.label(stack.array[:: steps[0], :: steps[1], :: steps[2]] > BODY_HU)
    if count == 0:
        return slice(None), slice(None)
    counts = np.bincount(parts.ravel())
    counts[0] = 0
    middle = ndimage.center_of_mass(parts == counts.argmax())
    rows, columns = (
        _about(
            middle[axis] * steps[axis], round(width / stack.spacing_mm[axis]),
            stack.array.shape[axis],
        )
        for axis, width in zip((1, 2), widths, strict=True)
    )  # fmt: skip
    return rows, columns


def _about(middle: float, count: int, size: int) -> slice:
    """Return `count` places about `middle`, within `size`."""
    start = min(max(0, round(middle - count / 2)), max(0, size - count))
    return slice(start, min(start + count, size))

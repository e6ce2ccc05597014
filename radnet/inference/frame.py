"""What the liver network looks at: the scan upright, and of a wide field of view the body."""

from dataclasses import dataclass
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.inference.preparation import LIVER_SPACING_MM, LIVER_WINDOW
from radnet.volume.axes import UPRIGHT, Turn, turn_to

BODY_HU: Final = -300.0  # the body is more than this, lungs apart; so is the table
STEP_MM: Final = 10.0  # fine enough to find the middle of a body
SPARE_MM: Final = 40.0  # by which a field of view may be wider and is taken as it is


@dataclass(frozen=True)
class LiverView:
    """The part of one scan that is looked at, upright.

    Attributes
    ----------
    turn
        Brings the axes of the scan to `UPRIGHT`.
    shape
        Of the whole scan then.
    rows, columns
        What is looked at of it.
    """

    turn: Turn
    shape: tuple[int, ...]
    rows: slice
    columns: slice

    def there(self, volume: hd.Volume) -> hd.Volume:
        """Return the part of a volume on the grid of the scan (a view)."""
        upright = self.turn.there(volume)
        return upright[:, self.rows, self.columns]  # type: ignore[index]  # too narrow in highdicom

    def back(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of the part on the grid of the scan; beyond it there is nothing."""
        whole = np.zeros(self.shape, bool)
        whole[:, self.rows, self.columns] = mask
        return self.turn.back(whole)


def liver_view(volume: hd.Volume) -> LiverView:
    """Return what to look at of a scan, in any order and direction of its axes.

    Serving, training and scoring all look at this, so that no order of the axes changes what is
    learned or found.

    Parameters
    ----------
    volume : hd.Volume
        A CT in HU; its affine leads to LPS millimetres.

    Returns
    -------
    LiverView
    """
    turn = turn_to(volume.affine, UPRIGHT)
    upright = turn.there(volume)
    return LiverView(turn, upright.shape, *frame(upright))


def frame(volume: hd.Volume) -> tuple[slice, slice]:
    """Return the rows and columns to look at: those about the middle of the largest thing.

    The networks see 480 mm about the middle of what they are given. Of a patient who lies beside
    the middle of a wide field of view they would see a part.

    Parameters
    ----------
    volume
        An upright scan, [slice, row, column].
    """
    widths = [LIVER_WINDOW[axis] * LIVER_SPACING_MM[axis] for axis in (1, 2)]
    sizes = [volume.shape[axis] * volume.spacing[axis] for axis in (1, 2)]
    if all(size <= width + SPARE_MM for size, width in zip(sizes, widths, strict=True)):
        return slice(None), slice(None)
    steps = [max(1, round(STEP_MM / spacing)) for spacing in volume.spacing]
    parts, count = ndimage.label(volume.array[:: steps[0], :: steps[1], :: steps[2]] > BODY_HU)
    if count == 0:
        return slice(None), slice(None)
    counts = np.bincount(parts.ravel())
    counts[0] = 0
    middle = ndimage.center_of_mass(parts == counts.argmax())
    rows, columns = (
        _about(
            middle[axis] * steps[axis], round(width / volume.spacing[axis]),
            volume.shape[axis],
        )
        for axis, width in zip((1, 2), widths, strict=True)
    )  # fmt: skip
    return rows, columns


def _about(middle: float, count: int, size: int) -> slice:
    """Return `count` places about `middle`, within `size`."""
    start = min(max(0, round(middle - count / 2)), max(0, size - count))
    return slice(start, min(start + count, size))

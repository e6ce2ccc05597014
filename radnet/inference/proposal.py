"""Which slices to search for the liver: read off the classifier's cells, widened by the mask."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from radnet.inference.classifier import Prediction
from radnet.inference.preparation import LIVER_SPACING_MM
from radnet.labels.vocabulary import Region

LIVER: Final = list(Region).index(Region.LIVER)
POSSIBLE: Final = 0.1  # probability from which a cell is searched
SHORT_MM: Final = 130.0  # a scan no longer than this is searched whole
GROWTH_MM: Final = 64.0  # by which a proposal is widened where the liver goes on beyond it


def propose(prediction: Prediction, slices: int, spacing_mm: float) -> tuple[int, int] | None:
    """Return the first and last slice to search for liver first, or None where none is suspected.

    From the first to the last cell above `POSSIBLE`, one cell more at either end; a short scan is
    searched whole. The proposal saves time and is generous: the mask is what decides.
    """
    if slices * spacing_mm <= SHORT_MM:
        return (0, slices - 1)
    cells = prediction.cells[:, LIVER]
    where = np.flatnonzero(cells > POSSIBLE)
    if not where.size:
        return None
    per_cell = prediction.cell_mm / spacing_mm
    first = int((int(where[0]) - 1) * per_cell)
    last = int(np.ceil((int(where[-1]) + 2) * per_cell))
    return (max(0, first), min(slices - 1, last))


def grown(
    mask: NDArray[np.bool_], proposal: tuple[int, int], spacing_mm: float
) -> tuple[int, int] | None:
    """Return wider slices to search where `mask` is cut off by an end of `proposal`, or None.

    Parameters
    ----------
    mask
        [slice, row, column] on the source grid.
    proposal
        First and last slice that were searched.
    spacing_mm
        Between slices.
    """
    first, last = proposal
    near = max(1, int(np.ceil(LIVER_SPACING_MM[0] / spacing_mm)))
    more = max(1, round(GROWTH_MM / spacing_mm))
    if mask[first : first + near].any():
        first = max(0, first - more)
    if mask[max(0, last - near + 1) : last + 1].any():
        last = min(len(mask) - 1, last + more)
    return None if (first, last) == proposal else (first, last)

"""The poster's region of proposal: a window of slices slid over the scan.

Kept as the reference for the one fully convolutional pass that serves (`Classifier.classify`):
a stack of Z slices costs Z / 48 of a window there, and about Z / stride windows here.
"""

from typing import Final

import numpy as np

from radnet.inference.preparation import CELL_SLICES, Array
from radnet.inference.runtime import Runtime

WINDOW: Final = 48  # slices, the input of the 2020 network
STRIDE: Final = 8


def sliding_cells(run: Runtime, stack: Array, stride: int = STRIDE) -> Array:
    """Return the coverage logits of every cell of eight slices, the mean over its windows.

    Parameters
    ----------
    run
        The classifier: scan outputs and (1, Z / 8, 9) cell logits of (1, 1, Z, Y, X).
    stack
        (Z, Y, X) as the network sees it; Z a multiple of 8.
    stride
        Slices between windows, a multiple of 8.
    """
    depth = stack.shape[0]
    window = min(WINDOW, depth)
    starts = sorted({*range(0, depth - window + 1, stride), depth - window})
    cells = depth // CELL_SLICES
    total, count = np.zeros((cells, 9), np.float32), np.zeros((cells, 1), np.float32)
    for start in starts:
        _, logits, *_ = run(np.ascontiguousarray(stack[None, None, start : start + window]))
        first = start // CELL_SLICES
        total[first : first + window // CELL_SLICES] += logits[0]
        count[first : first + window // CELL_SLICES] += 1
    return np.asarray(total / count, np.float32)

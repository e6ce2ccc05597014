"""From a volume to what the networks see, and from their grid back to the volume's."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Affine = NDArray[np.float64]

AIR_HU: Final = -1024.0
CLASSIFIER_SPACING_MM: Final = (4.0, 5.0, 5.0)
CLASSIFIER_SIDE: Final = 96
CT_HU: Final = (-1000.0, -200.0, 0.0, 200.0, 1000.0)  # soft tissue gets most of the range,
CT_LEVELS: Final = (-1.0, -0.6, -0.2, 0.6, 1.0)  # for there an agent shows
LIVER_SPACING_MM: Final = (4.0, 2.5, 2.5)
LIVER_WINDOW: Final = (48, 192, 192)
LIVER_HU: Final = (-160.0, 240.0)
CELL_SLICES: Final = 8
SHORTEST: Final = 24  # slices; fewer are padded


@dataclass(frozen=True)
class Stack:
    """An array and where it lies: index (slice, row, column) to LPS mm."""

    array: Array
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns."""
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(steps[0]), float(steps[1]), float(steps[2]))


def block_mean(stack: Stack, spacing_mm: tuple[float, float, float]) -> Stack:
    """Average whole blocks of voxels so that no step is much finer than `spacing_mm`.

    Sampling a fine grid coarsely would turn its noise into structure; a mean over blocks is the
    cheapest filter that prevents it, and its new affine is exact.
    """
    array, affine = stack.array, stack.affine.copy()
    for axis, (have, want) in enumerate(zip(stack.spacing_mm, spacing_mm, strict=True)):
        factor = min(int(want / have + 0.25), array.shape[axis])
        if factor < 2:
            continue
        whole = array.shape[axis] // factor * factor
        array = array[(slice(None),) * axis + (slice(whole),)]  # a view: whole scans are large
        split = (*array.shape[:axis], whole // factor, factor, *array.shape[axis + 1 :])
        array = array.reshape(split).mean(axis=axis + 1, dtype=np.float32)
        affine[:3, 3] += affine[:3, axis] * (factor - 1) / 2
        affine[:3, axis] *= factor
    return Stack(np.asarray(array, np.float32), affine)


def sample(
    stack: Stack, affine: Affine, shape: tuple[int, int, int], outside: float | None
) -> Array:
    """Return `stack` linearly interpolated on another grid, float32 of `shape`.

    Beyond it there is `outside`, or, where that is None, what is nearest in it.
    """
    to_source = np.linalg.inv(stack.affine) @ affine
    out = ndimage.affine_transform(
        np.asarray(stack.array, np.float32),
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=1,
        mode="nearest" if outside is None else "constant",
        cval=outside or 0.0,
    )
    return np.asarray(out, np.float32)


def acquisition_grid(stack: Stack) -> tuple[Affine, tuple[int, int, int]]:
    """Return the classifier's grid along the scan's own axes, centred in plane.

    The first network slice begins where the first slice of the scan does, so cell ``i`` covers
    ``8 * 4 mm`` from ``i * 32 mm``.
    """
    step = np.array(stack.spacing_mm)
    extent = step * stack.array.shape
    affine = np.eye(4)
    affine[:3, :3] = stack.affine[:3, :3] / step * CLASSIFIER_SPACING_MM
    slices = max(1, round(extent[0] / CLASSIFIER_SPACING_MM[0]))
    shape = (int(slices), CLASSIFIER_SIDE, CLASSIFIER_SIDE)
    start = np.array([-0.5, 0, 0]) + np.array([0, 1, 1]) * (np.array(stack.array.shape) - 1) / 2
    offset = np.array([0.5, -(shape[1] - 1) / 2, -(shape[2] - 1) / 2])
    affine[:3, 3] = stack.affine[:3, :3] @ start + stack.affine[:3, 3] + affine[:3, :3] @ offset
    return affine, shape


def padded_slices(slices: int) -> int:
    """Return `slices` rounded up to whole coverage cells."""
    return max(SHORTEST, -(-slices // CELL_SLICES) * CELL_SLICES)


def scaled(array: Array, modality: str) -> Array:
    """Return `array` as the classifier wants it: CT [-1, 1] from HU, anything else [0, 1]."""
    if modality == "CT":
        return np.interp(array, CT_HU, CT_LEVELS).astype(np.float32)
    low, high = np.percentile(array, (1, 99.5))
    return np.asarray(np.clip((array - low) / max(high - low, 1e-6), 0, 1), np.float32)


def classifier_input(stack: Stack, modality: str) -> Array:
    """Return the classifier's input, (Z, 96, 96) float32, Z a multiple of 8.

    Parameters
    ----------
    stack
        The scan in its acquisition axes; HU when it is CT.
    modality
        As in (0008,0060); used for the scaling of the voxel values alone.
    """
    coarse = block_mean(stack, CLASSIFIER_SPACING_MM)
    coarse = Stack(scaled(coarse.array, modality), coarse.affine)
    empty = -1.0 if modality == "CT" else 0.0
    affine, shape = acquisition_grid(stack)
    array = sample(_held_ends(coarse), affine, shape, empty)
    padded = padded_slices(shape[0])
    return np.pad(array, ((0, padded - shape[0]), (0, 0), (0, 0)), constant_values=empty)


def _held_ends(stack: Stack) -> Stack:
    """Repeat the first and last slice once, so that half a slice at either end is not lost."""
    affine = stack.affine.copy()
    affine[:3, 3] -= affine[:3, 0]
    return Stack(np.pad(stack.array, ((1, 1), (0, 0), (0, 0)), mode="edge"), affine)


def axial_grid(
    stack: Stack, slices: tuple[int, int] | None = None
) -> tuple[Affine, tuple[int, int, int]]:
    """Return an LPS-axial grid of 4 x 2.5 x 2.5 mm over `stack`, 192 x 192 in plane.

    Parameters
    ----------
    stack
        The scan, in any orientation.
    slices
        First and last slice (of `stack`) that must be covered; all when None.
    """
    first, last = slices or (0, stack.array.shape[0] - 1)
    sizes = stack.array.shape
    corners = np.array(
        [
            (z, y, x, 1.0)
            for z in (first - 0.5, last + 0.5)
            for y in (-0.5, sizes[1] - 0.5)
            for x in (-0.5, sizes[2] - 0.5)
        ]
    )
    patient = (stack.affine @ corners.T)[:3]
    low, high = patient.min(axis=1), patient.max(axis=1)
    depth = max(1, int(np.ceil((high[2] - low[2]) / LIVER_SPACING_MM[0])))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *LIVER_SPACING_MM, 1
    middle = (low + high) / 2
    shape = (depth, LIVER_WINDOW[1], LIVER_WINDOW[2])
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine, shape


def axial(
    stack: Stack, slices: tuple[int, int] | None = None, outside: float | None = AIR_HU
) -> Stack:
    """Return `stack` on its LPS-axial grid, in HU; `outside` beyond it, as of `sample`."""
    order = np.abs(stack.affine[:3, :3] / np.array(stack.spacing_mm)).argmax(axis=0)
    want = np.array([2.5, 2.5, 4.0])[order]  # patient x, y, z
    coarse = block_mean(stack, (float(want[0]), float(want[1]), float(want[2])))
    affine, shape = axial_grid(stack, slices)
    return Stack(sample(_held_ends(coarse), affine, shape, outside), affine)

"""From a volume to what the networks see: one preparation for serving, training and scoring."""

from dataclasses import dataclass
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.errors import UnusableVolumeError
from radnet.inference.refusals import refuse_larger_than_a_patient
from radnet.volume.axes import at

Array = NDArray[np.float32]
Affine = NDArray[np.float64]

PREPARATION: Final = 3
"""Number of this preparation: raise it when reading or preparing changes what a network sees.
Prepared series and checkpoints of another number are not gone on with."""
PREPARED: Final = "preparation of scans"  # what a checkpoint calls this number

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
class ClassifierInput:
    """What the classifier sees of one scan.

    Attributes
    ----------
    array
        (Z, 96, 96) float32, Z a multiple of 8: the scan in its acquisition plane, its slices in
        the order of their normal (an axial one from foot to head), 4 mm apart; then padding.
    depth
        How many slices of `array` show the scan.
    scan
        The volume it was made of, its slices in the same order.
    reverse
        Whether that is the other order than the volume had.
    """

    array: Array
    depth: int
    scan: hd.Volume
    reverse: bool


def usable(volume: hd.Volume) -> hd.Volume:
    """Return `volume` in float32, or the reason why a network can see nothing in it.

    Parameters
    ----------
    volume : hd.Volume
        [slice, row, column], LPS millimetres.

    Returns
    -------
    hd.Volume
        The same grid.

    Raises
    ------
    UnusableVolumeError
        If the volume has no three axes of voxels, a single slice, one value throughout, values
        that are not numbers, or a length that no patient has.
    """
    array = np.asarray(volume.array, np.float32)
    if array.ndim != 3 or 0 in array.shape:
        raise UnusableVolumeError(f"a volume of shape {array.shape}; expected three axes")
    low, high = array.min(), array.max()  # of a NaN both are NaN: no array of bool is needed
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnusableVolumeError("the volume holds voxels that are not finite numbers")
    if array.shape[0] < 2 or low == high:
        raise UnusableVolumeError(
            f"{array.shape[0]} slices of values from {low:g} to {high:g}; expected at least 2 "
            "slices with something to see in them"
        )
    refuse_larger_than_a_patient(volume)
    return volume.with_array(array)


def along_normal(volume: hd.Volume) -> tuple[hd.Volume, bool]:
    """Return `volume` with its slices in the order of their normal, and whether that was not so.

    The networks learn from stacks in this order (rows x columns, for an axial scan from foot to
    head); `radnet.volume` reads from head to foot.
    """
    slices, rows, columns = volume.affine[:3, :3].T
    if float(np.dot(slices, np.cross(columns, rows))) >= 0:
        return volume, False
    affine = volume.affine
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    return at(volume.array[::-1], affine, volume), True


def block_mean(volume: hd.Volume, spacing_mm: tuple[float, float, float]) -> hd.Volume:
    """Average whole blocks of voxels so that no step is much finer than `spacing_mm`.

    Sampling a fine grid coarsely would turn its noise into structure; a mean over blocks is the
    cheapest filter that prevents it, and its new affine is exact.
    """
    array, affine = volume.array, volume.affine
    for axis, (have, want) in enumerate(zip(volume.spacing, spacing_mm, strict=True)):
        factor = min(int(want / have + 0.25), array.shape[axis])
        if factor < 2:
            continue
        whole = array.shape[axis] // factor * factor
        array = array[(slice(None),) * axis + (slice(whole),)]  # a view: whole scans are large
        split = (*array.shape[:axis], whole // factor, factor, *array.shape[axis + 1 :])
        array = array.reshape(split).mean(axis=axis + 1, dtype=np.float32)
        affine[:3, 3] += affine[:3, axis] * (factor - 1) / 2
        affine[:3, axis] *= factor
    return at(np.asarray(array, np.float32), affine, volume)


def sample(
    volume: hd.Volume, affine: Affine, shape: tuple[int, int, int], outside: float | None
) -> Array:
    """Return `volume` linearly interpolated on another grid, float32 of `shape`.

    Beyond it there is `outside`, or, where that is None, what is nearest in it.

    Parameters
    ----------
    volume : hd.Volume
        Its affine leads to LPS millimetres.
    affine : array of float64
        (4, 4), of the grid that is wanted, to LPS millimetres.
    shape : tuple of int
        Of the grid that is wanted.
    outside : float or None
        In the unit of the voxels.

    Returns
    -------
    array of float32
    """
    to_source = np.linalg.inv(volume.affine) @ affine
    out = ndimage.affine_transform(
        np.asarray(volume.array, np.float32),
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=1,
        mode="nearest" if outside is None else "constant",
        cval=outside or 0.0,
    )
    return np.asarray(out, np.float32)


def acquisition_grid(volume: hd.Volume) -> tuple[Affine, tuple[int, int, int]]:
    """Return the classifier's grid along the scan's own axes, centred in plane.

    The first network slice begins where the first slice of the scan does, so cell ``i`` covers
    ``8 * 4 mm`` from ``i * 32 mm``.
    """
    own = volume.affine
    step = np.array(volume.spacing)
    extent = step * volume.shape
    affine = np.eye(4)
    affine[:3, :3] = own[:3, :3] / step * CLASSIFIER_SPACING_MM
    slices = max(1, round(extent[0] / CLASSIFIER_SPACING_MM[0]))
    shape = (int(slices), CLASSIFIER_SIDE, CLASSIFIER_SIDE)
    start = np.array([-0.5, 0, 0]) + np.array([0, 1, 1]) * (np.array(volume.shape) - 1) / 2
    offset = np.array([0.5, -(shape[1] - 1) / 2, -(shape[2] - 1) / 2])
    affine[:3, 3] = own[:3, :3] @ start + own[:3, 3] + affine[:3, :3] @ offset
    return affine, shape


def padded_slices(slices: int) -> int:
    """Return `slices` rounded up to whole coverage cells.

    Parameters
    ----------
    slices : int
        Slices of a scan.

    Returns
    -------
    int
        A multiple of 8, at least `SHORTEST`.
    """
    return max(SHORTEST, -(-slices // CELL_SLICES) * CELL_SLICES)


def scaled(array: Array, modality: str) -> Array:
    """Return `array` as the classifier wants it: CT [-1, 1] from HU, anything else [0, 1]."""
    if modality == "CT":
        return np.interp(array, CT_HU, CT_LEVELS).astype(np.float32)
    low, high = np.percentile(array, (1, 99.5))
    return np.asarray(np.clip((array - low) / max(high - low, 1e-6), 0, 1), np.float32)


def empty_value(modality: str) -> float:
    """Return what a place beyond the scan has in the classifier's input: air of a CT, nothing.

    Parameters
    ----------
    modality : str
        ``CT`` or another.

    Returns
    -------
    float
        On the scale of that input; -1 is air of a CT.
    """
    return -1.0 if modality == "CT" else 0.0


def classifier_input(volume: hd.Volume, modality: str) -> ClassifierInput:
    """Return what the classifier sees of a scan, whatever the order of its slices.

    Parameters
    ----------
    volume
        [slice, row, column] in its acquisition axes; HU when it is CT.
    modality
        As in (0008,0060); used for the scaling of the voxel values alone.

    Returns
    -------
    ClassifierInput

    Raises
    ------
    UnusableVolumeError
        As of `usable`.
    """
    scan, reverse = along_normal(usable(volume))
    coarse = block_mean(scan, CLASSIFIER_SPACING_MM)
    coarse = coarse.with_array(scaled(coarse.array, modality))
    empty = empty_value(modality)
    affine, shape = acquisition_grid(scan)
    array = sample(_held_ends(coarse), affine, shape, empty)
    padding = ((0, padded_slices(shape[0]) - shape[0]), (0, 0), (0, 0))
    array = np.pad(array, padding, constant_values=empty)
    return ClassifierInput(array, shape[0], scan, reverse)


def _held_ends(volume: hd.Volume) -> hd.Volume:
    """Repeat the first and last slice once, so that half a slice at either end is not lost."""
    affine = volume.affine
    affine[:3, 3] -= affine[:3, 0]
    return at(np.pad(volume.array, ((1, 1), (0, 0), (0, 0)), mode="edge"), affine, volume)


def axial_grid(
    volume: hd.Volume, slices: tuple[int, int] | None = None
) -> tuple[Affine, tuple[int, int, int]]:
    """Return an LPS-axial grid of 4 x 2.5 x 2.5 mm over `volume`, 192 x 192 in plane.

    Parameters
    ----------
    volume
        The scan, in any orientation.
    slices
        First and last slice (of `volume`) that must be covered; all when None.

    Returns
    -------
    tuple of array and tuple of int
        The affine (4, 4) to LPS millimetres, and the shape.
    """
    sizes = volume.shape
    first, last = slices or (0, sizes[0] - 1)
    corners = np.array(
        [
            (z, y, x, 1.0)
            for z in (first - 0.5, last + 0.5)
            for y in (-0.5, sizes[1] - 0.5)
            for x in (-0.5, sizes[2] - 0.5)
        ]
    )
    patient = (volume.affine @ corners.T)[:3]
    low, high = patient.min(axis=1), patient.max(axis=1)
    depth = max(1, int(np.ceil((high[2] - low[2]) / LIVER_SPACING_MM[0])))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *LIVER_SPACING_MM, 1
    middle = (low + high) / 2
    shape = (depth, LIVER_WINDOW[1], LIVER_WINDOW[2])
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine, shape


def axial(
    volume: hd.Volume, slices: tuple[int, int] | None = None, outside: float | None = AIR_HU
) -> hd.Volume:
    """Return `volume` on its LPS-axial grid, in HU; `outside` beyond it, as of `sample`.

    Parameters
    ----------
    volume : hd.Volume
        A CT in HU; its affine leads to LPS millimetres.
    slices : tuple of int, or None
        First and last slice of `volume` that must be covered; None: all.
    outside : float or None
        HU beyond the scan.

    Returns
    -------
    hd.Volume
        float32, 4 x 2.5 x 2.5 mm.
    """
    return on_grid(volume, *axial_grid(volume, slices), outside)


def on_grid(
    volume: hd.Volume, affine: Affine, shape: tuple[int, int, int], outside: float | None
) -> hd.Volume:
    """Return `volume` on an LPS-axial grid of 4 x 2.5 x 2.5 mm; `outside` as of `sample`.

    Parameters
    ----------
    volume : hd.Volume
        A CT in HU, or a mask from 0 to 1; its affine leads to LPS millimetres.
    affine, shape
        Of the grid, as `axial_grid` gives them.
    outside : float or None
        Beyond the scan; None: what is nearest in it.

    Returns
    -------
    hd.Volume
        float32.
    """
    order = np.abs(volume.affine[:3, :3] / np.array(volume.spacing)).argmax(axis=0)
    want = np.array([2.5, 2.5, 4.0])[order]  # patient x, y, z
    coarse = block_mean(volume, (float(want[0]), float(want[1]), float(want[2])))
    return at(sample(_held_ends(coarse), affine, shape, outside), affine, volume)

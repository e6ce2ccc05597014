"""Where the slices of a series lie, and whether they are one regular stack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from radnet.errors import GeometryError
from radnet.volume.headers import series_name
from radnet.volume.stacks import SAME_PLACE_MM

SPACING_TOLERANCE: Final = 0.01  # of the median gap: half a voxel is reached after 50 slices
SPACING_FLOOR_MM: Final = 0.02  # thin slices: positions written with two decimals
SIDEWAYS_MM: Final = 0.5  # more than this is seen at the far end of a contour
SAME_DIRECTION: Final = 2e-4  # of a direction cosine: 0.1 mm at the far end of a 500 mm row
ALIKE_DIRECTION: Final = 1e-2  # the same where only a recognisable picture is wanted


@dataclass(frozen=True)
class SliceOrder:
    """Slices in order, as highdicom orders a volume (right-handed: axial runs head to foot).

    Parameters
    ----------
    order
        Index into the datasets for each slice.
    offsets_mm
        Place of each slice along the stacking direction, ascending, the first at 0.
    spacing_mm
        Mean gap between neighbours; the median gap where they differ. So a regular series is the
        same volume to recognition, training and segmentation.
    position
        LPS position in mm of the first pixel of the first slice.
    orientation
        Six direction cosines: along a row, along a column.
    """

    order: tuple[int, ...]
    offsets_mm: NDArray[np.float64]
    spacing_mm: float
    position: tuple[float, ...]
    orientation: tuple[float, ...]


def slice_order(headers: Sequence[Dataset], *, tolerant: bool = False) -> SliceOrder:
    """Sort the single-frame images of one series into a stack.

    Parameters
    ----------
    headers
        The images; Image Position and Image Orientation (Patient) are read.
    tolerant
        Accept uneven gaps and a tilted gantry, as is enough to recognise a series; never for
        measuring in it.

    Returns
    -------
    SliceOrder

    Raises
    ------
    GeometryError
        For fewer than two slices, several orientations, two slices at one place, and, unless
        `tolerant`, uneven gaps and slices shifted sideways (gantry tilt).

    References
    ----------
    DICOM PS3.3 Section C.7.6.2.1.1
    """
    name = series_name(headers[0])
    if len(headers) < 2:
        raise GeometryError(f"{name}: 1 slice found; expected at least 2 to make a volume.")
    orientation = _one_orientation(name, headers, ALIKE_DIRECTION if tolerant else SAME_DIRECTION)
    # minus the normal: slice, row and column indices make a right-handed set, as highdicom's do
    along = -np.cross(orientation[:3], orientation[3:])
    positions = np.array([h.ImagePositionPatient for h in headers], dtype=np.float64)
    distances = positions @ along
    order = np.argsort(distances, kind="stable")
    positions, distances = positions[order], distances[order]
    gaps = np.diff(distances)
    _refuse_repeats(name, distances, gaps)
    if not tolerant:
        _refuse_sideways(name, positions, along)
        _refuse_uneven(name, distances, gaps)
    return SliceOrder(
        order=tuple(int(index) for index in order),
        offsets_mm=distances - distances[0],
        spacing_mm=float(np.median(gaps) if _uneven(gaps).size else gaps.mean()),
        position=tuple(positions[0]),
        orientation=tuple(orientation),
    )


def _one_orientation(
    name: str, headers: Sequence[Dataset], tolerance: float
) -> NDArray[np.float64]:
    cosines = np.array([h.ImageOrientationPatient for h in headers], dtype=np.float64)
    kinds: list[NDArray[np.float64]] = []
    for one in cosines:
        if not any(np.abs(one - kind).max() <= tolerance for kind in kinds):
            kinds.append(one)
    if len(kinds) > 1:
        raise GeometryError(
            f"{name}: {len(kinds)} orientations among {len(headers)} images found; expected one. "
            "A localizer, or several acquisitions in one series."
        )
    row, column = kinds[0][:3], kinds[0][3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if np.abs(np.array(lengths) - 1).max() > 0.01 or abs(row @ column) > 0.01:
        raise GeometryError(
            f"{name}: Image Orientation {kinds[0].round(4).tolist()} found; expected two "
            "perpendicular unit vectors."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.concatenate([row, column / np.linalg.norm(column)])


def _refuse_repeats(name: str, distances: NDArray[np.float64], gaps: NDArray[np.float64]) -> None:
    repeats = np.flatnonzero(gaps < SAME_PLACE_MM)
    if repeats.size:
        raise GeometryError(
            f"{name}: two slices at {distances[repeats[0]]:.2f} mm along the stack "
            f"({repeats.size} such pairs among {distances.size} images); expected one each."
        )


def _refuse_sideways(
    name: str, positions: NDArray[np.float64], along: NDArray[np.float64]
) -> None:
    steps = positions - positions[0]
    sideways = np.linalg.norm(steps - np.outer(steps @ along, along), axis=1)
    if sideways.max() <= SIDEWAYS_MM:
        return
    angle = np.degrees(np.arctan2(sideways[-1], steps[-1] @ along))
    raise GeometryError(
        f"{name}: slices are shifted sideways by up to {sideways.max():.1f} mm (gantry tilt, "
        f"{angle:.1f} degrees); expected them stacked at right angles to their planes."
    )


def _refuse_uneven(name: str, distances: NDArray[np.float64], gaps: NDArray[np.float64]) -> None:
    wrong = _uneven(gaps)
    if not wrong.size:
        return
    first, usual = wrong[0], float(np.median(gaps))
    found = f"gaps between slices range from {gaps.min():.3f} mm to {gaps.max():.3f} mm"
    times = gaps[wrong] / usual
    if times.min() > 1.5 and np.abs(times - times.round()).max() < 0.05:
        missing = int((times.round() - 1).sum())
        why = (
            f"A slice is missing between {distances[first]:.2f} mm and "
            f"{distances[first + 1]:.2f} mm along the stack ({missing} missing in all)."
        )
    else:
        why = f"{wrong.size} of {gaps.size} gaps differ from the usual {usual:.3f} mm."
    raise GeometryError(f"{name}: {found}; expected one spacing. {why}")


def _uneven(gaps: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which gaps differ from the usual one by more than positions are rounded."""
    usual = float(np.median(gaps))
    return np.flatnonzero(np.abs(gaps - usual) > max(SPACING_TOLERANCE * usual, SPACING_FLOOR_MM))

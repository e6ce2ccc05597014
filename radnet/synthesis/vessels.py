"""What takes an agent in a healthy head: sinuses, arteries, choroid plexus, pituitary, mucosa.

A T1 picture does not show them apart from fluid; they are put where the atlas has them. Places in
mm of its frame: x to the left, y to the back, z to the head.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radnet.synthesis.matter import Matter

Labels = NDArray[np.uint8]
Point = tuple[float, float, float]
Course = tuple[Point, ...]
M = Matter

SAGITTAL: Final[Course] = (
    (0, -62, 12), (0, -50, 42), (0, -28, 62), (0, 0, 74), (0, 30, 76), (0, 60, 62), (0, 84, 40),
    (0, 99, 10), (0, 100, -8),
)  # fmt: skip
TRANSVERSE: Final[Course] = (
    (0, 100, -8), (20, 94, -16), (40, 80, -22), (55, 60, -28), (56, 42, -36), (44, 34, -48),
)  # fmt: skip
STRAIGHT: Final[Course] = ((0, 42, 8), (0, 66, 0), (0, 98, -8))
BASILAR: Final[Course] = ((0, 26, -52), (0, 22, -36), (0, 18, -22))
CAROTID: Final[Course] = ((14, 6, -62), (16, 2, -44), (12, -6, -28), (14, -4, -18))
MIDDLE: Final[Course] = ((14, -4, -18), (28, -2, -18), (40, 2, -10), (46, 10, 2))
ANTERIOR: Final[Course] = ((14, -4, -18), (3, -22, -14), (2, -42, 2), (2, -38, 24))
PLEXUS: Final = ((22, 38, 8), (26, 34, 0), (14, 22, 20))
PITUITARY: Final = (0.0, -4.0, -34.0)
EYE: Final = (34.0, -60.0, -36.0)
NOSE: Final = ((16.0, 20.0), (-95.0, -30.0), (-72.0, -18.0))  # |x| up to, y and z from and to


def with_vessels(matter: Labels, affine: NDArray[np.float64]) -> Labels:
    """Return `matter` with what takes an agent in it, and the eyes.

    Parameters
    ----------
    matter
        (Z, Y, X) `Matter`; slices to the head, rows to the back, columns to the left.
    affine
        (4, 4) to mm of the atlas.
    """
    out = matter.copy()
    both = (-1.0, 1.0)
    fluid = (M.FLUID, M.DURA, M.BONE)
    for path, radius, kind, over in (
        (SAGITTAL, 4.5, M.VEIN, fluid),
        (STRAIGHT, 2.5, M.VEIN, (*fluid, M.GREY, M.WHITE)),
        *((_at_side(TRANSVERSE, side), 4.0, M.VEIN, fluid) for side in both),
        (BASILAR, 2.0, M.ARTERY, fluid),
        *((_at_side(path, side), 2.2, M.ARTERY, (*fluid, M.MUSCLE))
          for path in (CAROTID, MIDDLE, ANTERIOR) for side in both),
    ):  # fmt: skip
        for place in _along(path):
            _ball(out, affine, place, radius, kind, over)
    for side in both:
        for x, y, z in PLEXUS:
            _ball(out, affine, (side * x, y, z), 5.0, M.PLEXUS, (M.FLUID,))
        _ball(out, affine, (side * EYE[0], *EYE[1:]), 12.0, M.EYE, (M.BONE, M.MUSCLE))
    _ball(out, affine, PITUITARY, 4.5, M.MUCOSA, (M.BONE, M.MUSCLE, M.FAT, M.FLUID))
    _mucosa(out, affine)
    return out


def _at_side(path: Course, side: float) -> Course:
    return tuple((side * x, y, z) for x, y, z in path)


def _along(path: Course) -> Iterable[Point]:
    """Yield places along a path, at most 2 mm apart."""
    for start, end in pairwise(path):
        count = max(2, int(np.linalg.norm(np.subtract(end, start)) / 2))
        for share in np.linspace(0, 1, count):
            x, y, z = (1 - share) * np.array(start) + share * np.array(end)
            yield float(x), float(y), float(z)


def _ball(
    labels: Labels,
    affine: NDArray[np.float64],
    place: Point,
    radius: float,
    kind: Matter,
    over: tuple[Matter, ...],
) -> None:
    step = np.abs(affine[[2, 1, 0], [0, 1, 2]])
    middle = np.linalg.solve(affine[:3, :3], np.array(place) - affine[:3, 3])
    low = np.maximum(np.floor(middle - radius / step), 0).astype(int)
    high = np.minimum(np.ceil(middle + radius / step) + 1, labels.shape).astype(int)
    if (low >= high).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = np.ogrid[box]
    far = sum(((grid[axis] - middle[axis]) * step[axis]) ** 2 for axis in range(3))
    part = labels[box]
    part[(far <= radius**2) & np.isin(part, over)] = kind


def _mucosa(labels: Labels, affine: NDArray[np.float64]) -> None:
    """Make the soft tissue of the nose's inside mucosa."""
    ranges = ((-NOSE[0][0], NOSE[0][0]), NOSE[1], NOSE[2])
    ends = [np.linalg.solve(affine[:3, :3], np.array([r[k] for r in ranges]) - affine[:3, 3])
            for k in (0, 1)]  # fmt: skip
    low, high = np.clip(np.rint(ends), 0, labels.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = labels[box]
    part[part == M.MUSCLE] = M.MUCOSA

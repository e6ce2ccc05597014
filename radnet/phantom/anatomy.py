"""A made-up body: organs as ellipsoids, tubes and shells in patient millimetres.

The frame is the patient's (x to the left, y to the back, z to the head), its origin the top of
the head. A body is drawn only at the points asked for, so any plane and any field of view costs
what its voxels cost.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]
Point = tuple[float, float, float]


class Tissue(IntEnum):
    """What a voxel of the phantom is made of."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    BONE = 3
    MARROW = 4
    GREY = 5
    WHITE = 6
    CSF = 7
    LUNG = 8
    ARTERY = 9
    VEIN = 10
    LIVER = 11
    SPLEEN = 12
    CORTEX = 13
    MEDULLA = 14
    STOMACH = 15
    BOWEL = 16
    GAS = 17
    URINE = 18
    GLAND = 19
    PANCREAS = 20
    BILE = 21
    LESION = 22
    HEART = 23


@dataclass(frozen=True)
class Shape:
    """An ellipsoid; `power` above 2 makes it boxier, `rough` dents its surface."""

    tissue: Tissue
    centre: Point
    radii: Point
    power: float = 2.0
    rough: float = 0.0
    tilt: float = 0.0  # radians, in the x-z plane
    inside: tuple[Tissue, ...] = ()  # drawn only over these; empty: over anything


@dataclass
class Grid:
    """Points to draw at: voxel centres of a box, and the dents common to one body."""

    affine: NDArray[np.float64]  # (slice, row, column) -> patient mm
    shape: tuple[int, int, int]
    dents: Array
    xyz: Array = field(init=False)
    deepest: float = field(init=False)  # of the dents that reach outwards

    def __post_init__(self) -> None:
        index = np.indices(self.shape, dtype=np.float32)
        self.deepest = max(0.0, -float(self.dents.min()))
        matrix = self.affine.astype(np.float32)
        self.xyz = np.tensordot(matrix[:3, :3], index, 1) + matrix[:3, 3, None, None, None]

    def box(
        self, centre: Point, reach: float, within: NDArray[np.float64] | None = None
    ) -> tuple[slice, slice, slice] | None:
        """Return the index box around `centre` that holds `reach` mm, or None outside.

        Parameters
        ----------
        within
            Half sides, in mm along x, y and z, of a box that holds all that is drawn.
        """
        matrix = self.affine[:3, :3]
        index = np.linalg.solve(matrix, np.array(centre) - self.affine[:3, 3])
        half = reach / np.linalg.norm(matrix, axis=0) + 1
        if within is not None:
            half = np.minimum(half, np.abs(np.linalg.inv(matrix)) @ within + 1)
        low = np.maximum(np.floor(index - half), 0).astype(int)
        high = np.minimum(np.ceil(index + half) + 1, self.shape).astype(int)
        if np.any(low >= high):
            return None
        return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))


def level(grid: Grid, shape: Shape, box: tuple[slice, ...]) -> Array:
    """Return the level set of `shape` in `box`: below 1 is inside."""
    x, y, z = (grid.xyz[axis][box] - np.float32(shape.centre[axis]) for axis in range(3))
    if shape.tilt:
        cos, sin = np.float32(np.cos(shape.tilt)), np.float32(np.sin(shape.tilt))
        x, z = cos * x + sin * z, cos * z - sin * x
    scaled = [
        np.abs(value / np.float32(r)) for value, r in zip((x, y, z), shape.radii, strict=True)
    ]
    if shape.power == 2.0:
        out = scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2
    else:
        power = np.float32(shape.power)
        out = scaled[0] ** power + scaled[1] ** power + scaled[2] ** power
    if shape.rough:
        out = out + np.float32(shape.rough) * grid.dents[box]
    return np.asarray(out, np.float32)


def half_sides(grid: Grid, shape: Shape) -> NDArray[np.float64]:
    """Return half the sides of the box that holds `shape` with its dents, in mm along x, y, z.

    Long and thin ones are drawn in a fraction of the cube around them.
    """
    outwards = (1.0 + shape.rough * grid.deepest) ** (1.0 / shape.power)
    x, y, z = np.array(shape.radii) * outwards * 1.001  # for what float32 rounds
    cos, sin = abs(np.cos(shape.tilt)), abs(np.sin(shape.tilt))
    return np.array([cos * x + sin * z, y, sin * x + cos * z])


def draw(grid: Grid, labels: Labels, shapes: list[Shape]) -> None:
    """Draw `shapes` over `labels` in their order."""
    for shape in shapes:
        reach = np.array(shape.radii) * (1.0 + max(0.0, shape.rough))
        box = grid.box(
            shape.centre,
            float(np.linalg.norm(reach) if shape.tilt else reach.max()),
            half_sides(grid, shape),
        )
        if box is None:
            continue
        inside = level(grid, shape, box) < 1
        if shape.inside:
            inside &= np.isin(labels[box], np.array(shape.inside, np.uint8))
        labels[box][inside] = shape.tissue


def dents(rng: np.random.Generator, shape: tuple[int, int, int], coarse: int) -> Array:
    """Return smooth noise of zero mean and unit deviation on a box of `shape`.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws it.
    shape : tuple of int
        Of the box, voxels.
    coarse : int
        Voxels between the points that are drawn; between them it is linear.

    Returns
    -------
    array of float32
    """
    small = rng.standard_normal([max(2, -(-n // coarse) + 1) for n in shape]).astype(np.float32)
    zoomed = ndimage.zoom(
        small, [n / s for n, s in zip(shape, small.shape, strict=True)], order=1, mode="nearest"
    )
    return np.asarray(zoomed / max(float(zoomed.std()), 1e-3), np.float32)


def jitter(rng: np.random.Generator, shape: Shape, move: float, size: float) -> Shape:
    """Return `shape` moved by about `move` mm and scaled by about `size` per axis."""
    centre = np.array(shape.centre) + rng.normal(0, move, 3)
    radii = np.array(shape.radii) * np.exp(rng.normal(0, size, 3))
    return Shape(
        shape.tissue,
        (float(centre[0]), float(centre[1]), float(centre[2])),
        (float(radii[0]), float(radii[1]), float(radii[2])),
        shape.power,
        shape.rough,
        shape.tilt + float(rng.normal(0, 0.1)) if shape.tilt else 0.0,
        shape.inside,
    )

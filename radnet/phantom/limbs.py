"""Limbs, centred on the frame's origin: fields that show none of the regions."""

from typing import Final

import numpy as np

from radnet.phantom.anatomy import Shape, Tissue

T: Final = Tissue
Place = tuple[float, float]


def limb(rng: np.random.Generator, kind: str) -> list[Shape]:
    """Return the shapes of a limb, outermost first.

    Parameters
    ----------
    rng
        Draws whose it is.
    kind
        One of `radnet.phantom.person.LIMBS`.
    """
    if kind == "knee":
        return knee(rng)
    r = float(rng.uniform(0.85, 1.2))
    if kind == "thigh":
        fat = float(rng.uniform(4, 30))
        return [
            *_sleeve(72 * r, fat),
            *_tube((0, 8), 15 * r, 9 * r),
            Shape(T.ARTERY, (-22 * r, 2, 0), (4, 4, 400), 4),
            Shape(T.VEIN, (-26 * r, 10, 0), (6, 5, 400), 4),
        ]
    if kind == "shin":
        return [
            *_sleeve(50 * r, float(rng.uniform(3, 14))),
            *_tube((-8 * r, -16 * r), 15 * r, 9 * r),
            *_tube((22 * r, 6 * r), 7 * r, 3 * r),
            Shape(T.VEIN, (0, 28 * r, 0), (4, 3, 400), 4),
        ]
    return [
        *_sleeve(36 * r, float(rng.uniform(2, 10))),
        *_tube((-13 * r, 0), 8 * r, 4 * r),
        *_tube((13 * r, 4 * r), 8 * r, 4 * r),
        Shape(T.ARTERY, (-16 * r, -16 * r, 0), (2, 2, 400), 4),
    ]


def _sleeve(radius: float, fat: float) -> list[Shape]:
    """Return skin fat, muscle and what parts the muscles."""
    return [
        Shape(T.FAT, (0, 0, 0), (radius + fat, radius + fat, 400), 4, 0.02),
        Shape(T.MUSCLE, (0, 0, 0), (radius, radius, 400), 4, 0.04),
        Shape(T.FAT, (radius * 0.3, 0, 0), (1.5, radius * 0.9, 400), 4, 0.4, 0.0, (T.MUSCLE,)),
        Shape(T.FAT, (0, radius * 0.3, 0), (radius * 0.8, 1.5, 400), 4, 0.4, 0.0, (T.MUSCLE,)),
    ]


def _tube(at: Place, outer: float, inner: float) -> list[Shape]:
    """Return a long bone and its marrow."""
    return [
        Shape(T.BONE, (*at, 0), (outer, outer, 400), 5),
        Shape(T.MARROW, (*at, 0), (inner, inner, 400), 5),
    ]


def knee(rng: np.random.Generator) -> list[Shape]:
    """Return one knee, centred on the frame's origin; a field of none of the regions."""
    r = float(rng.uniform(0.85, 1.15))
    return [
        Shape(T.FAT, (0, 0, 0), (68 * r, 72 * r, 400), 4, 0.02),
        Shape(T.MUSCLE, (0, 12, 0), (55 * r, 52 * r, 400), 4, 0.05),
        Shape(T.FAT, (0, -30, -5), (40, 25, 50), 2.3, 0.1),
        Shape(T.BONE, (0, 0, 150), (17 * r, 17 * r, 125), 5),
        Shape(T.MARROW, (0, 0, 150), (12 * r, 12 * r, 125), 5),
        Shape(T.BONE, (-20 * r, 5, 28), (22 * r, 30 * r, 27), 2.2),
        Shape(T.BONE, (20 * r, 5, 28), (22 * r, 30 * r, 27), 2.2),
        Shape(T.MARROW, (-19 * r, 5, 30), (19 * r, 27 * r, 26), 2.2),
        Shape(T.MARROW, (19 * r, 5, 30), (19 * r, 27 * r, 26), 2.2),
        Shape(T.BONE, (0, 5, -28), (40 * r, 28 * r, 24), 2.6),
        Shape(T.MARROW, (0, 5, -29), (37 * r, 25 * r, 22), 2.6),
        Shape(T.BONE, (0, 5, -170), (18 * r, 18 * r, 140), 5),
        Shape(T.MARROW, (0, 5, -170), (13 * r, 13 * r, 140), 5),
        Shape(T.GLAND, (0, 5, 0), (40 * r, 30 * r, 5), 3),
        Shape(T.BONE, (0, -48, 25), (21, 10, 22)),
        Shape(T.MARROW, (0, -48, 25), (18, 7, 19)),
        Shape(T.BONE, (-42 * r, 20, -150), (7, 7, 115), 4),
    ]

"""What some bodies have and others not, drawn over the usual organs, which stay as they were."""

from typing import Final

import numpy as np

from radnet.phantom.anatomy import Shape, Tissue
from radnet.phantom.person import Body

T: Final = Tissue


def variants(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return the shapes of what `body` has besides, in mm of an average adult.

    Parameters
    ----------
    rng
        Draws how it looks.
    body
        Whose it is.

    Returns
    -------
    list of Shape
        In the order in which they are drawn; none for most bodies.
    """
    shapes: list[Shape] = []
    if body.gas:
        shapes += _gas(rng, body)
    if body.left_lobe_mm:
        shapes += _left_lobe(rng, body)
    if body.prostate:
        shapes += _prostate(rng)
    return shapes


def _left_lobe(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return a thin lobe in front of the stomach, to the spleen in some."""
    g, half = body.girth, body.left_lobe_mm / 2
    reach = float(rng.uniform(48, 72))
    tilt = float(rng.uniform(-0.3, 0.1))
    middle = (28 + reach * 0.75) * g
    return [
        Shape(T.LIVER, (middle, -50, -522), (reach * g, 26, half), 2.3, 0.12, tilt),
        Shape(T.LIVER, (middle, -66, -538), (reach * g, half, 30), 2.3, 0.12, tilt),
    ]


def _gas(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return a blown-up stomach and both bends of the colon, filled with gas to a level."""
    g, gas = body.girth, body.gas
    full = float(rng.uniform(0.8, 1.25))
    shapes = [
        Shape(T.STOMACH, (70 * g, -28, -550), (44 * full, 42 * full, 52 * full), 2.2, 0.08),
        Shape(
            T.GAS, (70 * g, -28 - 37 * (1 - gas), -550),
            (40 * full, 39 * full * gas, 47 * full), 2.2, 0.05, 0.0, (T.STOMACH,),
        ),
    ]  # fmt: skip
    for x, y, z in ((-92.0, -48.0, -632.0), (112.0, -2.0, -588.0)):
        r = float(rng.uniform(17, 28))
        shapes += [
            Shape(T.BOWEL, (x * g, y, z), (r * 1.3, r, r), 2.2, 0.12),
            Shape(
                T.GAS, (x * g, y - r * (1 - gas), z), (r * 1.15, r * 0.85, r * 0.85), 2.2, 0.08,
                0.0, (T.BOWEL,),
            ),
        ]  # fmt: skip
    return shapes


def _prostate(rng: np.random.Generator) -> list[Shape]:
    """Return prostate and seminal vesicles, below and behind the bladder."""
    size = float(rng.uniform(0.8, 1.5))
    return [
        Shape(T.GLAND, (0, -8, -893), (24 * size, 18 * size, 19 * size), 2.2, 0.08),
        Shape(T.CORTEX, (0, 2, -895), (21 * size, 8 * size, 15 * size), 2.2, 0.1),
        Shape(T.URINE, (-15, 12, -868), (14, 5, 7), 2, 0.2, 0.3),
        Shape(T.URINE, (15, 12, -868), (14, 5, 7), 2, 0.2, -0.3),
    ]

"""Shapes of a phantom are drawn in a box around each, and nothing of them lies outside it."""

import numpy as np
import pytest

from radnet.phantom.anatomy import Grid, Shape, Tissue, dents, draw, level

TURN = np.array([[0.8, -0.6, 0.0], [0.48, 0.64, -0.6], [0.36, 0.48, 0.8]])
EVERYWHERE = (slice(None), slice(None), slice(None))


@pytest.mark.parametrize("matrix", [np.eye(3)[::-1], TURN], ids=["axial", "oblique"])
@pytest.mark.parametrize("tilt", [0.0, 0.7, -0.7, 1.5])
@pytest.mark.parametrize(("power", "rough"), [(2.0, 0.0), (2.0, 0.15), (3.2, 0.1)])
def test_the_box_around_a_shape_cuts_nothing_off(
    matrix: np.ndarray, tilt: float, power: float, rough: float
) -> None:
    """Long and thin, tilted, dented, on a grid that is turned."""
    affine = np.eye(4)
    affine[:3, :3] = matrix * np.array([1.5, 1.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ [40, 60, 60]
    shape = (80, 120, 120)
    grid = Grid(affine, shape, dents(np.random.default_rng(0), shape, 6))
    long = Shape(Tissue.LIVER, (2.0, -3.0, 4.0), (50.0, 12.0, 8.0), power, rough, tilt)
    labels = np.zeros(shape, np.uint8)

    draw(grid, labels, [long])

    assert np.array_equal(labels == Tissue.LIVER, level(grid, long, EVERYWHERE) < 1)
    assert labels.any()

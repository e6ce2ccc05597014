"""The classifier's grid lies where the scan lies: its centre, its first slice, its axes."""

import highdicom as hd
import numpy as np
import pytest

from radnet.inference.preparation import (
    CLASSIFIER_SIDE,
    CLASSIFIER_SPACING_MM,
    Affine,
    acquisition_grid,
    classifier_input,
)
from tests.made_ct import rotation
from tests.made_volume import made_volume

SHAPE = (13, 50, 37)  # slices, rows, columns: even, odd and all different
STEPS = (7.0, 1.5, 2.25)  # mm
TURNED = rotation(35, 0) @ rotation(-20, 2)


def _scan(turn: np.ndarray) -> hd.Volume:
    affine = np.eye(4)
    affine[:3, :3] = turn[:, ::-1] * STEPS
    affine[:3, 3] = (-91.0, 47.0, 1203.0)
    return made_volume(np.zeros(SHAPE, np.float32), affine)


def _place(affine: Affine, index: tuple[float, float, float]) -> Affine:
    return (affine @ [*index, 1.0])[:3]


@pytest.mark.parametrize("turn", [np.eye(3), TURNED], ids=["axial", "oblique"])
def test_the_grid_is_centred_on_the_scan_in_plane(turn: np.ndarray) -> None:
    """The middle of its 96 x 96 samples is the middle of the scan's slices.

    Half a sample beside it would show every network another patient than it learned from.
    """
    scan = _scan(turn)
    affine, _ = acquisition_grid(scan)
    middle = (CLASSIFIER_SIDE - 1) / 2

    found = _place(affine, (-0.5, middle, middle))

    assert found == pytest.approx(
        _place(scan.affine, (-0.5, (SHAPE[1] - 1) / 2, (SHAPE[2] - 1) / 2)), abs=1e-9
    )


@pytest.mark.parametrize("turn", [np.eye(3), TURNED], ids=["axial", "oblique"])
def test_the_grid_has_the_axes_of_the_scan_and_steps_of_its_own(turn: np.ndarray) -> None:
    """No axis is turned or exchanged; only the steps are 4 x 5 x 5 mm."""
    scan = _scan(turn)
    affine, _ = acquisition_grid(scan)

    assert affine[:3, :3] / CLASSIFIER_SPACING_MM == pytest.approx(
        scan.affine[:3, :3] / STEPS, abs=1e-12
    )
    assert affine[3].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("slices", "step", "count"), [(13, 7.0, 23), (1, 1.0, 1), (10, 4.0, 10), (3, 2.0, 2)]
)
def test_the_grid_is_as_long_as_the_scan(slices: int, step: float, count: int) -> None:
    """Whole slices of 4 mm, at least one."""
    array = np.zeros((slices, 4, 4), np.float32)

    _, shape = acquisition_grid(made_volume(array, np.diag([step, 5.0, 5.0, 1.0])))

    assert shape == (count, 96, 96)


def test_a_mark_in_the_middle_of_a_scan_is_in_the_middle_of_what_the_network_sees() -> None:
    """Seen in values, not in matrices: one bright voxel, the rest air."""
    array = np.full((21, 41, 61), -1000, np.float32)
    array[10, 20, 30] = 1000

    seen = classifier_input(made_volume(array, np.diag([4.0, 5.0, 5.0, 1.0])), "CT").array

    bright = np.argwhere(seen > -1)
    assert sorted(map(tuple, bright.tolist())) == [
        (10, row, column) for row in (47, 48) for column in (47, 48)
    ]  # 96 samples have their middle between two: the voxel is shared by four
    assert seen[10, 47:49, 47:49] == pytest.approx(-0.5)

"""Axes turned and turned back: every voxel stays where it was in the patient."""

from itertools import permutations, product

import highdicom as hd
import numpy as np
import pytest

from radnet.volume.axes import ACQUIRED, UPRIGHT, nearest, turn_to
from tests.made_ct import rotation

ORDERS = [
    "".join(letters) for axes in permutations(["LR", "PA", "HF"]) for letters in product(*axes)
]


def made(directions: str, turn: np.ndarray) -> hd.Volume:
    """Return a volume of numbered voxels whose axes point to `directions`, then turned."""
    columns = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1)}
    affine = np.eye(4)
    affine[:3, :3] = 0
    for place, letter in enumerate(directions):
        axis, sign = columns[letter]
        affine[axis, place] = sign * (2.0, 3.0, 5.0)[place]
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (-30, 40, 100)
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    return hd.Volume(array, affine=affine, coordinate_system="PATIENT")


def place_of(volume: hd.Volume, value: int) -> np.ndarray:
    """Return where the voxel that holds `value` lies, in LPS mm."""
    index = np.argwhere(np.asarray(volume.array) == value)[0]
    return np.asarray((np.asarray(volume.affine) @ [*index, 1])[:3])


@pytest.mark.parametrize(
    "turn", [np.eye(3), rotation(20, 0) @ rotation(-15, 2)], ids=["", "oblique"]
)
@pytest.mark.parametrize("order", ORDERS)
def test_all_48_orders_become_upright_and_come_back(order: str, turn: np.ndarray) -> None:
    """The mask of a mirrored file is not mirrored."""
    volume = made(order, turn)

    way = turn_to(np.asarray(volume.affine), UPRIGHT)
    upright = way.there(volume)

    steps = np.asarray(upright.affine)[:3, :3]
    assert nearest(np.asarray(upright.affine)) == (2, 1, 0)
    assert (steps[2, 0] < 0, steps[1, 1] > 0, steps[0, 2] > 0) == (True, True, True)
    for value in (0, 17, 4 * 5 * 6 - 1):
        assert np.allclose(place_of(upright, value), place_of(volume, value))
    assert np.array_equal(way.back(np.asarray(upright.array)), volume.array)


def test_acquired_axes_are_those_of_a_dicom_series() -> None:
    """Right-handed, as `read_volume` stacks them: slice, row, column."""
    for directions in ACQUIRED:
        assert np.linalg.det(np.asarray(made(directions, np.eye(3)).affine)[:3, :3]) > 0

"""One liver out of probabilities: parts, holes, and its way to the grid of the scan."""

import highdicom as hd
import numpy as np
import pytest

from radnet.inference.mask import largest, on_source, only, resampled_above
from tests.made_volume import made_volume


def grid(array: np.ndarray, origin: tuple[float, float, float] = (0, 0, 0)) -> hd.Volume:
    """Return a volume of 4 x 2 x 2 mm."""
    affine = np.diag([4.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = origin
    return made_volume(np.asarray(array, np.float32), affine)


def test_the_largest_part_has_its_holes_filled_and_no_other_part() -> None:
    """Parts that touch at an edge alone are two."""
    inside = np.zeros((6, 8, 8), bool)
    inside[1:5, 1:5, 1:5] = True
    inside[2:4, 2:4, 2:4] = False
    inside[5, 5, 4] = True  # touches at an edge
    inside[1:3, 6:8, 6:8] = True

    part = largest(inside)

    expected = np.zeros_like(inside)
    expected[1:5, 1:5, 1:5] = True
    assert np.array_equal(part, expected)
    assert not largest(np.zeros((2, 2, 2), bool)).any()


def test_around_a_liver_its_own_probability_is_kept_and_no_other_part() -> None:
    """A voxel further, corners too; holes are liver, and another part beside it is nothing."""
    probability = np.full((7, 7, 7), 0.3, np.float32)
    probability[2:5, 2:5, 2:5] = 0.9
    probability[3, 3, 3] = 0.2
    probability[1, 1, 1] = 0.8  # of another part
    liver = np.zeros(probability.shape, bool)
    liver[2:5, 2:5, 2:5] = True

    alone = only(probability, liver, 0.5)

    assert alone[3, 3, 3] == 1
    assert alone[2, 2, 2] == np.float32(0.9)
    assert alone[1, 1, 1] == 0
    assert alone[5, 5, 5] == alone[1, 1, 2] == np.float32(0.3)
    assert (alone[0] == 0).all()
    assert (alone[:, 6] == 0).all()


@pytest.mark.parametrize("oblique", [0.0, 1e-5])
def test_between_voxels_is_the_line_and_beyond_the_end_the_end(oblique: float) -> None:
    """Above the threshold, not at it; both ways of interpolation."""
    array = np.zeros((2, 2, 5), np.float32)
    array[..., :] = [1.0, 0.0, 0.4, 1.0, 1.0]
    to_grid = np.diag([1.0, 1.0, 0.25, 1.0])
    to_grid[2, 3] = -0.5
    to_grid[0, 1] = oblique

    found = resampled_above(array, to_grid, (2, 2, 24), 0.5)

    # places -0.5, -0.25, 0, 0.25 ... 5.25: above a half up to 0.25, and from 2.25 on
    above = [place <= 0.25 or place >= 2.25 for place in -0.5 + 0.25 * np.arange(24)]
    assert found.tolist() == [[above] * 2] * 2


def test_an_axis_of_one_voxel_is_the_same_everywhere() -> None:
    """A liver in a single slice of the coarse grid."""
    array = np.array([[[0.0, 1.0, 1.0]]], np.float32)

    found = resampled_above(array, np.diag([0.3, 1.0, 1.0, 1.0]), (4, 1, 3), 0.5)

    assert found.tolist() == [[[False, True, True]]] * 4


def test_a_liver_comes_to_the_grid_of_its_scan() -> None:
    """Of 2 x 1 x 1 mm here: eight voxels for each; the mean is that of the liver's voxels."""
    array = np.zeros((8, 12, 12))
    array[2:6, 3:9, 4:8] = 0.8
    array[3, 5, 5] = 0.6
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (-1.0, -0.5, -0.5)  # two halves of each voxel
    source = made_volume(np.zeros((16, 24, 24), np.float32), affine)

    mask, mean = on_source(grid(array), source, 0.3)

    inside = np.zeros(source.shape, bool)
    inside[4:12, 6:18, 8:16] = True
    assert np.array_equal(mask, inside)
    assert mean == pytest.approx((95 * 0.8 + 0.6) / 96)


def test_only_the_box_of_the_liver_is_looked_at_and_nothing_is_lost() -> None:
    """The same as interpolated everywhere, wherever it lies."""
    generator = np.random.default_rng(5)
    for place in ((1, 1, 1), (3, 4, 5), (5, 8, 8)):
        array = np.zeros((9, 12, 12), np.float32)
        box = tuple(slice(start, start + 3) for start in place)
        array[box] = 0.6 + 0.4 * generator.random((3, 3, 3))
        affine = np.diag([1.7, 1.1, 0.9, 1.0])
        affine[:3, 3] = (0.3, -2.2, 1.4)
        source = made_volume(np.zeros((25, 28, 30), np.float32), affine)
        alone = only(array, largest(array > 0.5), 0.5)
        whole = np.linalg.inv(grid(array).affine) @ affine

        mask, _ = on_source(grid(array), source, 0.5)

        assert np.array_equal(mask, resampled_above(alone, whole, source.shape, 0.5))


def test_no_liver_and_one_beside_the_scan_are_an_empty_mask() -> None:
    """Neither is sure of anything."""
    source = grid(np.zeros((4, 5, 6)))
    array = np.zeros((4, 5, 6))

    nothing, sure = on_source(grid(array), source, 0.5)
    array[1:3, 1:3, 1:3] = 0.75
    beside, mean = on_source(grid(array, (400.0, 0.0, 0.0)), source, 0.5)

    assert nothing.shape == beside.shape == (4, 5, 6)
    assert not nothing.any()
    assert not beside.any()
    assert sure == mean == 0.0

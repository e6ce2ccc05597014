"""What the networks are shown: grids, steps, values, and what is refused."""

import highdicom as hd
import numpy as np
import pytest

from radnet.errors import UnusableVolumeError
from radnet.inference.preparation import (
    along_normal,
    axial,
    axial_grid,
    block_mean,
    classifier_input,
    empty_value,
    on_grid,
    padded_slices,
    sample,
    scaled,
    usable,
)
from tests.made_ct import rotation
from tests.made_volume import made_volume

ORIGIN = (-31.0, 17.0, 505.0)


def scan(array: np.ndarray, steps: tuple[float, float, float] = (4.0, 5.0, 5.0)) -> hd.Volume:
    """Return an axial scan from foot to head: slices along +z, rows along +y, columns along +x."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = steps
    affine[:, 3] = *ORIGIN, 1
    return made_volume(array, affine)


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    """Return values that differ from voxel to voxel."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_finite_numbers_are_refused(value: float) -> None:
    """One is enough."""
    array = ramp((3, 40, 40))
    array[1, 2, 3] = value

    with pytest.raises(UnusableVolumeError, match="not finite"):
        usable(scan(array))


def test_nothing_can_be_seen_in_one_slice_or_one_value() -> None:
    """Two slices with two values are the least."""
    with pytest.raises(UnusableVolumeError, match=r"1 slices of values from 0 to 1599"):
        usable(scan(ramp((1, 40, 40))))
    with pytest.raises(UnusableVolumeError, match=r"3 slices of values from 7 to 7"):
        usable(scan(np.full((3, 40, 40), 7)))
    assert usable(scan(ramp((2, 40, 40)).astype(np.int16))).array.dtype == np.float32


@pytest.mark.parametrize("shape", [(0, 40, 40), (3, 40, 0)])
def test_nothing_can_be_seen_where_nothing_is(shape: tuple[int, int, int]) -> None:
    """Nor can a least value be told of it."""
    with pytest.raises(UnusableVolumeError, match=r"of shape \(.*\); expected three axes"):
        usable(scan(ramp(shape)))


def test_a_volume_of_colours_is_none() -> None:
    """A network would see slices where there are channels."""
    colours = hd.Volume(
        np.zeros((3, 4, 5, 3), np.float32),
        affine=np.eye(4),
        coordinate_system="PATIENT",
        channels={hd.RGB_COLOR_CHANNEL_DESCRIPTOR: ["R", "G", "B"]},
    )

    with pytest.raises(UnusableVolumeError, match=r"shape \(3, 4, 5, 3\); expected three axes"):
        usable(colours)


def test_no_patient_is_longer_than_a_patient() -> None:
    """Or the steps are no millimetres."""
    with pytest.raises(UnusableVolumeError):
        usable(scan(ramp((40, 4, 4)), (400.0, 5.0, 5.0)))


def test_slices_are_brought_into_the_order_of_their_normal() -> None:
    """Each voxel stays where it is in the patient."""
    array = ramp((5, 3, 4))
    upward = made_volume(array, np.diag([4.0, -5.0, 5.0, 1.0])[[2, 1, 0, 3]])

    turned, was_not_so = along_normal(upward)
    again, still = along_normal(turned)

    assert was_not_so
    assert (again is turned, still) == (True, False)
    assert np.array_equal(turned.array, array[::-1])
    for index in ((0, 0, 0, 1), (4, 2, 3, 1), (1, 1, 2, 1)):
        other = (4 - index[0], *index[1:])
        assert turned.affine @ index == pytest.approx(upward.affine @ other)


def test_whole_blocks_are_averaged_and_stay_in_place() -> None:
    """As many voxels as fit into the wanted step; what is left over is cut off."""
    array = ramp((2, 7, 5))
    fine = scan(array, (4.0, 1.7, 3.0))

    coarse = block_mean(fine, (4.0, 5.0, 5.0))

    assert coarse.shape == (2, 2, 5)  # 3 rows fit (5 / 1.7 = 2.9), one column does (1.7)
    assert coarse.spacing == pytest.approx((4.0, 5.1, 3.0))
    assert coarse.array[1, 1, 2] == array[1, 3:6, 2].mean()
    assert coarse.affine @ (0, 0, 0, 1) == pytest.approx(fine.affine @ (0, 1, 0, 1))
    assert coarse.affine @ (1, 1, 4, 1) == pytest.approx(fine.affine @ (1, 4, 4, 1))


@pytest.mark.parametrize(("step", "rows"), [(2.9, 6), (2.85, 3), (2.5, 3), (1.0, 1)])
def test_a_block_may_be_a_quarter_of_a_voxel_too_long(step: float, rows: int) -> None:
    """From 1.75 voxels on two are averaged; of an axis at most all there are."""
    assert block_mean(scan(ramp((2, 6, 3)), (4.0, step, 5.0)), (4.0, 5.0, 5.0)).shape[1] == rows


def test_beyond_a_scan_is_what_was_asked_for() -> None:
    """A value, or what is nearest; between voxels the line."""
    array = ramp((2, 2, 2))
    source = scan(array)
    affine = source.affine.copy()
    affine[:3, 3] -= affine[:3, 0] / 2

    empty = sample(source, affine, (3, 2, 2), -7.0)
    held = sample(source, affine, (3, 2, 2), None)

    assert empty.dtype == np.float32
    assert empty[0].tolist() == empty[2].tolist() == [[-7.0, -7.0], [-7.0, -7.0]]
    assert empty[1] == pytest.approx(array.mean(axis=0))
    assert held[[0, 2]] == pytest.approx(array)


@pytest.mark.parametrize(
    ("slices", "padded"), [(1, 24), (24, 24), (25, 32), (32, 32), (33, 40), (100, 104)]
)
def test_slices_are_padded_to_whole_cells(slices: int, padded: int) -> None:
    """Cells of eight slices, three of them at least."""
    assert padded_slices(slices) == padded


def test_hounsfield_units_are_scaled_piece_by_piece() -> None:
    """Soft tissue gets most of the range; beyond the ends nothing is told apart."""
    hu = np.array([-3000, -1000, -600, -200, -100, 0, 100, 200, 600, 1000, 3000], np.float32)

    assert scaled(hu, "CT") == pytest.approx(
        [-1, -1, -0.8, -0.6, -0.4, -0.2, 0.2, 0.6, 0.8, 1, 1], abs=1e-6
    )
    assert scaled(hu, "CT").dtype == np.float32


def test_other_modalities_are_scaled_from_their_own_percentiles() -> None:
    """From the 1st to 0, to the 99.5th to 1; a picture without contrast stays dark."""
    values = np.linspace(0, 1000, 1001, dtype=np.float32)

    found = scaled(values, "MR")

    assert found[[0, 10, 995, 1000]] == pytest.approx([0, 0, 1, 1], abs=1e-6)
    assert found[500] == pytest.approx((500 - 10) / 985, abs=1e-5)
    assert scaled(np.full(9, 3, np.float32), "MR").tolist() == [0.0] * 9
    assert (empty_value("CT"), empty_value("MR")) == (-1.0, 0.0)


def test_what_the_classifier_sees_is_the_scan_and_then_padding() -> None:
    """As many slices of 4 mm as the scan is long; the first and the last are not lost."""
    array = np.full((15, 96, 96), 200, np.float32)
    array[0], array[-1] = 0, 1000

    made = classifier_input(scan(array, (8.0, 5.0, 5.0)), "CT")

    assert (made.depth, made.array.shape) == (30, (32, 96, 96))
    assert made.array.dtype == np.float32
    assert (made.array[30:] == -1).all()
    assert made.array[[0, 29], 50, 50] == pytest.approx([-0.2, 1.0], abs=1e-6)
    assert made.array[[1, 28], 50, 50] == pytest.approx([0.0, 0.9], abs=1e-6)
    assert made.array[5:25, 50, 50] == pytest.approx(0.6, abs=1e-6)
    assert not made.reverse
    assert made.scan.shape == (15, 96, 96)


def test_an_mr_is_padded_with_nothing() -> None:
    """Beside the scan and behind it."""
    made = classifier_input(scan(100 + ramp((6, 20, 20))), "MR")

    assert made.depth == 6
    assert (made.array[6:] == 0).all()
    assert (made.array[:, :30] == 0).all()
    assert made.array[0, 38:58, 38:58].max() > 0


@pytest.mark.parametrize("turn", [np.eye(3), rotation(30, 0)], ids=["axial", "tilted"])
def test_the_axial_grid_is_centred_on_the_corners_of_the_scan(turn: np.ndarray) -> None:
    """Steps of 4 x 2.5 x 2.5 mm along the patient's axes; as deep as the scan reaches."""
    shape, steps = (11, 30, 40), np.array([5.0, 2.0, 1.5])
    source = np.eye(4)
    source[:3, :3] = turn @ np.eye(3)[:, ::-1] * steps
    source[:3, 3] = ORIGIN
    half = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]) * shape - 0.5
    corners = half @ source[:3, :3].T + ORIGIN

    affine, grid = axial_grid(made_volume(ramp(shape), source))

    length = np.ptp(corners[:, 2])
    assert grid == (int(np.ceil(length / 4)), 192, 192)
    assert affine[:3, :3].tolist() == [[0, 0, 2.5], [0, 2.5, 0], [4, 0, 0]]
    assert affine[3].tolist() == [0, 0, 0, 1]
    middle = affine @ [*((np.array(grid) - 1) / 2), 1]
    assert middle[:3] == pytest.approx((corners.min(axis=0) + corners.max(axis=0)) / 2)


@pytest.mark.parametrize(
    ("slices", "depth", "middle"), [(None, 14, 5.0), ((2, 4), 4, 3.0), ((0, 0), 2, 0.0)]
)
def test_the_axial_grid_may_cover_some_slices(
    slices: tuple[int, int] | None, depth: int, middle: float
) -> None:
    """From the lower face of the first to the upper of the last, 5 mm each."""
    source = scan(ramp((11, 30, 40)), (5.0, 2.0, 1.5))

    affine, shape = axial_grid(source, slices)

    assert shape[0] == depth
    assert (affine @ [(depth - 1) / 2, 0, 0, 1])[2] == pytest.approx(ORIGIN[2] + 5 * middle)


def test_a_slice_thinner_than_the_grid_makes_one() -> None:
    """Never none."""
    _, shape = axial_grid(scan(ramp((2, 30, 40)), (0.5, 2.0, 1.5)), (1, 1))

    assert shape == (1, 192, 192)


def test_a_scan_on_its_axial_grid_keeps_its_values_at_their_places() -> None:
    """Air beyond it, where nothing else is asked for."""
    array = np.full((10, 60, 60), 50, np.float32)
    array[:, 30:, :] = 90
    source = scan(array, (4.0, 2.5, 2.5))

    found = axial(source)

    assert found.shape == (10, 192, 192)
    assert found.array[5, 80, 96] == 50
    assert found.array[5, 110, 96] == 90
    assert (found.array[:, :60] == -1024).all()
    assert found.array[[0, 9], 110, 96].tolist() == [90, 90]
    assert (axial(source, outside=None).array[:, :60] == 50).all()
    assert axial(source, (2, 4)).shape[0] == 3
    assert found.array.dtype == np.float32


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_fine_scan_is_averaged_to_the_steps_of_the_grid_on_every_axis(
    order: tuple[int, int, int],
) -> None:
    """4 mm along the patient, 2.5 mm across; whatever axis of the array that is.

    Stripes of one voxel in each direction are even grey then, and not a pattern of their own.
    """
    fine = np.indices((16, 40, 40)).sum(axis=0) % 2 * 100.0
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 0.625], [0, 0.625, 0], [1.0, 0, 0]])[:, list(order)]
    source = made_volume(np.transpose(fine, order).astype(np.float32), affine)
    grid, shape = axial_grid(source)

    found = on_grid(source, grid, shape, -1.0).array

    inside = found[:, 93:99, 93:99]
    assert inside == pytest.approx(50.0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("axis", [0, 1, 2], ids=["z", "y", "x"])
def test_what_the_grid_can_show_is_not_averaged_away(
    axis: int, order: tuple[int, int, int]
) -> None:
    """Stripes as thick as a step of the grid stay: 4 mm along the patient, 2.5 mm across."""
    shape, steps = (16, 40, 40), np.array([2.0, 1.25, 1.25])
    stripes = np.indices(shape)[axis] // 2 % 2 * 100.0
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3)[:, ::-1] * steps)[:, list(order)]
    source = made_volume(np.transpose(stripes, order).astype(np.float32), affine)
    grid, depth = axial_grid(source)

    found = on_grid(source, grid, depth, -1.0).array

    inside = np.moveaxis(found[:, 86:106, 86:106], axis, 0)
    assert inside.shape[0] == shape[axis] // 2
    assert inside[0::2] == pytest.approx(0.0, abs=1e-3)
    assert inside[1::2] == pytest.approx(100.0, abs=1e-3)

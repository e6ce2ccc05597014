"""Preparation, region of proposal, the way back to the source grid, and the shipped weights."""

import highdicom as hd
import numpy as np
import pytest

from radnet.errors import UnusableVolumeError
from radnet.inference.classifier import Classifier, Prediction, from_other_end
from radnet.inference.frame import frame
from radnet.inference.mask import on_source, resampled_above
from radnet.inference.preparation import (
    AIR_HU,
    Array,
    axial,
    block_mean,
    classifier_input,
    sample,
)
from radnet.inference.proposal import LIVER, grown, propose
from radnet.inference.segmenter import LiverSegmenter, window_probability, window_starts
from radnet.inference.sliding import sliding_cells
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.phantom.acquisition import Acquisition, Phantom, take
from radnet.phantom.body import Body
from radnet.phantom.protocols import random_scan
from tests.made_volume import made_volume

RNG = np.random.default_rng(5)
TURN = np.array([[0.0, 0.0, -2.0], [0.0, 2.0, 0.0], [3.0, 0.0, 0.0]])


def ramp(shape: tuple[int, int, int], matrix: np.ndarray = TURN) -> hd.Volume:
    """Return a stack whose value is 10 times its patient z plus its patient x."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, (30, -20, 100)
    index = np.indices(shape).reshape(3, -1)
    patient = affine[:3, :3] @ index + affine[:3, 3:]
    value = 10 * patient[2] + patient[0]
    return made_volume(np.asarray(value, np.float32).reshape(shape), affine)


def prediction(liver: list[float]) -> Prediction:
    """Return a prediction whose liver cells are `liver`."""
    cells = np.zeros((len(liver), 9), np.float32)
    cells[:, LIVER] = liver
    coverage = dict.fromkeys(Region, 0.0) | {Region.LIVER: max(liver)}
    return Prediction(
        {},
        dict.fromkeys(Plane, 0.0),
        dict.fromkeys(Contrast, 0.0),
        coverage,
        4.0,
        cells,
        32.0,
        modality="CT",
    )


def test_block_means_stay_where_they_were() -> None:
    """A mean over a block of a linear field is its value at the block's centre."""
    stack = ramp((6, 9, 8))

    coarse = block_mean(stack, (6.0, 6.0, 4.0))

    assert coarse.array.shape == (3, 3, 4)
    patient = coarse.affine @ [1, 1, 2, 1]
    assert coarse.array[1, 1, 2] == pytest.approx(10 * patient[2] + patient[0], abs=1e-3)


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_the_liver_grid_is_axial_whatever_the_scan(flip: float) -> None:
    """One affine, LPS: a flipped or reformatted scan shows the network the same picture."""
    matrix = TURN[:, [1, 0, 2]] * [1, flip, 1]
    grid = axial(ramp((40, 30, 40), matrix))

    inside = np.argwhere(grid.array > AIR_HU)
    middle = tuple(inside[len(inside) // 2])
    patient = grid.affine @ [*middle, 1]
    assert grid.array[middle] == pytest.approx(10 * patient[2] + patient[0], abs=0.5)
    assert np.all(grid.affine[[2, 1, 0], [0, 1, 2]] > 0)


def test_a_mask_returns_to_the_place_it_came_from() -> None:
    """To the liver grid and back, an ellipsoid keeps its centroid within a voxel."""
    source = ramp((50, 60, 60))
    z, y, x = np.indices(source.array.shape)
    ball = (((z - 20) / 14) ** 2 + ((y - 25) / 20) ** 2 + ((x - 35) / 18) ** 2) < 1
    grid = axial(source.with_array(np.asarray(ball, np.float32)))
    probability = grid.with_array(np.clip(grid.array, 0, 1))

    mask, mean = on_source(probability, source, 0.5)

    both = 2 * (mask & ball).sum() / (mask.sum() + ball.sum())
    assert both > 0.95
    assert np.abs(np.argwhere(mask).mean(axis=0) - np.argwhere(ball).mean(axis=0)).max() < 0.3
    assert mean > 0.8


def test_axis_by_axis_is_the_same_interpolation() -> None:
    """An upright scan takes a short cut, to the very same mask, flipped axes included."""
    array = RNG.random((7, 9, 8)).astype(np.float32)
    to_grid = np.eye(4)
    to_grid[:3, :3] = np.diag([0.4, -0.3, 0.35])
    to_grid[:3, 3] = (-0.7, 8.2, 0.1)
    turned = to_grid.copy()
    turned[0, 1] = 2e-6  # just enough to leave the short cut

    quick, slow = (resampled_above(array, grid, (20, 30, 25), 0.5) for grid in (to_grid, turned))

    assert quick.any()
    assert (quick != slow).mean() < 1e-3


def test_a_vessel_within_the_liver_belongs_to_it() -> None:
    """Holes are filled."""
    source = ramp((30, 40, 40))
    array = np.zeros(source.array.shape, np.float32)
    array[5:20, 5:20, 5:20] = 0.9
    array[10:13, 10:13, 10:13] = 0.1

    mask, mean = on_source(source.with_array(array), source, 0.5)

    assert mask[11, 11, 11]
    assert mean < 0.9


def test_only_the_largest_part_is_the_liver() -> None:
    """A speck far away is not a second liver."""
    source = ramp((30, 40, 40))
    array = np.zeros(source.array.shape, np.float32)
    array[5:20, 5:20, 5:20] = 1
    array[25:28, 35:38, 35:38] = 1

    mask, _ = on_source(source.with_array(array), source, 0.5)

    assert mask[10, 10, 10]
    assert not mask[26, 36, 36]


def test_the_classifier_sees_hu_on_one_scale() -> None:
    """Padding and air are the darkest; the length is whole cells."""
    array = np.full((20, 50, 50), 50, np.float32)
    array[:, :5] = -2000
    stack = classifier_input(made_volume(array, np.diag([5.0, 5.0, 5.0, 1.0])), "CT").array

    assert stack.shape == (32, 96, 96)
    assert stack.min() == -1.0
    assert stack[10, 48, 48] == pytest.approx(0.0)
    assert np.all(stack[25:] == -1.0)


def test_mr_is_scaled_by_its_own_range() -> None:
    """MR has no unit: a scan and its double are one picture."""
    array = RNG.uniform(0, 500, (24, 40, 40)).astype(np.float32)
    affine = np.diag([4.0, 5.0, 5.0, 1.0])

    one, two = (classifier_input(made_volume(array * k, affine), "MR").array for k in (1, 2))

    np.testing.assert_allclose(one, two, atol=1e-5)
    assert one.min() == 0.0
    assert one.max() == pytest.approx(1.0)


def test_nothing_is_invented_outside_a_scan() -> None:
    """Beyond the scanned volume there is air, not the last slice repeated."""
    stack = ramp((4, 4, 4))
    far = np.eye(4)
    far[:3, 3] = 5000

    assert np.all(sample(stack, far, (3, 3, 3), AIR_HU) == AIR_HU)


def test_a_thick_slice_at_the_end_is_not_mixed_with_air() -> None:
    """It reaches half its thickness further than its middle, and so does the liver in it."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2.5], [0, 2.5, 0], [10, 0, 0]])
    grid = axial(made_volume(np.full((5, 100, 100), 60, np.float32), affine))

    within = grid.array[:, 60:130, 60:130]
    assert len(within) == 13  # 50 mm
    assert within.min() == pytest.approx(60, abs=0.01)


def test_a_proposal_that_cuts_the_liver_is_widened() -> None:
    """What the classifier missed of a liver is found by the mask that ends at the border."""
    mask = np.zeros((60, 4, 4), bool)
    mask[20:31] = True

    assert grown(mask, (10, 30), 4.0) == (10, 46)
    assert grown(mask, (20, 50), 4.0) == (4, 50)
    assert grown(mask, (10, 40), 4.0) is None
    assert grown(mask, (0, 59), 4.0) is None
    mask[:] = True
    assert grown(mask, (0, 59), 4.0) is None


def test_the_proposal_holds_every_possible_cell_and_one_more() -> None:
    """Two suspicious cells far apart: all between them is searched, the mask decides."""
    said = prediction([0.05, 0.05, 0.2, 0.05, 0.9, 0.05, 0.0, 0.0, 0.0, 0.0])

    assert propose(said, 80, 4.0) == (8, 48)


def test_a_long_scan_without_a_suspicion_has_no_proposal() -> None:
    """It is searched whole."""
    assert propose(prediction([0.02] * 10), 80, 4.0) is None


def test_air_is_no_liver_whatever_the_network_says() -> None:
    """It learned from patches of bodies, and has hardly seen the corners of a scan."""
    hounsfield = np.full((50, 32, 32), AIR_HU, np.float32)
    hounsfield[10:40, 8:24, 8:24] = 60

    def sure(stack: Array) -> list[Array]:
        return [np.full(stack.shape, 9, np.float32)]

    said = window_probability(sure, hounsfield, lambda _: None)

    assert said[hounsfield > 0].min() > 0.99
    assert said[:, :8].max() == said[:, :, 24:].max() == 0
    assert said[:9].max() == said[41:].max() == 0
    assert said[9, 12, 12] > 0.99  # beyond the last slice that was scanned


def test_a_short_scan_is_searched_whole() -> None:
    """The coverage head sees little around the liver there; the mask is the second gate."""
    assert propose(prediction([0.01, 0.02]), 11, 5.0) == (0, 10)


@pytest.mark.parametrize("depth", [1, 48, 49, 97, 200])
def test_windows_cover_every_slice(depth: int) -> None:
    """No slice of the proposal goes unseen, and no window leaves the stack."""
    seen = np.zeros(max(depth, 48), bool)
    for start in window_starts(depth):
        assert 0 <= start <= max(depth, 48) - 48
        seen[start : start + 48] = True

    assert seen.all()


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Return the shipped classifier in full precision."""
    return Classifier.load(precision="f32")


@pytest.fixture(scope="module")
def segmenter(classifier: Classifier) -> LiverSegmenter:
    """Return the shipped liver network in full precision."""
    return LiverSegmenter.load(classifier=classifier, precision="f32")


def phantom(centre_z: float, sequence: Sequence = Sequence.CT) -> Phantom:
    """Return an axial scan of a body no network was trained on."""
    body = Body(123456, 1.0, 1.0, 15.0, female=False, arms_down=False)
    wanted = Acquisition(
        sequence,
        Contrast.CONTRAST if sequence is Sequence.CT else Contrast.NONCONTRAST,
        Plane.AXIAL,
        (44, 100, 100),
        (5.0, 4.0, 4.0),
        (0.0, 5.0, centre_z),
    )
    return take(body, wanted, seed=9)


def volume(picture: Phantom) -> hd.Volume:
    """Return a phantom as a volume."""
    return picture.volume


def test_the_shipped_classifier_knows_an_abdomen(classifier: Classifier) -> None:
    """The weights in the package fit the code in the package."""
    said = classifier.classify(volume(phantom(-560)), "CT")

    assert said.sequence == {}  # that it is a CT was given
    assert max(said.plane, key=lambda key: said.plane[key]) is Plane.AXIAL
    assert min(said.coverage[Region.LIVER], said.coverage[Region.KIDNEY]) > 0.9
    absent = (Region.BRAIN, Region.UPPER_HEAD_NECK, Region.LOWER_HEAD_NECK, Region.PELVIS)
    assert max(said.coverage[region] for region in absent) < 0.5
    assert said.cells.shape == (7, 9)
    assert said.cell_mm == 32.0
    assert sum(said.plane.values()) == pytest.approx(1)


def test_no_order_of_the_slices_changes_what_is_recognised(classifier: Classifier) -> None:
    """Training and evaluation ran from foot to head, the node from head to foot: two pictures."""
    picture = volume(phantom(-560))  # as the phantoms that the network learned from
    seen = classifier.classify(picture, "CT")
    learned = classifier_input(picture, "CT").array

    other = classifier.classify(picture.flip_spatial(0), "CT")

    assert other.plane == pytest.approx(seen.plane, abs=1e-4)
    assert other.coverage == pytest.approx(seen.coverage, abs=1e-4)
    first = classifier.run(learned[None, None])[0][0]
    powers = np.exp(first[7:10] / classifier.record["temperature"]["plane"])
    assert list(seen.plane.values()) == pytest.approx(powers / powers.sum(), abs=1e-4)
    # 44 slices of 5 mm are 6.9 cells: told from the other end each lies over two of them.
    for cell, told in enumerate(other.cells):
        both = seen.cells[max(0, 5 - cell) : 7 - cell]
        np.testing.assert_allclose(told, both.max(axis=0), atol=1e-4)


def test_cells_told_from_the_other_end_hide_nothing() -> None:
    """A cell that lies over two says what the surer of them says; whole cells are turned round."""
    cells = np.arange(4, dtype=np.float32)[:, None] * np.ones((1, 9), np.float32)

    assert from_other_end(cells, 4.0)[:, 0].tolist() == [3, 2, 1, 0]
    assert from_other_end(cells, 3.25)[:, 0].tolist() == [3, 2, 1, 0]
    assert from_other_end(cells[:1], 0.4)[:, 0].tolist() == [0]
    assert from_other_end(cells[:1], 1.05)[:, 0].tolist() == [0]


def test_voxels_that_are_no_numbers_are_refused(classifier: Classifier) -> None:
    """A NaN would come out as a confident label."""
    array = np.zeros((8, 32, 32), np.float32)
    array[3, 3, 3] = np.nan
    broken = hd.Volume(array, affine=np.eye(4), coordinate_system="PATIENT")

    with pytest.raises(UnusableVolumeError, match="finite"):
        classifier.classify(broken, "CT")


def test_a_few_slices_are_not_recognised_by_their_pixels(classifier: Classifier) -> None:
    """Two slices through a liver were told, without a doubt, to show no region at all."""
    slab = volume(phantom(-560))

    with pytest.raises(UnusableVolumeError, match="3 slices; expected at least 4"):
        classifier.classify(slab[20:23], "CT")
    assert classifier.classify(slab[20:24], "CT").coverage


def test_the_shipped_segmenter_finds_a_phantoms_liver(segmenter: LiverSegmenter) -> None:
    """The whole way: proposal, windows, mask on the source grid, with its progress."""
    picture = phantom(-560)
    ticks: list[float] = []

    found = segmenter.segment(volume(picture), ticks.append)

    truth = picture.liver
    assert found.mask.shape == truth.shape
    assert 2 * (found.mask & truth).sum() / (found.mask.sum() + truth.sum()) > 0.8
    assert ticks == sorted(ticks)
    assert (ticks[0], ticks[-1]) == (0.0, 1.0)

    for axes, flipped in (((1, 2, 0), (1,)), ((0, 1, 2), (0, 2))):
        other = volume(picture).permute_spatial_axes(axes).flip_spatial(flipped)
        again = np.flip(segmenter.segment(other).mask, flipped).transpose(np.argsort(axes))
        assert np.array_equal(again, found.mask)  # no order of the axes changes it


def test_a_head_has_no_liver(segmenter: LiverSegmenter) -> None:
    """No liver is an answer: an empty mask, not an exception."""
    found = segmenter.segment(volume(phantom(-90)))

    assert not found.mask.any()
    assert found.mean_probability == 0.0


class Blind(Classifier):
    """A classifier that suspects a liver in the first cell alone, or nowhere."""

    suspected = 0.0

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return cells as if the scan were another's."""
        del modality
        cells = -(-volume.shape[0] * 5 // 32)
        return prediction([self.suspected, *[0.0] * (cells - 1)])


@pytest.mark.parametrize("suspected", [0.0, 0.9])
def test_a_liver_that_nothing_points_at_is_found(
    suspected: float, classifier: Classifier, segmenter: LiverSegmenter
) -> None:
    """A chest CT with 950 mL of liver at its lower end was once said to have none."""
    picture = phantom(-560)
    blind = Blind(classifier.run, classifier.record, classifier.digest, "blind")
    blind.suspected = suspected

    air = ((40, 40), (0, 0), (0, 0))  # so that the first cell is far from the liver
    image = np.pad(picture.image, air, constant_values=AIR_HU)
    truth = np.pad(picture.liver, air)
    scan = hd.Volume(image, affine=picture.affine, coordinate_system="PATIENT")

    blinded = LiverSegmenter(segmenter.run, blind, segmenter.record, segmenter.digest)
    found = blinded.segment(scan)

    assert 2 * (found.mask & truth).sum() / (found.mask.sum() + truth.sum()) > 0.8


def test_a_small_part_far_from_the_liver_does_not_end_the_search(
    classifier: Classifier, segmenter: LiverSegmenter
) -> None:
    """The proposed slices hold 100 mL of something bright; the liver below is found, too."""
    image = np.full((100, 100, 100), -50, np.float32)
    image[:, :10] = -1000
    image[93:98, 40:60, 40:60] = 150  # 128 mL, in the first cell from the head
    image[20:50, 30:70, 30:70] = 150  # 3072 mL
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 4], [0, 4, 0], [4, 0, 0]])
    scan = hd.Volume(image, affine=affine, coordinate_system="PATIENT")
    blind = Blind(classifier.run, classifier.record, classifier.digest, "blind")
    blind.suspected = 0.9

    def bright(stack: Array) -> list[Array]:
        return [np.where(stack > 0.7, np.float32(9), np.float32(-9))]

    found = LiverSegmenter(bright, blind, segmenter.record, segmenter.digest).segment(scan)

    assert found.proposal == (0, 99)
    assert found.mask[20:50].any()
    assert not found.mask[80:].any()


@pytest.mark.parametrize(("axis", "before"), [(1, False), (2, False)])
def test_a_patient_beside_the_middle_is_seen_whole(
    axis: int, before: bool, segmenter: LiverSegmenter
) -> None:
    """A field of view of 800 mm, the patient 200 mm beside its middle: nothing is cut off."""
    picture = phantom(-560)
    wide = [(0, 0), (0, 0), (0, 0)]
    wide[axis] = (100, 0) if before else (0, 100)
    affine = picture.affine.copy()
    affine[:3, 3] -= affine[:3, axis] * wide[axis][0]
    image = np.pad(picture.image, wide, constant_values=AIR_HU)
    truth = np.pad(picture.liver, wide)

    found = segmenter.segment(hd.Volume(image, affine=affine, coordinate_system="PATIENT"))

    assert found.mask.shape == image.shape
    assert 2 * (found.mask & truth).sum() / (found.mask.sum() + truth.sum()) > 0.8


def test_a_liver_reaches_to_where_the_field_of_view_cuts_it(segmenter: LiverSegmenter) -> None:
    """Half a body in a crop: of a real liver 15 % was once found in it."""
    picture = phantom(-560)
    half = (slice(None), slice(None), slice(0, 50))
    truth = picture.liver[half]

    found = segmenter.segment(volume(picture)[half]).mask  # type: ignore[index]

    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
    assert np.mean(found[truth]) > 0.8


def test_a_usual_field_of_view_is_taken_as_it_is() -> None:
    """The networks learned from it so."""
    for rows, kept in ((100, slice(None)), (104, slice(None)), (160, slice(40, 160))):
        array = np.full((10, rows, 100), AIR_HU, np.float32)
        array[:, -60:, 20:80] = 40
        scan = made_volume(array, np.diag([5.0, 4.0 if rows == 160 else 5.0, 5.0, 1.0]))
        assert frame(scan)[0] == kept


def test_one_pass_agrees_with_the_posters_sliding_window(classifier: Classifier) -> None:
    """The region of proposal by one pass is the sliding window's, cell by cell (model.md C4)."""
    agree, total, pairs = 0, 0, []
    for seed in (11, 12, 13):
        stack = classifier_input(whole_body(seed), "CT").array
        one_pass = classifier.run(stack[None, None])[1][0]
        slid = sliding_cells(classifier.run, stack)
        agree += int(((one_pass > 0) == (slid > 0)).sum())
        total += one_pass.size
        pairs.append(np.stack([one_pass.ravel(), slid.ravel()]))

    assert agree / total >= 0.9
    assert np.corrcoef(np.concatenate(pairs, axis=1))[0, 1] >= 0.9


def whole_body(seed: int) -> hd.Volume:
    """Return a long axial CT phantom."""
    for attempt in range(seed * 1000, seed * 1000 + 500):
        rng = np.random.default_rng(attempt)
        body, wanted = random_scan(rng, (4.0, 5.0, 5.0), ct=True)
        if wanted.plane is Plane.AXIAL and wanted.shape[0] >= 96:
            phantom = take(body, wanted, attempt)
            return phantom.volume
    raise AssertionError("no long phantom was drawn")

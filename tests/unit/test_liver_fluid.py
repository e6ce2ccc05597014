"""Fluid beside the liver goes, fluid within it stays."""

import numpy as np
import pytest

from radnet.inference.fluid import without_fluid

Array = np.ndarray


def scene(liver_hu: float = 50.0) -> tuple[Array, Array]:
    """Return HU and probability of a noisy liver, all of it found."""
    noise = np.random.default_rng(3).normal(0, 8, (48, 96, 96))
    hounsfield = np.full((48, 96, 96), -100, np.float32)
    hounsfield[10:40, 20:70, 20:70] = liver_hu
    probability = np.zeros_like(hounsfield)
    probability[10:40, 20:70, 20:70] = 0.95
    return (hounsfield + noise).astype(np.float32), probability


COLON = (slice(12, 30), slice(70, 84), slice(30, 46))
CYST = (slice(20, 30), slice(35, 50), slice(35, 50))


def put(hounsfield: Array, probability: Array, place: tuple[slice, ...], value: float) -> None:
    """Make a part of another density that is called liver."""
    hounsfield[place] += np.float32(value) - np.median(hounsfield[place])
    probability[place] = 0.9


@pytest.mark.parametrize("liver_hu", [45.0, 60.0, 110.0])
def test_filled_bowel_that_touches_the_liver_is_taken_out(liver_hu: float) -> None:
    """In plain CT and with an agent."""
    hounsfield, probability = scene(liver_hu)
    put(hounsfield, probability, COLON, 10.0)

    left = without_fluid(probability, hounsfield, 0.5)

    taken = (probability > 0.5) & (left <= 0.5)
    assert taken[COLON].mean() > 0.9
    assert taken[10:40, 20:68, 20:70].sum() == 0


def test_a_cyst_within_the_liver_belongs_to_it() -> None:
    """Dark and round, and liver all around."""
    hounsfield, probability = scene()
    put(hounsfield, probability, CYST, 5.0)

    assert np.array_equal(without_fluid(probability, hounsfield, 0.5), probability)


@pytest.mark.parametrize("density", [38.0, 50.0, 90.0])
def test_what_is_not_as_dark_as_water_stays(density: float) -> None:
    """A lesion, or a lobe that hangs down: the network decides."""
    hounsfield, probability = scene()
    put(hounsfield, probability, COLON, density)

    assert np.array_equal(without_fluid(probability, hounsfield, 0.5), probability)


def test_a_fatty_liver_is_not_taken_for_fluid() -> None:
    """At 10 HU it is as dark as water, all of it alike."""
    hounsfield, probability = scene(10.0)

    assert np.array_equal(without_fluid(probability, hounsfield, 0.5), probability)


def test_nothing_happens_where_no_liver_was_found() -> None:
    """An empty mask, and one too small to know its density."""
    hounsfield, probability = scene()

    assert not without_fluid(np.zeros_like(probability), hounsfield, 0.5).any()
    small = np.zeros_like(probability)
    small[20:24, 30:36, 30:36] = 0.9
    assert np.array_equal(without_fluid(small, hounsfield, 0.5), small)


def taken(
    liver_hu: float,
    fluid_hu: float,
    sure: float = 0.95,
    box: tuple[int, int, int] = (16, 24, 24),
    width: int = 12,
) -> float:
    """Return how much is taken of a part that lies beside an even liver; of that nothing is."""
    depth, rows, columns = box
    hounsfield = np.full((28, 48, 48), -100, np.float32)
    probability = np.zeros_like(hounsfield)
    liver = (slice(6, 6 + depth), slice(6, 6 + rows), slice(6, 6 + columns))
    beside = (liver[0], slice(6 + rows, 6 + rows + width), liver[2])
    hounsfield[liver], probability[liver] = liver_hu, sure
    hounsfield[beside], probability[beside] = fluid_hu, 0.7

    left = without_fluid(probability, hounsfield, 0.5)

    assert (left[liver][:, :-2] == np.float32(sure)).all()
    assert set(np.unique(left[beside])) <= {np.float32(0), np.float32(0.7)}
    return float((left[beside] == 0).mean())


@pytest.mark.parametrize(
    ("liver_hu", "fluid_hu", "goes"),
    [(50, 29.9, True), (50, 30.1, False), (60, 30.1, False), (40, 24, True), (40, 25, False)],
)
def test_fluid_is_darker_than_thirty_and_than_the_liver_by_fifteen(
    liver_hu: float, fluid_hu: float, goes: bool
) -> None:
    """Both: bowel content is darker than 30 HU, and a plain liver may have 40."""
    assert (taken(liver_hu, fluid_hu) > 0.85) is goes
    assert (taken(liver_hu, fluid_hu) > 0) is goes


@pytest.mark.parametrize(("sure", "goes"), [(0.8, False), (0.81, True)])
def test_the_density_of_a_liver_is_told_by_voxels_that_are_sure(sure: float, goes: bool) -> None:
    """Surer than 0.8; where none is, nobody knows what is darker."""
    assert (taken(50, 10, sure) > 0) is goes


@pytest.mark.parametrize(
    ("box", "goes"), [((12, 12, 12), True), ((11, 12, 12), False), ((12, 11, 12), False)]
)
def test_five_hundred_voxels_tell_the_density_of_a_liver(
    box: tuple[int, int, int], goes: bool
) -> None:
    """Two layers of the surface are a mixture: of 12 x 12 x 12 voxels 512 are left."""
    assert (taken(50, 10, box=box) > 0) is goes


@pytest.mark.parametrize(("width", "goes"), [(5, False), (6, True)])
def test_a_thin_rim_is_a_mixture_and_no_fluid(width: int, goes: bool) -> None:
    """Two voxels on either side, and one between."""
    assert (taken(50, 10, width=width) > 0) is goes

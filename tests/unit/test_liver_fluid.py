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

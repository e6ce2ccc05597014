"""Noise is no scan, however few its slices; a scan of few slices is one."""

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from radnet.datasets.samples import phantom_sample
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.fusion import fuse_witnesses
from radnet.inference.noise import is_noise, likeness, roughness
from radnet.inference.preparation import Array, usable
from radnet.labels.evidence import SeriesLabels
from radnet.labels.vocabulary import Region
from radnet.volume.series import read_volume
from tests.made_volume import made_volume

Make = Callable[[np.random.Generator, tuple[int, int, int]], Array]


def uniform(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Return random bytes, as de-identification writes them."""
    return rng.integers(0, 255, shape).astype(np.float32)


def normal(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Return what a detector without a patient gives, in HU."""
    return rng.normal(0, 300, shape).astype(np.float32)


def smooth(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Return noise under a soft kernel."""
    return np.asarray(ndimage.gaussian_filter(normal(rng, shape), (0, 2, 2)), np.float32)


def outlined(rng: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Return noise within the outline of a body."""
    row, column = np.ogrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    return np.where(row**2 + column**2 < 0.6, uniform(rng, shape) + 100, 0).astype(np.float32)


def placed(array: Array, spacing: tuple[float, float, float]) -> hd.Volume:
    """Return an axial volume."""
    return hd.Volume(array, affine=np.diag([*spacing, 1]), coordinate_system="PATIENT")


@pytest.mark.parametrize("make", [uniform, normal, smooth, outlined])
@pytest.mark.parametrize("slices", [4, 5, 8, 30])
@pytest.mark.parametrize(("side", "spacing"), [(64, (5.0, 4.0, 4.0)), (256, (8.0, 0.9, 0.9))])
def test_noise_is_noise(
    make: Make, slices: int, side: int, spacing: tuple[float, float, float]
) -> None:
    """White, filtered, or cut out to the shape of a patient; coarse or fine."""
    array = make(np.random.default_rng(slices), (slices, side, side))

    assert is_noise(usable(placed(array, spacing)))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Return the shipped classifier."""
    return Classifier.load()


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("make", [uniform, outlined])
def test_of_a_few_slices_of_noise_nothing_is_known(
    make: Make, modality: str, classifier: Classifier
) -> None:
    """Four of them were once a usual scan without agent and surely none of the nine regions."""
    array = make(np.random.default_rng(1), (5, 128, 128))

    said = classifier.classify(placed(array, (5.0, 2.0, 2.0)), modality)
    fused = fuse_witnesses(SeriesLabels(), said, 0.6)

    assert said.noise
    assert said.strange
    assert said.modality == modality
    assert [fused.classes[head].value for head in ("sequence", "plane", "contrast")] == [None] * 3
    assert fused.covered is None
    assert fused.regions_unknown == [str(region) for region in Region]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("first", [4, 10, 16])
def test_a_few_slices_of_a_body_are_no_noise(seed: int, first: int) -> None:
    """Phantoms as the network sees them, four and eight slices of 4 mm."""
    stack = np.asarray(phantom_sample(seed).image, np.float32)
    slices = 4 + 4 * (seed % 2)
    first = min(first, len(stack) - slices)  # a slab of a spine has no more than a dozen
    part = stack[first : first + slices]

    assert not is_noise(made_volume(part, np.diag([4.0, 5.0, 5.0, 1.0])))


def pairs_of(one: NDArray[np.float64], other: NDArray[np.float64]) -> Array:
    """Return one pair of slices."""
    return np.stack([one, other])[None].astype(np.float32)


def test_neighbours_are_as_like_as_they_correlate_in_blocks_of_five_millimetres() -> None:
    """The same, the contrary, and what a pattern within a block does not tell."""
    picture = np.add.outer(np.arange(16.0), np.zeros(16))
    pattern = np.indices((16, 16)).sum(axis=0) % 2 * 100.0

    assert likeness(pairs_of(picture, 3 * picture + 7), (5, 5, 5)) == pytest.approx(1)
    assert likeness(pairs_of(picture, -picture), (5, 5, 5)) == pytest.approx(-1)
    assert likeness(pairs_of(picture, picture.T), (5, 5, 5)) == pytest.approx(0, abs=1e-6)
    assert likeness(pairs_of(picture + pattern, picture - pattern), (5, 5, 5)) < 0
    assert likeness(pairs_of(picture + pattern, picture - pattern), (5, 2.5, 2.5)) == (
        pytest.approx(1)
    )
    assert likeness(pairs_of(picture + pattern, picture - pattern), (5, 2.5, 5)) == (
        pytest.approx(1)
    )


def test_of_many_pairs_the_median_counts_and_slices_of_one_value_do_not() -> None:
    """They are like any other."""
    picture = np.add.outer(np.arange(16.0), np.zeros(16))
    flat = np.zeros((16, 16))
    rows = [(picture, picture), (picture, -picture), (picture, picture.T), (flat, picture)]
    pairs = np.concatenate([pairs_of(*row) for row in rows])

    assert likeness(pairs, (5, 5, 5)) == pytest.approx(0, abs=1e-6)
    assert likeness(pairs[3:], (5, 5, 5)) == 1.0


def test_a_picture_is_as_rough_as_its_neighbours_differ() -> None:
    """Half the mean square of the steps over the variance, of the foreground alone."""
    stripes = np.zeros((8, 16))
    stripes[:, 8:] = 100 + np.arange(8) % 2 * 10
    ramp = np.zeros((8, 16))
    ramp[:, 8:] = 100 + 10 * np.arange(8)

    # steps of 10 across and of 0 down, mean square 50; variance 25: 50 / (2 x 25)
    assert roughness(pairs_of(stripes, stripes)) == pytest.approx(1)
    assert roughness(pairs_of(stripes.T, stripes.T)) == pytest.approx(1)
    inside = ramp[ramp > ramp.mean()]
    assert roughness(pairs_of(ramp, ramp)) == pytest.approx(50 / (2 * inside.var()))
    assert roughness(pairs_of(0 * ramp, 0 * ramp)) == 0
    assert roughness(pairs_of(np.sign(ramp), np.sign(ramp))) == 0


@pytest.mark.parametrize(("alike", "noise"), [(0.2, True), (0.4, False)])
def test_slices_that_are_hardly_alike_are_noise(alike: float, noise: bool) -> None:
    """Below a correlation of 0.3, however smooth each is."""
    rng = np.random.default_rng(2)
    fields = [ndimage.gaussian_filter(rng.normal(size=(96, 96)), 4) for _ in range(2)]
    one, other = (field / field.std() for field in fields)
    other = other - (one * other).mean() * one
    mixed = alike * one + np.sqrt(1 - alike**2) * other / other.std()
    stack = np.stack([one, mixed] * 3).astype(np.float32) * 100

    assert is_noise(placed(stack, (5.0, 5.0, 5.0))) is noise


@pytest.mark.parametrize(("share", "noise"), [(0.3, False), (0.97, True)])
def test_slices_that_are_almost_as_rough_as_can_be_are_noise(share: float, noise: bool) -> None:
    """Above 0.85, however alike they are."""
    rng = np.random.default_rng(4)
    smooth_part = ndimage.gaussian_filter(rng.normal(size=(96, 96)), 6)
    rough_part = rng.uniform(-1, 1, (96, 96))
    rough_part, smooth_part = rough_part / rough_part.std(), smooth_part / smooth_part.std()
    picture = np.sqrt(share) * rough_part + np.sqrt(1 - share) * smooth_part
    stack = np.stack([picture] * 4).astype(np.float32) * 100

    assert is_noise(placed(stack, (5.0, 5.0, 5.0))) is noise


@pytest.mark.parametrize(
    "array",
    [
        np.tile(np.linspace(0, 1, 32, dtype=np.float32), (4, 32, 1)),
        np.pad(np.ones((2, 8, 8), np.float32), ((1, 1), (12, 12), (12, 12))),
        np.zeros((4, 5, 5), np.float32),
    ],
)
def test_even_and_tiny_pictures_are_no_noise(array: Array) -> None:
    """A gradient, a block, slices of one value: odd, and told by other means."""
    assert not is_noise(made_volume(array, np.eye(4)))


SHORT = (
    "ct_abdomen_hcc007_pre", "ct_head_ge", "mr_adc_px0000", "mr_calcb_px0000",
    "mr_dti_ax_toshiba_b1500", "mr_t1_ax_cptac", "mr_t2_ax_px0000", "mr_t2_knee",
)  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("series", SHORT)
@pytest.mark.parametrize("slices", [4, 8])
def test_short_parts_of_real_scans_are_no_noise(series: str, slices: int, real_data: Path) -> None:
    """Thick and thin, coarse and fine, masked and noisy: the middle of what is widely spaced."""
    paths = sorted((real_data / "dicom" / series).iterdir(), key=_place)
    first = len(paths) // 2 - slices // 2

    assert not is_noise(usable(read_volume(paths[first : first + slices], tolerant=True)))


def _place(path: Path) -> float:
    """Return where a slice lies along its normal."""
    ds = dcmread(path, stop_before_pixels=True)
    cosines = np.array(ds.ImageOrientationPatient, float)
    return float(np.cross(cosines[:3], cosines[3:]) @ np.array(ds.ImagePositionPatient, float))


def test_noise_without_a_record_of_what_is_usual_is_strange() -> None:
    """Older weights have no bound; noise needs none."""
    said = Prediction(
        {}, {}, {}, {}, 1.0, np.zeros((1, 9), np.float32), 32.0, noise=True, modality="MR"
    )

    assert said.strangeness is None
    assert said.strange


@pytest.mark.parametrize(("side", "noise"), [(7, False), (8, True)])
def test_of_fewer_than_eight_blocks_along_a_side_nothing_is_said(side: int, noise: bool) -> None:
    """A correlation of so few values is chance."""
    array = np.random.default_rng(6).normal(0, 300, (6, side, 64)).astype(np.float32)

    assert is_noise(placed(array, (5.0, 5.0, 5.0))) is noise

"""Augmentation changes the scanner and the patient, never what is true."""

import numpy as np
import pytest

from radnet.datasets import augment
from radnet.datasets.samples import Sample
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.labels.vocabulary import Plane, Region


def sample(empty: float = 0.0, spacing_mm: float = 4.0) -> Sample:
    """Return 32 slices that grow brighter from first to last and from top to bottom."""
    image = np.linspace(0.1, 0.9, 32)[:, None, None] * np.linspace(0.5, 1, 96)[None, :, None]
    slices = np.full((32, len(Region)), UNKNOWN, np.float32)
    return Sample(
        np.broadcast_to(image, (32, 96, 96)).astype(np.float16),
        empty,
        2,
        list(Plane).index(Plane.CORONAL),
        1,
        spacing_mm,
        np.ones(len(Region), np.float32),
        slices,
    )


@pytest.mark.parametrize("empty", [0.0, -1.0])
def test_a_variant_keeps_the_labels_and_the_scale(empty: float) -> None:
    """Plane, sequence and agent stay; CT in [-1, 1], MR in [0, 1]; one seed, one variant."""
    given = sample(empty)
    kept = given.image.copy()
    for seed in range(30):
        one = augment.augmented(given, np.random.default_rng(seed))
        again = augment.augmented(given, np.random.default_rng(seed))

        assert (one.sequence, one.plane, one.contrast) == (2, 1, 1)
        assert one.image.shape[1:] == (96, 96)
        assert one.image.min() >= empty
        assert one.image.max() <= 1
        assert np.array_equal(one.image, again.image)
    assert np.array_equal(given.image, kept)


def test_slices_stay_slices() -> None:
    """Mirrored or turned, the slice axis is the one along which this stack grows brighter."""
    image = sample().image.astype(np.float32)
    for seed in range(30):
        turned, _ = augment.mirrored(image, sample().slices, np.random.default_rng(seed))

        means = turned.mean(axis=(1, 2))
        assert abs(np.corrcoef(means, np.arange(32))[0, 1]) > 0.99


def test_a_reversed_stack_reverses_what_its_slices_show() -> None:
    """Liver in the first half is liver in the last half."""
    image, slices = sample().image.astype(np.float32), sample().slices.copy()
    slices[:16], slices[16:] = 1, 0
    found = [augment.mirrored(image, slices, np.random.default_rng(seed)) for seed in range(40)]

    reverse = [known for turned, known in found if turned[0].mean() > turned[-1].mean()]
    assert reverse
    assert all(known[0, 0] == 0 and known[-1, 0] == 1 for known in reverse)


def test_thicker_slices_are_told_by_the_spacing() -> None:
    """Twice as thick is twice the spacing, and less detail along the slices; never over 15 mm."""
    image = np.zeros((32, 96, 96), np.float32)
    image[::2] = 1
    for seed in range(10):
        found, spacing = augment.thicker(image, 4.0, np.random.default_rng(seed))

        assert spacing in (8.0, 12.0)
        assert np.abs(np.diff(found.mean(axis=(1, 2)))).max() < 0.5
        assert augment.thicker(image, 10.0, np.random.default_rng(seed))[1] == 10.0


def test_a_smaller_field_of_view_is_black_outside() -> None:
    """Middle kept, corners as empty as beyond the scan."""
    image = np.ones((4, 96, 96), np.float32)
    for seed in range(10):
        found = augment.narrowed(image, -1.0, np.random.default_rng(seed))

        assert found[:, 48, 48].min() == 1
        assert found[:, 0, 0].max() == -1
        assert 0.4 < (found > 0).mean() < 0.97


def test_a_bias_field_is_smooth_and_around_one() -> None:
    """A coil hears the near side better; it draws no edges."""
    field = augment.bias_field((16, 96, 96), seed=3)

    assert field.mean() == pytest.approx(1.0, abs=1e-3)
    assert field.min() > 0
    assert field.max() / field.min() > 1.2
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (1, 2)) < 0.15

"""Patches of liver cases: what may vary varies, and truth stays true."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest
import torch

from radnet.datasets.liver_cases import Case, make_case
from radnet.datasets.liver_patches import (
    PATCH,
    SHORTEST_SCAN,
    cut_short,
    deformed,
    in_view,
    patch,
    patch_places,
    with_lesions,
    with_sacs,
    within_slices,
)
from tests.made_volume import made_volume

LIVER_HU: Final = 110.0
WHOLE: Final = np.ones(PATCH, np.float32)


@pytest.fixture
def case() -> Case:
    """Return a bright block in a scan of 240 mm height."""
    image = np.full((60, 120, 120), -50, np.float32)
    mask = np.zeros_like(image)
    mask[15:45, 30:80, 30:80] = 1
    image[mask > 0] = LIVER_HU
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2.5], [0, 2.5, 0], [4, 0, 0]])
    return make_case("block", made_volume(image, affine), mask, phantom=False)


def test_a_patch_depends_on_its_random_numbers_alone(case: Case) -> None:
    """A resumed training must see what an uninterrupted one would have seen."""
    first, again = (patch(case, np.random.default_rng(5)) for _ in range(2))
    other = patch(case, np.random.default_rng(6))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_liver_of_a_few_voxels_is_found(case: Case) -> None:
    """At the edge of a scan there may be one voxel of it: a training once ended there."""
    for voxel in range(3):
        liver = np.zeros_like(case.liver)
        liver[40, 90, voxel] = 1
        for seed in range(4):
            drawn = patch(replace(case, liver=liver), np.random.default_rng(seed))

            assert all(part.shape == PATCH and np.isfinite(part).all() for part in drawn)


def test_image_and_mask_are_deformed_alike(case: Case) -> None:
    """However a patch is bent, its mask lies on its liver."""
    for seed in range(8):
        image, liver, known = deformed(
            case, patch_places(case, np.random.default_rng(seed)), WHOLE
        )
        sure = (known > 0) & (np.abs(liver - 0.5) > 0.45)
        assert np.array_equal(image[sure] > 30, liver[sure] > 0.5), seed


def test_undeformed_places_give_the_case_back(case: Case) -> None:
    """No half voxel is lost between the axes' orders."""
    axes = [torch.arange(size, dtype=torch.float32) for size in PATCH]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    places += torch.tensor([5.0, 30.0, 40.0])

    image, liver, _ = deformed(case, places, WHOLE)

    part = (slice(5, 53), slice(30, 126), slice(40, 136))
    np.testing.assert_allclose(image, case.hounsfield[part], atol=0.05)
    np.testing.assert_allclose(liver, case.liver[part], atol=1e-4)


def test_lesions_lie_in_the_liver_alone(case: Case) -> None:
    """A lesion belongs to the liver, and nothing outside it changes."""
    liver = case.liver[:48, 30:126, 30:126]
    image = case.hounsfield[:48, 30:126, 30:126]
    changed = [with_lesions(image, liver, case, np.random.default_rng(s)) for s in range(12)]

    assert any(not np.array_equal(one, image) for one in changed)
    for one in changed:
        assert np.array_equal(one[liver == 0], image[liver == 0])


def test_sacs_lie_beside_the_liver_and_change_nothing_of_it(case: Case) -> None:
    """What is fluid beside a liver is not liver; lung and bone stay what they are."""
    liver = case.liver[:48, 30:126, 30:126]
    image = case.hounsfield[:48, 30:126, 30:126].copy()
    image[:, 50:60], image[:, 60:70] = -800, 400
    liver = liver * (np.abs(image) < 300)
    changed = [with_sacs(image, liver, case, np.random.default_rng(s)) for s in range(20)]

    fluid = [one[(one != image) & (np.abs(one - image) > 40)] for one in changed]
    assert 4 < sum(len(one) > 0 for one in fluid) < 16
    assert min(len(np.unique(one)) for one in fluid if len(one)) > 50
    for one in changed:
        sure = (liver > 0.99) | (image < -300) | (image > 300)
        assert np.array_equal(one[sure], image[sure])


def test_no_lesion_begins_at_the_border(case: Case) -> None:
    """A dark spot at the border is mostly gallbladder, and that is no liver."""
    thin = np.zeros(PATCH, np.float32)
    thin[:, 40:44, 10:90] = 1
    image = np.full(PATCH, LIVER_HU, np.float32)

    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert np.array_equal(with_lesions(image, thin, case, rng), image)


def test_what_a_mask_leaves_open_is_seen_and_not_judged(case: Case) -> None:
    """The network sees the stomach beside the liver; nobody tells it what that is."""
    unknown = np.zeros_like(case.known)
    unknown[:, :, 100:] = True
    case = replace(case, known=case.known & ~unknown)
    left_open, seen = [], []
    for seed in range(20):
        places = patch_places(case, np.random.default_rng(seed))
        _, _, known = deformed(case, places, WHOLE)
        image, _, counted = patch(case, np.random.default_rng(seed))
        left_open.append(int((within_slices(case, places) * (1 - known)).sum()))
        seen.append(float(np.abs(image[(counted == 0)]).max()))

    assert max(left_open) > 0
    assert max(seen) > 0


def test_a_field_of_view_that_cuts_the_body_goes_on_as_its_edge(case: Case) -> None:
    """The segmenter is given the edge, not air; what lies beyond is not judged."""
    cut = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        places = patch_places(case, rng)
        seen, inside = in_view(case, places, rng)
        image, liver, known = deformed(case, seen, inside)
        whole, there, _ = deformed(case, places, WHOLE)
        kept = inside > 0
        cut += int(not kept.all())
        assert np.array_equal(image[kept], whole[kept]), seed
        assert np.array_equal(liver[kept], there[kept]), seed
        assert not known[~kept].any(), seed
        assert image.min() > -60, seed  # no air
        assert torch.equal(seen[..., 0], places[..., 0]), seed

    assert 2 <= cut <= 12


def test_beyond_the_first_and_last_slice_there_is_nothing(case: Case) -> None:
    """The segmenter pads a short scan with the darkest tone."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        reached = within_slices(case, patch_places(case, np.random.default_rng(seed)))
        image, _, known = patch(replace(case, phantom=True), rng)
        beyond = reached < 1
        if beyond.any():
            assert not image[beyond].any(), seed
            assert not known[beyond].any(), seed


def test_a_scan_cut_short_keeps_whole_slices() -> None:
    """What was not scanned is unknown; what is left is as it was."""
    scanned = np.zeros(PATCH, np.float32)
    scanned[4:40] = 1
    cuts = [cut_short(scanned, np.random.default_rng(seed)) for seed in range(40)]

    lengths = {int(cut.any(axis=(1, 2)).sum()) for cut in cuts}
    assert len(lengths) > 3
    assert min(lengths) >= SHORTEST_SCAN
    for cut in cuts:
        assert np.all(cut <= scanned)
        assert set(np.unique(cut.mean(axis=(1, 2)))) <= {0.0, 1.0}

"""The made-up body: it looks like its truth says, in the patient's own directions."""

from dataclasses import replace

import numpy as np
import pytest

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.phantom.acquisition import Acquisition, Phantom, take
from radnet.phantom.anatomy import Tissue
from radnet.phantom.body import Body
from radnet.phantom.protocols import random_scan

BODY = Body(7, 1.0, 1.0, 15.0, female=False, arms_down=False)


def abdomen(
    contrast: Contrast = Contrast.NONCONTRAST,
    plane: Plane = Plane.AXIAL,
    sequence: Sequence = Sequence.CT,
) -> Phantom:
    """Return the upper abdomen of one body."""
    shape = (32, 64, 64) if plane is Plane.AXIAL else (64, 32, 64)
    step = (6.0, 6.0, 6.0)
    wanted = Acquisition(sequence, contrast, plane, shape, step, (0.0, 5.0, -560.0))
    return take(BODY, wanted, seed=3)


@pytest.mark.parametrize("plane", list(Plane))
def test_the_liver_lies_on_the_patients_right(plane: Plane) -> None:
    """In LPS the right is negative x; a mirrored phantom would teach a mirrored network."""
    phantom = abdomen(plane=plane)

    index = np.argwhere(phantom.tissue == Tissue.LIVER).mean(axis=0)
    spleen = np.argwhere(phantom.tissue == Tissue.SPLEEN).mean(axis=0)

    assert (phantom.affine @ [*index, 1])[0] < -20
    assert (phantom.affine @ [*spleen, 1])[0] > 60


def test_an_agent_brightens_what_it_reaches() -> None:
    """The contrast head can only learn what the phantom shows."""
    plain, enhanced = abdomen(), abdomen(Contrast.CONTRAST)

    for tissue, gain in ((Tissue.LIVER, 15), (Tissue.ARTERY, 30), (Tissue.CORTEX, 40)):
        where = plain.tissue == tissue
        assert np.median(enhanced.image[where]) - np.median(plain.image[where]) > gain


def test_hounsfield_units_are_those_of_a_ct() -> None:
    """Air, fat and liver are where a radiologist expects them."""
    phantom = abdomen()
    median = {
        tissue: float(np.median(phantom.image[phantom.tissue == tissue]))
        for tissue in (Tissue.AIR, Tissue.FAT, Tissue.LIVER)
    }

    assert median[Tissue.AIR] < -900
    assert -130 < median[Tissue.FAT] < -60
    assert 10 < median[Tissue.LIVER] < 80


def test_fluid_is_bright_on_t2_and_dark_on_t2_flair() -> None:
    """The inversion of FLAIR nulls free water: that is what tells the two apart."""
    signal = {}
    for sequence in (Sequence.T2, Sequence.T2_FLAIR):
        wanted = Acquisition(
            sequence, Contrast.NONCONTRAST, Plane.AXIAL, (16, 48, 48), (5, 5, 5), (0, 0, -70)
        )
        phantom = take(BODY, wanted, seed=1)
        fluid = phantom.image[phantom.tissue == Tissue.CSF].mean()
        signal[sequence] = fluid / phantom.image[phantom.tissue == Tissue.WHITE].mean()

    assert signal[Sequence.T2] > 1.5
    assert signal[Sequence.T2_FLAIR] < 1.0


def test_coverage_is_what_is_in_view() -> None:
    """An upper abdomen holds a liver and neither brain nor pelvis."""
    phantom = abdomen()

    assert phantom.coverage[Region.LIVER] > 0.9
    assert phantom.coverage[Region.BRAIN] == 0
    assert phantom.coverage[Region.PELVIS] < 0.2
    assert phantom.rows_of[Region.LIVER].any()


def test_a_knee_holds_none_of_the_regions() -> None:
    """The negative of every coverage head."""
    body = Body.random(np.random.default_rng(0), "knee")
    wanted = Acquisition(
        Sequence.T1, Contrast.NONCONTRAST, Plane.CORONAL, (16, 32, 32), (5, 5, 5), (0, 0, 0)
    )

    assert set(take(body, wanted, 0).coverage.values()) == {0.0}


def test_the_same_seed_draws_the_same_scan() -> None:
    """Training data is recorded by its seed alone."""
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(11)
        pictures.append(take(*random_scan(rng, (8.0, 10.0, 10.0)), seed=11).image)

    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_a_spinal_cord_is_no_brain() -> None:
    """Every abdomen was once said to show some: the cord is white matter, too."""
    phantom = abdomen()

    assert (phantom.tissue == Tissue.WHITE).any()
    assert not phantom.rows_of[Region.BRAIN].any()


@pytest.mark.parametrize(("seed", "raised"), [(6, False), (7, True)])
def test_arms_may_lie_beside_the_head(seed: int, raised: bool) -> None:
    """As in a CT of the trunk, or a PET/CT; a head between two arms is a head all the same."""
    body = replace(BODY, seed=seed)
    wanted = Acquisition(
        Sequence.CT, Contrast.NONCONTRAST, Plane.AXIAL, (24, 96, 96), (6.0, 5.0, 5.0),
        (0.0, 5.0, -80.0),
    )  # fmt: skip

    phantom = take(body, wanted, seed=3)

    across = np.abs((np.arange(96) - 47.5) * 5)
    bone = (phantom.tissue == Tissue.BONE).any(axis=(0, 1))
    assert bone[(across > 140) & (across < 215)].any() == raised
    assert phantom.rows_of[Region.BRAIN].sum() > 15
    assert phantom.coverage[Region.BRAIN] > 0.9

"""What failed on real scans is drawn: small pelvic fields, spines, limbs, thin left lobes, gas."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.phantom import protocols
from radnet.phantom.acquisition import Acquisition, take
from radnet.phantom.anatomy import Tissue
from radnet.phantom.body import Body
from radnet.phantom.person import LIMBS
from radnet.phantom.protocols import PROTOCOLS, random_scan

BODY = Body(7, 1.0, 1.0, 15.0, female=False, arms_down=False)
SPACING = (4.0, 5.0, 5.0)
Scan = tuple[Body, Acquisition]


def drawn(name: str, monkeypatch: pytest.MonkeyPatch, ct: bool | None = False) -> Iterator[Scan]:
    """Yield scans of one protocol, which its name says."""
    one = tuple(protocol for protocol in PROTOCOLS if protocol.name == name)
    monkeypatch.setattr(protocols, "PROTOCOLS", one)
    for seed in range(40):
        yield random_scan(np.random.default_rng(seed), SPACING, ct)


def upper_abdomen(body: Body) -> Acquisition:
    """Return a CT from the dome of the liver to the kidneys."""
    del body
    return Acquisition(
        Sequence.CT, Contrast.NONCONTRAST, Plane.AXIAL, (36, 72, 84), (5.0, 5.0, 5.0),
        (0.0, 5.0, -560.0),
    )  # fmt: skip


def test_a_prostate_is_seen_in_a_small_oblique_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of men, 160 to 260 mm wide, 45 to 80 mm high, up to 25 degrees oblique."""
    scans = list(drawn("prostate", monkeypatch))

    assert {acquisition.plane for _, acquisition in scans} == set(Plane)
    assert not any(body.female for body, _ in scans)
    tilts = np.degrees([acquisition.tilt for _, acquisition in scans])
    assert 18 < np.abs(tilts).max() <= 25
    for body, one in scans:
        through, rows, _ = (n * s for n, s in zip(one.shape, one.spacing_mm, strict=True))
        assert 43 <= through <= 82
        assert one.plane is not Plane.AXIAL or 155 <= rows <= 265 * body.girth


def test_a_prostate_scan_covers_the_pelvis_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Less than half of the pelvis is in view; it is what the scan is made of, and covered."""
    for seed, (body, asked) in zip(range(6), drawn("prostate", monkeypatch), strict=False):
        found = take(body, asked, seed).coverage

        assert found[Region.PELVIS] == 1.0
        assert all(share < 0.5 for region, share in found.items() if region is not Region.PELVIS)


@pytest.mark.parametrize("name", ["cervical spine", "thoracic spine", "lumbar spine"])
def test_a_sagittal_spine_is_a_thick_slab(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """45 to 55 mm wide; it shows the cord, and claims no organ that it passes by."""
    scans = [one for one in drawn(name, monkeypatch) if one[1].plane is Plane.SAGITTAL]

    assert len(scans) > 20
    assert all(43 <= one.shape[0] * one.spacing_mm[0] <= 57 for _, one in scans)
    found = take(*scans[0], 0)
    assert (found.tissue == Tissue.CSF).sum() > 50
    organs = (Region.LUNG, Region.LIVER, Region.KIDNEY, Region.INTESTINE, Region.PELVIS)
    assert all(found.coverage[region] < 0.5 for region in organs)
    necks = (Region.UPPER_HEAD_NECK, Region.LOWER_HEAD_NECK)
    if name == "cervical spine":
        assert all(found.coverage[region] > 0.5 for region in necks)


@pytest.mark.parametrize("name", LIMBS)
@pytest.mark.parametrize("ct", [False, True])
def test_a_limb_shows_none_of_the_regions(
    name: str, ct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bone with marrow in muscle, and no region in any slice."""
    body, asked = next(drawn(name, monkeypatch, ct))

    found = take(body, asked, 0)

    assert body.kind == name
    assert set(found.coverage.values()) == {0.0}
    assert not any(rows.any() for rows in found.rows_of.values())
    assert all((found.tissue == kind).any() for kind in (Tissue.BONE, Tissue.MUSCLE))


def test_a_thin_left_lobe_lies_over_stomach_and_spleen() -> None:
    """On the patient's left, in front; the rest of the body stays as it was."""
    thin = replace(BODY, left_lobe_mm=16.0)
    usual, changed = (take(body, upper_abdomen(body), 3) for body in (BODY, thin))

    more = changed.liver & ~usual.liver
    index = np.argwhere(more)
    x, y, _ = (changed.affine @ np.c_[index, np.ones(len(index))].T)[:3]
    assert 40 < more.sum() * 0.125 < 300  # mL
    assert x.min() > -10
    assert x.max() > 75
    assert y.mean() < -30
    assert (changed.tissue != usual.tissue).sum() < 1.5 * more.sum() + 200


def test_stomach_and_colon_hold_gas_at_the_livers_level() -> None:
    """In front, where gas rises to in one who lies on the back; it is no liver."""
    blown = replace(BODY, gas=0.8)
    usual, changed = (take(body, upper_abdomen(body), 3) for body in (BODY, blown))

    gas = (changed.tissue == Tissue.GAS) & (usual.tissue != Tissue.GAS)
    with_liver = changed.liver.any(axis=(1, 2))
    assert gas[with_liver].sum() * 0.125 > 100  # mL
    assert np.median(changed.image[gas]) < -600
    assert not (gas & changed.liver).any()
    index = np.argwhere(gas)
    sides = (changed.affine @ np.c_[index, np.ones(len(index))].T)[0]
    assert (sides > 40).mean() > 0.6  # the stomach, left
    assert (sides < -40).any()  # the bend below the liver, right


def test_both_are_drawn_and_a_body_without_them_is_as_it_was() -> None:
    """The study that `make run` sends is one: its picture stands in the papers."""
    bodies = [random_scan(np.random.default_rng(seed), SPACING)[0] for seed in range(60)]

    assert {body.left_lobe_mm > 0 for body in bodies} == {True, False}
    assert {body.gas > 0 for body in bodies} == {True, False}
    usual = Body.random(np.random.default_rng(1))
    assert (usual.left_lobe_mm, usual.gas, usual.prostate) == (0.0, 0.0, False)


def test_a_ct_of_a_neck_is_drawn_with_and_without_an_agent() -> None:
    """So is every other protocol of a CT, plain as often as not."""
    neck = next(protocol for protocol in PROTOCOLS if protocol.name == "neck")
    found = [random_scan(np.random.default_rng(seed), SPACING, ct=True)[1] for seed in range(80)]

    assert neck.ct
    plain = np.mean([one.contrast is Contrast.NONCONTRAST for one in found])
    assert 0.35 < plain < 0.65

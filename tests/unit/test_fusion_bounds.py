"""What pixels may say against a header, whatever they say: never the contrary, or unknown."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnet.inference.classifier import Prediction
from radnet.inference.fusion import CLASS_HEADS, STANDS, bounded, fuse_witnesses
from radnet.inference.support import COUNTED, PATIENTS, REGIONS, Support, Word
from radnet.labels.evidence import THRESHOLD, Evidence, Label, SeriesLabels, weigh
from radnet.labels.extent import in_order
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region

UNKNOWN_BELOW = 0.6
modalities = st.sampled_from(["CT", "MR", "PT", ""])
confidences = st.floats(THRESHOLD, 1.0)


@st.composite
def spreads(draw: st.DrawFn, size: int) -> list[float]:
    """Draw probabilities that sum up to one, certain ones too."""
    shares = draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    shares[draw(st.integers(0, size - 1))] += draw(st.sampled_from([1e-3, 1, 1e6]))
    return [share / sum(shares) for share in shares]


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    """Draw what a network may say, thresholds and strangeness included."""
    modality = draw(modalities)
    asked = MR_SEQUENCES if modality == "MR" else ()
    return Prediction(
        dict(zip(asked, draw(spreads(len(asked))), strict=True)) if asked else {},
        dict(zip(Plane, draw(spreads(len(Plane))), strict=True)),
        dict(zip(Contrast, draw(spreads(len(Contrast))), strict=True)),
        {region: draw(st.floats(0, 1)) for region in Region},
        4.0,
        np.zeros((1, len(Region)), np.float32),
        32.0,
        strangeness=draw(st.sampled_from([None, 0.1, 0.9])),
        strange_above=0.3,
        modality=modality,
    )


def pixels(modality: str = "MR", **shares: Mapping[Any, float]) -> Prediction:
    """Return a prediction that is even but for `shares`."""
    even: dict[str, dict[Any, float]] = {
        "sequence": dict.fromkeys(MR_SEQUENCES, 1 / 6) if modality == "MR" else {},
        "plane": {name: 1 / len(Plane) for name in Plane},
        "contrast": dict.fromkeys(Contrast, 0.5),
        "coverage": dict.fromkeys(Region, 0.5),
    }
    told = {head: spread | dict(shares.get(head, {})) for head, spread in even.items()}
    return Prediction(
        told["sequence"], told["plane"], told["contrast"], told["coverage"],
        4.0, np.zeros((1, len(Region)), np.float32), 32.0, modality=modality,
    )  # fmt: skip


def said(value: str, *reasons: tuple[str, float]) -> Label:
    """Return the label that attributes with these weights give `value`."""
    label = weigh(Evidence(value, weight, "rule", name, "text") for name, weight in reasons)
    assert label.value == value
    return label


def covering(*named: Region, confidence: float) -> SeriesLabels:
    """Return a header that names these regions, and so no others."""
    regions = {r.value: confidence if r in named else 1 - confidence for r in Region}
    evidence = Evidence(in_order(named), 3.0, "rule", "BodyPartExamined", "text")
    return SeriesLabels(coverage=Label(evidence.value, confidence, (evidence,)), regions=regions)


@given(predictions(), confidences, st.data())
def test_a_header_is_never_reversed_by_pixels(
    seen: Prediction, confidence: float, data: st.DataObject
) -> None:
    """Ten of seventeen prostates once lost their pelvis, and two T1 their agent.

    However many patients should once speak for the pixels, and however much of their word counts.
    """
    names = [*CLASS_HEADS, *map(str, Region)]
    word = Word(data.draw(st.floats(0, 1)), data.draw(st.floats(0, 20)))
    boundless = {(name, modality): word for name in names for modality in ("CT", "MR")}
    support = data.draw(st.sampled_from([COUNTED, Support(boundless, {})]))
    values = {
        head: data.draw(st.sampled_from([str(name) for name in names]), label=head)
        for head, names in CLASS_HEADS.items()
    }
    named = data.draw(st.sets(st.sampled_from(list(Region))), label="regions")
    labels: dict[str, Any] = {head: Label(value, confidence) for head, value in values.items()}
    header = replace(covering(*named, confidence=confidence), **labels)

    fused = fuse_witnesses(header, replace(seen, support=support), UNKNOWN_BELOW)

    for head, value in values.items():
        assert fused.classes[head].value in (value, None)
    assert set(fused.covered or ()) <= {str(region) for region in named}
    answered = set(Region) - set(fused.regions_unknown)
    assert named & answered == set(fused.covered or ())


@given(predictions(), st.floats(STANDS, 1.0), st.sets(st.sampled_from(list(Region)), min_size=1))
def test_a_confident_header_keeps_its_regions_whatever_the_pixels_say(
    seen: Prediction, confidence: float, named: set[Region]
) -> None:
    """BodyPartExamined PROSTATE and three texts beside it: 0.989."""
    fused = fuse_witnesses(covering(*named, confidence=confidence), seen, UNKNOWN_BELOW)

    assert set(fused.covered or ()) == named
    assert fused.regions_unknown == []


@given(predictions(), st.sampled_from(list(Plane)))
def test_the_orientation_decides_the_plane(seen: Prediction, plane: Plane) -> None:
    """An axial T2 was once sagittal against its own Image Orientation (Patient)."""
    header = SeriesLabels(plane=said(plane, ("ImageOrientationPatient", 8.0)))

    assert fuse_witnesses(header, seen, UNKNOWN_BELOW).classes["plane"].value == plane


@pytest.mark.parametrize(("modality", "weight"), [("MR", 2.0), ("CT", 3.0)])
def test_an_agent_that_is_named_decides_the_contrast(modality: str, weight: float) -> None:
    """As surely as the tables of the labels weigh it; the contradiction is told all the same."""
    header = SeriesLabels(contrast=said("contrast", ("ContrastBolusAgent", weight)))
    plain = {Contrast.CONTRAST: 0.001, Contrast.NONCONTRAST: 0.999}

    fused = fuse_witnesses(header, pixels(modality, contrast=plain), UNKNOWN_BELOW)

    assert fused.classes["contrast"].value == "contrast"
    assert fused.disagreements == ("contrast",)


def test_an_agent_against_which_the_header_itself_speaks_decides_nothing() -> None:
    """Divided headers with sure pixels against them are unknown."""
    agent = Evidence("contrast", 6.0, "rule", "ContrastBolusAgent", "text")
    native = Evidence("noncontrast", 4.0, "rule", "SeriesDescription", "text")
    header = SeriesLabels(contrast=weigh([agent, native]))
    plain = {Contrast.CONTRAST: 0.001, Contrast.NONCONTRAST: 0.999}

    fused = fuse_witnesses(header, pixels("CT", contrast=plain), UNKNOWN_BELOW)

    assert header.contrast.value == "contrast"
    assert fused.classes["contrast"].value is None


@given(predictions())
def test_on_mr_pixels_say_nothing_of_an_agent(seen: Prediction) -> None:
    """Of two patients with one, both were told to have none: until real scans say otherwise."""
    fused = fuse_witnesses(SeriesLabels(), replace(seen, modality="MR"), UNKNOWN_BELOW)

    assert fused.classes["contrast"].value is None
    assert fused.classes["sequence"].value is None


def test_pixels_fill_the_silence_of_a_header() -> None:
    """Where real scans support them: an agent and an organ on CT, a brain on MR."""
    given = {Contrast.CONTRAST: 0.99, Contrast.NONCONTRAST: 0.01}
    none = dict.fromkeys(Region, 0.01)

    ct = pixels("CT", contrast=given, coverage=none | {Region.LIVER: 0.99})
    mr = pixels("MR", coverage=none | {Region.BRAIN: 0.99, Region.UPPER_HEAD_NECK: 0.99})

    fused = fuse_witnesses(SeriesLabels(), ct, UNKNOWN_BELOW)
    assert fused.classes["contrast"].value == "contrast"
    assert (fused.covered, fused.regions_unknown) == (["liver"], [])
    fused = fuse_witnesses(SeriesLabels(), mr, UNKNOWN_BELOW)
    assert (fused.covered, fused.regions_unknown) == (["brain"], ["upper_head_neck"])


def test_pixels_that_see_none_of_the_regions_have_not_recognised_the_scan() -> None:
    """Necks and prostates were surely none of the nine; a header may say so of a knee."""
    nothing = pixels(coverage=dict.fromkeys(Region, 0.01))

    alone = fuse_witnesses(SeriesLabels(), nothing, UNKNOWN_BELOW)
    knee = fuse_witnesses(covering(confidence=0.95), nothing, UNKNOWN_BELOW)

    assert (alone.covered, len(alone.regions_unknown)) == (None, len(Region))
    assert (knee.covered, knee.regions_unknown) == ([], [])


def test_a_header_that_lies_is_contradicted_and_unknown() -> None:
    """A head and neck called BREAST: one attribute alone does not stand against sure pixels."""
    header = covering(Region.BREAST, confidence=0.953)
    head = dict.fromkeys(Region, 0.01) | {Region.BRAIN: 0.99, Region.UPPER_HEAD_NECK: 0.95}

    fused = fuse_witnesses(header, pixels("CT", coverage=head), UNKNOWN_BELOW)

    assert fused.disagreements == ("coverage",)
    assert not fused.covered
    assert {"breast", "brain", "upper_head_neck"} <= set(fused.regions_unknown)


def test_two_witnesses_that_are_sure_agree_beside_a_quarrel() -> None:
    """A brain by name and by sight stays one, although the pixels see a face below it."""
    seen = dict.fromkeys(Region, 0.01) | {Region.BRAIN: 0.99, Region.UPPER_HEAD_NECK: 0.99}

    fused = fuse_witnesses(
        covering(Region.BRAIN, confidence=0.953), pixels(coverage=seen), UNKNOWN_BELOW
    )

    assert (fused.covered, fused.regions_unknown) == (["brain"], ["upper_head_neck"])


@pytest.mark.parametrize(("head", "modality"), PATIENTS)
def test_few_patients_give_little(head: str, modality: str) -> None:
    """By the rule of succession; none where more were wrong than right, or none were seen."""
    right, wrong = PATIENTS[head, modality]

    nats = COUNTED.word(head, modality).most_nats
    assert 0 <= nats <= math.log(right + 1)
    assert (nats > 0) == (right > wrong)
    assert COUNTED.word(head, "PT").most_nats == 0


@given(spreads(5), st.floats(0.01, 5))
def test_bounded_odds_are_bounded(shares: list[float], nats: float) -> None:
    """Of any two classes; the order stays, the sum is one."""
    before = dict(zip("abcde", shares, strict=True))

    after = bounded(before, Word(1.0, nats))

    assert sum(after.values()) == pytest.approx(1)
    assert math.log(max(after.values()) / min(after.values())) <= nats + 1e-6
    assert max(after, key=lambda name: after[name]) == max(before, key=lambda name: before[name])


def test_the_regions_of_the_record_are_regions() -> None:
    """A misspelt one would never be asked for."""
    assert {region for _, region, _ in REGIONS} <= set(Region)
    assert COUNTED.refuted("upper_head_neck", "MR", covered=True)
    assert not COUNTED.refuted("breast", "CT", covered=True)  # one patient may be an accident
    assert not COUNTED.confirms("breast", "CT", covered=True)

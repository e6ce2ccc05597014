"""The arithmetic of two witnesses: shares, floors, bounds and thresholds, figure by figure."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from radnet.inference.classifier import Prediction
from radnet.inference.fusion import (
    FLOOR,
    Fused,
    bounded,
    fuse_classes,
    fuse_odds,
    fuse_regions,
    fuse_witnesses,
    modality_of,
    spread_of,
)
from radnet.inference.support import Support, Word, succession
from radnet.labels.evidence import Evidence, Label, SeriesLabels
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence


def supported(head: str, right: int, wrong: int) -> Support:
    """Return that in one head of a CT pixels were right and wrong of so many patients."""
    word = Word(1.0, succession(right, wrong))
    names = map(str, Region) if head == "coverage" else [head]
    return Support({(name, "CT"): word for name in names}, {})


def pixels(**given: Any) -> Prediction:
    """Return a prediction of a CT that says nothing but what is given."""
    even: dict[str, Any] = {
        "sequence": dict.fromkeys(Sequence, 1 / len(Sequence)),
        "plane": dict.fromkeys(Plane, 1 / len(Plane)),
        "contrast": dict.fromkeys(Contrast, 0.5),
        "coverage": dict.fromkeys(Region, 0.5),
        "spacing_mm": 4.0,
        "cells": np.zeros((1, len(Region)), np.float32),
        "cell_mm": 32.0,
        "modality": "CT",
    }
    return Prediction(**{**even, **given})


def header(**labels: Label) -> SeriesLabels:
    """Return what a header says."""
    return SeriesLabels(**labels)  # type: ignore[arg-type]


def contrast(yes: float) -> dict[Contrast, float]:
    """Return how probable an agent is."""
    return {Contrast.CONTRAST: yes, Contrast.NONCONTRAST: 1 - yes}


def test_a_header_leaves_what_confidence_is_left_to_the_other_classes() -> None:
    """In equal shares; one that says nothing, or another word, leaves all of it."""
    assert spread_of(Label("a", 0.7), ["a", "b", "c", "d"]) == pytest.approx(
        {"a": 0.7, "b": 0.1, "c": 0.1, "d": 0.1}
    )
    assert spread_of(Label(), ["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert spread_of(Label("z", 0.9), ["a", "b"]) == {"a": 0.5, "b": 0.5}


def test_two_distributions_make_one_by_their_product() -> None:
    """No witness is certain: a zero counts as a ten thousandth."""
    assert fuse_classes({"a": 0.8, "b": 0.2}, {"a": 0.3, "b": 0.7}) == pytest.approx(
        {"a": 0.24 / 0.38, "b": 0.14 / 0.38}
    )
    assert fuse_classes({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}) == pytest.approx(
        {"a": 0.5, "b": 0.5}
    )
    assert fuse_classes({"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5})["b"] == pytest.approx(
        FLOOR / (1 + FLOOR)
    )


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (0.8, None, 0.8),
        (None, 0.3, 0.3),
        (None, None, 0.5),
        (0.8, 0.8, 16 / 17),
        (0.8, 0.2, 0.5),
        (1.0, None, 1 - FLOOR),
        (0.0, None, FLOOR),
        (1.0, 0.0, 0.5),
    ],
)
def test_odds_of_witnesses_are_multiplied(
    one: float | None, other: float | None, together: float
) -> None:
    """Who says nothing changes nothing."""
    assert fuse_odds(one, other) == pytest.approx(together)


def test_a_distribution_is_raised_to_its_floor() -> None:
    """So many nats below the most probable; then it is scaled to one."""
    found = bounded({"a": 0.9, "b": 0.09, "c": 0.01}, Word(1.0, math.log(10)))

    assert found == pytest.approx({"a": 0.9 / 1.08, "b": 0.09 / 1.08, "c": 0.09 / 1.08})
    assert bounded({"a": 0.0, "b": 0.0}, Word(1.0, 1.0)) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("read_as", "modality"), [("CT", "CT"), ("MR", "MR"), ("PT", "MR"), ("", "MR")]
)
def test_pixels_are_of_the_modality_that_they_were_read_as(read_as: str, modality: str) -> None:
    """What the network takes them for changes nothing."""
    seen = {name: 0.9 if name is Sequence.CT else 0.01 for name in Sequence}

    assert modality_of(pixels(sequence=seen, modality=read_as)) == modality


def test_pixels_beside_a_header_weigh_what_patients_support() -> None:
    """One right and none wrong: at most 0.69 nats, odds of two to one."""
    said = Label("contrast", 0.6, (Evidence("contrast", 1.0, "r", "SeriesDescription", "x"),))

    seen = pixels(contrast=contrast(0.999), support=supported("contrast", 1, 0))
    fused = fuse_witnesses(header(contrast=said), seen, 0.6)

    answer = fused.classes["contrast"]
    assert answer.probability == pytest.approx(0.75)  # 0.6 x 2 against 0.4 x 1
    assert answer.value == "contrast"
    assert answer.spread == pytest.approx({"contrast": 0.75, "noncontrast": 0.25})


def test_pixels_without_support_leave_a_header_as_it_is() -> None:
    """As likely wrong as right."""
    said = Label("contrast", 0.7)

    seen = pixels(contrast=contrast(0.99), support=supported("contrast", 3, 3))
    fused = fuse_witnesses(header(contrast=said), seen, 0.6)
    alone = fuse_witnesses(SeriesLabels(), seen, 0.6)

    assert fused.classes["contrast"].probability == pytest.approx(0.7)
    assert (alone.classes["contrast"].value, alone.classes["contrast"].probability) == (None, 0.5)


@pytest.mark.parametrize(
    ("share", "above", "value"),
    [(0.6, 0.0, "contrast"), (0.59, 0.0, None), (0.9, 0.9, "contrast"), (0.89, 0.9, None)],
)
def test_pixels_alone_answer_from_their_bound_on(
    share: float, above: float, value: str | None
) -> None:
    """Of the weights, and at least that of the node."""
    many = supported("contrast", 999, 0)
    seen = pixels(contrast=contrast(share), answer_above={"contrast": above}, support=many)

    answer = fuse_witnesses(SeriesLabels(), seen, 0.6).classes["contrast"]

    assert answer.value == value
    assert answer.probability == pytest.approx(share)


@pytest.mark.parametrize(
    ("confidence", "share", "value"),
    [(0.9, 0.79, "noncontrast"), (0.9, 0.8, None), (0.969, 0.9, None), (0.97, 0.9, "noncontrast")],
)
def test_pixels_that_are_sure_make_a_header_unknown_that_does_not_stand(
    confidence: float, share: float, value: str | None
) -> None:
    """Sure is 0.8 or more; a header of 0.97 or more stands."""
    said = Label("noncontrast", confidence)

    seen = pixels(contrast=contrast(share), support=supported("contrast", 1, 0))
    fused = fuse_witnesses(header(contrast=said), seen, 0.6)

    assert fused.classes["contrast"].value == value
    assert fused.disagreements == (("contrast",) if share >= 0.8 else ())


def test_what_an_attribute_decides_is_as_sure_as_its_strongest_evidence() -> None:
    """Other attributes that agree do not make it less."""
    weights = (("ContrastBolusAgent", 3.0), ("ContrastBolusAgentAdministered", 1.0))
    told = tuple(Evidence("contrast", weight, "r", name, "x") for name, weight in weights)
    strong = 1 / (1 + math.exp(-3.0))

    seen = pixels(contrast=contrast(0.01), support=supported("contrast", 1, 0))
    decided, divided = (
        fuse_witnesses(header(contrast=Label("contrast", confidence, told)), seen, 0.6).classes[
            "contrast"
        ]
        for confidence in (strong, strong - 0.01)
    )

    assert decided.value == "contrast"
    assert decided.probability == pytest.approx(strong)
    assert divided.value is None


def covering(named: dict[Region, float], confidence: float = 0.9) -> SeriesLabels:
    """Return a header that names regions."""
    return SeriesLabels(
        coverage=Label("liver", confidence), regions={str(r): p for r, p in named.items()}
    )


def test_a_region_is_as_probable_as_its_witnesses_make_it() -> None:
    """Pixels beside a header are bounded; alone they say what they say."""
    told = {Region.LIVER: 0.99, Region.LUNG: 0.01, Region.KIDNEY: 0.93}
    seen = pixels(
        coverage=dict.fromkeys(Region, 0.5) | told,
        support=supported("coverage", 3, 0),  # log 4: odds of four to one
    )

    found = fuse_regions({"liver": 0.8, "lung": 0.8}, seen)

    assert found["liver"] == pytest.approx(16 / 17)
    assert found["lung"] == pytest.approx(0.5)
    assert found["kidney"] == pytest.approx(0.93)
    assert found["brain"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("p", "above", "below", "state"),
    [
        (0.6, 0.0, 1.0, "covered"),
        (0.59, 0.0, 1.0, "unknown"),
        (0.4, 0.0, 1.0, "not"),
        (0.41, 0.0, 1.0, "unknown"),
        (0.901, 0.9, 1.0, "covered"),
        (0.89, 0.9, 1.0, "unknown"),
        (0.099, 0.0, 0.1, "not"),
        (0.11, 0.0, 0.1, "unknown"),
    ],
)
def test_a_region_by_pixels_alone_needs_the_bounds_of_the_weights(
    p: float, above: float, below: float, state: str
) -> None:
    """And at least that of the node, in either direction."""
    seen = pixels(
        coverage=dict.fromkeys(Region, 0.0) | {Region.LIVER: 1.0, Region.PELVIS: p},
        covered_above={"pelvis": above},
        covered_below={"pelvis": below},
    )

    fused = fuse_witnesses(SeriesLabels(), seen, 0.6)

    assert ("pelvis" in (fused.covered or ())) == (state == "covered")
    assert ("pelvis" in fused.regions_unknown) == (state == "unknown")


def test_pixels_alone_have_recognised_a_scan_in_which_they_see_a_region() -> None:
    """From one half on."""
    none = dict.fromkeys(Region, 0.1)

    seen = fuse_witnesses(SeriesLabels(), pixels(coverage=none | {Region.LIVER: 0.5}), 0.4)
    unseen = fuse_witnesses(SeriesLabels(), pixels(coverage=none | {Region.LIVER: 0.49}), 0.4)

    assert seen.covered == ["liver"]
    assert (unseen.covered, unseen.regions_unknown) == (None, [*map(str, Region)])


@pytest.mark.parametrize(
    ("told", "seen", "against"),
    [
        (0.9, 0.2, True),
        (0.9, 0.21, False),
        (0.1, 0.8, True),
        (0.1, 0.79, False),
        (0.9, 0.9, False),
    ],
)
def test_pixels_that_are_sure_of_the_contrary_of_a_region_disagree(
    told: float, seen: float, against: bool
) -> None:
    """Sure is 0.8 or more, in either direction; of a region that the header speaks of."""
    named = covering({Region.LIVER: told})
    coverage = dict.fromkeys(Region, 0.99) | {Region.LIVER: seen}

    fused = fuse_witnesses(named, pixels(coverage=coverage), 0.6)

    assert fused.disagreements == (("coverage",) if against else ())


def quarrel(confidence: float, told: float, seen: float) -> Fused:
    """Return what is made of a liver beside a lung that is contested."""
    named = covering({Region.LUNG: 0.9, Region.LIVER: told}, confidence)
    coverage = dict.fromkeys(Region, 0.5) | {Region.LUNG: 0.05, Region.LIVER: seen}
    seen_so = pixels(coverage=coverage, support=supported("coverage", 1, 0))
    return fuse_witnesses(named, seen_so, 0.6)


@pytest.mark.parametrize(
    ("confidence", "told", "seen", "answered"),
    [
        (0.9, 0.9, 0.8, True),
        (0.9, 0.9, 0.79, False),
        (0.9, 0.79, 0.9, False),
        (0.97, 0.9, 0.6, True),
        (0.969, 0.9, 0.6, False),
    ],
)
def test_beside_a_quarrel_both_witnesses_must_be_sure_of_a_region(
    confidence: float, told: float, seen: float, answered: bool
) -> None:
    """Unless the header stands."""
    fused = quarrel(confidence, told, seen)

    assert fused.disagreements == ("coverage",)
    assert ("liver" in (fused.covered or ())) is answered
    assert ("liver" in fused.regions_unknown) is not answered


@pytest.mark.parametrize(("told", "seen", "known"), [(0.1, 0.19, True), (0.1, 0.21, False)])
def test_beside_a_quarrel_both_must_be_sure_that_a_region_is_not_there(
    told: float, seen: float, known: bool
) -> None:
    """As of one that is: where real scans have not spoken against it."""
    fused = quarrel(0.9, told, seen)

    assert ("liver" not in fused.regions_unknown) is known
    assert "liver" not in (fused.covered or ())


def test_strange_pixels_change_nothing_of_a_headers_regions() -> None:
    """They are no witness; that they contradict it is told."""
    seen = pixels(coverage=dict.fromkeys(Region, 0.01), strangeness=0.9, strange_above=0.5)

    fused = fuse_witnesses(covering({Region.LIVER: 0.9}), seen, 0.6)

    assert fused.covered == ["liver"]
    assert fused.regions["liver"] == pytest.approx(0.9)
    assert fused.regions["brain"] == 0.5
    assert fused.disagreements == ("coverage",)
    usual = replace(seen, strange_above=0.9)
    assert fuse_witnesses(covering({Region.LIVER: 0.9}), usual, 0.6).regions["brain"] < 0.5


def test_the_rule_of_succession_gives_the_nats() -> None:
    """One more right than was seen, against one more wrong; never less than nothing."""
    assert succession(5, 1) == pytest.approx(math.log(3))
    assert succession(1, 5) == 0
    assert supported("plane", 5, 1).word("plane", "US") == Word(0.0, 0.0)


@pytest.mark.parametrize(
    ("counts", "confirmed", "wrong"),
    [((2, 1), True, False), ((1, 1), False, False), ((1, 2), False, False), ((1, 3), False, True)],
)
def test_an_answer_is_refuted_by_two_patients_more(
    counts: tuple[int, int], confirmed: bool, wrong: bool
) -> None:
    """And confirms a header only where more were right; unseen answers do, and are not refuted."""
    found = Support({}, {("CT", "liver", False): counts})

    assert found.confirms("liver", "CT", covered=False) is confirmed
    assert found.refuted("liver", "CT", covered=False) is wrong
    assert found.confirms("liver", "US", covered=True)
    assert not found.refuted("liver", "US", covered=True)

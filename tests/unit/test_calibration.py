"""From held-out scans to temperatures, thresholds and what they are worth, figure by figure."""

import math
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
import torch

from radnet.datasets.samples import SampleBatch
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.evaluation import calibration
from radnet.labels.vocabulary import Region
from radnet.network.heads import Heads

LIVER = list(Region).index(Region.LIVER)
HEAT = dict.fromkeys((*calibration.CLASS_HEADS, "coverage"), 1.0)


def logit(p: float) -> float:
    """Return the logit of a probability."""
    return math.log(p / (1 - p))


def heads(**told: Any) -> Heads:
    """Return logits of scans; zeros where nothing is told: `contrast` and `liver` as rows."""
    count = len(next(iter(told.values())))
    cells = torch.zeros(count, 1, len(Region))
    if "liver" in told:
        cells[:, 0, LIVER] = torch.tensor(told.pop("liver"), dtype=torch.float32)
    given = {name: torch.tensor(rows, dtype=torch.float32) for name, rows in told.items()}
    blank = {
        "sequence": torch.zeros(count, 6),
        "plane": torch.zeros(count, 3),
        "contrast": torch.zeros(count, 2),
        "log_spacing": torch.zeros(count),
    }
    return Heads(**{**blank, **given}, cells=cells)


def truth(count: int, **told: Sequence[float]) -> SampleBatch:
    """Return what is known of scans: nothing but what is told, of `liver` as of a head."""
    unknown = torch.full((count,), float(UNKNOWN))
    scan = torch.full((count, len(Region)), float(UNKNOWN))
    if "liver" in told:
        scan[:, LIVER] = torch.tensor(told.pop("liver"), dtype=torch.float32)
    given = {
        name: torch.tensor(told[name]).long() if name in told else unknown.long()
        for name in calibration.CLASS_HEADS
    }
    none = torch.zeros(0)
    return SampleBatch(none, **given, log_spacing=unknown, scan=scan, cells=none, shown=none)


def sure_of_one(p: Sequence[float]) -> list[list[float]]:
    """Return logits of two classes, the second as probable as told."""
    return [[0.0, logit(one)] for one in p]


STEP = 10 ** (1.6 / 59)
"""Temperatures that are tried stand so far apart."""


@pytest.mark.parametrize(
    ("right", "expected"),
    [([1, 1, 1, 0], 4 / math.log(3)), ([1, 1, 1, 1], 10**-0.7), ([1, 0], 10**0.9)],
)
def test_a_temperature_makes_answers_as_sure_as_they_are_right(
    right: list[int], expected: float
) -> None:
    """Logits of 4, three of four right: 3/4 at a temperature of 4 / log 3; within bounds."""
    count = len(right)
    said = heads(contrast=[[0.0, 4.0]] * count, liver=[4.0] * count)

    found = calibration.temperatures(said, truth(count, contrast=right, liver=right))

    assert found["contrast"] == pytest.approx(expected, rel=STEP - 1)
    assert found["coverage"] == pytest.approx(expected, rel=STEP - 1)
    assert (found["sequence"], found["plane"]) == (1.0, 1.0)


def test_what_is_not_known_has_no_say_in_a_temperature() -> None:
    """1 where nothing is known; unknown rows beside known ones change nothing."""
    some = heads(contrast=[[0.0, 4.0]] * 6, liver=[4.0] * 6)
    right = [1, 1, 1, 0, UNKNOWN, UNKNOWN]

    found = calibration.temperatures(some, truth(6, contrast=right, liver=right))

    assert found["contrast"] == pytest.approx(4 / math.log(3), rel=STEP - 1)
    assert found["coverage"] == pytest.approx(4 / math.log(3), rel=STEP - 1)
    assert calibration.temperatures(some, truth(6)) == HEAT
    alone = calibration.temperatures(some, truth(6, liver=right))
    assert alone["contrast"] == 1.0
    assert alone["coverage"] == found["coverage"]


def test_every_second_patient_chooses() -> None:
    """With all scans of one patient on one side; who has no name is a patient of one scan."""
    said = heads(liver=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])

    first, others = calibration.halves(
        said, truth(6, liver=range(6)), ["a", "a", "b", "c", "c", ""]
    )

    assert first.heads.cells[:, 0, LIVER].tolist() == [0, 1, 3, 4]
    assert others.heads.cells[:, 0, LIVER].tolist() == [2, 5]
    assert others.truth.scan[:, LIVER].tolist() == [2, 5]
    assert (first.patients.of.tolist(), others.patients.of.tolist()) == ([0, 0, 2, 2], [1, 3])
    assert first.patients.count == 4
    assert len(first.truth.stack) == 0
    alternating, _ = calibration.halves(said, truth(6))
    assert alternating.heads.cells[:, 0, LIVER].tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("right", "of", "share"), [(0, 10, 0.0), (10, 10, 0.05**0.1), (1, 1, 0.05), (9, 10, 0.6058)]
)
def test_what_answers_prove_is_an_exact_bound(right: int, of: int, share: float) -> None:
    """Clopper and Pearson, one-sided, 95 %."""
    assert calibration.at_least(right, of) == pytest.approx(share, abs=1e-4)


def test_answers_are_stated_by_scan_and_bounded_by_patient() -> None:
    """Three of eight truths were answered, by two patients; two answers were right."""
    found = calibration.stated(np.array([True, True, False]), np.array([4, 4, 9]), 8)

    assert found == {
        "answered": 0.375,
        "right": 0.6667,
        "at_least": round(calibration.at_least(4 / 3, 2), 4),
        "of": 3,
        "patients": 2,
    }
    assert calibration.stated(np.ones(0, bool), np.ones(0, np.int64), 0)["answered"] == 0.0


@pytest.mark.parametrize(
    ("sure", "right", "expected"),
    [
        # so many right as make 95 % as likely as not: 0.5 ** (1 / 14) is 0.9517
        ([0.9] * 13, [1] * 13, 1.0),
        ([0.9] * 14, [1] * 14, 0.9),
        # the least that is enough; what is wrong below it does not count
        ([0.9] * 14 + [0.8] * 14, [1] * 28, 0.8),
        ([0.9] * 14 + [0.8] * 5, [1] * 14 + [0] * 5, 0.9),
        # of equal probabilities all count, in whatever order they come
        ([0.9] * 16, [1] * 14 + [0] * 2, 1.0),
        ([0.9] * 16, [0] * 2 + [1] * 14, 1.0),
        # rounded down, so that it reaches itself
        ([0.98769] * 14, [1] * 14, 0.9876),
        ([], [], 1.0),
    ],
)
def test_a_threshold_is_the_least_above_which_answers_are_right_often_enough(
    sure: list[float], right: list[int], expected: float
) -> None:
    """By the median bound: the best of many thresholds promises more than it keeps."""
    order = np.random.default_rng(0).permutation(len(sure))

    found = calibration.threshold(np.array(sure)[order], np.array(right, bool)[order], 0.95)

    assert found == pytest.approx(expected)


def alternating(chosen: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Return rows of which every second chooses."""
    return list(chain.from_iterable(zip(chosen, others, strict=True)))


@pytest.mark.parametrize("heat", [1.0, 2.0])
def test_a_head_answers_from_where_the_chosen_half_was_right(heat: float) -> None:
    """And is stated on the other half, of which ten are as sure and eight of these right."""
    sure = alternating([0.9] * 14, [*repeat(0.95, 10), *repeat(0.85, 4)])
    right = alternating([1] * 14, [1] * 8 + [0] * 2 + [1] * 4)
    logits = np.array(sure_of_one(sure)) * heat

    found = calibration.abstention(
        heads(contrast=logits.tolist()), truth(28, contrast=right), HEAT | {"contrast": heat}
    )

    assert found["contrast"]["above"] == pytest.approx(0.9, abs=2e-4)
    assert found["contrast"]["answered"] == round(10 / 14, 4)
    assert found["contrast"]["right"] == 0.8
    assert (found["contrast"]["of"], found["contrast"]["patients"]) == (10, 10)
    assert (found["plane"]["above"], found["plane"]["of"]) == (1.0, 0)


def test_where_no_probability_is_enough_nothing_is_answered() -> None:
    """Not even what is as sure as can be."""
    certain = heads(contrast=[[0.0, 200.0]] * 4)

    found = calibration.abstention(certain, truth(4, contrast=[0, 1, 1, 1]), HEAT)

    assert (found["contrast"]["above"], found["contrast"]["answered"]) == (1.0, 0.0)


def test_a_region_is_covered_from_one_bound_and_not_below_another() -> None:
    """Between them it is unknown; either answer is stated on the other half."""
    chosen = [0.8] * 14 + [0.1] * 14
    others = [0.9] * 10 + [0.7] * 6 + [0.05] * 12
    there = alternating([1] * 14 + [0] * 14, [1] * 9 + [0] + [1] * 6 + [0] * 11 + [1])
    said = heads(liver=[2 * logit(p) for p in alternating(chosen, others)])

    found = calibration.coverage(said, truth(56, liver=there), HEAT | {"coverage": 2.0})

    liver = found["liver"]
    assert liver["above"] == pytest.approx(0.8, abs=2e-4)
    assert liver["below"] == pytest.approx(0.1, abs=2e-4)
    assert (liver["covered"]["of"], liver["covered"]["right"]) == (10, 0.9)
    assert (liver["not_covered"]["of"], liver["not_covered"]["right"]) == (12, 0.9167)
    assert liver["covered"]["answered"] == round(10 / 28, 4)
    assert (found["lung"]["above"], found["lung"]["below"]) == (1.0, 0.0)
    assert found["lung"]["covered"]["of"] == found["lung"]["not_covered"]["of"] == 0


def test_no_region_is_covered_below_three_in_five() -> None:
    """Nor excluded above two, however right the chosen half was."""
    p, there = [0.55] * 14 + [0.45] * 14, [1] * 14 + [0] * 14
    said = heads(liver=[logit(one) for one in alternating(p, p)])

    liver = calibration.coverage(said, truth(56, liver=alternating(there, there)), HEAT)["liver"]

    assert (liver["above"], liver["below"]) == (0.6, 0.4)
    assert liver["covered"]["of"] == liver["not_covered"]["of"] == 0


def test_scores_are_shares_of_what_is_known() -> None:
    """A head of which nothing is known has none; exact is a scan with every region right."""
    said = heads(contrast=sure_of_one([0.9, 0.9, 0.9, 0.1]), liver=[1.0, 1.0, -1.0, 0.0])

    found = calibration.scores(
        said, truth(4, contrast=[1, 1, 0, UNKNOWN], liver=[1, 0, 0, UNKNOWN])
    )

    assert found == pytest.approx({"contrast": 2 / 3, "liver": 2 / 3, "coverage exact": 2 / 3})
    assert calibration.scores(said, truth(4)) == {}


def test_real_scans_weigh_a_quarter_and_the_bound_is_that_of_the_others() -> None:
    """Axes span what is known; the bound is the strangeness of the strangest of few others."""
    rows = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    alone = calibration.usual(rows, rows[:0])
    beside = calibration.usual(rows, torch.tensor([[0.0, 2.0, 0.0]]))

    assert np.abs(alone["axes"]).tolist() == [[1, 0, 0]]
    assert (alone["above"], beside["above"]) == (1.0, 0.0)
    assert np.abs(beside["axes"]).tolist() == [[0, 1, 0], [1, 0, 0]]  # 4 / 4 against 3 / 4
    assert alone["share"] == 0.975
    assert alone["chosen_on"] == "2 held-out and 0 real scans"
    assert beside["chosen_on"] == "2 held-out and 1 real scans"
    assert beside["stated_on"] == "2 other held-out scans"

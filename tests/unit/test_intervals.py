"""Intervals and halves are drawn by patient: series of one patient are alike."""

import numpy as np
import pytest
import torch

from radnet.datasets.samples import SampleBatch
from radnet.evaluation import calibration
from radnet.evaluation.intervals import auc_interval, exact, interval, patients_of
from radnet.network.heads import Heads


def alone(count: int) -> list[str]:
    """Return no names for so many scans: each is the only one of its patient."""
    return [""] * count


def test_who_is_not_named_is_a_patient_alone() -> None:
    """Numbered in the order of their first scans."""
    found = patients_of(["b", "", "a", "b", ""])

    assert found.of.tolist() == [0, 1, 2, 0, 3]
    assert found.count == 4


def test_few_scans_that_are_all_right_still_leave_a_doubt() -> None:
    """A bootstrap of six right answers knows no other; the exact bound does."""
    six = patients_of(alone(6))
    low, high = interval(np.ones(6, bool), six)

    assert low == pytest.approx(0.541, abs=1e-3)
    assert high == 1
    assert interval(np.zeros(6, bool), six)[1] == pytest.approx(0.459, abs=1e-3)
    low, high = interval(np.arange(400) < 340, patients_of(alone(400)))
    assert low == pytest.approx(0.815, abs=0.01)
    assert high == pytest.approx(0.885, abs=0.01)


def test_whole_patients_are_drawn() -> None:
    """400 series of 20 patients, each all right or all wrong, are 20 answers: 3 times as wide."""
    right = np.repeat(np.arange(20) < 17, 20)
    names = [f"p{number // 20}" for number in range(400)]

    by_series = interval(right, patients_of(alone(400)))
    by_patient = interval(right, patients_of(names))

    assert by_series[1] - by_series[0] < 0.08
    assert by_patient[1] - by_patient[0] > 0.25


def test_a_patient_with_more_series_weighs_more() -> None:
    """The share is of series: the interval is about it, not about a mean of patients."""
    right = np.array([True] * 90 + [False] * 10)
    names = [f"a{n % 9}" for n in range(90)] + [f"b{n}" for n in range(10)]

    low, high = interval(right, patients_of(names))

    assert low < 0.9 < high


def test_one_patient_proves_next_to_nothing() -> None:
    """However many series: every draw is the same one."""
    low, high = interval(np.arange(10) < 7, patients_of(["a"] * 10))

    assert low < 0.05
    assert high > 0.95


def test_an_exact_interval_is_clopper_and_pearsons() -> None:
    """17 of 20 (table): 62.1 to 96.8 %."""
    assert exact(17 / 20, 20) == pytest.approx((0.621, 0.968), abs=1e-3)


def test_the_area_under_a_curve_is_drawn_by_patient() -> None:
    """Four patients with ten series each know less than forty patients."""
    rng = np.random.default_rng(1)
    truth = np.arange(40) % 2 == 0
    level = np.repeat(rng.normal(size=4), 10)  # of a patient: its series are alike
    scores = truth * 1.0 + level + rng.normal(size=40) / 3

    wide = auc_interval(truth, scores, patients_of([f"p{n // 10}" for n in range(40)]))
    narrow = auc_interval(truth, scores, patients_of(alone(40)))

    assert wide != narrow
    assert 0 <= wide[0] < wide[1] <= 1
    perfect = auc_interval(truth, truth * 1.0, patients_of([f"p{n // 10}" for n in range(40)]))
    assert perfect == pytest.approx((0.025 ** (1 / 4), 1.0))


def scans(count: int) -> tuple[Heads, SampleBatch]:
    """Return heads that are sure of a plane, wrong in every second scan, and the truth."""
    sure, truth = torch.tensor([[6.0, 0, 0]] * count), torch.arange(count) % 2
    none, cells = torch.full((count,), -1), torch.zeros(count, 1, 9)
    heads = Heads(torch.zeros(count, 7), sure, torch.zeros(count, 2), none.float(), cells)
    return heads, SampleBatch(
        torch.zeros(0),
        none,
        truth,
        none,
        none.float(),
        torch.zeros(count, 9),
        torch.zeros(0),
        torch.zeros(0),
    )


def test_no_patient_is_in_both_halves() -> None:
    """A threshold would be stated on the patient it was chosen on."""
    heads, truth = scans(12)
    patients = [f"p{number // 3}" for number in range(12)]

    chosen, others = calibration.halves(heads, truth, patients)

    assert set(chosen.patients.of) & set(others.patients.of) == set()
    assert len(chosen.heads.plane) == len(chosen.truth.plane) == 6
    assert others.truth.plane.tolist() == truth.plane[[3, 4, 5, 9, 10, 11]].tolist()


def test_without_names_every_second_scan_is_chosen_on() -> None:
    """As of phantoms, each of which is a patient of its own."""
    chosen, others = calibration.halves(*scans(6))

    assert chosen.truth.plane.tolist() == [0, 0, 0]
    assert others.truth.plane.tolist() == [1, 1, 1]


def test_a_bound_counts_patients_not_answers() -> None:
    """Thirty right answers of three patients prove what three do."""
    found = calibration.stated(np.ones(30, bool), np.repeat([4, 7, 9], 10), 40)

    assert (found["of"], found["patients"], found["right"]) == (30, 3, 1.0)
    assert found["at_least"] == pytest.approx(0.05 ** (1 / 3), abs=1e-3)
    assert calibration.stated(np.ones(0, bool), np.ones(0, int), 5)["at_least"] == 0.0


def test_the_bound_of_what_is_strange_is_stated_on_other_patients() -> None:
    """Not on twins of the scans that gave the axes."""
    features = torch.eye(8)
    twins = ["a", "a", "b", "b", "c", "c", "d", "d"]

    found = calibration.usual(features, features[:0], twins)

    spanned = np.abs(np.array(found["axes"])).sum(axis=0) > 0
    assert spanned.tolist() == [True, True, False, False, True, True, False, False]

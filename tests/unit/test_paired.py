"""A difference of two rows is about other seeds and other patients, or it is none."""

from typing import Any

import numpy as np
import pytest

from radnet.evaluation.paired import PairedDifference, difference, sentence

Table = np.ndarray[Any, np.dtype[np.float64]]


def rows(seeds: int, patients: int, apart: float, noise: float = 0.02) -> tuple[Table, Table]:
    """Return Dice of two rows: patients differ by much, and the first is better by `apart`."""
    rng = np.random.default_rng(seeds * 100 + patients)
    reference = 0.85 + 0.1 * rng.normal(size=(1, patients)) + 0.01 * rng.normal(size=(seeds, 1))
    return reference + apart + noise * rng.normal(size=(seeds, patients)), reference


def test_patients_that_differ_in_both_rows_alike_do_not_hide_a_difference() -> None:
    """Unpaired, 10 points between patients drown 4 between the rows."""
    found = difference(*rows(3, 8, 0.04))

    assert found.low < 0.04 < found.high
    assert found.significant
    assert found.high - found.low < 0.06
    assert sentence(found) == "told apart by 8 patients and 3 seeds"


def test_one_interval_in_twenty_misses() -> None:
    """Of rows that do not differ; what is counted twice makes it fewer."""
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        apart = (
            0.02 * rng.normal(size=(1, 6)) + 0.02 * rng.normal(size=(3, 1))
            + 0.01 * rng.normal(size=(3, 6))
        )  # fmt: skip
        missed += difference(apart, np.zeros((3, 6))).significant

    assert 2 <= missed <= 20


def test_seeds_that_disagree_are_no_difference() -> None:
    """A hundred patients do not mend that one of three seeds failed."""
    apart = np.repeat([[0.05], [0.04], [-0.06]], 100, axis=1)
    apart = apart + 0.001 * np.random.default_rng(0).normal(size=apart.shape)

    found = difference(apart, np.zeros_like(apart))

    assert not found.significant
    assert found.patients_needed is None
    assert found.seeds_needed
    assert found.seeds_needed > 3
    assert sentence(found).endswith(f"as found, about {found.seeds_needed} seeds")


def test_what_a_row_would_need_is_said() -> None:
    """The difference that would tell it, and the patients that would tell this one."""
    found = difference(*rows(3, 4, 0.01, noise=0.03))

    assert not found.significant
    assert found.needed == pytest.approx((found.high - found.low) / 2)
    assert "needs" in sentence(found)
    many = difference(*rows(1, 6, 0.02, noise=0.03))
    assert many.patients_needed
    assert many.patients_needed > 6
    assert many.seeds_needed is None
    told = sentence(many)
    assert "points with 6 patients and 1 seed (of one seed: nothing is known of others)" in told
    assert f"as found, about {many.patients_needed} patients" in told


def test_as_many_patients_as_are_asked_for_would_do() -> None:
    """The same spread among so many: the interval leaves 0 out; among fewer it does not."""
    one = np.array([[0.03, -0.01, 0.02, 0.0]])
    found = difference(one, np.zeros_like(one))
    assert found.patients_needed

    def again(count: int) -> PairedDifference:
        spread = np.resize(np.array([1.0, -1.0]), count)
        spread = (spread - spread.mean()) / spread.std(ddof=1) * one.std(ddof=1)
        return difference((spread + one.mean())[None], np.zeros((1, count)))

    assert again(found.patients_needed).significant
    assert not again(found.patients_needed - 3).significant


def test_more_comparisons_need_more() -> None:
    """Of five rows one differs by chance five times as often."""
    one, reference = rows(3, 8, 0.04)

    assert difference(one, reference, 5).needed > difference(one, reference).needed


def test_one_patient_tells_nothing() -> None:
    """Whatever the seeds say."""
    found = difference(*rows(3, 1, 0.4))

    assert np.isnan(found.low)
    assert not found.significant
    assert sentence(found) == "one held-out patient tells nothing of others"


def test_rows_that_are_the_same_are_not_told_apart() -> None:
    """Their interval is a point, and 0."""
    same = np.full((2, 3), 0.9)

    assert not difference(same, same).significant

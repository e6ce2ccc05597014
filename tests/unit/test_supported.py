"""How much pixels may add to a header: estimated from left-out patients, or nothing."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnet.datasets.patients import patient_key
from radnet.datasets.scans import Scan
from radnet.evaluation.evaluate import without_choosers
from radnet.evaluation.scoring import ScanReport
from radnet.evaluation.supported import (
    COVERED,
    NOT_COVERED,
    PixelAnswer,
    chooses,
    estimate,
    likelihood,
    remark,
    said_of_a_region,
    word,
)
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.fusion import fuse_regions, fuse_witnesses
from radnet.inference.recognise import Recognised
from radnet.inference.support import COUNTED, Support, Word
from radnet.labels.evidence import Label, SeriesLabels
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.training.left_out import answers

SURE = 0.95


def said(patient: int, truth: str, claim: str, sure: float = SURE) -> PixelAnswer:
    """Return an answer on the agent of an MR."""
    spread = dict.fromkeys(map(str, Contrast), 1 - sure) | {claim: sure}
    return PixelAnswer(patient_key(str(patient)), "MR", "contrast", truth, spread)


def patients(count: int, right: int) -> list[PixelAnswer]:
    """Return answers on as many patients of either class, the first of each told right."""
    found = []
    for number in range(count):
        for offset, (truth, other) in enumerate(
            (("contrast", "noncontrast"), ("noncontrast", "contrast"))
        ):
            claim = truth if number < right else other
            found.append(said(1000 * offset + number, truth, claim))
    return found


def prediction(support: Support, modality: str = "MR", **shares: Any) -> Prediction:
    """Return a prediction that is sure of an agent and of a liver."""
    return Prediction(
        {}, dict.fromkeys(Plane, 1 / 3),
        shares.get("contrast", {Contrast.CONTRAST: SURE, Contrast.NONCONTRAST: 1 - SURE}),
        dict.fromkeys(Region, 0.02) | {Region.LIVER: 0.98},
        4.0, np.zeros((1, len(Region)), np.float32), 32.0, support=support, modality=modality,
    )  # fmt: skip


def test_the_more_patients_were_told_right_the_more_the_word_counts() -> None:
    """Shrunk towards nothing: two of two are not yet what twenty of twenty are."""
    few, some, many = (word(patients(count, count)) for count in (1, 4, 20))

    assert few["best"] == some["best"] == many["best"] == 1
    assert 0 < few["weight"] < some["weight"] < many["weight"] < 1
    assert few["weight"] < 0.25
    assert 0 < few["most_nats"] < some["most_nats"] < many["most_nats"]
    assert few["most_nats"] == pytest.approx(math.log(2), abs=1e-4)
    assert many["patients"] == 40


def test_a_word_that_is_wrong_as_often_as_right_counts_for_nothing() -> None:
    """Sure as it may be."""
    assert word(patients(6, 3))["weight"] == 0
    assert word(patients(6, 3))["most_nats"] == 0
    assert word(patients(6, 1))["weight"] == 0


def test_a_word_that_is_right_less_often_than_it_promises_counts_less() -> None:
    """Five of six at 0.95, which promises nineteen of twenty."""
    found = word(patients(6, 5))

    assert 0 < found["best"] < 0.7
    assert 0 < found["weight"] < found["best"]


def test_who_always_says_the_same_has_proved_nothing() -> None:
    """Eight of eight without an agent, which is what it says of the two with one, too."""
    without = [said(number, "noncontrast", "noncontrast") for number in range(8)]
    agents = [said(100 + number, "contrast", "noncontrast") for number in range(2)]

    assert word(without)["weight"] == word(without)["most_nats"] == 0
    assert word([*without, *agents])["weight"] == word([*without, *agents])["most_nats"] == 0


def test_a_patient_with_many_scans_is_one_patient() -> None:
    """Seventeen prostate series of one man are no seventeen men."""
    one = patients(3, 3)
    often = [*one, *(replace(one[0], spread=dict(one[0].spread)) for _ in range(16))]

    assert word(often) == word(one)
    spoiled = word([*often, said(0, "contrast", "noncontrast")])
    assert spoiled["right"]["contrast"] == 2
    assert spoiled["wrong"]["contrast"] == 1


@given(st.floats(0, 1))
def test_a_weight_of_nothing_says_nothing(weight: float) -> None:
    """The likelihood at 0 is that of even odds, whatever was said."""
    assert likelihood(patients(3, 1), 0.0) == pytest.approx(-math.log(2))
    assert likelihood(patients(3, 3), weight) >= -math.log(2) - 1e-9


def test_patients_choose_or_judge_whoever_else_is_there() -> None:
    """One more patient moves none, and the judged have no say in the figures."""
    found = estimate(patients(12, 12))
    choosing = [one for one in patients(12, 12) if chooses(one.patient)]
    judging = [one for one in patients(12, 12) if not chooses(one.patient)]
    lying = [replace(one, truth="contrast" if one.truth != "contrast" else "noncontrast")
             for one in judging]  # fmt: skip

    assert 4 < found["chosen_on"] < 20
    assert found["chosen_on"] + found["stated_on"] == 24
    assert estimate([*choosing, *lying])["words"] == found["words"]
    assert found["stated"]["MR"]["contrast"]["gain"] > 0.2
    assert estimate([*choosing, *lying])["stated"]["MR"]["contrast"]["gain"] < -0.2
    assert estimate(choosing)["stated"]["MR"]["contrast"]["gain"] is None


def region(patient: int, covered: bool, p: float) -> PixelAnswer:
    """Return an answer on the liver."""
    spread = {COVERED: p, NOT_COVERED: 1 - p}
    truth = COVERED if covered else NOT_COVERED
    return PixelAnswer(patient_key(str(patient)), "CT", "liver", truth, spread)


def test_sure_answers_on_a_region_are_counted_by_patient() -> None:
    """Right only where all scans of the patient are; what is not sure is not counted."""
    found = said_of_a_region(
        [region(1, True, 0.9), region(1, False, 0.9), region(2, True, 0.9), region(3, True, 0.6),
         region(4, False, 0.05)]
    )  # fmt: skip

    assert found == {COVERED: [1, 1], NOT_COVERED: [1, 0]}


def test_a_record_is_read_as_it_was_written() -> None:
    """Its words, its regions; of what is not in it the pixels say nothing."""
    told = estimate(
        [
            *patients(12, 12),
            *(region(n, n % 2 == 0, 0.9 if n % 2 == 0 else 0.1) for n in range(24)),
        ]
    )
    found = Support.of_record({"support": told})

    agent = told["words"]["MR"]["contrast"]
    assert found.word("contrast", "MR") == Word(agent["weight"], agent["most_nats"])
    assert 0 < found.word("contrast", "MR").weight < 1
    assert found.word("contrast", "CT") == found.word("plane", "MR") == Word()
    assert found.word("liver", "CT").weight > 0
    assert found.confirms("liver", "CT", covered=True)
    wrong = {"words": {"CT": {"liver": {"weight": 0, "most_nats": 0, COVERED: [0, 2]}}}}
    assert Support.of_record({"support": wrong}).refuted("liver", "CT", covered=True)
    assert not Support.of_record({"support": wrong}).confirms("liver", "CT", covered=True)


def test_weights_without_a_record_go_by_what_was_counted() -> None:
    """As before: within the bounds their whole word."""
    network = Classifier(cast("Any", None), {}, "0" * 64, "made")

    assert network.support is COUNTED
    assert COUNTED.word("plane", "CT") == Word(1.0, math.log(6))
    assert COUNTED.word("contrast", "MR").most_nats == 0
    assert COUNTED.word("liver", "MR") == COUNTED.word("coverage", "MR")


def test_what_counts_half_moves_a_header_half_as_far() -> None:
    """Of the log-odds, within the bound; where it counts for nothing the header stands alone."""
    header = SeriesLabels(contrast=Label("contrast", 0.85), regions={"liver": 0.7})

    def fused(word: Word) -> tuple[float, float]:
        words = {("contrast", "MR"): word, ("liver", "MR"): word}
        pixels = prediction(Support(words, {}))
        agent = fuse_witnesses(header, pixels, 0.6).classes["contrast"].probability
        return agent, fuse_regions(header.regions, pixels)["liver"]

    def moved(p: float, start: float) -> float:
        return math.log(p / (1 - p)) - math.log(start / (1 - start))

    whole, half, none = (fused(Word(weight, 9.0)) for weight in (1.0, 0.5, 0.0))
    little = fused(Word(1.0, 0.1))

    for index, start in enumerate((0.85, 0.7)):
        assert moved(half[index], start) == pytest.approx(moved(whole[index], start) / 2, rel=1e-3)
        assert moved(none[index], start) == pytest.approx(0, abs=1e-6)
        assert moved(little[index], start) == pytest.approx(0.1, abs=1e-6)


def test_pixels_without_support_do_not_fill_a_silence_either() -> None:
    """Until left-out scans say that they can tell."""
    sure = prediction(Support({("contrast", "MR"): Word(0.5, 1.0)}, {}))
    unproved = prediction(Support({}, {}))

    assert fuse_witnesses(SeriesLabels(), sure, 0.6).classes["contrast"].value == "contrast"
    assert fuse_witnesses(SeriesLabels(), unproved, 0.6).classes["contrast"].value is None


def test_answers_are_what_the_pixels_were_asked_and_is_known() -> None:
    """No sequence of a CT, nothing of what nobody knows."""
    scan = Scan(
        "s", "dicom", "CT", Sequence.CT, Plane.AXIAL, None, frozenset({Region.LIVER}), True,
        "", "", "test",
    )  # fmt: skip
    said = prediction(COUNTED, "CT")

    found = {one.name: one for one in answers(scan, said, "ab")}

    assert set(found) == {"plane", *map(str, Region)}
    assert found["liver"].truth == COVERED
    assert found["brain"].truth == NOT_COVERED
    assert found["liver"].spread[COVERED] == 0.98
    assert {one.patient for one in found.values()} == {"ab"}
    unsure = replace(scan, coverage_whole=False)
    assert {one.name for one in answers(unsure, said, "ab")} == {"plane"}


def test_the_card_states_what_pixels_may_add() -> None:
    """And on how many patients that was measured; or that it was not measured of these weights."""
    told = estimate(patients(12, 12))
    word = told["words"]["MR"]["contrast"]

    said = remark({"support": told})

    assert f"MR contrast {word['weight']:.2f} of their log-odds" in said
    assert f"{word['most_nats']:.2f} nats at most ({word['patients']} patients)" in said
    assert f"stated on {told['stated_on']} others" in said
    assert "nothing" in remark({"support": estimate(patients(12, 6))})
    assert "radnet support" in remark({})


def test_who_chose_does_not_judge_what_fusing_is_worth() -> None:
    """Of weights that carry it; their own pixels are judged on every patient."""
    scan = Scan(
        "s", "dicom", "CT", Sequence.CT, Plane.AXIAL, None, frozenset(), False, "", "", "test"
    )
    said = prediction(COUNTED, "CT")
    both = Recognised(SeriesLabels(), said, fuse_witnesses(SeriesLabels(), said, 0.6))
    names = [patient_key(str(number)) for number in range(20)]
    record = {"support": estimate(patients(12, 12))}

    for name in names:
        one = ScanReport(scan, [], None, said, patient=name, recognised=both)
        judged = without_choosers(one, record)
        assert (judged.recognised is None) == chooses(name)
        assert judged.prediction is said
        assert without_choosers(one, {}) is one
    assert 4 < sum(map(chooses, names)) < 16

"""The poster's first table: what each figure means, and what a page shows."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from radnet.datasets.scans import Scan
from radnet.evaluation.report_card import tables
from radnet.evaluation.report_page import cells, maker_rows, page
from radnet.evaluation.scorecard import calibration, scorecard
from radnet.evaluation.scoring import (
    About,
    HeadVerdict,
    LiverScore,
    ScanReport,
    compared,
    is_stranger,
    verdicts,
)
from radnet.inference.classifier import Prediction
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence


def report(truth: Plane, said: Plane, sure: float, vendor: str = "GE") -> ScanReport:
    """Return a report of one liver CT whose plane was said to be `said`, `sure`."""
    scan = Scan(
        "s", "dicom", "CT", Sequence.CT, truth, Contrast.CONTRAST, frozenset({Region.LIVER}),
        True, "", "", "test",
    )  # fmt: skip
    rest = (1 - sure) / 2
    prediction = Prediction(
        {},
        {name: sure if name is said else rest for name in Plane},
        {Contrast.CONTRAST: 0.7, Contrast.NONCONTRAST: 0.3},
        {region: 0.9 if region is Region.LIVER else 0.1 for region in Region},
        4.0,
        np.zeros((1, 9), np.float32),
        32.0,
        modality="CT",
    )
    return ScanReport(scan, verdicts(scan, prediction), None, prediction, vendor)


FOUND = [
    *[report(Plane.AXIAL, Plane.AXIAL, 0.95) for _ in range(7)],
    report(Plane.SAGITTAL, Plane.AXIAL, 0.95, "SIEMENS"),
    report(Plane.CORONAL, Plane.CORONAL, 0.55, "SIEMENS"),
    report(Plane.CORONAL, Plane.SAGITTAL, 0.45),
]


def test_each_class_is_judged_against_the_rest() -> None:
    """(TP + TN) / N for a class as in the poster, the share of right answers for a head."""
    lines = {line.name: line for line in scorecard(FOUND)}

    assert (lines["axial"].samples, lines["axial"].judged) == (7, 10)
    assert lines["axial"].accuracy == pytest.approx(0.9)
    assert lines["sagittal"].accuracy == pytest.approx(0.8)
    assert lines["plane"].accuracy == pytest.approx(0.8)
    assert lines["plane"].low < 0.8 < lines["plane"].high
    assert lines["axial"].auc == pytest.approx(1.0, abs=0.2)
    assert lines["coverage exact"].accuracy == 1
    assert cells(lines["axial"])[7:] == ["267", "99.4", "100.0"]


@pytest.mark.parametrize(
    ("role", "test_only", "left_out", "stranger"),
    [
        ("test", False, True, True),
        ("test", False, False, False),
        ("test", True, False, True),
        ("train", False, True, False),
    ],
)
def test_no_figure_is_told_of_a_scan_that_was_learned_from(
    role: Literal["train", "test"], test_only: bool, left_out: bool, stranger: bool
) -> None:
    """The network that serves learned from the test side, too, but for what is test only."""
    scan = replace(report(Plane.AXIAL, Plane.AXIAL, 1.0).scan, role=role, test_only=test_only)

    assert is_stranger(scan, {"left_out": left_out}) is stranger


def test_calibration_compares_what_was_said_with_what_was_right() -> None:
    """Ten answers at 0.7 that are all right are 0.3 off."""
    error, bins = calibration([report(Plane.AXIAL, Plane.AXIAL, 0.95) for _ in range(10)])

    assert error == pytest.approx((0.05 + 0.3) / 2, abs=1e-6)
    assert sum(count for *_, count in bins) == 20


def test_series_of_one_patient_are_one_patient_s_word() -> None:
    """Ten scans right of two patients are no ten answers: the interval stays wide."""
    apart = {line.name: line for line in scorecard([*FOUND[:7], *FOUND[:3]])}
    two = [replace(one, patient=f"p{n % 2}") for n, one in enumerate([*FOUND[:7], *FOUND[:3]])]
    together = {line.name: line for line in scorecard(two)}

    assert together["plane"].judged == apart["plane"].judged == 10
    assert apart["plane"].low == pytest.approx(0.025 ** (1 / 10))
    assert together["plane"].low == pytest.approx(0.025 ** (1 / 2))


def test_a_page_shows_makers_confusion_and_the_poster() -> None:
    """It stands alone: no script, no other file; names are escaped."""
    rows = maker_rows(FOUND)
    html = page(FOUND, scorecard(FOUND), About("a <b> of weights"))

    assert [row[:2] for row in rows] == [["GE", "8"], ["SIEMENS", "2"]]
    assert rows[1][3].startswith("50.0, ")
    assert "a &lt;b&gt; of weights" in html
    assert "data:image/png;base64," in html
    assert "<script" not in html
    assert 'rgba(70,130,180,0.50)">1' in html  # one of two coronal ones was called sagittal
    assert "<td>coronal</td><td>sagittal</td><td>0.45</td>" in html  # and is among the wrong


def test_no_text_of_a_page_is_markup() -> None:
    """Scans, makers, labels and reasons come from files that anybody may have written."""
    text = '\'"><script>alert(1)</script><i title="&amp;">'
    wrong = report(Plane.SAGITTAL, Plane.AXIAL, 0.95, vendor=text)
    judged = [HeadVerdict("plane", truth=text, said=text + ".", probability=0.95)]
    liver = LiverScore(0.9, 1000, 900, 3.0)
    scan = replace(wrong.scan, name=text)
    found = [replace(wrong, scan=scan, verdicts=[*wrong.verdicts, *judged], liver=liver)]

    html = page(found, scorecard(found), About(text, refused=(text,)))

    assert "<script" not in html
    assert "<i" not in html.replace("<img", "")
    assert (
        html.count("&lt;script&gt;alert(1)&lt;/script&gt;&lt;i title=&#34;&amp;amp;&#34;&gt;") == 8
    )


def test_the_posters_samples_are_those_of_the_class() -> None:
    """100 of its 316 had an agent; ours stand beside them."""
    lines = {line.name: line for line in scorecard(FOUND)}

    assert cells(lines["contrast"])[1] == "10"
    assert cells(lines["contrast"])[7:] == ["100", "84.8", "91.7"]


def test_an_area_under_the_curve_has_its_interval() -> None:
    """By bootstrap over scans, as that of the share; none where there is no area."""
    lines = {line.name: line for line in scorecard([*FOUND, *FOUND])}

    sagittal = lines["sagittal"]
    assert 0 <= sagittal.auc_low < sagittal.auc < sagittal.auc_high <= 1
    assert lines["axial"].auc_low <= lines["axial"].auc <= lines["axial"].auc_high
    assert np.isnan(lines["plane"].auc_low)
    few = cells(sagittal)
    assert few[2] == "20"  # judged
    assert few[6].count("-") == 1


def test_a_card_tells_what_the_page_draws() -> None:
    """Confusion and reliability as numbers, the liver in mm and mL."""
    liver = replace(FOUND[0], liver=LiverScore(0.9, 1000.0, 980.0, 7.5))
    missed = replace(FOUND[0], liver=LiverScore(0.0, 500.0, 0.0, float("nan")))

    card = tables([*FOUND, liver, missed], scorecard(FOUND), About("weights"))

    assert "| plane: coronal | coronal 1, sagittal 1 |" in card
    assert "| 0.4-0.5 | 1 | 45.0 | 0.0 |" in card
    assert "| s | 0.900 | 7.5 | 1000 | 980 | -20 |" in card
    assert "| s | 0.000 | - | 500 | 0 | -500 |" in card
    assert "livers missed: 1 of 2" in card
    assert "volume error mean -260 mL, its size 260 mL" in card


def test_a_liver_where_there_is_none_is_told_from_one_that_was_missed() -> None:
    """Both lack a distance of surfaces; a mask that is rightly empty is neither."""
    nan = float("nan")
    scores = [(0.9, 1000.0, 980.0, 7.5), (1.0, 0.0, 0.0, nan), (0.0, 0.0, 36.0, nan)]
    found = [replace(FOUND[0], liver=LiverScore(*score)) for score in scores]

    card = tables(found, scorecard(FOUND), About("weights"))

    assert "livers missed: 0 of 1" in card
    assert "found where there is none: 1 of 2" in card


def test_masks_are_compared_on_the_scans_own_grid() -> None:
    """In mm of that grid: a cube that is shifted by one slice of 5 mm."""
    truth = np.zeros((20, 20, 20), bool)
    truth[5:10, 5:10, 5:10] = True

    found = compared(np.roll(truth, 1, axis=0), truth, (5.0, 1.0, 1.0))

    assert found.dice == pytest.approx(0.8)
    assert found.hd95_mm == pytest.approx(5.0)
    assert found.error_ml == 0
    assert found.truth_ml == pytest.approx(125 * 5 / 1000)


def test_what_is_not_known_of_a_scan_is_not_judged() -> None:
    """A head by the scans whose truth in it is known, and that were asked."""
    one = FOUND[0]
    rows = [
        one,
        replace(one, scan=replace(one.scan, plane=None)),
        replace(one, scan=replace(one.scan, contrast=None)),
        replace(one, scan=replace(one.scan, coverage_whole=False)),
        replace(one, prediction=replace(one.prediction, plane={})),
    ]

    judged = {line.name: line.judged for line in scorecard(rows)}

    assert (judged["plane"], judged["axial"], judged["contrast"]) == (3, 3, 4)
    assert judged["coverage exact"] == judged["liver"] == 4
    assert "sequence" not in judged  # of a CT it is given
    assert "coronal" not in judged  # nobody has it or said it
    assert scorecard([]) == []
    nothing = replace(one, scan=replace(one.scan, plane=None, contrast=None, coverage_whole=False))
    assert scorecard([nothing]) == []


def test_half_is_not_enough_for_a_yes() -> None:
    """A probability of exactly a half says no, of an agent and of a region."""
    one = FOUND[0]
    even = replace(
        one.prediction,
        contrast={Contrast.CONTRAST: 0.5, Contrast.NONCONTRAST: 0.5},
        coverage=dict.fromkeys(Region, 0.5),
    )

    lines = {line.name: line for line in scorecard([replace(one, prediction=even)])}

    assert lines["contrast"].accuracy == 0
    assert (lines["liver"].accuracy, lines["brain"].accuracy) == (0, 1)
    assert lines["coverage exact"].accuracy == 0


def test_a_bin_has_its_upper_end_and_not_its_lower() -> None:
    """Each answer is in one bin; the mean is weighed by how many there are."""
    one = FOUND[0]
    sure = [(0.5, True), (0.5, False), (0.51, True), (1.0, True), (0.1, False)]
    judged = [HeadVerdict("plane", "axial", "axial" if right else "x", p) for p, right in sure]
    region = HeadVerdict("liver", "1", "1", 0.9)

    error, bins = calibration([replace(one, verdicts=[*judged, region])])

    assert bins == [
        (pytest.approx(0.1), 0.0, 1),
        (0.5, 0.5, 2),
        (pytest.approx(0.51), 1.0, 1),
        (1.0, 1.0, 1),
    ]
    assert error == pytest.approx((0.1 * 1 + 0.0 * 2 + 0.49 * 1 + 0.0 * 1) / 5)
    error, bins = calibration([])
    assert np.isnan(error)
    assert bins == []

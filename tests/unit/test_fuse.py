"""Fusing header and pixel evidence."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.classify.fuse import fuse
from node.classify.tags import tags
from node.model.records import Finding
from radnet.inference.classifier import Prediction
from radnet.inference.fusion import fuse_classes, fuse_odds
from radnet.labels.evidence import Evidence, Label, SeriesLabels
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence


def prediction(contrast: float = 0.5, liver: float = 0.5) -> Prediction:
    """Return a prediction for a CT that is sure of axial."""
    return Prediction(
        sequence={},
        plane={p: 0.98 if p == Plane.AXIAL else 0.01 for p in Plane},
        contrast={Contrast.CONTRAST: contrast, Contrast.NONCONTRAST: 1 - contrast},
        coverage={r: liver if r == Region.LIVER else 0.02 for r in Region},
        spacing_mm=5.0,
        cells=np.zeros((1, len(Region)), np.float32),
        cell_mm=32.0,
        modality="CT",
    )


def of_mr(said: Sequence) -> Prediction:
    """Return a prediction for an MR that is sure of its sequence."""
    spread: dict[Sequence, float] = {n: 0.95 if n is said else 0.01 for n in MR_SEQUENCES}
    return replace(prediction(), sequence=spread, modality="MR")


def silent(**known: Label) -> SeriesLabels:
    """Return header labels that say only what is given."""
    return SeriesLabels(**known)  # type: ignore[arg-type]


def label(value: str, confidence: float, attribute: str) -> Label:
    """Return a label with one piece of evidence."""
    return Label(value, confidence, (Evidence(value, 3.0, "rule", attribute, "text"),))


def fused(findings: list[Finding]) -> dict[str, Finding]:
    """Return the fused findings by name."""
    return {finding.name: finding for finding in findings if finding.source == "fused"}


def test_unsure_contrast_is_unknown() -> None:
    """The word "unknown" is an answer (promise 7)."""
    found = fused(fuse(silent(), prediction(contrast=0.55), unknown_below=0.6))

    assert found["contrast"].value is None
    assert found["contrast"].probability == pytest.approx(0.55)


def test_agreeing_witnesses_are_surer_than_either() -> None:
    """Evidence that errs independently adds up."""
    header = silent(contrast=label("contrast", 0.85, "ContrastBolusAgent"))

    found = fused(fuse(header, prediction(contrast=0.8), unknown_below=0.6))

    assert found["contrast"].value == "contrast"
    assert found["contrast"].probability > 0.9


def test_contradicting_witnesses_end_unknown() -> None:
    """A header and pixels that disagree with equal force cancel."""
    header = silent(contrast=label("contrast", 0.85, "ContrastBolusAgent"))

    found = fused(fuse(header, prediction(contrast=0.15), unknown_below=0.6))

    assert found["contrast"].value is None


def test_series_without_volume_keeps_its_header_findings() -> None:
    """One slice is still a CT."""
    header = silent(sequence=label("CT", 0.99, "Modality"))

    found = fused(fuse(header, None, unknown_below=0.6))

    assert found["sequence"].value == "CT"
    assert found["coverage"].value is None


def test_divided_header_stands_in_the_finding_without_its_text() -> None:
    """Conflicts are told by attribute and rule; a description may hold a name."""
    divided = Label("", 0.6, (Evidence("CT", 1.0, "rule", "ProtocolName", "Doe^Jane"),), ("a",))

    found = fused(fuse(silent(sequence=divided), None, unknown_below=0.6))

    assert found["sequence"].value is None
    assert found["sequence"].evidence["conflicts"] == 1
    assert "Doe" not in str(found["sequence"].evidence)


def test_coverage_of_a_knee_is_none_of_the_regions() -> None:
    """A header that names another body part says no to all nine."""
    knee = SeriesLabels(
        coverage=label("elsewhere", 0.95, "BodyPartExamined"),
        regions={str(region): 0.05 for region in Region},
    )

    found = fused(fuse(knee, None, unknown_below=0.6))

    assert found["coverage"].value == []


def test_disagreement_of_header_and_pixels_is_a_finding_of_its_own() -> None:
    """A header that says T1 on pixels that are surely T2 is worth a person's look."""
    header = silent(sequence=label("T1", 0.97, "SeriesDescription"))

    found = fused(fuse(header, of_mr(Sequence.T2), unknown_below=0.6))
    agreeing = fused(fuse(header, of_mr(Sequence.T1), 0.6))

    assert found["disagreement"].value == ["sequence"]
    assert "disagreement" not in agreeing


@given(st.floats(0, 1), st.floats(0, 1))
def test_odds_are_symmetric_and_bounded(a: float, b: float) -> None:
    """The order of witnesses does not matter."""
    assert fuse_odds(a, b) == pytest.approx(fuse_odds(b, a))
    assert 0 <= fuse_odds(a, b) <= 1


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_fused_classes_are_a_distribution(shares: list[float]) -> None:
    """Whatever comes in, the sum is one."""
    header = dict(zip("abc", shares, strict=True))

    assert sum(fuse_classes(header, header).values()) == pytest.approx(1.0)


def test_tags_leave_unknown_out() -> None:
    """No label is better than a wrong one."""
    findings = {
        "sequence": Finding("sequence", "CT", 0.99, "fused", {}),
        "contrast": Finding("contrast", None, 0.5, "fused", {}),
        "coverage": Finding("coverage", ["liver", "kidney"], 0.9, "fused", {}),
        "localizer": Finding("localizer", False, 0.9, "fused", {}),
    }

    texts, labels = tags(findings)

    assert texts == {"sequence": "CT", "coverage": "liver;kidney"}
    assert labels == ["CT", "liver", "kidney"]


def test_pixels_alone_answer_only_where_they_are_right_often_enough() -> None:
    """The threshold that comes with the weights holds where the header is silent."""
    careful = replace(prediction(contrast=0.8), answer_above={"contrast": 0.9})
    header = silent(contrast=label("contrast", 0.85, "ContrastBolusAgent"))

    assert fused(fuse(silent(), careful, unknown_below=0.6))["contrast"].value is None
    assert fused(fuse(header, careful, unknown_below=0.6))["contrast"].value == "contrast"


@pytest.mark.parametrize(
    ("liver", "covered", "unknown"),
    [(0.97, True, False), (0.8, False, True), (0.03, False, False)],
)
def test_a_region_is_covered_or_not_or_unknown(liver: float, covered: bool, unknown: bool) -> None:
    """Pixels alone answer either way only where they are right often enough."""
    bounds = {str(region): 0.9 for region in Region}, {str(region): 0.1 for region in Region}
    careful = replace(prediction(liver=liver), covered_above=bounds[0], covered_below=bounds[1])

    found = fused(fuse(silent(), careful, unknown_below=0.6))

    assert (found["coverage"].value == ["liver"]) is covered
    assert (found["coverage_unknown"].value == ["liver"]) is unknown


def test_of_a_region_that_nobody_speaks_of_nothing_is_known() -> None:
    """A header that names the liver alone says nothing of the kidneys."""
    header = SeriesLabels(coverage=label("liver", 0.9, "BodyPart"), regions={"liver": 0.9})

    found = fused(fuse(header, None, unknown_below=0.6))

    assert found["coverage"].value == ["liver"]
    assert found["coverage_unknown"].value == [str(r) for r in Region if r != Region.LIVER]
    nothing = fused(fuse(silent(), None, unknown_below=0.6))
    assert nothing["coverage_unknown"].value == [str(r) for r in Region]


def test_strange_pixels_are_no_witness() -> None:
    """What rests on them alone is unknown, the header stands, and the contradiction is told."""
    strange = replace(prediction(contrast=0.9, liver=0.97), strangeness=0.5, strange_above=0.3)
    strange = replace(strange, sequence=of_mr(Sequence.T2).sequence, modality="MR")
    header = silent(sequence=label("T1", 0.97, "SeriesDescription"))

    found = fused(fuse(header, strange, unknown_below=0.6))

    assert found["strange"].value is True
    assert found["strange"].probability == 0.5
    assert found["contrast"].value is None
    assert found["coverage"].value is None
    assert found["sequence"].value == "T1"
    assert found["disagreement"].value == ["sequence"]


def test_usual_pixels_speak() -> None:
    """Below the bound nothing changes."""
    usual = replace(prediction(contrast=0.9), strangeness=0.2, strange_above=0.3)

    found = fused(fuse(silent(), usual, unknown_below=0.6))

    assert found["strange"].value is False
    assert found["contrast"].value == "contrast"


def test_unknown_regions_are_no_tags() -> None:
    """An archive must not show a liver of which nobody knows."""
    unknown = Finding("coverage_unknown", ["liver"], 0.5, "fused", {})

    assert tags({"coverage_unknown": unknown}) == ({}, [])


def test_what_nobody_looks_for_is_no_label() -> None:
    """A disagreement on the coverage is not a label `coverage`; "other" says nothing."""
    findings = {
        "sequence": Finding("sequence", "other", 0.99, "fused", {}),
        "disagreement": Finding("disagreement", ["coverage", "plane"], 1.0, "fused", {}),
        "strange": Finding("strange", True, 0.9, "fused", {}),
        "own_output": Finding("own_output", True, 1.0, "fused", {}),
        "derived": Finding("derived", True, 0.9, "fused", {}),
    }

    texts, labels = tags(findings)

    assert labels == ["derived"]
    assert texts["disagreement"] == "coverage;plane"


def by_source(findings: list[Finding]) -> dict[tuple[str, str], Finding]:
    """Return findings by name and source."""
    return {(finding.name, finding.source): finding for finding in findings}


def test_each_witness_of_a_class_stands_beside_what_was_fused() -> None:
    """Fused first; shares of the pixels to four digits; no text of the header."""
    header = silent(plane=label("axial", 0.9, "ImageOrientationPatient"))
    shares = dict.fromkeys(Plane, 0.0) | {Plane.AXIAL: 0.087655, Plane.CORONAL: 0.912345}
    seen = replace(prediction(), plane=shares)

    found = [one for one in fuse(header, seen, unknown_below=0.6) if one.name == "plane"]

    assert [one.source for one in found] == ["fused", "header", "pixels"]
    because = {"because": ["ImageOrientationPatient, rule rule: axial"]}
    assert found[0].evidence == because
    assert found[1] == Finding("plane", "axial", 0.9, "header", because)
    told = dict.fromkeys(map(str, Plane), 0.0) | {"axial": 0.0877, "coronal": 0.9123}
    assert found[2] == Finding("plane", "coronal", 0.9123, "pixels", told)


def test_a_silent_header_is_told_as_such() -> None:
    """And is no witness; nor are pixels where there is no volume."""
    found = by_source(fuse(silent(), None, unknown_below=0.6))

    assert found["contrast", "fused"].evidence == {"header": "silent"}
    assert {source for _, source in found} == {"fused"}
    divided = fuse(silent(contrast=label("contrast", 0.9, "Agent")), None, unknown_below=0.6)
    assert "conflicts" not in by_source(divided)["contrast", "fused"].evidence


def test_each_witness_of_the_coverage_stands_beside_what_was_fused() -> None:
    """As sure as of the least sure region; a header's "elsewhere" is no region."""
    header = SeriesLabels(
        coverage=label("liver;elsewhere", 0.9, "BodyPartExamined"), regions={"liver": 0.9}
    )
    shares = dict.fromkeys(Region, 0.02) | {Region.LIVER: 0.5, Region.KIDNEY: 0.876543}
    seen = replace(prediction(), coverage=shares)

    found = by_source(fuse(header, seen, unknown_below=0.6))

    told = found["coverage", "header"]
    assert (told.value, told.probability) == (["liver"], 0.9)
    assert told.evidence == {"because": ["BodyPartExamined, rule rule: liver;elsewhere"]}
    pixels = found["coverage", "pixels"]
    assert pixels.value == [str(one) for one in Region if one in (Region.LIVER, Region.KIDNEY)]
    assert pixels.probability == 0.5
    assert pixels.evidence == {str(region): round(share, 4) for region, share in shares.items()}
    together = found["coverage", "fused"]
    assert set(together.evidence) == {str(region) for region in Region}
    assert together.evidence["kidney"] == 0.8765
    assert together.probability == pytest.approx(0.8765, abs=1e-4)
    assert found["coverage_unknown", "fused"].probability == together.probability


def test_of_the_coverage_nobody_speaks_of_nothing_is_sure() -> None:
    """One half: as likely as not."""
    found = by_source(fuse(silent(), None, unknown_below=0.6))

    assert found["coverage", "fused"].probability == 0.5
    assert found["coverage", "fused"].evidence == {}
    assert found["coverage_unknown", "fused"].probability == 0.5


def test_what_only_headers_know_is_fused_as_they_say() -> None:
    """Typed: a word of the header that is "0" is no."""
    header = silent(
        localizer=label("0", 0.8, "ImageType"), derived=label("1", 0.9, "DerivationDescription")
    )

    found = by_source(fuse(header, None, unknown_below=0.6))

    assert found["localizer", "fused"] == Finding(
        "localizer", False, 0.8, "fused", {"because": ["ImageType, rule rule: 0"]}
    )
    assert found["derived", "fused"].value is True
    assert "derived" not in fused(fuse(silent(), None, unknown_below=0.6))


def test_strangeness_is_told_with_its_bound() -> None:
    """How strange, from where on it counts, and of how many known scans less is true."""
    seen = replace(prediction(), strangeness=0.4, strange_above=0.3, strange_share=0.99)

    found = fused(fuse(silent(), seen, unknown_below=0.6))["strange"]

    assert (found.value, found.probability) == (True, 0.4)
    assert found.evidence == {
        "above": 0.3, "share of known scans below": 0.99, "noise": False,
    }  # fmt: skip
    assert "strange" not in fused(fuse(silent(), prediction(), unknown_below=0.6))


@pytest.mark.parametrize("strangeness", [None, 0.1])
def test_noise_is_strange_without_doubt(strangeness: float | None) -> None:
    """However usual it looks to the network, or where that cannot be told."""
    seen = replace(prediction(), noise=True, strangeness=strangeness)

    found = fused(fuse(silent(), seen, unknown_below=0.6))["strange"]

    assert (found.value, found.probability) == (True, 1.0)
    assert found.evidence["noise"] is True


def test_what_is_not_strange_at_all_is_told_so() -> None:
    """A strangeness of nothing is a figure, too."""
    seen = replace(prediction(), strangeness=0.0, strange_above=0.3)

    found = fused(fuse(silent(), seen, unknown_below=0.6))["strange"]

    assert (found.value, found.probability) == (False, 0.0)

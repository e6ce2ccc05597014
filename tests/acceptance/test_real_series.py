"""Real series, shipped weights: what is said of them is what a person sees, or "unknown"."""

import csv
from pathlib import Path
from typing import Any

import pytest

from node.classify.recognise import recognise
from radnet.inference.classifier import Classifier
from radnet.labels.vocabulary import Region


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Load the shipped classifier once."""
    return Classifier.load()


SERIES = (
    "ct_abdomen_hcc007_pre",
    "ct_abdomen_hcc015_recon",
    "ct_abdomen_ts",
    "ct_chest_acrin013",
    "ct_head_ge",
    "ct_headneck_acrin001",
    "mr_epi_brainix",
    "mr_flair_brainix",
    "mr_flair_rembrandt",
    "mr_localizer_knix",
    "mr_t1_ax_cptac",
    "mr_t1_knee",
    "mr_t1_sag_hfdr",
    "mr_t1_sag_hfs",
    "mr_t2_brain_adi",
    "mr_t2_cor_abdomen",
    "mr_t2_knee",
    "mr_t2_ax_px0000",
    "mr_dwi_b800_px0000",
)
# what a person sees, where the header or the pixels see something else
CONTESTED = {
    "ct_headneck_acrin001": False,
    "mr_t2_ax_px0000": True,
    "mr_dwi_b800_px0000": True,
}  # and whether the header is right


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("series", SERIES)
def test_fused_findings_are_true_or_unknown(
    series: str, real_data: Path, classifier: Classifier
) -> None:
    """A wrong hanging label is worse than no label (the manifest is the truth).

    Coverage is judged below, where header and pixels quarrel about it.
    """
    with (real_data / "MANIFEST.csv").open(encoding="utf-8") as file:
        truth = next(row for row in csv.DictReader(file) if row["id"] == series)
    paths = sorted((real_data / "dicom" / series).glob("*.dcm"))

    known = recognise(paths, classifier, unknown_below=0.6)

    fused = {f.name: f.value for f in known.findings if f.source == "fused"}
    for head in ("sequence", "plane", "contrast"):
        if truth[head]:
            assert fused[head] in (truth[head], None)
    assert fused["sequence"] == truth["sequence"]
    assert ("localizer" in series) == (fused["localizer"] is True)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("series", CONTESTED)
def test_where_header_and_pixels_quarrel_no_region_is_wrong(
    series: str, real_data: Path, classifier: Classifier
) -> None:
    """A prostate keeps its pelvis; a head and neck called BREAST is no breast; both are told."""
    with (real_data / "MANIFEST.csv").open(encoding="utf-8") as file:
        truth = next(row for row in csv.DictReader(file) if row["id"] == series)
    paths = sorted((real_data / "dicom" / series).glob("*.dcm"))

    known = recognise(paths, classifier, unknown_below=0.6)

    fused: dict[str, Any] = {f.name: f.value for f in known.findings if f.source == "fused"}
    there = set(truth["coverage"].split(";"))
    answered = {str(region) for region in Region} - set(fused["coverage_unknown"] or ())
    assert "coverage" in (fused["disagreement"] or ())
    assert set(fused["coverage"] or ()) == there & answered
    if CONTESTED[series]:
        assert fused["coverage_unknown"] == []

"""What real scans said for the pixels, and what the poster reported: figures that fit together."""

import pytest

from radnet.evaluation.scorecard import POSTER
from radnet.inference.support import PATIENTS, REGIONS
from radnet.labels.vocabulary import HEADS, Region

JUDGED = {"CT": 5, "MR": 11}
"""Patients whose scans the network never saw; see `radnet.inference.support`."""


@pytest.mark.parametrize(
    ("head", "modality"), [("sequence", "MR"), ("plane", "MR"), ("plane", "CT")]
)
def test_every_patient_was_right_or_wrong(head: str, modality: str) -> None:
    """Each has a plane, and of MR a weighting: their counts are those of the patients."""
    assert sum(PATIENTS[head, modality]) == JUDGED[modality]


def test_no_more_patients_were_counted_than_there_were() -> None:
    """Of some the agent or the coverage is not known, or the network called them strange."""
    assert {head for head, _ in PATIENTS} == set(HEADS) - {"localizer", "derived"}
    assert {modality for _, modality in PATIENTS} == set(JUDGED)
    for (_, modality), counts in PATIENTS.items():
        assert 0 < sum(counts) <= JUDGED[modality]
    for (modality, region, _), counts in REGIONS.items():
        assert region in set(Region)
        assert 0 < sum(counts) <= JUDGED[modality]


@pytest.mark.parametrize("name", POSTER)
def test_figures_of_the_poster_are_percentages_of_its_test_set(name: str) -> None:
    """Of 316 scans; a share is beyond what a coin would give, and at most all."""
    samples, *shares = POSTER[name]

    assert samples is None or 0 < samples <= POSTER["plane"][0]  # type: ignore[operator]
    assert all(share is None or 80 < share <= 100 for share in shares)


def test_the_planes_of_the_poster_are_all_its_scans() -> None:
    """Each has one of three."""
    planes = [POSTER[name][0] for name in ("axial", "coronal", "sagittal")]

    assert sum(count for count in planes if count) == POSTER["plane"][0]
    assert POSTER["plane"][0] == POSTER["sequence"][0] == POSTER["coverage exact"][0] == 316

"""The recognition report in the eyes of dicom3tools and dcmtk."""

import subprocess
from pathlib import Path

import pytest

from node.classify.recognition_report import build_recognition_report
from node.classify.study_findings import StudyFindings
from node.segment.liver import encode
from radnet.labels.vocabulary import Region
from tests.made_ct import edition
from tests.made_findings import findings, recognised, study

pytestmark = pytest.mark.dcmtk

STUDIES = {
    "brain": study(),
    "unknown": study(recognised(4, *findings(None, None, None, (), tuple(Region)))),
    "nothing": study(recognised(4, modality="", description="")),
    "several": study(
        recognised(1, *findings(coverage=tuple(Region)), modality="CT"),
        recognised(2, *findings(), description="<b>T2</b>\x1b\x00 ä 脳" * 100),
    ),
}


@pytest.mark.parametrize("made", STUDIES.values(), ids=STUDIES)
def test_reports_are_valid_in_two_revisions(
    made: StudyFindings, dcmtk: dict[str, str], tmp_path: Path
) -> None:
    """By the letter of PS3.3, and as a tree that a reader of SR walks without a complaint."""
    first = build_recognition_report(made, edition(1))
    second = build_recognition_report(made, edition(2), [first])
    for report in (first, second):
        path = tmp_path / f"{report.InstanceNumber}.dcm"
        path.write_bytes(encode(report))
        _check(dcmtk, path, len(made.series))


def test_a_study_of_300_series_is_one_valid_report(dcmtk: dict[str, str], tmp_path: Path) -> None:
    """As many as a long examination of the heart has."""
    made = study(*(recognised(n, *findings(None, None, None, (), ())) for n in range(300)))
    path = tmp_path / "many.dcm"
    path.write_bytes(encode(build_recognition_report(made, edition(1))))

    _check(dcmtk, path, 300)


def _check(dcmtk: dict[str, str], path: Path, groups: int) -> None:
    checked = subprocess.run(
        [dcmtk["dciodvfy"], str(path)], capture_output=True, text=True, check=True
    )
    lines = (checked.stdout + checked.stderr).splitlines()
    assert "ComprehensiveSR" in lines
    assert [line for line in lines if line.startswith("Error")] == []
    # it knows the coding schemes of 2022; ours is explained in the report itself
    assert all("99RADNET" in line for line in lines if line.startswith("Warning"))

    shown = subprocess.run(
        [dcmtk["dsrdump"], "+Pu", str(path)], capture_output=True, text=True, check=True
    )
    complaints = [line for line in shown.stderr.splitlines() if "VR checker" not in line]
    assert complaints == []
    assert shown.stdout.count("Measurement Group") == groups

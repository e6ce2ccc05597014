"""Header and pixels apart and together, on a folder of scans read as they are when served."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset

from radnet.evaluation.report_card import tables
from radnet.evaluation.report_page import page
from radnet.evaluation.scorecard import scorecard
from radnet.evaluation.scoring import About, ScanReport, reports
from radnet.evaluation.strangers import Strangers
from radnet.evaluation.witnesses import coverage_right, remark, tallies, witness_rows
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.fusion import fuse_witnesses
from radnet.inference.segmenter import LiverSegmenter
from radnet.labels.evidence import SeriesLabels
from radnet.labels.vocabulary import Contrast, Plane, Region
from tests.made_ct import made_slice, write_ct

HEAD = "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use"


class Stub:
    """A classifier that is sure of a wrong plane, right about the agent, and sees a liver."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], str]] = []

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return the same of every volume."""
        self.asked.append((volume.shape, modality))
        return Prediction(
            {},
            {name: 0.7 if name is Plane.SAGITTAL else 0.15 for name in Plane},
            {Contrast.CONTRAST: 0.9, Contrast.NONCONTRAST: 0.1},
            {region: 0.95 if region is Region.LIVER else 0.05 for region in Region},
            4.0,
            np.zeros((1, 9), np.float32),
            32.0,
            modality=modality,
        )


@pytest.mark.parametrize(
    ("said", "unknown", "right"),
    [
        (["liver", "kidney"], [], True),
        (["liver"], [], False),
        (["liver", "kidney", "lung"], [], False),
        (["liver"], ["kidney"], None),
        (["liver"], ["lung"], False),
        (None, [], None),
    ],
)
def test_one_wrong_region_is_wrong_and_one_unknown_is_unknown(
    said: list[str] | None, unknown: list[str], right: bool | None
) -> None:
    """Of a scan that covers liver and kidney."""
    silent = fuse_witnesses(SeriesLabels(), None, 0.6)

    assert (
        coverage_right({"liver", "kidney"}, replace(silent, covered=said, regions_unknown=unknown))
        is right
    )


def tilted(ds: Dataset, index: int) -> None:
    """Shift each slice as a tilted gantry does."""
    ds.ImagePositionPatient = [0, index * 1.5, index * 4.0]


def three_planes(ds: Dataset, index: int) -> None:
    """Turn each pair of slices its own way."""
    ways = ((1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1))
    other = made_slice(index, tuple(float(x) for x in ways[index // 2]))
    ds.ImageOrientationPatient = other.ImageOrientationPatient
    ds.ImagePositionPatient = other.ImagePositionPatient


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a tilted CT and a localizer of three planes."""
    write_ct(tmp_path / "dicom" / "tilted", tilted)
    write_ct(tmp_path / "dicom" / "scout", three_planes)
    rows = [
        HEAD,
        "tilted,dicom,6,CT,CT,axial,contrast,liver,,made,none,test only",
        "scout,dicom,6,CT,CT,,,,none of the nine,made,none,test only",
    ]
    (tmp_path / "MANIFEST.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def judged(folder: Path) -> tuple[list[ScanReport], list[str], Stub]:
    """Return the reports of `folder`, what was refused, and the classifier."""
    stub, refused = Stub(), list[str]()
    given = cast("Classifier", stub), cast("LiverSegmenter", None)
    found = reports([folder], *given, refused, Strangers())
    assert found.count == 2
    return [one for one in found.reports if one is not None], refused, stub


def test_a_folder_is_read_by_the_reader_that_serves(folder: Path) -> None:
    """A tilted gantry is recognised as served; three planes are refused by name, not scored."""
    found, refused, stub = judged(folder)

    assert [one.scan.name for one in found] == ["tilted"]
    assert stub.asked == [((6, 32, 40), "CT")]
    assert len(refused) == 1
    assert refused[0].startswith("scout: ")
    assert "3 orientations" in refused[0]


def test_each_witness_is_counted_alone_and_together(folder: Path) -> None:
    """The header knows the plane, the pixels the agent and the liver; fused, all are right."""
    found, _, _ = judged(folder)

    told = {(t.head, t.witness): (t.right, t.wrong, t.unknown) for t in tallies(found)}

    assert told["plane", "header"] == told["plane", "fused"] == (1, 0, 0)
    assert told["plane", "pixels"] == (0, 1, 0)
    assert told["contrast", "header"] == (0, 0, 1)
    assert told["contrast", "pixels"] == told["contrast", "fused"] == (1, 0, 0)
    assert told["coverage", "header"] == (0, 0, 1)
    assert told["coverage", "fused"] == (1, 0, 0)
    assert told["all", "header"] == (1, 0, 2)
    assert told["all", "pixels"] == (2, 1, 0)
    assert told["all", "fused"] == (3, 0, 0)
    assert not any(head == "sequence" for head, _ in told)  # that it is a CT was given


def test_what_fusing_is_worth_stands_in_card_and_page(folder: Path) -> None:
    """With what was refused, and why."""
    found, refused, _ = judged(folder)
    about = About("weights on scans", tuple(refused))

    card = tables(found, scorecard(found), about)
    html = page(found, scorecard(found), about)

    assert "| plane | 1 | 1 | 0 | 0 | 0 | 1 | 0 | 1 | 0 | 0 |" in card
    assert "Right: header 33.3 %, pixels 66.7 %, fused 100.0 % of 3 answers" in card
    assert "3 orientations" in card
    assert "Right: header 33.3 %" in html
    assert "3 orientations" in html
    assert witness_rows(found)[0][:2] == ["plane", "1"]


def test_labels_that_come_from_headers_do_not_judge_them(folder: Path) -> None:
    """With --manifest the table would be circular: it is left out, and that is said."""
    found, _, _ = judged(folder)
    about = About("weights on series", (), labels_from_headers=True)

    assert "come from headers" in remark(found, about)
    assert "come from headers" in tables(found, scorecard(found), about)
    assert "come from headers" in page(found, scorecard(found), about)
    assert "Right: header" not in tables(found, scorecard(found), about)

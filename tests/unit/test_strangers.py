"""Weights are judged on strangers: what they learned from stands in a list beside them."""

from pathlib import Path
from typing import cast

import highdicom as hd
import numpy as np
import pytest

from radnet.datasets.learned import (
    DIGEST,
    Learned,
    keep_learned,
    learned_by,
    list_beside,
    voxel_digest,
)
from radnet.datasets.manifest import read_table
from radnet.datasets.prepared import read_row
from radnet.evaluation.report_card import tables
from radnet.evaluation.report_page import page
from radnet.evaluation.scoring import About, table_reports
from radnet.evaluation.strangers import Strangers, other_manifest, strangers
from radnet.inference.classifier import Classifier
from radnet.inference.segmenter import LiverSegmenter
from radnet.network.weights_file import SHIPPED, read_weights_file
from radnet.training.jobs import begun_from, unknown_to
from radnet.training.report import LearnedBefore, TrainingEvent
from radnet.volume.axes import turn_to
from tests.made_manifest import write_manifest
from tests.made_networks import NoClassifier, UnsureClassifier
from tests.made_volume import write_nifti
from tests.unit.test_scorecard import FOUND


def volume(array: np.ndarray, affine: np.ndarray | None = None) -> hd.Volume:
    """Return a volume of 1 mm."""
    axes = np.eye(4) if affine is None else affine
    return hd.Volume(array, affine=axes, coordinate_system="PATIENT")


def test_voxels_are_known_in_any_order_of_their_axes() -> None:
    """And whatever number they are stored in; another voxel, or shape, is another scan."""
    array = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
    made = volume(array)
    known = voxel_digest(made)

    for way in ("FPL", "HAR", "LPF", "RHA"):
        assert voxel_digest(turn_to(made.affine, way).there(made)) == known
    assert voxel_digest(volume(array.astype(np.float64))) == known
    assert voxel_digest(volume(array.reshape(5, 4, 6))) != known
    array[1, 2, 3] += 1
    assert voxel_digest(volume(array)) != known


def test_a_list_belongs_to_the_weights_it_lies_beside(tmp_path: Path) -> None:
    """It may be read by its owner alone; one of other weights, or a damaged one, is none."""
    weights = tmp_path / "w.safetensors"
    kept = Learned(frozenset({"a", "b"}), frozenset({"p"}), ("old.safetensors",))
    keep_learned(weights, kept)

    assert learned_by(weights, {DIGEST: kept.digest()}) == kept
    assert list_beside(weights).stat().st_mode & 0o777 == 0o600
    assert learned_by(weights, {DIGEST: Learned().digest()}) is None
    list_beside(weights).write_text("{}")
    assert learned_by(weights, {DIGEST: kept.digest()}) is None
    assert learned_by(tmp_path / "none", {}) is None


def test_whose_list_is_missing_is_told(tmp_path: Path) -> None:
    """Silence would read as if all were strangers."""
    mine, other = tmp_path / "w.safetensors", tmp_path / "v.safetensors"
    keep_learned(mine, Learned(untold=("MedicalNet.pth",)))

    first, second = strangers(mine, {}, other, {}).remarks()

    assert first == "classifier: began from MedicalNet.pth, whose scans nobody tells"
    assert second.startswith("liver: no list beside the weights")


@pytest.mark.parametrize("name", ["classifier", "liver", "liver-left-out"])
def test_the_shipped_weights_tell_what_they_learned_from(name: str) -> None:
    """The serving liver network learned from scans that its twin left out."""
    weights = SHIPPED / f"{name}-radnet10-tiny.safetensors"

    found = learned_by(weights, read_weights_file(weights, name.split("-")[0]).record)

    assert found is not None
    assert len(found.scans) == {"classifier": 18, "liver": 16, "liver-left-out": 11}[name]
    assert not found.untold


def manifest(folder: Path) -> Path:
    """Write a manifest of one CT with a mask."""
    ct = write_nifti(folder / "ct.nii.gz", "LPH")
    mask = write_nifti(folder / "mask.nii.gz", "LPH", mask="L")
    return write_manifest(folder / "m.parquet", [ct], mask)


def test_a_series_of_a_manifest_that_was_learned_from_is_not_scored(tmp_path: Path) -> None:
    """Nobody is asked for it; it is named, with the reason."""
    table = manifest(tmp_path)
    (row,) = read_table(table)
    who = Strangers(classifier=Learned(frozenset({voxel_digest(read_row(row))})))
    networks = cast("Classifier", NoClassifier()), cast("LiverSegmenter", None)

    found = table_reports(table, *networks, [], who)

    assert list(found.reports) == [None]
    assert who.excluded == [
        "1.2.3: scan not scored, the classifier learned from these very voxels"
    ]


def test_a_liver_that_was_learned_from_is_not_scored(tmp_path: Path) -> None:
    """The classifier, to which the scan is a stranger, is."""
    table = manifest(tmp_path)
    (row,) = read_table(table)
    who = Strangers(Learned(), Learned(frozenset({voxel_digest(read_row(row))})))
    networks = cast("Classifier", UnsureClassifier()), cast("LiverSegmenter", None)

    (found,) = table_reports(table, *networks, [], who).reports

    assert found is not None
    assert found.liver is None
    assert who.excluded == ["1.2.3: liver not scored, the liver learned from these very voxels"]


def test_another_manifest_is_told_with_what_was_expected() -> None:
    """Its sides may be others; weights that learned from none say nothing."""
    told = other_manifest("liver", {"manifest_sha256": "a" * 64}, "b" * 64)

    assert "learned from the manifest aaaaaaaaaaaa, these scans are of bbbbbbbbbbbb;" in told
    assert other_manifest("liver", {"manifest_sha256": "b" * 64}, "b" * 64) == ""
    assert other_manifest("liver", {"manifest_sha256": ""}, "b" * 64) == ""


def test_page_and_card_tell_who_was_not_scored() -> None:
    """A figure without it is read as one of all scans."""
    about = About("w", excluded=("x: not scored",), remarks=("nobody <tells>",))

    card, html = tables(FOUND, [], about), page(FOUND, [], about)

    assert "* x: not scored\n" in card
    assert "nobody <tells>" in card
    assert "Not scored: x: not scored" in html
    assert "nobody &lt;tells&gt;" in html


def test_weights_that_are_trained_on_remember_what_they_began_with(tmp_path: Path) -> None:
    """What cannot be told is said, and who was learned from before judges nothing."""
    events: list[TrainingEvent] = []
    weights = SHIPPED / "classifier-radnet10-tiny.safetensors"
    before = begun_from(weights, "classifier", "liver")
    known, strange = (volume(np.full((2, 2, 2), value)) for value in (1, 2))
    begun = Learned(frozenset({voxel_digest(known)}))
    scans = [Kept(voxel_digest(known), ""), Kept(voxel_digest(strange), "p")]

    assert len(before.scans) > 10
    assert begun_from(None) == Learned()
    assert begun_from(tmp_path / "resnet_10.pth", "classifier").untold == ("resnet_10.pth",)
    assert unknown_to(begun, scans, events.append) == scans[1:]
    assert events == [LearnedBefore(1, 2)]
    assert begun.beside(scans).patients == {"p"}
    assert unknown_to(Learned(patients=frozenset({"p"})), scans, events.append) == scans[:1]


class Kept:
    """A scan of which only the digests matter."""

    def __init__(self, content: str, patient: str) -> None:
        self.content = content
        self.patient = patient

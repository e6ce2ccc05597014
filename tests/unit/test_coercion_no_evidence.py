"""What a radnet-node filled into an image tells another one nothing of what it shows."""

from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from node.classify.recognise import own_output_among, recognise
from node.derived.coercion import Stamp, coercing_equipment, original_attributes
from node.model.records import Finding
from tests.made_ct import write_ct
from tests.made_networks import UnsureClassifier

FILLED = ("SeriesDescription", "BodyPartExamined")


def _described(ds: Dataset) -> None:
    ds.SeriesDescription = "3D-RADNet: CT axial contrast"
    ds.BodyPartExamined = "CHEST"


def _coerced(ds: Dataset) -> None:
    _described(ds)
    stamp = Stamp(0.0)
    ds.OriginalAttributesSequence = Sequence([original_attributes(FILLED, stamp)])
    ds.ContributingEquipmentSequence = Sequence([coercing_equipment(stamp)])


def _found(folder: Path, edit: Callable[[Dataset], None]) -> list[Finding]:
    paths = write_ct(folder)
    for path in paths:
        ds = dcmread(path)
        edit(ds)
        ds.save_as(path)
    assert own_output_among(paths) == frozenset()
    return recognise(paths, UnsureClassifier(), 0.6).findings


def test_words_of_a_node_are_no_evidence(tmp_path: Path) -> None:
    """The same findings as of the image as its scanner made it; a site's own words count."""
    silent = _found(tmp_path / "silent", lambda ds: None)

    assert _found(tmp_path / "coerced", _coerced) == silent
    assert _found(tmp_path / "described", _described) != silent

"""What may be filled into an image: by its findings, and never over what is there."""

from typing import Any

import pytest
from pydicom.tag import Tag
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    EnhancedMRImageStorage,
    SegmentationStorage,
)

from node.deliver.coercion import LOOKED_AT, Fillable, changes
from node.model.records import Finding
from radnet.labels.vocabulary import Region, body_part_examined
from tests.abdomen_findings import findings_of

BOTH = list(Fillable)
DESCRIPTION = "3D-RADNet: CT axial contrast"


def _changes(header: dict[str, str] | None = None, **changed: Any) -> dict[str, str]:
    tags = {int(Tag(keyword)): value for keyword, value in (header or {}).items()}
    return {
        str(name): value
        for name, value in changes(tags, CTImageStorage, findings_of(**changed), BOTH).items()
    }


def test_what_is_empty_or_absent_is_filled() -> None:
    """In the order of the tags, so that it can be written in one pass."""
    filled = _changes({"SeriesDescription": ""})

    assert list(filled.items()) == [
        ("SeriesDescription", DESCRIPTION),
        ("BodyPartExamined", "ABDOMEN"),
    ]


def test_what_is_there_is_never_written_over() -> None:
    """Neither is anything added to it, also where the findings say something else."""
    assert _changes({"SeriesDescription": "Leber nativ", "BodyPartExamined": "HEAD"}) == {}
    assert _changes({"SeriesDescription": "x"}) == {"BodyPartExamined": "ABDOMEN"}


def test_only_what_a_destination_asks_for_is_filled() -> None:
    """By default that is nothing."""
    found = findings_of()

    assert changes({}, CTImageStorage, found, []) == {}
    assert list(changes({}, CTImageStorage, found, [Fillable.BODY_PART_EXAMINED])) == [
        "BodyPartExamined"
    ]


def test_nothing_but_two_attributes_can_be_asked_for() -> None:
    """Never Modality, orientation, Image Type, agent or scanning sequence."""
    assert sorted(Fillable) == ["BodyPartExamined", "SeriesDescription"]
    assert {Tag("Modality"), Tag("ImageType"), Tag("ContrastBolusAgent")}.isdisjoint(LOOKED_AT)


@pytest.mark.parametrize(
    "changed",
    [
        {"pixels": False},
        {"strange": True},
        {"disagreement": ["plane"]},
        {"localizer": True},
        {"sequence": None, "coverage": None},
    ],
    ids=str,
)
def test_doubtful_findings_are_written_into_no_image(changed: dict[str, Any]) -> None:
    """Not looked at, strange, in dispute, a scout, or unknown."""
    assert _changes(**changed) == {}


def test_a_series_without_findings_stays_as_it_is() -> None:
    """As own output does, of which nothing but that is known."""
    own = [Finding("own_output", True, 1.0, "fused")]

    assert changes({}, CTImageStorage, [], BOTH) == {}
    assert changes({}, CTImageStorage, own, BOTH) == {}


@pytest.mark.parametrize("part", ["sequence", "plane", "contrast"])
def test_half_a_description_is_none(part: str) -> None:
    """What is left out would be read as a no."""
    assert _changes(**{part: None}) == {"BodyPartExamined": "ABDOMEN"}


def test_a_sequence_of_no_kind_says_nothing() -> None:
    """Nor does what is in no list: a row may be of another version."""
    assert "SeriesDescription" not in _changes(sequence="other")
    assert "SeriesDescription" not in _changes(plane="oblique\\x")
    assert _changes(coverage=["liver", "tail"], plane=None) == {}
    assert _changes(coverage="liver", plane=None) == {}


def test_a_region_that_may_be_covered_leaves_the_body_part_open() -> None:
    """An abdomen with half a chest is another term."""
    assert _changes(coverage_unknown=["lung"]) == {"SeriesDescription": DESCRIPTION}


def test_a_paired_structure_asks_for_its_side() -> None:
    """Laterality is type 2C beside it, and the node does not know it (PS3.3 C.7.3.1)."""
    assert "BodyPartExamined" not in _changes(coverage=["kidney"])
    assert "BodyPartExamined" not in _changes({"Laterality": ""}, coverage=["breast"])
    assert _changes({"Laterality": "L"}, coverage=["breast"])["BodyPartExamined"] == "BREAST"
    assert _changes({"ImageLaterality": "R"}, coverage=["kidney"])["BodyPartExamined"] == "KIDNEY"


def test_a_side_is_that_of_a_paired_structure() -> None:
    """An empty one says that the side is unknown, not that there is none."""
    for side in ("", "L"):
        assert "BodyPartExamined" not in _changes({"Laterality": side})
    assert _changes({"ImageLaterality": "U"})["BodyPartExamined"] == "ABDOMEN"


def test_only_images_have_a_body_part() -> None:
    """Whatever else lies in a series of images."""
    for sop_class in (ComprehensiveSRStorage, SegmentationStorage, "1.2.3"):
        assert changes({}, sop_class, findings_of(), BOTH) == {}
    assert changes({}, EnhancedMRImageStorage, findings_of(), BOTH)


@pytest.mark.parametrize(
    ("regions", "term"),
    [
        ("liver", "LIVER"),
        ("liver kidney", "ABDOMEN"),
        ("liver kidney intestine", "ABDOMEN"),
        ("kidney intestine pelvis", "ABDOMENPELVIS"),
        ("brain", "BRAIN"),
        ("brain upper_head_neck", "HEAD"),
        ("brain upper_head_neck lower_head_neck", "HEADNECK"),
        ("lung breast", "CHEST"),
        ("lung liver", None),
        ("brain liver", None),
        ("", None),
    ],
)
def test_a_body_part_says_no_more_than_was_seen(regions: str, term: str | None) -> None:
    """Defined terms of PS3.16 Annex L, of at most 16 characters."""
    assert body_part_examined(map(Region, regions.split())) == term

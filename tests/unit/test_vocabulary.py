"""The one list of classes: order, codes and terms."""

import pytest
import torch
from pydicom.sr.codedict import codes

from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import load_rules
from radnet.labels.vocabulary import (
    BODY_PART_EXAMINED,
    COMBINED_REGIONS,
    CONTRAST_CODES,
    HEADS,
    MR_SEQUENCES,
    PLANE_CODES,
    REGION_CODES,
    SEQUENCE_CODES,
    Contrast,
    Plane,
    Region,
    Sequence,
    region_term,
)
from radnet.network.heads import split

RULES = load_rules()


def test_every_class_has_a_code() -> None:
    """A finding without a code cannot leave in an SR."""
    assert list(SEQUENCE_CODES) == list(HEADS["sequence"])
    assert list(PLANE_CODES) == list(HEADS["plane"])
    assert list(CONTRAST_CODES) == list(HEADS["contrast"])
    assert list(REGION_CODES) == list(HEADS["coverage"])


def test_codes_of_the_standard_are_those_of_the_standard() -> None:
    """Against the context groups of PS3.16 that pydicom carries."""
    known = {code for name in codes.CID4031.dir() for code in [getattr(codes.CID4031, name)]}
    for _, code in COMBINED_REGIONS.values():
        assert code in known, code
    planes = {getattr(codes.CID6312, name) for name in codes.CID6312.dir()}
    assert set(PLANE_CODES.values()) <= planes
    weightings = {getattr(codes.CID218, name) for name in codes.CID218.dir()}
    assert {SEQUENCE_CODES[Sequence.T1], SEQUENCE_CODES[Sequence.T2]} <= weightings


@pytest.mark.parametrize("regions", list(COMBINED_REGIONS), ids=lambda r: COMBINED_REGIONS[r][0])
def test_terms_decode_to_the_regions_they_were_written_for(regions: frozenset[Region]) -> None:
    """What we write into Body Part Examined reads back as the same regions."""
    term, _ = COMBINED_REGIONS[regions]
    read = label_row(TableRow("CT", "", term), RULES).coverage.value

    assert len(term) <= 16  # CS, PS3.5 Section 6.2
    if term == "WHOLEBODY":  # by convention a whole-body CT names neither brain nor breast
        regions = regions - {Region.BRAIN, Region.BREAST}
    assert set(read.split(";")) == set(regions)


def test_single_regions_have_a_term() -> None:
    """Regions that no combination covers stand alone."""
    for region in Region:
        term = region_term([region])
        assert term is not None
        assert term[0] in (BODY_PART_EXAMINED[region], "CHEST")
    assert region_term([Region.BRAIN, Region.PELVIS]) is None


def test_network_answers_in_the_order_of_the_vocabulary() -> None:
    """The output units are the classes, in this order."""
    scan = torch.arange(len(Sequence) + len(Plane) + len(Contrast) + 1, dtype=torch.float32)[None]
    heads = split(scan, torch.zeros(1, len(Region), 4))

    assert heads.sequence.tolist() == [[1, 2, 3, 4, 5, 6]]  # the first is CT, which is not asked
    assert list(HEADS["sequence"])[1:] == list(MR_SEQUENCES)
    assert heads.plane.shape[-1] == len(HEADS["plane"])
    assert heads.contrast.shape[-1] == len(HEADS["contrast"])
    assert list(Plane) == ["axial", "coronal", "sagittal"]
    assert next(iter(Region)) == "brain"
    assert list(Region)[-1] == "pelvis"

"""A coerced copy: two attributes and their trace, everything else octet for octet."""

import hashlib
import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from node.deliver.coerced import Coercion, coerced_copy
from node.deliver.coercion import Fillable
from node.deliver.destination import OutboundInstance
from node.derived.coercion import Stamp, filled_by_a_node
from node.errors import InvalidInstanceError
from node.identity import IMPLEMENTATION_CLASS_UID, is_own_output
from node.model.records import Coerced
from node.store.digests import data_set_sha256
from tests.abdomen_findings import findings_of
from tests.outbound import ct_slice, written

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
)
ADDED = frozenset(
    map(Tag, (*Fillable, "ContributingEquipmentSequence", "OriginalAttributesSequence"))
)


def _coercion(item: OutboundInstance, source: str = "SCANNER") -> Coercion:
    return Coercion(
        item.sop_instance_uid,
        item.sop_class_uid,
        item.transfer_syntax_uid,
        findings_of(),
        list(Fillable),
        Stamp(1_700_000_000.25, source),
    )


def _coerced(item: OutboundInstance, source: str = "SCANNER") -> tuple[bytes, Coerced | None]:
    with coerced_copy(item.path, _coercion(item, source)) as (path, coerced):
        return path.read_bytes(), coerced


def _read(octets: bytes, folder: Path) -> Dataset:
    path = folder / "coerced"
    path.write_bytes(octets)
    return dcmread(path)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: UID(syntax).name)
def test_attributes_are_filled_in_every_encoding(tmp_path: Path, syntax: UID) -> None:
    """The pixels stay as they are encoded, and the stored file as it is."""
    item = written(ct_slice(3), tmp_path, syntax)
    before = item.path.read_bytes()

    octets, coerced = _coerced(item)

    read, stored = _read(octets, tmp_path), dcmread(item.path)
    assert item.path.read_bytes() == before
    assert coerced is not None
    assert coerced.attributes == ("SeriesDescription", "BodyPartExamined")
    with (tmp_path / "coerced").open("rb") as file:
        assert coerced.sha256 == data_set_sha256(file)
    assert read.BodyPartExamined == "ABDOMEN"
    assert read.SeriesDescription == "3D-RADNet: CT axial contrast"
    assert read.PixelData == stored.PixelData
    assert read.SOPInstanceUID == stored.SOPInstanceUID
    assert {element.tag for element in read} - {element.tag for element in stored} == ADDED
    assert all(read[element.tag] == element for element in stored)
    assert [element.tag for element in read] == sorted(element.tag for element in read)
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.file_meta.MediaStorageSOPInstanceUID == item.sop_instance_uid
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: UID(syntax).name)
def test_a_repeat_is_byte_identical(tmp_path: Path, syntax: UID) -> None:
    """Its time is that of a row."""
    item = written(ct_slice(3), tmp_path, syntax)

    assert _coerced(item) == _coerced(item)


def test_the_instance_says_what_was_changed_by_whom_and_when(tmp_path: Path) -> None:
    """PS3.3 C.12.1.1.9 and C.12.1.1.5."""
    octets, _ = _coerced(written(ct_slice(3), tmp_path))

    read = _read(octets, tmp_path)
    (original,) = read.OriginalAttributesSequence
    (before,) = original.ModifiedAttributesSequence
    assert [(element.keyword, element.is_empty) for element in before] == [
        ("SeriesDescription", True),
        ("BodyPartExamined", True),
    ]
    assert original.ReasonForTheAttributeModification == "COERCE"
    assert original.AttributeModificationDateTime == "20231114221320.250000+0000"
    assert original.ModifyingSystem == "radnet-node"
    assert original.SourceOfPreviousValues == "SCANNER"
    (equipment,) = read.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
    assert equipment.ContributionDateTime == "20231114221320.250000+0000"


def test_the_instance_is_no_output_of_ours_and_no_evidence(tmp_path: Path) -> None:
    """Another node recognises it, from everything but what the first one wrote."""
    octets, _ = _coerced(written(ct_slice(3), tmp_path))

    read = _read(octets, tmp_path)
    assert not is_own_output(read)
    assert filled_by_a_node(read) == set(map(Tag, Fillable))
    read.OriginalAttributesSequence[0].ModifyingSystem = "another"
    assert filled_by_a_node(read) == set()


@pytest.mark.parametrize("title", ["a\\b", "x" * 17, "Müller", "a\nb", ""])
def test_a_peer_that_calls_itself_anything_is_not_named(tmp_path: Path, title: str) -> None:
    """Source of Previous Values is type 2, in a character set that we do not know."""
    octets, _ = _coerced(written(ct_slice(3), tmp_path), title)

    original = _read(octets, tmp_path).OriginalAttributesSequence[0]
    assert original["SourceOfPreviousValues"].is_empty


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: UID(syntax).name)
def test_items_of_earlier_changes_are_kept(tmp_path: Path, undefined: bool, syntax: UID) -> None:
    """Ours is the last one, however the sequences end."""
    ds = ct_slice(3)
    before = Dataset()
    before.PatientID = "OTHER"
    earlier = Dataset()
    earlier.ModifiedAttributesSequence = Sequence([before])
    earlier.ModifyingSystem = "PACS"
    scanner = Dataset()
    scanner.Manufacturer = "X"
    ds.OriginalAttributesSequence = Sequence([earlier])
    ds.ContributingEquipmentSequence = Sequence([scanner])
    for keyword in ("OriginalAttributesSequence", "ContributingEquipmentSequence"):
        ds[keyword].is_undefined_length = undefined

    octets, _ = _coerced(written(ds, tmp_path, syntax))

    read = _read(octets, tmp_path)
    assert [item.ModifyingSystem for item in read.OriginalAttributesSequence] == [
        "PACS",
        "radnet-node",
    ]
    assert [item.Manufacturer for item in read.ContributingEquipmentSequence] == [
        "X",
        "radnet-node project",
    ]


def test_empty_elements_give_way_and_group_lengths_go(tmp_path: Path) -> None:
    """A length that is no longer true is worse than none; others stay."""
    ds = ct_slice(3)
    ds.SeriesDescription = ""
    ds.BodyPartExamined = "  "
    item = written(ds, tmp_path)
    octets = item.path.read_bytes()
    for first in (b"\x08\x00\x16\x00UI", b"\x18\x00\x15\x00CS", b"\x28\x00\x02\x00US"):
        length = first[:2] + b"\x00\x00UL\x04\x00\x10\x00\x00\x00"
        octets = octets.replace(first, length + first)
    item.path.write_bytes(octets)

    coerced, _ = _coerced(item)

    read = _read(coerced, tmp_path)
    assert read.BodyPartExamined == "ABDOMEN"
    assert read.SeriesDescription == "3D-RADNet: CT axial contrast"
    assert [element.tag for element in read if element.tag.element == 0] == [Tag(0x0028, 0)]


def test_where_nothing_is_filled_the_stored_file_is_lent(tmp_path: Path) -> None:
    """No copy, no trace."""
    ds = ct_slice(3)
    ds.SeriesDescription = "Leber"
    ds.BodyPartExamined = "LIVER"
    item = written(ds, tmp_path)

    with coerced_copy(item.path, _coercion(item)) as (path, coerced):
        assert path == item.path
        assert coerced is None


def _cut(item: OutboundInstance) -> None:
    item.path.write_bytes(item.path.read_bytes()[:-10])


def _garbled(item: OutboundInstance) -> None:
    octets = item.path.read_bytes()
    item.path.write_bytes(octets.replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00Zz"))


def _disordered(item: OutboundInstance) -> None:
    octets = item.path.read_bytes()
    item.path.write_bytes(octets + b"\x18\x00\x15\x00CS\x04\x00HEAD")


def _headless(item: OutboundInstance) -> None:
    item.path.write_bytes(b"no DICOM")


@pytest.mark.parametrize("harm", [_cut, _garbled, _disordered, _headless])
def test_what_is_odd_is_not_touched(tmp_path: Path, harm: object) -> None:
    """Cut off, of no known VR, a body part behind the pixels, no file at all."""
    item = written(ct_slice(3), tmp_path)
    assert callable(harm)
    harm(item)

    with pytest.raises(InvalidInstanceError), coerced_copy(item.path, _coercion(item)):
        pass


@pytest.mark.parametrize("keyword", ["MACParametersSequence", "DigitalSignaturesSequence"])
def test_what_is_signed_is_not_touched(tmp_path: Path, keyword: str) -> None:
    """The signature would no longer hold (PS3.3 C.12.1.1.3)."""
    ds = ct_slice(3)
    signature = Dataset()
    signature.MACIDNumber = 1
    setattr(ds, keyword, Sequence([signature]))
    item = written(ds, tmp_path)

    with (
        pytest.raises(InvalidInstanceError, match="signed"),
        coerced_copy(item.path, _coercion(item)),
    ):
        pass


def test_a_sequence_of_another_kind_is_not_added_to(tmp_path: Path) -> None:
    """UN of a known length may hold anything."""
    item = written(ct_slice(3), tmp_path)
    octets = item.path.read_bytes()
    pixels = octets.index(b"\xe0\x7f\x10\x00OW")
    strange = b"\x00\x04\x61\x05UN\x00\x00\x04\x00\x00\x00abcd"
    item.path.write_bytes(octets[:pixels] + strange + octets[pixels:])

    with (
        pytest.raises(InvalidInstanceError, match="sequence"),
        coerced_copy(item.path, _coercion(item)),
    ):
        pass


def test_sequences_nested_without_end_are_not_followed(tmp_path: Path) -> None:
    """The stack is bounded, not the recursion of a reader."""
    item = written(ct_slice(3), tmp_path)
    begin = b"\x09\x00\x01\x10SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    octets = item.path.read_bytes()
    at = octets.index(b"\x10\x00\x10\x00PN")
    item.path.write_bytes(octets[:at] + begin * 500 + octets[at:])

    with (
        pytest.raises(InvalidInstanceError, match="too deep"),
        coerced_copy(item.path, _coercion(item)),
    ):
        pass


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_large_file_is_not_loaded(tmp_path: Path, syntax: UID) -> None:
    """64 MiB of pixels in a few MiB of memory."""
    item = written(ct_slice(3, side=4096), tmp_path)
    octets = item.path.read_bytes()
    more = item.path.parent / "large.dcm"
    start = octets.index(b"\xe0\x7f\x10\x00OW")
    pixels = octets[start : start + 8] + (64 << 20).to_bytes(4, "little") + bytes(64 << 20)
    head = written(ct_slice(3), tmp_path, syntax).path.read_bytes()
    if syntax == ExplicitVRLittleEndian:
        more.write_bytes(octets[:start] + pixels)
    else:
        meta = head[: 144 + int.from_bytes(head[140:144], "little")]
        data = octets[144 + int.from_bytes(octets[140:144], "little") : start] + pixels
        engine = zlib.compressobj(level=1, wbits=-15)
        more.write_bytes(meta + engine.compress(data) + engine.flush())
    large = OutboundInstance(item.sop_instance_uid, item.sop_class_uid, str(syntax), more)
    del octets, pixels

    tracemalloc.start()
    with coerced_copy(large.path, _coercion(large)) as (path, coerced):
        _, most = tracemalloc.get_traced_memory()
        with path.open("rb") as file:
            assert coerced is not None
            assert hashlib.file_digest(file, "sha256").hexdigest()
    tracemalloc.stop()
    assert most < 16 << 20

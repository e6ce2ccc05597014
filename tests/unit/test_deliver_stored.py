"""What of a stored file goes to those who take files."""

import struct
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from node.deliver.folder import FolderSender
from node.deliver.stored import misplaced, pieces, size
from node.receive.encoded import file_head
from tests.outbound import ct_slice, written

EXPLICIT = (
    b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
    b"\x02\x00\x10\x00UI\x12\x00" + b"1.2.840.10008.1.2\0"
    b"\x02\x00\x13\x00SH\x10\x00TIANI_JDICOM_113"
)
IMPLICIT = b"\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x02\x00\x10\x00\x04\x00\x00\x001.2\0"
BIG = b"\x00\x02\x00\x10UI\x00\x121.2.840.10008.1.2\0"
DATA = b"\x08\x00\x16\x00UI\x04\x001.2\0" + b"\x08\x00\x18\x00UI\x04\x001.3\0"
BIG_DATA = b"\x00\x08\x00\x16UI\x00\x041.2\0\x00\x08\x00\x18UI\x00\x041.3\0"


@pytest.mark.parametrize(
    ("syntax", "head", "data"),
    [
        (ExplicitVRLittleEndian, EXPLICIT, DATA),
        (JPEG2000Lossless, EXPLICIT, DATA),
        (ExplicitVRLittleEndian, IMPLICIT, DATA),
        (ImplicitVRLittleEndian, EXPLICIT, DATA),
        (ImplicitVRLittleEndian, IMPLICIT, DATA),
        (ExplicitVRBigEndian, BIG, BIG_DATA),
    ],
)
def test_elements_that_a_reader_would_take_for_file_meta_are_left_out(
    tmp_path: Path, syntax: str, head: bytes, data: bytes
) -> None:
    """And nothing else."""
    path = tmp_path / "x.dcm"
    meta = file_head("1.2", "1.3", syntax)
    path.write_bytes(meta + head + data + bytes(200_000))

    assert b"".join(pieces(path, syntax)) == meta + data + bytes(200_000)
    assert size(path, syntax) == len(meta + data) + 200_000


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        b"",
        b"\x04\x00\x10\x00UI\x04\x001.2\0" + DATA,
        struct.pack("<HHI", 0x0002, 0x0010, 0xFFFFFFFF) + DATA,
        struct.pack("<HHI", 0x0002, 0x0010, 0x7FFFFFFF) + DATA,
    ],
    ids=["usual", "empty", "group 0004", "undefined length", "beyond the end"],
)
def test_everything_else_goes_octet_for_octet(tmp_path: Path, data: bytes) -> None:
    """What cannot be told apart is not cut off."""
    path = tmp_path / "x.dcm"
    path.write_bytes(content := file_head("1.2", "1.3", ExplicitVRLittleEndian) + data)

    assert b"".join(pieces(path, ExplicitVRLittleEndian)) == content
    assert size(path, ExplicitVRLittleEndian) == len(content)


def test_a_deflated_data_set_is_not_looked_into() -> None:
    """Its octets are no elements."""
    content = file_head("1.2", "1.3", DeflatedExplicitVRLittleEndian) + EXPLICIT + DATA

    assert not misplaced(content, DeflatedExplicitVRLittleEndian)


def test_what_is_no_part_10_file_goes_as_it_is(tmp_path: Path) -> None:
    """The peer judges it."""
    path = tmp_path / "x.dcm"
    path.write_bytes(b"not DICOM at all" * 20)

    assert b"".join(pieces(path, ExplicitVRLittleEndian)) == path.read_bytes()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_a_folder_gets_files_that_everybody_reads(tmp_path: Path, syntax: UID) -> None:
    """Where the data set named another syntax at its head, pydicom and others took that."""
    item = written(ct_slice(1), tmp_path, syntax)
    content = item.path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00UI")
    item.path.write_bytes(content[:start] + EXPLICIT + content[start:])

    (outcome,) = FolderSender("out", tmp_path / "out").send([item])

    assert outcome.state == "delivered"
    copy = tmp_path / "out" / item.path.name
    assert copy.read_bytes() == content
    assert dcmread(copy).file_meta.TransferSyntaxUID == syntax

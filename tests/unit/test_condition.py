"""What is broken in a file is told, and what is merely odd; never a value of it."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radnet.volume.condition import Condition, condition_of

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def written(path: Path, syntax: UID = ExplicitVRLittleEndian, **elements: object) -> bytes:
    """Write a small CT image and return its bytes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CTImageStorage, "1.2.3", "CT"
    ds.SeriesInstanceUID, ds.SeriesDescription = "1.2.4", "CHEST WITHOUT CONTRAST"
    ds.Rows = ds.Columns = 8
    ds.BitsAllocated, ds.SamplesPerPixel = 16, 1
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.PixelData = np.arange(64, dtype=np.int16).tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path.read_bytes()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_whole_file_has_nothing_wrong(tmp_path: Path, syntax: UID) -> None:
    """Neither broken nor odd."""
    path = tmp_path / "a.dcm"
    written(path, syntax)

    assert condition_of(path) == Condition()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_file_cut_off_in_its_pixels_is_broken(tmp_path: Path, syntax: UID) -> None:
    """The header is whole and gives labels; the file does not hold the image."""
    path = tmp_path / "a.dcm"
    path.write_bytes(written(path, syntax)[:-40])

    assert condition_of(path).broken == ("the file ends within Pixel Data: 88 of 128 bytes",)


def test_file_cut_off_in_a_text_is_broken(tmp_path: Path) -> None:
    """Pydicom reads it without a word."""
    path = tmp_path / "a.dcm"
    whole = written(path)
    path.write_bytes(whole[: whole.index(b"WITHOUT")])

    (told,) = condition_of(path).broken
    assert told == "the file ends within SeriesDescription (0008,103E): 6 of 22 bytes"


def test_compressed_pixels_without_an_end_are_broken(tmp_path: Path) -> None:
    """Frames end with a delimiter (PS3.5 A.4)."""
    path = tmp_path / "a.dcm"
    whole = written(path)
    head = whole[: whole.index(b"\xe0\x7f\x10\x00")]
    frames = (
        struct.pack("<HHL", 0xFFFE, 0xE000, 0) + struct.pack("<HHL", 0xFFFE, 0xE000, 4) + b"1234"
    )
    pixels = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + frames
    path.write_bytes(head + pixels + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    assert condition_of(path).broken == ()

    path.write_bytes(head + pixels)
    assert condition_of(path).broken == ("the file ends before the frames of Pixel Data do",)


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_what_is_no_dicom_is_broken(tmp_path: Path, content: bytes) -> None:
    """Empty, text, garbage after the prefix: never an exception."""
    path = tmp_path / "a.dcm"
    path.write_bytes(content)

    assert condition_of(path).broken


def test_header_without_a_name_is_broken(tmp_path: Path) -> None:
    """Private elements only: not the header of an image."""
    path = tmp_path / "a.dcm"
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = UID("1.2")
    ds.add_new(0x00091001, "LO", "x")
    ds.save_as(path, enforce_file_format=True)

    assert "neither Modality nor SeriesInstanceUID" in condition_of(path).broken[0]


def test_values_that_are_none_of_their_vr_are_odd_and_not_repeated(tmp_path: Path) -> None:
    """The value may be a patient's name that slipped into another element."""
    path = tmp_path / "a.dcm"
    whole = written(path, SeriesDate="20260101", BodyPartExamined="MUELLER", SliceThickness="5.0 ")
    path.write_bytes(
        whole.replace(b"20260101", b"***     ")
        .replace(b"MUELLER", b"M\xdcELLER")
        .replace(b"5.0", b"5,0")
    )

    found = condition_of(path)

    assert found.broken == ()
    assert [told.split()[0] for told in found.odd] == [
        "SeriesDate", "BodyPartExamined", "SliceThickness",
    ]  # fmt: skip
    assert "ELLER" not in str(found)

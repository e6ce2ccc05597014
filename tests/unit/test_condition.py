"""What is broken in a file is told, and what is merely odd; never a value of it."""

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
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


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_may_end_within_the_head_of_its_pixels(tmp_path: Path, syntax: UID) -> None:
    """Tag, VR and length are 8 bytes, or 12; without the tag there are no pixels to speak of."""
    path = tmp_path / "a.dcm"
    whole = written(path, syntax)
    start = whole.index(b"\xe0\x7f\x10\x00")
    head = 12 if syntax == ExplicitVRLittleEndian else 8

    path.write_bytes(whole[: start + head])
    assert condition_of(path).broken == ("the file ends within Pixel Data: 0 of 128 bytes",)
    if head == 12:
        path.write_bytes(whole[: start + 11])
        assert condition_of(path).broken == ("not readable as DICOM (error)",)
    path.write_bytes(whole[:start])
    assert condition_of(path) == Condition()


def test_a_file_of_which_one_byte_is_missing_is_broken_and_one_too_many_is_none(
    tmp_path: Path,
) -> None:
    """Archives pad files."""
    path = tmp_path / "a.dcm"
    whole = written(path)

    path.write_bytes(whole[:-1])
    assert condition_of(path).broken == ("the file ends within Pixel Data: 127 of 128 bytes",)
    path.write_bytes(whole + b"\0" * 100)
    assert condition_of(path) == Condition()


def test_every_value_of_an_element_is_looked_at_and_items_are_none(tmp_path: Path) -> None:
    """One that is odd among several is told once."""
    path = tmp_path / "a.dcm"
    code = Dataset()
    code.CodeMeaning = "x"
    whole = written(
        path,
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        OtherPatientIDsSequence=[code, code],
    )
    assert condition_of(path) == Condition()

    path.write_bytes(whole.replace(b"PRIMARY", b"primary"))

    assert condition_of(path).odd == ("ImageType (0008,0008) is no value of VR CS",)


@pytest.mark.parametrize("keyword", ["Modality", "SeriesInstanceUID"])
def test_a_header_with_a_kind_or_a_series_is_one_of_an_image(tmp_path: Path, keyword: str) -> None:
    """Either will do."""
    path = tmp_path / "a.dcm"
    written(path)
    ds = dcmread(path)
    del ds[{"Modality": "SeriesInstanceUID", "SeriesInstanceUID": "Modality"}[keyword]]
    ds.save_as(path)

    assert condition_of(path) == Condition()

"""Decoding for a peer that refuses the stored syntax: no value changes, no loss is hidden."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from node.deliver.transcode import LOSSLESS, plain_copy
from node.errors import PermanentDeliveryError
from tests.outbound import ct_slice
from tests.peers import tool


def uncompressed(path: Path, syntax: UID) -> Dataset:
    """Return what is sent in place of a stored file."""
    with plain_copy(path, syntax) as copy:
        return dcmread(copy)


def _signed(ds: Dataset) -> None:
    ds.PixelRepresentation = 1
    ds.PixelData = (np.frombuffer(ds.PixelData, "<i2") - 1024).tobytes()


def _twelve_bits(ds: Dataset) -> None:
    ds.BitsStored, ds.HighBit = 12, 11


def _two_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 2
    ds.PixelData = ds.PixelData + ds.PixelData[::-1]


def _colour(ds: Dataset) -> None:
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.PhotometricInterpretation = "RGB"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    shape = (ds.Rows, ds.Columns, 3)
    ds.PixelData = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8).tobytes()


def _ybr(ds: Dataset) -> None:
    _colour(ds)
    ds.PhotometricInterpretation = "YBR_FULL"


KINDS = {
    "plain": lambda ds: None,
    "signed": _signed,
    "twelve bits": _twelve_bits,
    "two frames": _two_frames,
    "colour": _colour,
    "ybr": _ybr,
}


def _made(kind: str) -> Dataset:
    ds = ct_slice(3, side=64)
    KINDS[kind](ds)
    return ds


def _saved(ds: Dataset, folder: Path, syntax: UID) -> Path:
    """Write a data set, compressed by pydicom."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax != ExplicitVRLittleEndian:
        ds.compress(syntax, generate_instance_uid=False)
    path = folder / "stored.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def _same(ds: Dataset, original: Dataset, pixels: bytes) -> None:
    """Check that nothing but the encoding of the pixels differs."""
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert ds.PixelData[: len(pixels)] == pixels
    changed = {
        element.keyword
        for element in original
        if element.keyword not in ("PixelData", "") and ds.get(element.keyword) != element.value
    }
    assert changed <= {"PlanarConfiguration"}
    assert ds.SOPInstanceUID == original.SOPInstanceUID


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_comes_out_as_it_went_in(tmp_path: Path, syntax: UID, kind: str) -> None:
    """Octet for octet, signed or not, in the colour space it was stored in."""
    original = _made(kind)
    pixels = original.PixelData
    path = _saved(_made(kind), tmp_path, syntax)

    ds = uncompressed(path, syntax)

    assert ds.PhotometricInterpretation == original.PhotometricInterpretation
    _same(ds, original, pixels)


@pytest.mark.dcmtk
@pytest.mark.parametrize("kind", ["plain", "signed", "twelve bits", "two frames", "colour"])
@pytest.mark.parametrize(("option", "syntax"), [("+e1", JPEGLosslessSV1), ("+el", JPEGLossless)])
def test_jpeg_lossless_of_dcmtk_comes_out_as_it_went_in(
    tmp_path: Path, option: str, syntax: UID, kind: str
) -> None:
    """What most scanners compress with; pydicom cannot make it, dcmtk can."""
    original = _made(kind)
    pixels = original.PixelData
    path = _saved(_made(kind), tmp_path, ExplicitVRLittleEndian)
    packed = tmp_path / "packed.dcm"
    subprocess.run([tool("dcmcjpeg"), option, str(path), str(packed)], check=True)
    assert dcmread(packed).file_meta.TransferSyntaxUID == syntax

    _same(uncompressed(packed, syntax), original, pixels)


@pytest.mark.dcmtk
def test_a_lossy_image_that_says_so_is_decompressed_and_goes_on_saying_so(tmp_path: Path) -> None:
    """PS3.3 C.7.6.1.1.5: once "01", never reset."""
    path = _saved(_made("colour"), tmp_path, ExplicitVRLittleEndian)
    packed = tmp_path / "packed.dcm"
    subprocess.run([tool("dcmcjpeg"), "+eb", "+un", str(path), str(packed)], check=True)
    stored = dcmread(packed)
    assert stored.LossyImageCompression == "01"

    ds = uncompressed(packed, JPEGBaseline8Bit)

    assert ds.LossyImageCompression == "01"
    assert ds.LossyImageCompressionRatio == stored.LossyImageCompressionRatio
    assert ds.SOPInstanceUID == stored.SOPInstanceUID
    assert len(ds.PixelData) == 64 * 64 * 3


@pytest.mark.dcmtk
def test_jpeg_colour_is_named_as_it_is_laid_out(tmp_path: Path) -> None:
    """YBR_FULL_422 as stored would be read at half the width; dcmtk calls it YBR_FULL too."""
    path = _saved(_made("colour"), tmp_path, ExplicitVRLittleEndian)
    packed, theirs = tmp_path / "packed.dcm", tmp_path / "theirs.dcm"
    subprocess.run([tool("dcmcjpeg"), "+eb", "+un", str(path), str(packed)], check=True)
    subprocess.run([tool("dcmdjpeg"), "+cn", str(packed), str(theirs)], check=True)
    assert dcmread(packed).PhotometricInterpretation == "YBR_FULL_422"
    wanted = dcmread(theirs)

    ds = uncompressed(packed, JPEGBaseline8Bit)

    assert ds.PhotometricInterpretation == wanted.PhotometricInterpretation == "YBR_FULL"
    assert ds.PixelData == wanted.PixelData


def test_the_reversible_colour_transform_is_undone(tmp_path: Path) -> None:
    """YBR_RCT exists in JPEG 2000 alone; what comes out is RGB, octet for octet."""
    ds = _made("colour")
    pixels = ds.PixelData
    ds.PhotometricInterpretation = "YBR_RCT"
    path = _saved(ds, tmp_path, JPEG2000Lossless)

    out = uncompressed(path, JPEG2000Lossless)

    assert out.PhotometricInterpretation == "RGB"
    assert out.PixelData == pixels


@pytest.mark.parametrize("syntax", [JPEG2000, JPEGLSNearLossless])
@pytest.mark.parametrize(("told", "goes"), [("01", True), ("00", True), (None, False)])
def test_a_syntax_that_may_lose_is_believed_only_where_the_data_set_speaks(
    tmp_path: Path, syntax: UID, told: str | None, goes: bool
) -> None:
    """The syntax is the only trace of a loss that the data set is silent about."""
    ds = _made("plain")
    options = {"j2k_cr": [4.0]} if syntax == JPEG2000 else {"jls_error": 2}
    path = _saved(ds, tmp_path, ExplicitVRLittleEndian)
    ds.compress(syntax, generate_instance_uid=False, **options)
    ds.LossyImageCompression = told
    if told is None:
        del ds.LossyImageCompression
    ds.save_as(path, enforce_file_format=True)

    if goes:
        assert uncompressed(path, syntax).LossyImageCompression == told
    else:
        with pytest.raises(PermanentDeliveryError, match="no longer tell of its loss"):
            uncompressed(path, syntax)


@pytest.mark.dcmtk
def test_a_lossy_syntax_that_claims_no_loss_is_refused(tmp_path: Path) -> None:
    """JPEG Baseline always loses; "00" beside it is an error, and would become a lie."""
    path = _saved(_made("colour"), tmp_path, ExplicitVRLittleEndian)
    packed = tmp_path / "packed.dcm"
    subprocess.run([tool("dcmcjpeg"), "+eb", "+un", str(path), str(packed)], check=True)
    stored = dcmread(packed)
    stored.LossyImageCompression = "00"
    stored.save_as(packed)

    with pytest.raises(PermanentDeliveryError, match="'00', not '01'"):
        uncompressed(packed, JPEGBaseline8Bit)


def test_every_lossless_syntax_is_named_so() -> None:
    """The list is ours: held against the names of the standard."""
    assert all("Lossless" in UID(uid).name or "Process 14" in UID(uid).name for uid in LOSSLESS)


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1]
)
def test_without_pixel_data_only_the_syntax_changes(tmp_path: Path, syntax: UID) -> None:
    """Archives keep reports and states under the syntax of their images, too."""
    path = _saved(_made("plain"), tmp_path, ExplicitVRLittleEndian)
    ds = dcmread(path)
    del ds.PixelData
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path)

    out = uncompressed(path, syntax)

    assert out.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert out == ds


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_an_overlay_beside_the_stored_bits_is_still_there(tmp_path: Path, syntax: UID) -> None:
    """The words go on as they are; it is for a reader to look at the stored bits alone."""
    ds = _made("plain")
    word = np.frombuffer(ds.PixelData, "<u2") | np.uint16(1 << 12)
    ds.PixelData = word.tobytes()
    path = _saved(ds, tmp_path, syntax)
    stored = dcmread(path)
    stored.BitsStored, stored.HighBit = 12, 11
    stored.save_as(path)

    assert uncompressed(path, syntax).PixelData == word.tobytes()


def test_a_file_that_cannot_be_read_may_be_read_later(tmp_path: Path) -> None:
    """A disk that is gone says nothing of the instance."""
    with pytest.raises(FileNotFoundError):
        uncompressed(tmp_path / "gone.dcm", RLELossless)

"""What pydicom alone does not turn into a plain transfer syntax: no pixels, 12 bits, odd heads."""

import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    JPEG2000,
    UID,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from node.deliver.transcode import plain_copy
from node.errors import PermanentDeliveryError
from node.store.digests import data_set_start
from tests.outbound import ct_slice, written
from tests.peers import tool


def uncompressed(path: Path, syntax: UID) -> Dataset:
    """Return what is sent in place of a stored file."""
    with plain_copy(path, syntax) as copy:
        return dcmread(copy)


@pytest.mark.parametrize("kind", ["CT", "SR"])
@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGBaseline8Bit, JPEG2000, RLELossless])
def test_reports_and_headers_without_pixels_change_their_syntax_alone(
    tmp_path: Path, syntax: UID, kind: str
) -> None:
    """Reports and presentation states are sent so, and headers of which the pixels were taken."""
    ds = ct_slice(1)
    del ds.PixelData
    if kind == "SR":
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel"):
            delattr(ds, keyword)
        ds.SOPClassUID = EnhancedSRStorage
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path := tmp_path / "x.dcm", enforce_file_format=True)

    sent = uncompressed(path, syntax)

    assert sent.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert sent == dcmread(path)


def _dcmtk(program: str, *arguments: str | Path) -> None:
    subprocess.run([tool(program), *arguments], check=True, capture_output=True)


@pytest.mark.dcmtk
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("signed", [0, 1])
def test_jpeg_extended_with_12_bits_is_decoded_as_dcmtk_does(
    tmp_path: Path, frames: int, bits: int, signed: int
) -> None:
    """Pydicom has no decoder for it that we may use; GDCM decodes it, word for word."""
    ds = ct_slice(1, side=40)
    rows = np.add.outer(np.arange(frames), np.linspace(0, (1 << bits) - 4, 1600))
    pixels = rows.astype("<i2") - (signed << (bits - 1))
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, signed
    ds.NumberOfFrames, ds.PixelData = frames, pixels.tobytes()
    plain = written(ds, tmp_path).path
    packed, theirs = tmp_path / "packed.dcm", tmp_path / "theirs.dcm"
    _dcmtk("dcmcjpeg", "+ee", plain, packed)
    _dcmtk("dcmdjpeg", packed, theirs)

    ours = uncompressed(packed, JPEGExtended12Bit)

    assert ours.PixelData == dcmread(theirs).PixelData
    assert ours.LossyImageCompression == "01"
    if not signed and bits == 12:
        assert np.abs(np.frombuffer(ours.PixelData, "<i2") - pixels.ravel()).max() < 60


def test_jpeg_extended_of_another_camera(tmp_path: Path) -> None:
    """A real one: a bone scan, 12 bits, of which dcmdjpeg makes these words."""
    path = Path(str(get_testdata_file("JPGExtended.dcm", download=False)))

    sent = uncompressed(path, JPEGExtended12Bit)

    words = np.frombuffer(sent.PixelData, "<u2")
    assert (len(words), int(words.max()), int(words.sum())) == (1024 * 256, 264, 3_767_007)


def test_what_is_no_jpeg_extended_is_refused(tmp_path: Path) -> None:
    """Another code stream under that name."""
    ds = ct_slice(1, side=64)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    ds.save_as(path := tmp_path / "x.dcm", enforce_file_format=True)
    content = path.read_bytes()
    path.write_bytes(content.replace(JPEG2000Lossless.encode(), JPEGExtended12Bit.encode()))

    with pytest.raises(PermanentDeliveryError, match="cannot be decoded"):
        uncompressed(path, JPEGExtended12Bit)


@pytest.mark.parametrize("syntax", [RLELossless, ImplicitVRLittleEndian])
def test_group_0002_at_the_head_of_the_data_set_does_not_mislead(
    tmp_path: Path, syntax: UID
) -> None:
    """Files that were stored before the receiver put it elsewhere."""
    item = written(ct_slice(1), tmp_path, syntax)
    whole = dcmread(item.path)
    content = item.path.read_bytes()
    start = data_set_start(BytesIO(content))
    head = b"\2\0\x10\0UI\x14\0" + JPEGLossless.encode().ljust(20, b"\0")[:20]
    item.path.write_bytes(content[:start] + head + content[start:])

    sent = uncompressed(item.path, syntax)

    assert sent.pixel_array.tolist() == whole.pixel_array.tolist()


END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("value", [b"\0\0\0\0", b"\xff" * 4 + END], ids=["empty", "no item"])
def test_empty_pixel_data_is_none(tmp_path: Path, value: bytes) -> None:
    """Some take the pixels away and leave the element."""
    ds = ct_slice(1)
    del ds.PixelData
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    ds.save_as(path := tmp_path / "x.dcm", enforce_file_format=True)
    path.write_bytes(path.read_bytes() + b"\xe0\x7f\x10\0OB\0\0" + value)

    sent = uncompressed(path, JPEGLosslessSV1)

    assert sent.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert not sent.get("PixelData")


@pytest.mark.parametrize("pixels", [True, False])
def test_an_icon_is_decoded_with_its_image(tmp_path: Path, pixels: bool) -> None:
    """Left as it was, encapsulated in a plain transfer syntax, it made a file nobody reads."""
    ds = ct_slice(1)
    plain = ds.PixelData
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.compress(RLELossless, generate_instance_uid=False)
    icon = Dataset()
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"):
        setattr(icon, keyword, ds[keyword].value)
    for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(icon, keyword, ds[keyword].value)
    icon["PixelData"] = ds["PixelData"]
    ds.IconImageSequence = [icon]
    if not pixels:
        del ds.PixelData
    ds.save_as(path := tmp_path / "x.dcm", enforce_file_format=True)

    sent = uncompressed(path, RLELossless)

    assert sent.IconImageSequence[0].PixelData == plain
    assert sent.get("PixelData") == (plain if pixels else None)

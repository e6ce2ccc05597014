"""Stored values are what Bits Stored, High Bit and Pixel Representation say, in any syntax.

PS3.5 Section 8.1.1: nothing may be assumed of the other bits of a pixel cell.
"""

import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from radnet.errors import UndecodableError
from radnet.volume.pixels import MOST_BYTES, promised_bytes, stored_values
from radnet.volume.series import read_volume
from tests.made_ct import SHAPE, made_slice, write_ct
from tests.peers import tool

SYNTAXES = (
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
)
NAMES = {uid: uid.name.split("(")[0].strip() for uid in SYNTAXES}


def _cell(values: NDArray[np.int64], stored: int, high: int) -> NDArray[np.uint16]:
    """Return 16-bit words with `values` up to bit `high`, and all other bits full of litter."""
    below = high - stored + 1
    mask = ((1 << stored) - 1) << below
    litter = np.random.default_rng(7).integers(0, 1 << 16, values.shape)
    return (((values << below) & mask) | (litter & ~mask)).astype(np.uint16)


def _image(word: NDArray[np.uint16], stored: int, high: int, *, signed: bool) -> Dataset:
    ds = made_slice(0)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = stored, high, int(signed)
    ds.Rows, ds.Columns = word.shape
    ds.PixelData = word.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def _encoded(ds: Dataset, syntax: UID) -> Dataset:
    """Encode the whole 16-bit word, as archives do, and leave Bits Stored as it was."""
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
    elif syntax != ExplicitVRLittleEndian:
        said = ds.BitsStored, ds.HighBit, ds.PixelRepresentation
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 0
        ds.compress(syntax, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = said
    return ds


def _values(stored: int, *, signed: bool) -> NDArray[np.int64]:
    """Return an image with the lowest and the highest of all values."""
    low = -(1 << stored - 1) if signed else 0
    return (
        np.random.default_rng(3)
        .permuted(np.linspace(low, low + (1 << stored) - 1, 48 * 64).astype(np.int64))
        .reshape(48, 64)
    )


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES.values())
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize(
    ("stored", "high"), [(12, 11), (12, 15), (10, 11), (15, 14), (16, 15), (9, 8)]
)
def test_only_the_stored_bits_count(stored: int, high: int, *, signed: bool, syntax: UID) -> None:
    """An overlay in bit 12 made HU + 4096 under it, in a compressed CT (pydicom#2260)."""
    values = _values(stored, signed=signed)
    ds = _image(_cell(values, stored, high), stored, high, signed=signed)

    found = stored_values(_encoded(ds, syntax))

    assert found.dtype.kind == ("i" if signed else "u")
    assert np.array_equal(found, values)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=["j2k", "jls"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("high", [11, 15])
def test_a_code_stream_of_the_stored_bits_alone_is_not_shifted(
    syntax: UID, high: int, *, signed: bool
) -> None:
    """Twelve bits to a sample are the value, wherever High Bit puts it in a native cell."""
    values = _values(12, signed=signed)
    ds = _image(values.astype(np.uint16), 12, 11, signed=signed)
    ds.compress(syntax, generate_instance_uid=False)
    ds.HighBit = high

    assert np.array_equal(stored_values(ds), values)


@pytest.mark.dcmtk
def test_jpeg_lossless_with_bits_beside_the_stored_ones(tmp_path: Path) -> None:
    """What dcmtk makes of a native CT with an overlay in its pixels."""
    values = _values(12, signed=False)
    ds = _image(_cell(values, 12, 11), 12, 11, signed=False)
    ds.BitsStored, ds.HighBit = 16, 15
    native, packed = tmp_path / "native.dcm", tmp_path / "packed.dcm"
    ds.save_as(native, enforce_file_format=True)
    subprocess.run([tool("dcmcjpeg"), "+e1", str(native), str(packed)], check=True)
    ds = dcmread(packed)
    assert ds.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    ds.BitsStored, ds.HighBit = 12, 11

    assert np.array_equal(stored_values(ds), values)


def test_a_volume_with_overlays_in_its_pixels_is_the_same_in_hu(tmp_path: Path) -> None:
    """The case as it came: 12-bit CT, the overlay in bit 12, JPEG 2000 of the whole word."""

    def drawn_over(ds: Dataset, _index: int) -> None:
        word = np.frombuffer(ds.PixelData, "<u2").reshape(SHAPE[1:]).copy()
        word[4:20, 6:30] |= 1 << 12
        ds.PixelData = word.tobytes()
        _encoded(ds, JPEG2000Lossless)

    plain = read_volume(write_ct(tmp_path / "plain")).array

    assert np.array_equal(read_volume(write_ct(tmp_path / "over", drawn_over)).array, plain)


@pytest.mark.parametrize(
    ("keyword", "value"), list(product(["Rows", "Columns", "BitsAllocated"], [None, 0]))
)
def test_a_header_without_sizes_is_refused(keyword: str, value: object) -> None:
    """Nothing is allocated before the header has said how much."""
    header = Dataset()
    header.Rows = header.Columns = header.BitsAllocated = 16
    if value is None:
        delattr(header, keyword)
    else:
        header[keyword].value = value

    with pytest.raises(UndecodableError, match=keyword):
        promised_bytes(header)


def test_a_header_that_promises_too_much_is_refused() -> None:
    """65535 x 65535, and a hundred thousand frames: by arithmetic, not by allocating."""
    header = Dataset()
    header.Rows = header.Columns = 512
    header.BitsAllocated, header.SamplesPerPixel, header.NumberOfFrames = 16, 1, 4096

    assert promised_bytes(header) == MOST_BYTES

    header.NumberOfFrames = 4097
    with pytest.raises(UndecodableError, match=r"4097 frame\(s\) of 512 x 512"):
        promised_bytes(header)

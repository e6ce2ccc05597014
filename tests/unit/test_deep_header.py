"""A header built to nest, or to fill memory, without end costs its instance and nobody else."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from node.classify.recognise import recognise
from node.model.failures import FailureKind
from radnet.errors import UnusableVolumeError
from radnet.volume import elements, header_file
from radnet.volume.headers import first_readable, read_file
from radnet.volume.series import read_volume
from tests.made_ct import SHAPE, write_ct
from tests.made_networks import AbdomenClassifier

PIXELS = b"\xe0\x7f\x10\x00OW"


def _nested(levels: int, *, defined: bool) -> bytes:
    """Return Content Sequence (0040,A730) in Content Sequence, explicit VR little endian."""
    inner = b""
    for _ in range(levels):
        length = len(inner) if defined else 0xFFFFFFFF
        end = b"" if defined else struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        item = struct.pack("<HHI", 0xFFFE, 0xE000, length) + inner + end
        size = len(item) if defined else 0xFFFFFFFF
        inner = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, size) + item
    return inner


def _items(count: int) -> bytes:
    """Return a Content Sequence of so many empty items."""
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * count
    return struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, len(items)) + items


def _insert(path: Path, element: bytes) -> None:
    """Put an element of group 0040 in front of Pixel Data."""
    whole = path.read_bytes()
    at = whole.index(PIXELS)
    path.write_bytes(whole[:at] + element + whole[at:])


@pytest.mark.parametrize("levels", [elements.DEEPEST + 1, 300, 1000, 5000])
def test_defined_lengths_nested_too_deep_cost_the_element(tmp_path: Path, levels: int) -> None:
    """1000 levels in 23 kB took the worker 75 MB/s until it was killed (pydicom#2330)."""
    paths = write_ct(tmp_path)
    _insert(paths[2], _nested(levels, defined=True))

    header = read_file(paths[2], pixels=False)

    assert "ContentSequence" not in header
    assert header.SeriesInstanceUID
    assert read_volume(paths).shape == SHAPE


@pytest.mark.parametrize("defined", [True, False], ids=["defined", "undefined"])
def test_what_is_nested_as_reports_are_is_kept(tmp_path: Path, *, defined: bool) -> None:
    """Ten levels and more stand in reports; all of them are still there."""
    path = write_ct(tmp_path)[0]
    _insert(path, _nested(30, defined=defined))

    item = read_file(path, pixels=False)
    depth = 0
    while "ContentSequence" in item:
        item, depth = item.ContentSequence[0], depth + 1

    assert depth == 30


@pytest.mark.parametrize("levels", [5000, 20_000])
def test_undefined_lengths_nested_too_deep_are_an_unreadable_header(
    tmp_path: Path, levels: int
) -> None:
    """The library follows these by recursion as it reads; its giving up is no surprise."""
    path = write_ct(tmp_path)[0]
    _insert(path, _nested(levels, defined=False))

    with pytest.raises(UnusableVolumeError, match="cannot be read as DICOM"):
        read_file(path, pixels=False)


def test_more_items_than_memory_holds_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight octets of an item become a kilobyte of data set."""
    monkeypatch.setattr(elements, "MOST_ITEMS", 1000)
    paths = write_ct(tmp_path)
    _insert(paths[0], _items(1001))
    _insert(paths[1], _items(999))

    assert "ContentSequence" not in read_file(paths[0], pixels=False)
    assert len(read_file(paths[1], pixels=False).ContentSequence) == 999

    monkeypatch.setattr(elements, "SMALL", 4000)
    with pytest.raises(UnusableVolumeError, match="more than 1,000 items"):
        read_file(paths[0], pixels=False)


def test_the_others_of_a_series_are_recognised_and_it_is_routed_by_them(tmp_path: Path) -> None:
    """The bad instance is named; header and rules go by those that can be read."""
    paths = write_ct(tmp_path)
    _insert(paths[0], _nested(5000, defined=False))

    known = recognise(paths, AbdomenClassifier(), 0.6)
    header = first_readable(paths)

    assert known.unusable.kind is FailureKind.UNREADABLE
    assert "1 of 6 instances" in known.unusable.reason
    assert paths[0].name in known.unusable.reason
    assert {found.name: found.value for found in known.findings}["sequence"] == "CT"
    assert header is not None
    assert header.SOPInstanceUID.endswith(".2")


def test_memory_that_runs_out_is_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever asks for more than there is says so as any unreadable header does."""
    path = write_ct(tmp_path)[0]

    def no_memory(*_arguments: object, **_named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("radnet.volume.headers.read_header_file", no_memory)

    with pytest.raises(UnusableVolumeError, match="MemoryError"):
        read_file(path, pixels=False)


def _deflated(path: Path, tail: bytes) -> None:
    """Deflate a file, with `tail` behind its last element."""
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    start = 144 + struct.unpack_from("<I", whole, 140)[0]
    pack = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    inflated = zlib.decompress(whole[start:], -zlib.MAX_WBITS) + tail
    path.write_bytes(whole[:start] + pack.compress(inflated) + pack.flush())


def test_a_deflated_series_is_the_same_volume(tmp_path: Path) -> None:
    """Its header is read without inflating what follows, its pixels by a decoding process."""
    plain = read_volume(write_ct(tmp_path / "plain"))
    paths = write_ct(tmp_path / "deflated")
    for path in paths:
        _deflated(path, b"")

    volume = read_volume(paths)

    assert np.array_equal(volume.array, plain.array)
    assert np.array_equal(volume.affine, plain.affine)
    header = read_file(paths[0], pixels=False)
    assert header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert str(header.PatientName) == "Made^Up"


def test_a_deflated_gigabyte_is_not_inflated_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kilobyte of file is a megabyte of memory, and three copies of it in pydicom."""
    monkeypatch.setattr("radnet.volume.decoding.ADDRESS_SPACE", 32 << 20)
    paths = write_ct(tmp_path)
    zeros = struct.pack("<HH2sHI", 0x7FE1, 0x0010, b"OB", 0, 128 << 20) + bytes(128 << 20)
    _deflated(paths[1], zeros)
    assert paths[1].stat().st_size < 1 << 20

    tracemalloc.start()
    with pytest.raises(UnusableVolumeError, match="MemoryError"):
        read_volume(paths)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert most < 2 * header_file.MOST_INFLATED + (16 << 20)


@pytest.mark.parametrize("syntax", ["native", "deflated"])
def test_more_elements_than_any_header_has_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    """A million empty elements deflate to a few kilobytes."""
    monkeypatch.setattr(header_file, "MOST_ELEMENTS", 1000)
    path = write_ct(tmp_path)[0]
    element = b"".join(struct.pack("<HH2sH", 0x0041, n, b"LO", 0) for n in range(0x1000, 0x1400))
    _insert(path, element)
    if syntax == "deflated":
        _deflated(path, b"")

    with pytest.raises(UnusableVolumeError, match="cannot be read as DICOM"):
        read_file(path, pixels=False)

"""UIDs found in a data set however long, deep, deflated or hostile what stands before them is."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.errors import InvalidInstanceError
from node.receive import header, octets
from node.receive.header import identify
from tests.outbound import ct_slice
from tests.receiver import encoded

SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x0006, b"SQ", 0, 0xFFFFFFFF)
PLAIN = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


def with_sequence(depth: int, *, undefined: bool, width: int = 1) -> Dataset:
    """Return a slice with sequences in sequences in front of its Series Instance UID."""
    ds = ct_slice(1)
    inner = Dataset()
    inner.SeriesInstanceUID = "9.9.9"
    inner.SOPInstanceUID = "9.9"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedSeriesSequence = Sequence([inner] * width)
        outer["ReferencedSeriesSequence"].is_undefined_length = undefined
        for one in outer.ReferencedSeriesSequence:
            one.is_undefined_length_sequence_item = undefined
        inner = outer
    inner.is_undefined_length_sequence_item = undefined
    ds.ReferencedStudySequence = Sequence([inner])
    ds["ReferencedStudySequence"].is_undefined_length = undefined
    return ds


def found(data: bytes, syntax: UID = ExplicitVRLittleEndian) -> str:
    """Return the Series Instance UID that is found."""
    return identify(io.BytesIO(data), syntax).identity.series_instance_uid


@pytest.mark.parametrize("syntax", [*PLAIN, DeflatedExplicitVRLittleEndian], ids=lambda u: u.name)
@pytest.mark.parametrize("undefined", [False, True])
def test_uids_in_sequences_are_others(syntax: UID, undefined: bool) -> None:
    """Only those of the instance itself count, behind sequences of either length."""
    ds = with_sequence(3, undefined=undefined, width=2)

    assert found(encoded(ds, syntax), syntax) == ds.SeriesInstanceUID


@pytest.mark.parametrize("syntax", [*PLAIN, DeflatedExplicitVRLittleEndian], ids=lambda u: u.name)
def test_uids_behind_long_private_elements_are_found(syntax: UID) -> None:
    """20 MB of somebody's own come first."""
    ds = ct_slice(1)
    ds.private_block(0x0009, "MADE UP", create=True).add_new(0x01, "OB", bytes(20_000_000))
    ds.private_block(0x0019, "MADE UP", create=True).add_new(0x01, "UN", b"ab" * 100_000)

    assert found(encoded(ds, syntax), syntax) == ds.SeriesInstanceUID


def test_a_private_sequence_of_unknown_vr_is_implicit() -> None:
    """UN of undefined length (PS3.5 Section 6.2.2)."""
    inner = struct.pack("<HHI", 0x0009, 0x1002, 4) + b"abcd"
    sequence = (
        struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        + inner
        + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    data = encoded(ct_slice(1), ExplicitVRLittleEndian)
    at = data.index(struct.pack("<HH", 0x0010, 0x0010))

    assert found(data[:at] + sequence + data[at:]) == ct_slice(1).SeriesInstanceUID


@pytest.mark.parametrize("syntax", PLAIN[:2], ids=lambda u: u.name)
def test_the_other_encoding_than_negotiated_is_read(syntax: UID) -> None:
    """Implicit for explicit and the reverse: pydicom reads it, so it may be kept."""
    other = PLAIN[0] if syntax == PLAIN[1] else PLAIN[1]

    assert found(encoded(ct_slice(1), other), syntax) == ct_slice(1).SeriesInstanceUID


def test_memory_is_bounded_by_nothing_the_peer_says() -> None:
    """A sequence of 200 000 empty items in front of the UIDs takes no memory."""
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 200_000
    data = (
        SEQUENCE
        + items
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        + encoded(ct_slice(1), ExplicitVRLittleEndian)
    )
    file = io.BytesIO(data)
    tracemalloc.start()
    try:
        identify(file, ExplicitVRLittleEndian)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000


def deflated(data: bytes) -> bytes:
    """Return raw deflate (PS3.5 Section A.5)."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


def bomb() -> bytes:
    """Return a few kB that inflate to 6 MB."""
    ds = ct_slice(1)
    ds.PixelData = bytes(6_000_000)
    return deflated(encoded(ds, ExplicitVRLittleEndian))


def test_a_deflate_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its UIDs can be read: no reader could hold the rest."""
    monkeypatch.setattr(octets, "INFLATED_MOST", 5_000_000)
    assert len(bomb()) < 20_000

    with pytest.raises(InvalidInstanceError, match="inflates to over"):
        found(bomb(), DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("spoil", [lambda d: d[:-5], lambda d: d[:3000] + b"\xff" * 50])
def test_a_broken_deflate_stream_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    """Nobody could ever read it."""
    with pytest.raises(InvalidInstanceError, match="deflated"):
        found(spoil(bomb()), DeflatedExplicitVRLittleEndian)


def test_a_padded_deflate_stream_is_read() -> None:
    """An odd one gets a null (PS3.5 Section A.5)."""
    assert found(bomb() + b"\0", DeflatedExplicitVRLittleEndian) == ct_slice(1).SeriesInstanceUID


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (encoded(with_sequence(70, undefined=True), ExplicitVRLittleEndian), "nested more"),
        (struct.pack("<HHI", 0xFFFE, 0xE00D, 0), "sop_instance_uid"),
        (struct.pack("<HHI", 0xFFFE, 0xE000, 0), "sop_instance_uid"),
        (struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", 300), "UID of 300"),
        (struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", 2) + b"\xff1", "no UID"),
        (b"\x08\0\x18\0UI\2\0001\0" + b"\x08\0\x18\0UI\2\0002\0", "twice"),
        (struct.pack("<HH2sH", 0x0008, 0x0018, b"OB", 0), "it ends"),
        (SEQUENCE + struct.pack("<HHI", 0xFFFE, 0xE00D, 0), "wrong place"),
        (SEQUENCE + b"\x08\0\x05\0CS\2\0", "an item"),
    ],
    ids=["deep", "end", "item", "long UID", "no UID", "twice", "cut", "wrong end", "no item"],
)
def test_what_is_no_data_set_is_refused(data: bytes, told: str) -> None:
    """The reason is one for the log."""
    with pytest.raises(InvalidInstanceError, match=told):
        found(data)


def test_elements_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer cannot keep us counting."""
    monkeypatch.setattr(header, "MOST_ELEMENTS", 100)

    with pytest.raises(InvalidInstanceError, match="no end"):
        found(struct.pack("<HH2sH", 0x0008, 0x0001, b"SH", 0) * 200)


@given(st.integers(0, 600), st.binary(max_size=8), st.sampled_from(PLAIN))
def test_no_change_makes_anything_but_an_answer_or_a_refusal(
    at: int, octets: bytes, syntax: UID
) -> None:
    """Octets overwritten anywhere in a data set with nested sequences."""
    data = bytearray(encoded(with_sequence(3, undefined=True), syntax))
    data[at : at + len(octets)] = octets
    with suppress(InvalidInstanceError):
        assert found(bytes(data), syntax)

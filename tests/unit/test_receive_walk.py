"""What scanners and archives were seen to send is walked over; what has no end is not."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.errors import InvalidInstanceError
from node.receive import octets
from node.receive.elements import HEADS
from node.receive.header import Found, identify
from tests.outbound import ct_slice
from tests.receiver import encoded

EXPLICIT, IMPLICIT, BIG = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
PLAIN = [EXPLICIT, IMPLICIT, BIG]
BEFORE, BEHIND = 0x00100010, 0x7FE00010  # the UIDs of study and series stand between
UNDEFINED = 0xFFFFFFFF


def order(syntax: UID) -> str:
    """Return the byte order of a transfer syntax, for `struct`."""
    return "<" if syntax.is_little_endian else ">"


def inserted(extra: bytes, syntax: UID = EXPLICIT, at: int = BEFORE) -> bytes:
    """Return a data set with something in front of one of its elements."""
    data = encoded(ct_slice(1), syntax)
    place = data.index(struct.pack(order(syntax) + "HH", at >> 16, at & 0xFFFF))
    return data[:place] + extra + data[place:]


def odd(vr: bytes, value: bytes, *, long: bool, of: str = "<", tag: int = 0x1001) -> bytes:
    """Return a private element of any VR, with a length of 2 or of 4 octets."""
    if long:
        return struct.pack(of + "HH2sHI", 0x0009, tag, vr, 0, len(value)) + value
    return struct.pack(of + "HH2sH", 0x0009, tag, vr, len(value)) + value


def walked(data: bytes, syntax: UID = EXPLICIT) -> Found:
    """Return what is found; the UIDs must be those of the slice."""
    found = identify(io.BytesIO(data), syntax)
    ds = ct_slice(1)
    assert found.identity.series_instance_uid == ds.SeriesInstanceUID
    assert found.identity.sop_instance_uid == ds.SOPInstanceUID
    return found


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG], ids=lambda u: u.name)
@pytest.mark.parametrize("value", [b"", b"abcd", b"ab" * 3000], ids=len)
@pytest.mark.parametrize(
    ("vr", "long"),
    [
        (b"??", False),
        (b"--", False),
        (b"  ", False),
        (b"\0\0", False),
        (b"lo", False),
        (b"Lo", False),
        (b"ob", True),
        (b"ZZ", True),
        (b"OX", True),
        (b"XS", False),
        (b"Q1", False),
        (b"\xff\xff", False),
    ],
)
def test_a_vr_nobody_knows_is_passed_over(
    syntax: UID, value: bytes, vr: bytes, long: bool
) -> None:
    """Illegal ones, those of a later standard, lower case; two in a row, and behind the UIDs."""
    of = order(syntax)
    extra = odd(vr, value, long=long, of=of) + odd(vr, value, long=long, of=of, tag=0x1002)

    assert walked(inserted(extra, syntax), syntax).transfer_syntax == syntax
    walked(inserted(extra, syntax, at=BEHIND), syntax)
    walked(encoded(ct_slice(1), syntax) + extra, syntax)


def test_an_element_without_vr_among_others_is_passed_over() -> None:
    """Pydicom reads a single one, too."""
    walked(inserted(struct.pack("<HHI", 0x0009, 0x1001, 6) + b"abcdef"))


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG], ids=lambda u: u.name)
@pytest.mark.parametrize("vr", sorted(HEADS))
def test_every_vr_has_the_length_it_has(syntax: UID, vr: bytes) -> None:
    """PS3.5 Table 7.1-1; odd lengths, too."""
    for value in (b"abcd", b"abc"):
        walked(inserted(odd(vr, value, long=HEADS[vr] == 12, of=order(syntax)), syntax), syntax)


@pytest.mark.parametrize("syntax", [*PLAIN, DeflatedExplicitVRLittleEndian], ids=lambda u: u.name)
def test_tags_may_come_in_any_order(syntax: UID) -> None:
    """dcmjs#365, fo-dicom#581: a higher group first, a UID behind all else."""
    inner = EXPLICIT if syntax == DeflatedExplicitVRLittleEndian else syntax
    data = encoded(ct_slice(1), inner)
    start = data.index(struct.pack(order(inner) + "HH", 0x0008, 0x0018))
    end = data.index(struct.pack(order(inner) + "HH", 0x0008, 0x0060))
    late = data[:start] + data[end:] + data[start:end]
    head = struct.pack(order(inner) + "HH", 0x0029, 0x0010)
    length = struct.pack(order(inner) + "I", 4) if inner == IMPLICIT else b"LO"
    length += b"" if inner == IMPLICIT else struct.pack(order(inner) + "H", 4)
    first = head + length + b"ACME" + data

    for one in (late, first):
        walked(deflated(one) if syntax == DeflatedExplicitVRLittleEndian else one, syntax)


def item(body: bytes, *, undefined: bool = True, of: str = "<") -> bytes:
    """Return an item of a sequence."""
    if undefined:
        end = struct.pack(of + "HHI", 0xFFFE, 0xE00D, 0)
        return struct.pack(of + "HHI", 0xFFFE, 0xE000, UNDEFINED) + body + end
    return struct.pack(of + "HHI", 0xFFFE, 0xE000, len(body)) + body


def sequence(vr: bytes, body: bytes, *, undefined: bool = True, of: str = "<") -> bytes:
    """Return a sequence in explicit VR, with the items in `body`."""
    end = struct.pack(of + "HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""
    length = UNDEFINED if undefined else len(body)
    return struct.pack(of + "HH2sHI", 0x0009, 0x1001, vr, 0, length) + body + end


INSIDE = {
    "implicit": struct.pack("<HHI", 0x0009, 0x1002, 4) + b"abcd",
    "explicit": odd(b"LO", b"abcd", long=False),
    "both lengths": struct.pack("<HHI", 0x0009, 0x1003, 12) + item(b"abcd", undefined=False),
    "nested": struct.pack("<HHI", 0x0008, 0x1140, UNDEFINED)
    + item(struct.pack("<HHI", 0x0008, 0x1150, 4) + b"1.2\0")
    + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
    "empty": b"",
}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG], ids=lambda u: u.name)
def test_un_of_undefined_length_holds_little_endian(
    syntax: UID, undefined: bool, inside: bytes
) -> None:
    """PS3.5 Section 6.2.2 and CP-246, in big endian as well; some write explicit VR there."""
    items = item(inside, undefined=undefined) * 2
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    head = struct.pack(order(syntax) + "HH2sHI", 0x0009, 0x1001, b"UN", 0, UNDEFINED)

    walked(inserted(head + items + end, syntax), syntax)


def test_un_of_undefined_length_may_keep_the_byte_order() -> None:
    """Against the standard, and read by its delimiters."""
    inside = odd(b"LO", b"abcd", long=False, of=">")
    walked(inserted(sequence(b"UN", item(inside, of=">"), of=">"), BIG), BIG)


def test_an_item_that_says_how_long_it_is_needs_no_delimiters_inside() -> None:
    """What goes wrong inside ends with it."""
    unended = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, UNDEFINED) + item(b"", of="<")
    items = item(unended + b"\0" * 1200, undefined=False)
    walked(inserted(sequence(b"SQ", items)))


def test_an_item_may_say_how_long_it_is_and_end_as_well() -> None:
    """Once: a delimiter more is one in the wrong place."""
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    ended = item(b"", undefined=False) + end

    walked(inserted(sequence(b"SQ", ended * 2)))
    with pytest.raises(InvalidInstanceError, match="FFFEE00D in the wrong place"):
        walked(inserted(sequence(b"SQ", ended + end)))


def nested(depth: int, *, undefined: bool, vr: bytes = b"SQ", implicit: bool = False) -> bytes:
    """Return Content Sequences in Content Sequences."""
    body = b""
    for _ in range(depth):
        inner = item(body, undefined=undefined)
        length = UNDEFINED if undefined else len(inner)
        head = struct.pack("<HH", 0x0040, 0xA730)
        head += struct.pack("<I", length) if implicit else struct.pack("<2sHI", vr, 0, length)
        body = head + inner + (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if undefined else b"")
    return body


DEEP: dict[str, tuple[Callable[[int], bytes], UID]] = {
    "undefined": (lambda depth: nested(depth, undefined=True), EXPLICIT),
    "defined": (lambda depth: nested(depth, undefined=False), EXPLICIT),
    "implicit undefined": (lambda d: nested(d, undefined=True, implicit=True), IMPLICIT),
    "implicit defined": (lambda d: nested(d, undefined=False, implicit=True), IMPLICIT),
    "UN": (
        lambda d: sequence(
            b"UN", item(nested(d - 1, undefined=False, implicit=True)), undefined=True
        ),
        EXPLICIT,
    ),
    "UN that is long": (
        lambda d: sequence(
            b"UN",
            item(nested(d - 1, undefined=False, implicit=True), undefined=False),
            undefined=False,
        ),
        EXPLICIT,
    ),
}


@pytest.mark.parametrize("at", [0x00080060, BEHIND], ids=["before the UIDs", "behind them"])
@pytest.mark.parametrize(("made", "syntax"), DEEP.values(), ids=DEEP)
def test_nesting_is_bounded_wherever_it_is(
    made: Callable[[int], bytes], syntax: UID, at: int
) -> None:
    """pydicom#2330: readers recurse. Reports of any template have a tenth of what is let in."""
    walked(inserted(made(64), syntax, at), syntax)

    with pytest.raises(InvalidInstanceError, match="nested more than 64 deep, at octet"):
        walked(inserted(made(65), syntax, at), syntax)
    with pytest.raises(InvalidInstanceError, match="nested more than 64 deep"):
        walked(inserted(made(1000), syntax, at), syntax)


def test_what_is_long_and_not_deep_is_taken() -> None:
    """Functional groups of 3000 frames, and a sequence behind the pixels."""
    frame = item(sequence(b"SQ", item(odd(b"DS", b"1.0 " * 30, long=False), undefined=False)) * 6)
    walked(inserted(sequence(b"SQ", frame * 3000), at=BEHIND))
    walked(encoded(ct_slice(1), EXPLICIT) + nested(60, undefined=True))


def test_pixels_that_look_like_items_are_pixels() -> None:
    """In implicit VR nothing but the tag says what a value is."""
    ds = ct_slice(1)
    ds.PixelData = (struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) * 3000)[: len(ds.PixelData)]
    for syntax in PLAIN[:2]:
        walked(encoded(ds, syntax), syntax)


@pytest.mark.parametrize("negotiated", PLAIN, ids=lambda u: u.name)
@pytest.mark.parametrize("found", PLAIN, ids=lambda u: u.name)
def test_the_encoding_is_named_as_it_is(negotiated: UID, found: UID) -> None:
    """fo-dicom#2008: whatever was negotiated; a first element of no length as well."""
    assert walked(encoded(ct_slice(1), found), negotiated).transfer_syntax == found
    ds = ct_slice(1)
    ds.SpecificCharacterSet = ""
    ds.ImageType = ""
    assert walked(encoded(ds, found), negotiated).transfer_syntax == found


@pytest.mark.parametrize("found", PLAIN[1:], ids=lambda u: u.name)
def test_what_no_transfer_syntax_names_is_refused(found: UID) -> None:
    """Compressed or deflated, and not in explicit VR little endian: nobody could be sent it."""
    with pytest.raises(
        InvalidInstanceError, match=r"encoded in (im|ex)plicit VR .* which JPEG .* never is"
    ):
        walked(encoded(ct_slice(1), found), UID("1.2.840.10008.1.2.4.70"))


def test_what_is_not_deflated_is_named_so() -> None:
    """And deflated by another name is deflated."""
    data = encoded(ct_slice(1), EXPLICIT)

    assert walked(data, DeflatedExplicitVRLittleEndian).transfer_syntax == EXPLICIT
    jpip = UID("1.2.840.10008.1.2.4.95")
    assert walked(deflated(data), jpip).transfer_syntax == jpip


META = odd(b"UI", b"1.2.840.10008.1.2\0", long=False).replace(
    b"\x09\0\x01\x10", b"\2\0\x10\0"
) + odd(b"OB", b"\0\1", long=True).replace(b"\x09\0\x01\x10", b"\2\0\x01\0")
COMMAND = struct.pack("<HHI", 0, 0x0002, 4) + b"1.2\0"


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda u: u.name)
@pytest.mark.parametrize(
    "front",
    [META, COMMAND, COMMAND + META, bytes(128) + b"DICM" + META, bytes(128) + b"DICM" + COMMAND],
    ids=["meta", "command", "both", "a whole file", "an odd file"],
)
def test_what_stands_in_front_of_a_data_set_is_found(syntax: UID, front: bytes) -> None:
    """pydicom#820: File Meta Information of an archive that sends its files as they are."""
    found = identify(io.BytesIO(front + encoded(ct_slice(1), syntax)), syntax)

    assert (found.start, found.transfer_syntax) == (len(front), syntax)


def test_the_same_uid_twice_is_one() -> None:
    """The standard's own color palette Winter is published so."""
    data = encoded(ct_slice(1), EXPLICIT)
    start = data.index(struct.pack("<HH", 0x0008, 0x0018))
    end = data.index(struct.pack("<HH", 0x0008, 0x0060))

    walked(data[:end] + data[start:end] + data[end:])


def test_pixels_that_are_cut_short_are_taken() -> None:
    """What was lost is told of the series; nobody else has this instance any more."""
    walked(encoded(ct_slice(1), EXPLICIT)[:-50])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            encoded(ct_slice(1), EXPLICIT)[:100],
            r"it ends within \(0008,0018\) at octet 34, 6 octets too early; missing: ",
        ),
        (
            inserted(struct.pack("<HH2sHI", 9, 0x1001, b"OB", 0, 1 << 30)),
            r"\(0009,1001\) at octet \d+, \d+ octets too early; missing: ",
        ),
        (b"", "it has no element"),
        (
            inserted(struct.pack("<HHI", 0xFFFE, 0xE00D, 0)),
            r"delimiter FFFEE00D in the wrong place, behind \(0008,\w+\) at octet \d+",
        ),
    ],
    ids=["cut", "too long", "empty", "delimiter"],
)
def test_a_refusal_says_where_the_walk_got_lost(data: bytes, told: str) -> None:
    """An operator, or the vendor of the sender, can look there."""
    with pytest.raises(InvalidInstanceError, match=told):
        walked(data)


def deflated(data: bytes) -> bytes:
    """Return raw deflate (PS3.5 Section A.5)."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


EMPTY = b"\x08\0\x01\0UL\0\0"


def test_elements_cost_what_their_octets_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is filled once for each 16 KiB, not for each element."""
    filled: list[int] = []
    load = octets.Inflated.load

    def counted(self: octets.Inflated, position: int, wanted: int) -> None:
        load(self, position, wanted)
        filled.append(len(self.buffer))

    monkeypatch.setattr(octets.Inflated, "load", counted)
    data = EMPTY * 100_000 + encoded(ct_slice(1), EXPLICIT)
    squeeze = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    walked(squeeze.compress(data) + squeeze.flush(), DeflatedExplicitVRLittleEndian)

    assert len(filled) < len(data) >> 12
    assert sum(filled) < 2 * len(data)


def test_a_few_octets_cannot_unfold_to_a_million_elements() -> None:
    """11.7 kB: what is looked at is bounded by what came."""
    few = deflated(EMPTY * 999_000)
    assert len(few) < 12_000

    with pytest.raises(InvalidInstanceError, match="no end to its elements after 19"):
        walked(few, DeflatedExplicitVRLittleEndian)
    walked(deflated(encoded(ct_slice(1), EXPLICIT)), DeflatedExplicitVRLittleEndian)


def test_what_is_behind_the_uids_may_be_long() -> None:
    """More elements than are looked at: tables of a whole slide. It is taken as it is."""
    walked(encoded(ct_slice(1), EXPLICIT) + b"\xe1\x7f\x01\x10UL\0\0" * 1_100_000)

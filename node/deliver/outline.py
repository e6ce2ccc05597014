"""Where the elements of an encoded data set stand: one pass over it, nothing decoded or held.

What is to be changed at two places and kept octet for octet everywhere else must be known to its
end: by which element an insertion stands, that no attribute comes later out of order, that nobody
has signed it. So this is strict where receiving is lenient (`node.receive.walk`): of what is odd
in any way it says so, and nothing is changed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from node.errors import InvalidInstanceError

UNDEFINED: Final = 0xFFFFFFFF
MOST_ELEMENTS: Final = 1_000_000
DEEPEST: Final = 64
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SHORT: Final = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
)
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


@dataclass(frozen=True, slots=True)
class ElementEncoding:
    """How elements are encoded (PS3.5 Section 7)."""

    implicit: bool
    big_endian: bool

    @property
    def order(self) -> str:
        """Of `struct`."""
        return ">" if self.big_endian else "<"


@dataclass(frozen=True, slots=True)
class PlacedElement:
    """One element of the data set itself.

    Attributes
    ----------
    vr
        Empty in implicit VR.
    start, value, end
        Where it begins, where its value begins, and where the next element does; octets of the
        file.
    length
        As encoded; `UNDEFINED`: its value ends with a delimiter of eight octets.
    """

    tag: int
    vr: bytes
    start: int
    value: int
    end: int
    length: int


def elements(file: BinaryIO, encoding: ElementEncoding) -> Iterator[PlacedElement]:
    """Yield the elements of a data set, from where a file stands to its end.

    Raises
    ------
    InvalidInstanceError
        If it is not to be understood to its end: a Value Representation that is not known, tags
        that do not ascend, sequences that are broken or too deep, a last element that is cut off.
    """
    start = file.tell()
    octets = file.seek(0, 2)
    file.seek(start)
    reader = _Reader(file, octets)
    before = -1
    while file.tell() < octets:
        element = reader.element(encoding)
        if element.tag <= before or element.tag >> 16 in (0x0000, 0x0002, 0xFFFE):
            raise InvalidInstanceError(
                f"element {element.tag:08X} does not stand in the order of tags"
            )
        before = element.tag
        yield element
        file.seek(element.end)


class _Reader:
    """Reads heads of elements, and passes over values."""

    def __init__(self, file: BinaryIO, octets: int) -> None:
        self._file = file
        self._octets = octets
        self._left = MOST_ELEMENTS

    def element(self, encoding: ElementEncoding) -> PlacedElement:
        """Return the element that begins where the file stands, of the data set itself."""
        start = self._file.tell()
        tag, vr, length = self._head(encoding)
        value = self._file.tell()
        if length == UNDEFINED:
            self._pass_items(_inside(encoding, vr))
            return PlacedElement(tag, vr, start, value, self._file.tell(), length)
        self._within(value + length)
        return PlacedElement(tag, vr, start, value, value + length, length)

    def _head(self, encoding: ElementEncoding) -> tuple[int, bytes, int]:
        self._count()
        head = self._read(8)
        group, number = struct.unpack_from(f"{encoding.order}HH", head)
        tag = group << 16 | number
        if encoding.implicit or group == 0xFFFE:
            return tag, b"", int(struct.unpack_from(f"{encoding.order}I", head, 4)[0])
        vr = head[4:6]
        if vr in _SHORT:
            return tag, vr, int(struct.unpack_from(f"{encoding.order}H", head, 6)[0])
        if vr not in _LONG:
            raise InvalidInstanceError(f"element {tag:08X} has a VR that is not known")
        return tag, vr, int(struct.unpack(f"{encoding.order}I", self._read(4))[0])

    def _pass_items(self, encoding: ElementEncoding) -> None:
        """Pass over the items of an element of undefined length, and over their end."""
        open_items: list[tuple[bool, ElementEncoding]] = [(True, encoding)]  # (in a sequence?, …)
        while open_items:
            in_sequence, inside = open_items[-1]
            tag, vr, length = self._head(inside)
            if tag == (_SEQUENCE_END if in_sequence else _ITEM_END):
                open_items.pop()
                if length:
                    raise InvalidInstanceError(f"delimiter {tag:08X} has a length")
            elif (tag >> 16 == 0xFFFE) != (in_sequence and tag == _ITEM):
                raise InvalidInstanceError(f"element {tag:08X} stands in a wrong place")
            elif length != UNDEFINED:
                self._within(self._file.tell() + length)
                self._file.seek(length, 1)
            elif len(open_items) >= 2 * DEEPEST:
                raise InvalidInstanceError("sequences are nested too deep")
            else:
                entered = (False, inside) if in_sequence else (True, _inside(inside, vr))
                open_items.append(entered)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise InvalidInstanceError(f"more than {MOST_ELEMENTS} elements")

    def _read(self, octets: int) -> bytes:
        read = self._file.read(octets)
        if len(read) < octets:
            raise InvalidInstanceError("its last element is cut off")
        return read

    def _within(self, end: int) -> None:
        if end > self._octets:
            raise InvalidInstanceError("its last element is cut off")


def _inside(encoding: ElementEncoding, vr: bytes) -> ElementEncoding:
    """Return how the items of an element are encoded; those of UN: PS3.5 Section 6.2.2."""
    return ElementEncoding(implicit=True, big_endian=False) if vr == b"UN" else encoding

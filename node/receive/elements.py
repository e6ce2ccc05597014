"""Elements as they are encoded, and how to tell in which encoding octets are."""

import struct
from dataclasses import dataclass
from typing import Final

from node.receive.octets import Window

UNDEFINED: Final = 0xFFFFFFFF
FAR: Final = 1 << 62
DELIMITERS: Final = 0xFFFE  # group
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD

_SHORT_VRS: Final = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"),
    *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
)
# With a length of 4 octets (PS3.5 Table 7.1-1).
_LONG_VRS: Final = (
    *(b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"),
)
HEADS: Final = dict.fromkeys(_SHORT_VRS, 8) | dict.fromkeys(_LONG_VRS, 12)
"""Octets in front of a value, by VR."""


class Encoding:
    """How elements are encoded (PS3.5 Section 7 and Annex A).

    Attributes
    ----------
    name : str
    implicit : bool
        Whether elements have no Value Representation.
    ends : tuple of bytes
        The tags that the value of a sequence can begin with: of an item, and of its end.
    """

    def __init__(self, name: str, *, implicit: bool, order: str) -> None:
        self.name = name
        self.implicit = implicit
        self.explicit_head = struct.Struct(order + "HH2sH")
        self.implicit_head = struct.Struct(order + "HHI")
        self.short = struct.Struct(order + "H")
        self.long = struct.Struct(order + "I")
        self.ends = tuple(
            struct.pack(order + "HH", DELIMITERS, number) for number in (0xE000, 0xE0DD)
        )

    def tag(self, octets: bytes) -> int:
        """Return the tag that octets begin with."""
        group, element, _ = self.implicit_head.unpack_from(octets)
        return int(group << 16 | element)


IMPLICIT: Final = Encoding("implicit VR little endian", implicit=True, order="<")
EXPLICIT: Final = Encoding("explicit VR little endian", implicit=False, order="<")
BIG_ENDIAN: Final = Encoding("explicit VR big endian", implicit=False, order=">")


ENDS: Final = frozenset((*EXPLICIT.ends, *BIG_ENDIAN.ends))
"""The tags that the value of any sequence can begin with."""


@dataclass(frozen=True, slots=True)
class Element:
    """The head of an element: its tag, VR, the octets in front of its value, its length.

    The VR is empty where there is none, or none that anybody knows.
    """

    tag: int
    vr: bytes
    octets: int
    length: int


def coherent(window: Window, encoding: Encoding, end: int) -> bool:
    """Tell whether the next element is one of that encoding, and followed by another or an end.

    Three in a row where there is no VR to tell: any octets are a tag and a length.
    """
    ahead = 0
    for _ in range(3 if encoding.implicit else 1):
        head = window.glance(ahead, 12)
        if len(head) < 8:
            return ahead > 0
        element = head_of(encoding, head.ljust(12, b"\0"))
        if element is None:
            return False
        moved = Element(element.tag, element.vr, ahead + element.octets, element.length)
        if not followed(window, encoding, moved, end, strictly=True):
            return False
        ahead = moved.octets + moved.length
        if element.length == UNDEFINED or window.position + ahead == end:
            return True
    return True


def head_of(encoding: Encoding, head: bytes) -> Element | None:
    """Return the head of an element, None where it has no VR that is known."""
    tag = encoding.tag(head)
    if encoding.implicit:
        return Element(tag, b"", 8, int(encoding.long.unpack_from(head, 4)[0]))
    octets = HEADS.get(head[4:6])
    if octets is None:
        return None
    form, at = (encoding.short, 6) if octets == 8 else (encoding.long, 8)
    return Element(tag, head[4:6], octets, int(form.unpack_from(head, at)[0]))


def followed(
    window: Window, encoding: Encoding, element: Element, end: int, *, strictly: bool
) -> bool:
    """Tell whether another element, or an end, stands behind an element."""
    if element.length == UNDEFINED:
        return window.glance(element.octets, 4) in ENDS
    ahead = element.octets + element.length
    if window.position + ahead == end or window.ends_at(window.position + ahead):
        return True
    behind = window.glance(ahead, 8)
    if len(behind) < 8 or window.position + ahead > end:
        return False
    following = encoding.tag(behind)
    if following >> 16 == DELIMITERS:
        return following in (ITEM_END, SEQUENCE_END)
    if encoding.implicit or not strictly:
        return following >= element.tag
    return behind[4:6] in HEADS and (following >= element.tag or element.vr in HEADS)


def next_head(window: Window, encoding: Encoding, end: int) -> tuple[Element, bool]:
    """Return the head of the next element, and whether its VR is known; '' stands for others.

    A VR of a later standard has a length of 4 octets (PS3.5 Section 7.1.2), an illegal one
    mostly 2, and there are elements without any. That reading is right behind which another
    element follows.
    """
    head = window.glance(0, 12).ljust(12, b"\0")
    tag = encoding.tag(head)
    if encoding.implicit or tag >> 16 == DELIMITERS:
        return Element(tag, b"", 8, int(encoding.long.unpack_from(head, 4)[0])), True
    element = head_of(encoding, head)
    if element is not None:
        return element, True
    readings = _readings(encoding, tag, head)
    for strictly in (True, False):
        for element in readings:
            if followed(window, encoding, element, end, strictly=strictly):
                return element, False
    return readings[0], False


def _readings(encoding: Encoding, tag: int, head: bytes) -> list[Element]:
    """Return what the head of an element of an unknown VR may mean, the likeliest first."""
    vr = head[4:6]
    short = Element(tag, b"", 8, int(encoding.short.unpack_from(head, 6)[0]))
    long = Element(tag, b"", 12, int(encoding.long.unpack_from(head, 8)[0]))
    none = Element(tag, b"", 8, int(encoding.long.unpack_from(head, 4)[0]))
    new = vr.isalpha() and vr.isupper()
    by_vr = HEADS.get(vr.upper(), 12 if new else 8)
    return [long, short, none] if by_vr == 12 else [short, long, none]

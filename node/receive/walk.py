"""One pass over the elements of an encoded data set: its UIDs, and how deep it is nested.

pydicom reads a sequence of undefined length into objects, some hundred times its size, and goes
into nested ones by recursion; here a peer decides how long and how deep they are. So elements
are walked over without being held, and both their number and their depth are bounded.

What is legitimate, or was ever seen to be sent, is passed over: tags in any order, Value
Representations nobody knows, sequences without their end in an item that has a length. Once the
UIDs are found nothing but too deep a nesting is held against a data set.
"""

from dataclasses import dataclass
from typing import Final

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]

from node.errors import InvalidInstanceError
from node.receive.elements import (
    BIG_ENDIAN,
    DELIMITERS,
    ENDS,
    EXPLICIT,
    FAR,
    HEADS,
    IMPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    Encoding,
    coherent,
    next_head,
)
from node.receive.octets import Window

SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
WANTED: Final = {
    SOP_INSTANCE: "sop_instance_uid",
    SERIES: "series_instance_uid",
    STUDY: "study_instance_uid",
    SOP_CLASS: "sop_class_uid",
}

PIXELS: Final = 0x7FE00010

MOST_ELEMENTS: Final = 1_000_000
_DEEPEST: Final = 64  # sequences in sequences; readers that recurse give up not far below
_LEVEL: Final = 16  # octets that one more sequence and item take at least (implicit VR)
_COST: Final = 10  # elements of a known VR that one of an unknown VR takes as long as
_LONGEST_UID: Final = 256  # octets; a malformed one should still be named in the refusal


_NESTING: Final = frozenset((b"SQ", b"UN"))
_LOOKED_AT: Final = frozenset((0x0008, 0x0020, 0x7FE0))  # groups
_NOTED: Final = frozenset((*WANTED, PIXELS))
_STREAMS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff")  # JPEG and JPEG-LS, JPEG 2000


@dataclass(slots=True)
class _Level:
    """A sequence or an item that we are in.

    Attributes
    ----------
    holds_items : bool
        It is a sequence.
    end : int
        Where it ends at the latest; of undefined length, where what holds it ends.
    opaque : bool
        Its items hold no elements: fragments of pixels.
    unsure : bool
        Its items may be in explicit VR although they should not be.
    passed : bool
        What was passed over last is an item that said how long it is.
    """

    holds_items: bool
    encoding: Encoding
    end: int
    opaque: bool = False
    unsure: bool = False
    passed: bool = False


class Walk:
    """One pass over a data set.

    Parameters
    ----------
    window : Window
        Where its first element begins.
    encoding : Encoding
        Of its elements; see `node.receive.header.encoding_of`.
    most : int
        Elements that are looked at.

    Attributes
    ----------
    native_pixels : bool
        The data set itself was found to hold pixels that are not encapsulated.
    """

    def __init__(self, window: Window, encoding: Encoding, most: int) -> None:
        self._window = window
        self._levels = [_Level(False, encoding, FAR)]
        self._most = self._left = most
        self._found: dict[int, str] = {}
        self._last = (0, 0)  # where the element before began, and its tag
        self._lost = ""
        self.native_pixels = False

    def uids(self) -> dict[int, str]:
        """Walk; return those of the wanted UIDs that the data set itself holds, by tag.

        Raises
        ------
        InvalidInstanceError
            If one cannot be a UID, or is there twice.
        TooDeepError
            If sequences are nested too deep, anywhere.
        """
        while not self._lost and self._window.has(8):
            if self._left <= 0:
                self._lost = f"no end to its elements after {self._most}"
            else:
                self._pass()
        return self._found

    def ending(self) -> str:
        """Tell where and why the walk ended."""
        at, tag = self._last
        last = f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at octet {at}"
        if self._lost:
            return f"{self._lost}, behind {last}" if tag else self._lost
        beyond = self._window.beyond(self._window.position)
        if beyond:
            return f"it ends within {last}, {beyond} octets too early"
        return f"it ends behind {last}" if tag else "it has no element"

    def _get_lost(self, because: str) -> None:
        """Go on behind what holds us and says how long it is; without such, end here."""
        while len(self._levels) > 1:
            ended = self._levels.pop()
            if ended.end != FAR:
                self._window.go_to(ended.end)
                return
        self._lost = because

    def _pass(self) -> None:
        """Pass over some elements of the innermost level, or over its end."""
        level = self._levels[-1]
        if self._window.position >= level.end:
            self._levels.pop()
            self._window.go_to(level.end)  # an element may have said that it goes on
        elif level.holds_items:
            self._item(level)
        else:
            pass_ordinary = self._implicit if level.encoding.implicit else self._explicit
            pass_ordinary(level)
            if self._window.position < level.end and self._window.has(8):
                self._element(level)

    def _explicit(self, level: _Level) -> None:
        """Pass over elements in which nothing is to be found, as far as the window goes."""
        window = self._window
        buffer, at, left = window.buffer, window.at, self._left
        last = min(len(buffer), level.end - window.base) - 12
        before, tag, shallow = at, 0, self._shallow()
        head, long = level.encoding.explicit_head.unpack_from, level.encoding.long.unpack_from
        while at <= last and left > 0:
            group, element, vr, length = head(buffer, at)
            octets = HEADS.get(vr)
            if octets is None or (group in _LOOKED_AT and group << 16 | element in _NOTED):
                break
            if octets == 12:
                (length,) = long(buffer, at + 8)
                if length > shallow and (vr in _NESTING or length == UNDEFINED):
                    break
            before, tag, left = at, group << 16 | element, left - 1
            at += octets + length
        if tag:
            self._last = (window.base + before, tag)
            window.at, self._left = at, left

    def _implicit(self, level: _Level) -> None:
        """Pass over elements in which nothing is to be found, as far as the window goes."""
        window = self._window
        buffer, at, left = window.buffer, window.at, self._left
        last = min(len(buffer), level.end - window.base) - 8
        before, tag, shallow = at, 0, self._shallow()
        head = level.encoding.implicit_head.unpack_from
        while at <= last and left > 0:
            group, element, length = head(buffer, at)
            if length > shallow or group == DELIMITERS:
                break
            if group in _LOOKED_AT and group << 16 | element in _NOTED:
                break
            before, tag, left = at, group << 16 | element, left - 1
            at += 8 + length
        if tag:
            self._last = (window.base + before, tag)
            window.at, self._left = at, left

    def _shallow(self) -> int:
        """Return how long a value can be and hold nothing that is nested too deep."""
        return (_DEEPEST - 1 - len(self._levels) // 2) * _LEVEL

    def _element(self, level: _Level) -> None:
        """Pass over one element, or go into it."""
        window = self._window
        element, known = next_head(window, level.encoding, level.end)
        self._left -= 1 if known else _COST
        if element.tag >> 16 == DELIMITERS:
            self._delimiter(element.tag)
            return
        self._last = (window.position, element.tag)
        if element.tag in _NOTED and len(self._levels) == 1 and element.length != UNDEFINED:
            self._note(element)
        if element.length == UNDEFINED:
            self._enter(level, element, opaque=not _may_nest(element))
        elif (
            element.length > self._shallow()
            and _may_nest(element)
            and self._begins(element) in ENDS
        ):
            self._enter(level, element)
        else:
            window.at += element.octets + element.length

    def _note(self, element: Element) -> None:
        """Keep a UID; tell native pixels from fragments and code streams without an end."""
        if element.tag == PIXELS:
            begins = self._begins(element)
            self.native_pixels = begins not in ENDS and not begins.startswith(_STREAMS)
        else:
            self._keep(element)

    def _keep(self, element: Element) -> None:
        """Keep a UID."""
        if element.length > _LONGEST_UID:
            raise InvalidInstanceError(
                f"not a data set: a UID of {element.length} octets in {element.tag:08X}"
            )
        value = self._window.glance(element.octets, element.length)
        if len(value) < element.length:
            return
        try:
            uid = value.decode("ascii").strip(" \0")
        except UnicodeDecodeError as error:
            raise InvalidInstanceError(f"not a data set: no UID in {element.tag:08X}") from error
        if self._found.setdefault(element.tag, uid) != uid:
            raise InvalidInstanceError(
                f"not a data set: element {element.tag:08X} twice, with two values"
            )

    def _begins(self, element: Element) -> bytes:
        return self._window.glance(element.octets, 4)

    def _enter(self, level: _Level, element: Element, *, opaque: bool = False) -> None:
        """Go into the items of an element.

        Those of UN are in implicit VR little endian, whatever is around them (PS3.5 Section
        6.2.2), or should be. The byte order is that of the first tag.
        """
        unsure = element.vr == b"UN" or (not element.vr and not level.encoding.implicit)
        encoding = IMPLICIT if element.vr == b"UN" else level.encoding
        begins = self._begins(element)
        if begins not in encoding.ends and begins in ENDS:
            encoding = BIG_ENDIAN if begins in BIG_ENDIAN.ends else EXPLICIT
        self._window.at += element.octets
        end = level.end
        if element.length != UNDEFINED:
            end = min(end, self._window.position + element.length)
        self._push(_Level(True, encoding, end, opaque, unsure=unsure))

    def _item(self, level: _Level) -> None:
        """Pass over an item, go into it, or leave its sequence."""
        self._left -= 1
        window = self._window
        head = window.glance(0, 8)
        tag, (length,) = level.encoding.tag(head), level.encoding.long.unpack_from(head, 4)
        if tag == SEQUENCE_END:
            self._levels.pop()
            window.at += 8
        elif tag == ITEM_END and level.passed:
            window.at += 8  # of an item that has said how long it is; pydicom reads that, too
            level.passed = False
        elif tag != ITEM or (level.opaque and length == UNDEFINED):
            kind = "delimiter" if tag >> 16 == DELIMITERS else "element"
            self._get_lost(f"{kind} {tag:08X} in the wrong place, where an item should be")
        elif length == UNDEFINED or (length > self._shallow() and not level.opaque):
            window.at += 8
            end = level.end if length == UNDEFINED else min(level.end, window.position + length)
            self._push(_Level(False, self._inside(level, end), end))
        else:
            window.at += 8 + length
            level.passed = True

    def _inside(self, level: _Level, end: int) -> Encoding:
        """Return how the elements of the next item are encoded."""
        if not level.unsure or coherent(self._window, level.encoding, end):
            return level.encoding
        others = (EXPLICIT, IMPLICIT, BIG_ENDIAN)
        found = (encoding for encoding in others if coherent(self._window, encoding, end))
        return next(found, level.encoding)

    def _delimiter(self, tag: int) -> None:
        if tag == ITEM_END and len(self._levels) > 1:
            self._levels.pop()
            self._window.at += 8
        else:
            self._get_lost(f"delimiter {tag:08X} in the wrong place")

    def _push(self, level: _Level) -> None:
        if len(self._levels) > 2 * _DEEPEST:
            raise InvalidInstanceError(
                f"sequences nested more than {_DEEPEST} deep, at octet {self._window.position}"
            )
        self._levels.append(level)


def _may_nest(element: Element) -> bool:
    """Tell whether a reader would look for items in an element."""
    if element.vr:
        return element.vr in _NESTING
    # Not `dictionary_VR`: eight times slower, and a peer may send a million unknown tags.
    return DicomDictionary.get(element.tag, ("SQ",))[0] in ("SQ", "UN")

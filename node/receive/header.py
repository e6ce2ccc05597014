"""The UIDs of an encoded data set, found without holding or decoding it.

pydicom reads a sequence of undefined length into objects, some hundred times its size, and
goes into nested ones by recursion; here a peer decides how long and how deep they are. So the
elements are walked over: each takes two short reads, whatever its size, and both their number
and their depth are bounded.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final, Protocol

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.errors import StoreError
from node.receive.negotiation import NON_PATIENT
from node.store.instances import Identity

SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E  # the last of them: what we read ends here
_WANTED: Final = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY, SERIES})

_MOST_ELEMENTS: Final = 1_000_000
_DEEPEST: Final = 64  # sequences in sequences; readers that recurse give up not far below
_LONGEST_UID: Final = 256  # octets; a malformed one should still be named in the refusal
_INFLATED_MOST: Final = 1 << 30  # octets; readers hold the inflated data set in memory
_PIECE: Final = 1 << 18

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
# Value Representations with a length of 4 octets (PS3.5 Table 7.1-1).
_LONG: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


class Readable(Protocol):
    """Octets in order: a file, or an inflated data set."""

    def read(self, octets: int, /) -> bytes:
        """Return the next octets, fewer only at the end."""

    def skip(self, octets: int, /) -> None:
        """Pass over the next octets."""


class Seekable(Protocol):
    """What a file offers."""

    def read(self, octets: int, /) -> bytes:
        """Return the next octets."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Go to a place."""


def identify(file: Seekable, transfer_syntax: UID) -> Identity:
    """Find the UIDs of an encoded data set; nothing behind them is looked at.

    A deflated data set is inflated whole, a piece at a time: one that cannot be, or that is
    far larger than any reader could hold, must not be kept.

    Parameters
    ----------
    file : file-like
        At the beginning of the data set as it came over the network.
    transfer_syntax : UID
        The accepted one of its presentation context.

    Raises
    ------
    StoreError
        If the bytes are not a data set, or a UID is missing or malformed.
    """
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        inflated = _Inflated(file)
        found = _Walk(inflated, implicit=False, order="<").uids()
        inflated.finish()
    else:
        order = "<" if transfer_syntax.is_little_endian else ">"
        found = _Walk(_Plain(file), implicit=transfer_syntax.is_implicit_VR, order=order).uids()
    instance, sop_class = found.get(SOP_INSTANCE, ""), found.get(SOP_CLASS, "")
    alone = instance if sop_class in NON_PATIENT else ""  # of no series and no study
    return Identity(instance, found.get(SERIES, alone), found.get(STUDY, alone), sop_class)


class _Plain:
    """A data set that lies there as it is."""

    def __init__(self, file: Seekable) -> None:
        self._file = file

    def read(self, octets: int) -> bytes:
        return self._file.read(octets)

    def skip(self, octets: int) -> None:
        self._file.seek(octets, 1)


class _Inflated:
    """A deflated data set (PS3.5 Section A.5), inflated a piece at a time."""

    def __init__(self, file: Seekable) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""
        self._total = 0

    def read(self, octets: int) -> bytes:
        while len(self._ready) < octets and (more := self._more()):
            self._ready += more
        taken, self._ready = self._ready[:octets], self._ready[octets:]
        return taken

    def skip(self, octets: int) -> None:
        while octets > len(self._ready):
            octets -= len(self._ready)
            self._ready = self._more()
            if not self._ready:
                return
        self._ready = self._ready[octets:]

    def finish(self) -> None:
        """Inflate the rest.

        Raises
        ------
        StoreError
            If the deflated stream is broken or cut short.
        """
        while self._more():
            pass
        if not self._inflate.eof:
            raise StoreError("the deflated data set is cut short")

    def _more(self) -> bytes:
        """Return the next inflated octets, none only at the end."""
        more = b""
        try:
            while not more and not self._inflate.eof:
                octets = self._inflate.unconsumed_tail or self._file.read(_PIECE)
                more = self._inflate.decompress(octets, _PIECE)
                if not octets and not more:
                    break
        except zlib.error as error:
            raise StoreError(f"the deflated data set cannot be inflated: {error}") from error
        self._total += len(more)
        if self._total > _INFLATED_MOST:
            raise StoreError(f"the deflated data set inflates to over {_INFLATED_MOST >> 20} MiB")
        return more


@dataclass(slots=True)
class _Level:
    """A sequence or item of undefined length that we are in."""

    holds_items: bool
    implicit: bool


def _is_vr(octets: bytes) -> bool:
    return octets.isalpha() and octets.isupper()


class _Walk:
    """One pass over the elements in front of, and up to, Series Instance UID."""

    def __init__(self, source: Readable, *, implicit: bool, order: str) -> None:
        self._source = source
        self._implicit = implicit
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._length = struct.Struct(order + "I")
        self._levels: list[_Level] = []
        self._found: dict[int, str] = {}

    def uids(self) -> dict[int, str]:
        """Return the wanted UIDs that are there, by tag.

        Raises
        ------
        StoreError
            If this is no data set, or one that is built to keep us busy.
        """
        for number in range(_MOST_ELEMENTS):
            head = self._source.read(8)
            if len(head) < 8:
                return self._found
            group, element = self._tag.unpack_from(head)
            tag = group << 16 | element
            if number == 0 and group != 0xFFFE:
                # Some senders encode the other way round than they negotiated; so do readers.
                self._implicit = not _is_vr(head[4:6])
            if not self._levels and tag > SERIES:
                return self._found
            self._element(tag, head)
        raise StoreError(f"not a data set: no end to its elements after {_MOST_ELEMENTS}")

    def _element(self, tag: int, head: bytes) -> None:
        level = self._levels[-1] if self._levels else _Level(False, self._implicit)
        if tag >> 16 == 0xFFFE:
            self._delimiter(tag, self._length.unpack_from(head, 4)[0], level)
            return
        if level.holds_items:
            raise StoreError(f"not a data set: element {tag:08X} where an item should be")
        vr, length = self._vr_and_length(head, level.implicit)
        if length == _UNDEFINED:
            # Inside UN of undefined length is implicit VR little endian (PS3.5 Section 6.2.2).
            self._enter(_Level(True, level.implicit or vr == b"UN"))
        elif tag in _WANTED and not self._levels:
            self._keep(tag, length)
        else:
            self._source.skip(length)

    def _vr_and_length(self, head: bytes, implicit: bool) -> tuple[bytes, int]:
        vr = head[4:6]
        if implicit or not _is_vr(vr):  # pydicom reads a single one without VR so, too
            return b"", int(self._length.unpack_from(head, 4)[0])
        if vr not in _LONG:
            return vr, int(self._short.unpack_from(head, 6)[0])
        rest = self._source.read(4)
        if len(rest) < 4:
            raise StoreError("not a data set: it ends in the length of an element")
        return vr, int(self._length.unpack(rest)[0])

    def _delimiter(self, tag: int, length: int, level: _Level) -> None:
        if tag == _ITEM and level.holds_items:
            if length == _UNDEFINED:
                self._enter(_Level(False, level.implicit))
            else:
                self._source.skip(length)
        elif (tag, level.holds_items) in ((_SEQUENCE_END, True), (_ITEM_END, False)):
            self._levels.pop()
        else:
            raise StoreError(f"not a data set: delimiter {tag:08X} in the wrong place")

    def _enter(self, level: _Level) -> None:
        if len(self._levels) >= 2 * _DEEPEST:
            raise StoreError(f"sequences nested more than {_DEEPEST} deep")
        self._levels.append(level)

    def _keep(self, tag: int, length: int) -> None:
        if tag in self._found:
            raise StoreError(f"not a data set: element {tag:08X} twice")
        if length > _LONGEST_UID:
            raise StoreError(f"not a data set: a UID of {length} octets in {tag:08X}")
        value = self._source.read(length)
        try:
            self._found[tag] = value.decode("ascii").strip(" \0")
        except UnicodeDecodeError as error:
            raise StoreError(f"not a data set: no UID in {tag:08X}") from error

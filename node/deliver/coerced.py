"""A copy of a stored file with empty attributes filled, lent for as long as it takes to send it.

Everything else goes octet for octet, pixels and what stands in no dictionary too: the data set is
cut open at a few places and never decoded. The stored file is only read. File Meta Information is
written anew, since we write the file. The SOP Instance UID stays: a coerced instance is the same
instance (PS3.3 C.12.1.1.9, PS3.4 B.4.1.3), and whoever refers to it, a request for storage
commitment and other images' references among them, means this one.
"""

import hashlib
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import BinaryIO, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info, write_sequence_item
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from node.deliver.coercion import LOOKED_AT, Fillable, changes
from node.deliver.outline import UNDEFINED, ElementEncoding, PlacedElement, elements
from node.deliver.stored import SEARCHED, misplaced
from node.derived.coercion import Stamp, coercing_equipment, original_attributes
from node.errors import InvalidInstanceError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.model.records import Coerced, Finding
from node.store.digests import data_set_start

_PIECE: Final = 1 << 20  # octets
_MOST_INFLATED: Final = 1 << 30  # octets, as receiving allows
_LONGEST_VALUE: Final = 1 << 10  # octets of a value that is looked at
_DEFLATED: Final = frozenset(
    {
        str(DeflatedExplicitVRLittleEndian),
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)
_IMPLICIT: Final = frozenset({str(ImplicitVRLittleEndian), "1.2.840.10008.1.20"})  # and Papyrus
_CONTRIBUTING: Final = Tag("ContributingEquipmentSequence")
_ORIGINAL: Final = Tag("OriginalAttributesSequence")
_CHANGED: Final = (*map(Tag, Fillable), _CONTRIBUTING, _ORIGINAL)
_GROUPS: Final = frozenset(tag.group for tag in _CHANGED)
_SIGNED: Final = frozenset({Tag("MACParametersSequence"), Tag("DigitalSignaturesSequence")})


@dataclass(frozen=True)
class Coercion:
    """What one instance is coerced by on its way to one destination.

    Attributes
    ----------
    findings
        Of its series.
    wanted
        What the destination asks for.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    findings: Collection[Finding]
    wanted: Collection[Fillable]
    stamp: Stamp


@dataclass(frozen=True)
class _Edit:
    """Octets that stand in place of others, from `start` to `end`."""

    start: int
    end: int
    octets: bytes


@dataclass
class _Standing:
    """What is remembered of the elements of a data set, however many it has.

    Attributes
    ----------
    at_or_behind
        By the tag of what may be changed: the element of this tag, or the first one behind it.
    group_lengths
        Of the groups that may be changed: they would no longer be true, and as retired ones may
        be left out (PS3.5 Section 7.2).
    end
        Where the last one ends.
    """

    at_or_behind: dict[int, PlacedElement] = field(default_factory=dict)
    group_lengths: list[PlacedElement] = field(default_factory=list)
    end: int = 0

    def note(self, element: PlacedElement) -> None:
        for tag in _CHANGED:
            if element.tag >= tag:
                self.at_or_behind.setdefault(tag, element)
        if element.tag & 0xFFFF == 0 and element.tag >> 16 in _GROUPS:
            self.group_lengths.append(element)
        self.end = element.end


@contextmanager
def coerced_copy(path: Path, coercion: Coercion) -> Iterator[tuple[Path, Coerced | None]]:
    """Lend a coerced copy of a stored file and tell what was filled; the file itself for nothing.

    Parameters
    ----------
    path : Path
        Of the stored file.
    coercion : Coercion
        What it is coerced by; the same makes the same octets.

    Raises
    ------
    InvalidInstanceError
        If its data set is not to be understood to its end, or signed: nothing is changed then.
    OSError
        If it cannot be read, or there is no room for the copy.
    """
    deflated = coercion.transfer_syntax_uid in _DEFLATED
    with ExitStack() as opened:
        source: BinaryIO = opened.enter_context(path.open("rb"))
        start = data_set_start(source)
        source.seek(0)
        start = max(start, misplaced(source.read(SEARCHED), coercion.transfer_syntax_uid).stop)
        if deflated:
            source.seek(start)
            inflated = opened.enter_context(TemporaryFile(prefix="radnode"))
            _inflate(source, inflated)
            source, start = inflated, 0
        filled, edits = _edits(source, start, coercion)
        if not filled:
            yield path, None
            return
        copy = opened.enter_context(NamedTemporaryFile(prefix="radnode"))
        copy.write(_head(coercion))
        total = hashlib.sha256()
        pieces = _edited(source, start, edits)
        for piece in _deflate(pieces) if deflated else pieces:
            total.update(piece)
            copy.write(piece)
        copy.flush()
        yield Path(copy.name), Coerced(total.hexdigest(), tuple(map(str, filled)))


def _edits(
    source: BinaryIO, start: int, coercion: Coercion
) -> tuple[Mapping[Fillable, str], list[_Edit]]:
    """Return what is filled, and what is changed for it, in the order of places."""
    source.seek(start)
    encoding = _encoding(coercion.transfer_syntax_uid)
    stand = _Standing()
    header: dict[int, str] = {}
    for element in elements(source, encoding):
        if element.tag in _SIGNED:
            raise InvalidInstanceError("it is signed: a signature holds for what was signed only")
        if element.tag in LOOKED_AT:
            header[element.tag] = _text(source, element)
        stand.note(element)
    filled = changes(header, coercion.sop_class_uid, coercion.findings, coercion.wanted)
    if not filled:
        return {}, []
    edits = [
        _put(stand, Tag(keyword), _element(encoding, keyword, value))
        for keyword, value in filled.items()
    ]
    items = {
        _CONTRIBUTING: coercing_equipment(coercion.stamp),
        _ORIGINAL: original_attributes(filled, coercion.stamp),
    }
    for tag, item in items.items():
        edits += _appended(stand, tag, item, encoding)
    edits += [_Edit(length.start, length.end, b"") for length in stand.group_lengths]
    return filled, sorted(edits, key=lambda edit: (edit.start, edit.end))


def _put(stand: _Standing, tag: int, octets: bytes) -> _Edit:
    """Return the edit that puts an element where it belongs, in place of its empty namesake."""
    following = stand.at_or_behind.get(tag)
    if following is None:
        return _Edit(stand.end, stand.end, octets)
    end = following.end if following.tag == tag else following.start
    return _Edit(following.start, end, octets)


def _appended(stand: _Standing, tag: int, item: Dataset, encoding: ElementEncoding) -> list[_Edit]:
    """Return the edits that add an item to a sequence; those that it has stay as they are."""
    there = stand.at_or_behind.get(tag)
    octets = _item(encoding, item)
    if there is None or there.tag != tag:
        return [_put(stand, tag, _sequence_head(encoding, tag, len(octets)) + octets)]
    if there.vr not in (b"", b"SQ"):
        raise InvalidInstanceError(f"element {tag:08X} should be a sequence")
    if there.length == UNDEFINED:
        before_end = there.end - 8  # of its delimiter
        return [_Edit(before_end, before_end, octets)]
    head = _sequence_head(encoding, tag, there.length + len(octets))
    return [_Edit(there.start, there.value, head), _Edit(there.end, there.end, octets)]


def _edited(source: BinaryIO, start: int, edits: Sequence[_Edit]) -> Iterator[bytes]:
    """Yield a data set with edits, in pieces."""
    end = source.seek(0, 2)
    bounds = [_Edit(start, start, b""), *edits, _Edit(end, end, b"")]
    for edit, following in pairwise(bounds):
        yield edit.octets
        source.seek(edit.end)
        left = following.start - edit.end
        while left > 0 and (piece := source.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


def _text(source: BinaryIO, element: PlacedElement) -> str:
    """Return a value without its padding; '' where there is none."""
    if element.length == UNDEFINED:
        return "?"
    source.seek(element.value)
    return source.read(min(element.length, _LONGEST_VALUE)).decode("latin-1").strip(" \0")


def _encoding(transfer_syntax: str) -> ElementEncoding:
    return ElementEncoding(transfer_syntax in _IMPLICIT, transfer_syntax == ExplicitVRBigEndian)


def _buffer(encoding: ElementEncoding) -> DicomBytesIO:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = encoding.implicit
    buffer.is_little_endian = not encoding.big_endian
    return buffer


def _element(encoding: ElementEncoding, keyword: str, value: str) -> bytes:
    ds, buffer = Dataset(), _buffer(encoding)
    setattr(ds, keyword, value)
    write_dataset(buffer, ds)
    return buffer.getvalue()


def _item(encoding: ElementEncoding, item: Dataset) -> bytes:
    buffer = _buffer(encoding)
    write_sequence_item(buffer, item, ["iso8859"])
    return buffer.getvalue()


def _sequence_head(encoding: ElementEncoding, tag: int, length: int) -> bytes:
    if length >= UNDEFINED:
        raise InvalidInstanceError(f"element {tag:08X} has no room for another item")
    buffer = _buffer(encoding)
    buffer.write_tag(Tag(tag))
    if not encoding.implicit:
        buffer.write(b"SQ\0\0")
    buffer.write_UL(length)
    return buffer.getvalue()


def _head(coercion: Coercion) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 Section 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(coercion.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(coercion.sop_instance_uid)
    meta.TransferSyntaxUID = UID(coercion.transfer_syntax_uid)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_file_meta_info(buffer, meta)
    return bytes(128) + b"DICM" + buffer.getvalue()


def _inflate(stored: BinaryIO, inflated: BinaryIO) -> None:
    """Inflate a data set (PS3.5 Section A.5) into a file, a piece at a time."""
    engine, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    octets = b""
    try:
        while not engine.eof and (octets := engine.unconsumed_tail or stored.read(_PIECE)):
            more = engine.decompress(octets, _PIECE)
            total += len(more)
            if total > _MOST_INFLATED:
                raise InvalidInstanceError("its deflated data set is too large")
            inflated.write(more)
    except zlib.error as error:
        raise InvalidInstanceError("its deflated data set cannot be inflated") from error
    if not engine.eof:
        raise InvalidInstanceError("its deflated data set is cut off")


def _deflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces deflated; to an even length (PS3.5 Section A.5)."""
    engine, total = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0
    for piece in pieces:
        more = engine.compress(piece)
        total += len(more)
        yield more
    rest = engine.flush()
    yield rest + bytes((total + len(rest)) % 2)

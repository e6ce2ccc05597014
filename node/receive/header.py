"""What an encoded data set is, found without holding or decoding it: its UIDs, its encoding."""

from dataclasses import dataclass
from typing import Final

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.errors import InvalidInstanceError, NotDeflatedError
from node.receive.elements import (
    BIG_ENDIAN,
    EXPLICIT,
    FAR,
    IMPLICIT,
    Encoding,
    coherent,
    head_of,
)
from node.receive.negotiation import NON_PATIENT
from node.receive.octets import Inflated, PlainWindow, Seekable, Window
from node.receive.walk import MOST_ELEMENTS, SERIES, SOP_CLASS, SOP_INSTANCE, STUDY, WANTED, Walk
from node.store.paths import Identity

_DEFLATED: Final = frozenset(
    (
        str(DeflatedExplicitVRLittleEndian),
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    )
)
_PAPYRUS: Final = "1.2.840.10008.1.20"  # implicit VR little endian, retired
_ENCODINGS: Final = {
    str(ImplicitVRLittleEndian): IMPLICIT,
    _PAPYRUS: IMPLICIT,
    str(ExplicitVRBigEndian): BIG_ENDIAN,
}  # all others: explicit VR little endian (PS3.5 Annex A)
_PLAIN: Final = {
    IMPLICIT: ImplicitVRLittleEndian,
    EXPLICIT: ExplicitVRLittleEndian,
    BIG_ENDIAN: ExplicitVRBigEndian,
}
_RELABELLED: Final = frozenset((*map(str, _PLAIN.values()), _PAPYRUS))

_PER_OCTET: Final = 16  # elements that one deflated octet may unfold to; real ones are fewer
_MOST_DEFLATED: Final = 10_000  # besides
_PREAMBLE: Final = 132  # octets, with the prefix (PS3.10 Section 7.1)
_FIRST_GROUPS: Final = (b"\2\0", b"\0\0", b"\x08\0", b"\0\x08")  # behind it
_LONGEST_FRONT: Final = 1 << 16  # octets; in front of a data set


@dataclass(frozen=True)
class Found:
    """What was found in the octets of a data set.

    Attributes
    ----------
    identity : Identity
    transfer_syntax : UID
        How they are encoded: the one that was negotiated, unless they say otherwise.
    start : int
        Where the data set begins. Octets in front of it are File Meta Information or command
        elements, which are no part of a data set (PS3.10 Section 7.1, PS3.7 Section 6.3).
    missing : int
        Octets that its last element says it has, and that are not there.
    """

    identity: Identity
    transfer_syntax: UID
    start: int
    missing: int = 0


def identify(file: Seekable, transfer_syntax: UID) -> Found:
    """Find the UIDs and the encoding of a data set.

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
    InvalidInstanceError
        If the bytes are not a data set, a UID is missing or malformed, sequences are nested
        too deep, or no transfer syntax names how they are encoded.
    """
    if transfer_syntax not in _DEFLATED:
        return _plain(file, transfer_syntax)
    origin = file.seek(0, 1)
    try:
        inflated = Inflated(file)
    except NotDeflatedError:
        file.seek(origin, 0)
        return _plain(file, transfer_syntax)
    most = min(MOST_ELEMENTS, _MOST_DEFLATED + _PER_OCTET * inflated.deflated)
    encoding = encoding_of(inflated, EXPLICIT)
    identity = _identity(Walk(inflated, encoding, most))
    inflated.finish()
    return Found(identity, _label(transfer_syntax, encoding, deflated=True), 0)


def _plain(file: Seekable, transfer_syntax: UID) -> Found:
    """Walk over a data set as it seems to be encoded, and where that fails, as negotiated."""
    window = PlainWindow(file)
    start = _beginning(window)
    negotiated = _ENCODINGS.get(transfer_syntax, EXPLICIT)
    window.go_to(start)
    encoding = encoding_of(window, negotiated)
    walk = Walk(window, encoding, MOST_ELEMENTS)
    try:
        identity = _identity(walk)
    except InvalidInstanceError:
        if encoding is negotiated:
            raise
        window.go_to(start)
        encoding = negotiated
        walk = Walk(window, encoding, MOST_ELEMENTS)
        identity = _identity(walk)
    missing = window.beyond(window.position)
    label = _label(transfer_syntax, encoding, deflated=False)
    if walk.native_pixels and label not in _RELABELLED:
        label = ExplicitVRLittleEndian  # under a compressed syntax pixels are encapsulated
    return Found(identity, label, start, missing)


def _identity(walk: Walk) -> Identity:
    found = walk.uids()
    instance, sop_class = found.get(SOP_INSTANCE, ""), found.get(SOP_CLASS, "")
    if sop_class in NON_PATIENT:  # of no series and no study: it stands alone
        found = {STUDY: instance, SERIES: instance} | found
    missing = [name for tag, name in WANTED.items() if tag not in found]
    if missing:
        raise InvalidInstanceError(
            f"not a data set: {walk.ending()}; missing: {', '.join(missing)}"
        )
    return Identity(instance, found[SERIES], found[STUDY], sop_class)


def encoding_of(window: Window, negotiated: Encoding) -> Encoding:
    """Return how a data set is encoded: what its first elements say, or as negotiated."""
    explicit = (BIG_ENDIAN, EXPLICIT) if negotiated is BIG_ENDIAN else (EXPLICIT, BIG_ENDIAN)
    for encoding in (*explicit, IMPLICIT):
        if _smaller(window, encoding) and coherent(window, encoding, FAR):
            return encoding
    return negotiated


def _smaller(window: Window, encoding: Encoding) -> bool:
    """Tell whether the first group is smaller than it were in the other byte order."""
    octets = window.glance(0, 2)
    here, there = octets.ljust(8, b"\0"), octets[::-1].ljust(8, b"\0")
    return encoding.tag(here) <= encoding.tag(there)


def _label(negotiated: UID, found: Encoding, *, deflated: bool) -> UID:
    """Return the transfer syntax that names how a data set is encoded.

    Raises
    ------
    InvalidInstanceError
        If there is none: pixels are compressed in explicit VR little endian only.
    """
    named = negotiated if deflated or negotiated not in _DEFLATED else ExplicitVRLittleEndian
    if found is _ENCODINGS.get(named, EXPLICIT):
        return named
    if named not in _RELABELLED:
        raise InvalidInstanceError(
            f"encoded in {found.name}, which {negotiated.name} never is: expected explicit VR "
            "little endian (PS3.5 Annex A)"
        )
    return _PLAIN[found]


def _beginning(window: Window) -> int:
    """Return where a data set begins, behind what some senders leave in front of it.

    File Meta Information, with or without the preamble, and command elements; in explicit VR
    little endian, or as the data set.
    """
    prefix = window.glance(_PREAMBLE - 4, 6)
    if prefix[:4] == b"DICM" and prefix[4:] in _FIRST_GROUPS:
        window.go_to(_PREAMBLE)
    while window.has(8):
        head = window.glance(0, 12).ljust(12, b"\0")
        encoding = BIG_ENDIAN if head[:2] == b"\0\2" else EXPLICIT
        element = head_of(encoding, head) or head_of(IMPLICIT, head)
        if element is None or element.tag >> 16 not in (0x0000, 0x0002):
            break
        end = window.position + element.octets + element.length
        if end > _LONGEST_FRONT:
            break
        window.go_to(end)
    return window.position

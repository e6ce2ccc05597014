"""A stored file as those get it who take files: STOW-RS, Orthanc's REST API, a folder.

Some scanners and archives put elements of groups 0000 and 0002 at the head of the data set, where
they must not be (PS3.5 Section 7.1, PS3.10 Section 7.1). A peer that is sent the data set alone
knows it as one; in a file they cannot be told from the File Meta Information before them, and most
readers then take the transfer syntax that they name. So they are left out of the file; everything
else goes octet for octet.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from node.errors import InvalidInstanceError
from node.store.digests import data_set_start

_PIECE: Final = 1 << 20  # octets
SEARCHED: Final = 1 << 16
"""Octets at the beginning of a file; who puts more before a data set is sent as it is."""

_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs with a length of 32 bits (PS3.5 Table 7.1-1)."""


def pieces(path: Path, transfer_syntax: str) -> Iterator[bytes]:
    """Yield what of a stored file goes out.

    Parameters
    ----------
    transfer_syntax : str
        Of its data set, by the row.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        first = file.read(SEARCHED)
        left_out = misplaced(first, transfer_syntax)
        yield first[: left_out.start] + first[left_out.stop :]
        while piece := file.read(_PIECE):
            yield piece


def size(path: Path, transfer_syntax: str) -> int:
    """Return how many octets `pieces` yields.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        left_out = misplaced(file.read(SEARCHED), transfer_syntax)
        return file.seek(0, 2) - len(left_out)


def misplaced(octets: bytes, transfer_syntax: str) -> range:
    """Return where elements of groups 0000 and 0002 stand at the head of the data set.

    Parameters
    ----------
    octets : bytes
        The beginning of a stored file.
    """
    try:
        start = data_set_start(BytesIO(octets))
    except InvalidInstanceError:  # no Part 10 file: for the peer to judge
        return range(0)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        return range(0)
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    at = start
    while at + 12 <= len(octets):
        if struct.unpack_from(f"{order}H", octets, at)[0] not in (0x0000, 0x0002):
            return range(start, at)
        at += _element_length(octets, at, order)
    return range(0)


def _element_length(octets: bytes, at: int, order: str) -> int:
    """Return how many octets an element takes; these may be explicit in any syntax."""
    vr = octets[at + 4 : at + 6]
    if not (vr.isalpha() and vr.isupper()):
        return 8 + int(struct.unpack_from(f"{order}I", octets, at + 4)[0])
    if vr in _LONG:
        return 12 + int(struct.unpack_from(f"{order}I", octets, at + 8)[0])
    return 8 + int(struct.unpack_from(f"{order}H", octets, at + 6)[0])

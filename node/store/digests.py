"""The digests of a stored file: of its head, and of its data set."""

import hashlib
import struct
from typing import BinaryIO, Final

from node.errors import InvalidInstanceError

_HEAD: Final = 144
_BLOCK: Final = 1 << 20


def data_set_sha256(file: BinaryIO) -> str:
    """Return the digest of what follows the File Meta Information; see `file_sha256`.

    Parameters
    ----------
    file : BinaryIO
        A DICOM Part 10 file, at its beginning.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InvalidInstanceError
        If the file does not begin as a DICOM Part 10 file does.
    """
    return file_sha256(file)[1]


def file_sha256(file: BinaryIO) -> tuple[str, str]:
    """Return two digests that together cover a file: of its head, and of its data set.

    The head is preamble, prefix and File Meta Information; the data set's digest is what
    `StoredInstance.sha256` holds. The file is read from its beginning, in pieces.

    Parameters
    ----------
    file : BinaryIO
        A DICOM Part 10 file, at its beginning.

    Returns
    -------
    tuple of two str
        64 hexadecimal digits each: of the head, and of the data set.

    Raises
    ------
    InvalidInstanceError
        If the file does not begin as a DICOM Part 10 file does.
    """
    start = data_set_start(file)
    file.seek(0)
    return _digest(file, start), _digest(file)


def _digest(file: BinaryIO, octets: int | None = None) -> str:
    """Return the digest of the next octets, or of all that follow."""
    total = hashlib.sha256()
    left = octets
    while block := file.read(_BLOCK if left is None else min(left, _BLOCK)):
        total.update(block)
        left = None if left is None else left - len(block)
    return total.hexdigest()


def data_set_start(file: BinaryIO) -> int:
    """Return where the data set of a stored file begins, in octets.

    It is where the File Meta Information ends by its own group length (PS3.10 Section 7.1): a
    data set may begin with elements of group 0002, which are then part of it.

    Parameters
    ----------
    file : BinaryIO
        A DICOM Part 10 file, at its beginning.

    Returns
    -------
    int

    Raises
    ------
    InvalidInstanceError
        If the file, which is read from where it stands, is no DICOM Part 10 file.
    """
    head = file.read(_HEAD)  # preamble, prefix, and (0002,0000), which comes first
    if len(head) < _HEAD or head[128:132] != b"DICM":
        raise InvalidInstanceError(
            "no DICOM Part 10 file: its preamble or group length is missing"
        )
    (length,) = struct.unpack_from("<I", head, 140)
    return _HEAD + int(length)

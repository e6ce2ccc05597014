"""What must be read of a data set to keep it, and what is written around it, byte by byte."""

import struct
import zlib
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.errors import StoreError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.store.instances import Identity, Octets

_LAST: Final = 0x0020000E  # Series Instance UID: what we read ends here
_HEADER_LIMIT: Final = 16 << 20  # bytes of a deflated data set that are looked at
_BROKEN: Final = (
    BytesLengthException,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
    zlib.error,
)


def identify(data: Octets, transfer_syntax: UID) -> Identity:
    """Read the UIDs of an encoded data set; nothing behind them is looked at.

    Parameters
    ----------
    data : bytes-like
        The data set as it came over the network, without preamble and meta group.
    transfer_syntax : UID
        The accepted one of its presentation context.

    Raises
    ------
    StoreError
        If the bytes are not a data set, or a UID is missing or malformed.
    """
    view = memoryview(data)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        view = _inflated(view)
    try:
        header = read_dataset(
            BytesIO(view),
            is_implicit_VR=transfer_syntax.is_implicit_VR,
            is_little_endian=transfer_syntax.is_little_endian,
            stop_when=_is_behind,
            specific_tags=[
                BaseTag(tag) for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
            ],
        )
        found = [_text(header, tag) for tag in (0x00080018, 0x0020000E, 0x0020000D, 0x00080016)]
    except _BROKEN as error:
        raise StoreError(f"not a data set: {type(error).__name__}") from error
    return Identity(*found)


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > _LAST


def _text(header: Dataset, tag: int) -> str:
    return str(header[tag].value or "") if tag in header else ""


def _inflated(view: memoryview) -> memoryview:
    try:
        return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(view, _HEADER_LIMIT))
    except zlib.error as error:
        raise StoreError(f"the deflated data set cannot be inflated: {error}") from error


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 Section 7.1).

    Written by hand since it is the same but for one UID in every instance of a study, and
    encoding a `Dataset` for it costs as much as the rest of receiving.
    """
    elements = (
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
        + _unique(0x0002, sop_class)
        + _unique(0x0003, sop_instance)
        + _unique(0x0010, transfer_syntax)
        + _unique(0x0012, IMPLEMENTATION_CLASS_UID)
        + _short(0x0013, "SH", IMPLEMENTATION_VERSION_NAME, " ")
    )
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements))
    return bytes(128) + b"DICM" + length + elements


def store_response(sop_class: str, sop_instance: str, message_id: int, status: int) -> bytes:
    """Return the command set of a C-STORE response (PS3.7 Table 9.3-2), implicit VR."""
    elements = (
        _command(0x0002, _padded(sop_class, "\0"))
        + _command(0x0100, b"\x01\x80")  # Command Field: C-STORE-RSP
        + _command(0x0120, struct.pack("<H", message_id))
        + _command(0x0800, b"\x01\x01")  # Command Data Set Type: none
        + _command(0x0900, struct.pack("<H", status))
        + _command(0x1000, _padded(sop_instance, "\0"))
    )
    return _command(0x0000, struct.pack("<I", len(elements))) + elements


def _command(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0x0000, element, len(value)) + value


def _padded(text: str, pad: str) -> bytes:
    return (text + pad * (len(text) % 2)).encode("ascii")


def _unique(element: int, uid: str) -> bytes:
    return _short(element, "UI", uid, "\0")


def _short(element: int, vr: str, text: str, pad: str) -> bytes:
    value = _padded(text, pad)
    return struct.pack("<HH2sH", 0x0002, element, vr.encode("ascii"), len(value)) + value

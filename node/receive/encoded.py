"""What is written around a data set, and answered to it, byte by byte."""

import struct

from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def file_head(
    sop_class: str, sop_instance: str, transfer_syntax: str, front: bytes = b""
) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 Section 7.1).

    Octets that came in front of the data set are kept as Private Information (0002,0102): in
    front of it they would be read as part of this group, and name another transfer syntax.

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
    if front:
        value = front + bytes(len(front) % 2)
        elements += _unique(0x0100, IMPLEMENTATION_CLASS_UID)
        elements += struct.pack("<HH2sHI", 0x0002, 0x0102, b"OB", 0, len(value)) + value
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

"""What is written in front of a data set in its file, byte by byte."""

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


def _unique(element: int, uid: str) -> bytes:
    return _short(element, "UI", uid, "\0")


def _short(element: int, vr: str, text: str, pad: str) -> bytes:
    value = (text + pad * (len(text) % 2)).encode("ascii")
    return struct.pack("<HH2sH", 0x0002, element, vr.encode("ascii"), len(value)) + value

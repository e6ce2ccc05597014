"""The command set of a C-STORE response, byte by byte: it is sent once for every instance."""

import struct


def store_response(sop_class: str, sop_instance: str, message_id: int, status: int) -> bytes:
    """Return the command set of a C-STORE response (PS3.7 Table 9.3-2), implicit VR.

    Parameters
    ----------
    sop_class, sop_instance : str
        Affected SOP Class and Instance UID, ASCII.
    message_id : int
        Of the request.
    status : int
        Status (0000,0900).
    """
    elements = (
        _element(0x0002, _padded(sop_class))
        + _element(0x0100, b"\x01\x80")  # Command Field: C-STORE-RSP
        + _element(0x0120, struct.pack("<H", message_id))
        + _element(0x0800, b"\x01\x01")  # Command Data Set Type: none
        + _element(0x0900, struct.pack("<H", status))
        + _element(0x1000, _padded(sop_instance))
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0x0000, element, len(value)) + value


def _padded(uid: str) -> bytes:
    return (uid + "\0" * (len(uid) % 2)).encode("ascii")

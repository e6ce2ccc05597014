"""What was seen in the field: requests and data sets that are odd, and mostly to be taken."""

import random
import struct
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.receiver import encoded
from tests.wire import associate_rq, item, pdu

TITLES: Final = (
    b"CT1",
    b"CT1".ljust(16, b"\0"),
    b"CT1\0\x04\x7f\x01",
    b"  CT 1",
    b"R\xd6NTGEN",
    b"CT\\1",
    b"",
    b"\xff" * 16,
)
SYNTAXES: Final = (
    "1.2.840.113619.5.2",
    "9.9.9",
    "1.2.foo",
    "",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.6.2",
    "1.2.840.10008.1.2.1 ",
)
CLASSES: Final = (
    "1.2.840.10008.5.1.4.31",
    "1.2.840.10008.5.1.4.38.1",
    "1.2.840.10008.5.1.1.9",
    "1.3.12.2.1107.5.9.1",
    "1.2.840.foo",
    "",
)
SUB_ITEMS: Final = (0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x5A, 0x60)
VRS: Final = (b"??", b"--", b"  ", b"\0\0", b"lo", b"ob", b"ZZ", b"OX", b"Q1", b"SV", b"UC", b"UR")
UNDEFINED: Final = 0xFFFFFFFF
_ENCODINGS: Final = {1: ExplicitVRLittleEndian, 7: ImplicitVRLittleEndian, 9: ExplicitVRBigEndian}


def odd_association(rng: random.Random, sop_class: str) -> tuple[int, bytes]:
    """Return a context that may be accepted, and a request for it among others."""
    number = rng.randrange(256)
    syntaxes = [rng.choice(SYNTAXES).strip() for _ in range(rng.randrange(3))]
    contexts = [(number, sop_class, " ".join([*syntaxes, ExplicitVRLittleEndian]))]
    contexts += [
        (rng.randrange(256), rng.choice(CLASSES), rng.choice(SYNTAXES).strip())
        for _ in range(rng.choice((0, 1, 3, 200)))
    ]
    user = item(0x51, struct.pack(">I", 16384)) if rng.random() < 0.8 else b""
    for _ in range(rng.randrange(4)):
        user += item(rng.choice(SUB_ITEMS[1:]), rng.randbytes(rng.choice((0, 1, 4, 20, 300))))
    called = b"RADNODE".ljust(16, rng.choice((b" ", b"\0")))
    request = associate_rq(contexts, called, rng.choice(TITLES), user=user)
    if rng.random() < 0.2:
        version = rng.choice((0, 2, 3, 0xFFFF))
        request = request[:6] + struct.pack(">H", version) + request[8:]
    if rng.random() < 0.3:
        request = pdu(1, request[6:] + rng.choice((item(0x70, b"abcd"), b"\0", b"noise")))
    return number, request


def other_encoding(rng: random.Random, ds: Dataset) -> tuple[int, bytes]:
    """Return a context and a data set that is not encoded as was negotiated for it."""
    context = rng.choice(list(_ENCODINGS))
    found: UID = rng.choice(list(_ENCODINGS.values()))
    return context, encoded(ds, found)


def odd_data_set(rng: random.Random, data: bytes) -> bytes:
    """Return an explicit VR data set that is odd in one place or two."""
    for _ in range(rng.randrange(1, 3)):
        at = data.index(b"\x10\0\x10\0PN") if rng.random() < 0.6 else len(data)
        how = rng.randrange(6)
        if how == 0:
            data = data[:at] + _unknown(rng) + data[at:]
        elif how == 1:
            data = data[:at] + _nested(rng) + data[at:]
        elif how == 2:
            data = data[:at] + _un(rng) + data[at:]
        elif how == 3:
            data = rng.choice((b"\x29\0\x10\0LO\4\0ACME", b"\0\0\2\0\4\0\0\0001.2\0")) + data
        elif how == 4:
            data = b"\2\0\x10\0UI\x12\x001.2.840.10008.1.2\0" + data
        else:
            data = _late(data)
    return data


def _unknown(rng: random.Random) -> bytes:
    vr, value = rng.choice(VRS), rng.randbytes(rng.choice((0, 1, 4, 5000)))
    if rng.random() < 0.5:
        return struct.pack("<HH2sHI", 0x0009, 0x1001, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0009, 0x1001, vr, len(value)) + value


def _nested(rng: random.Random) -> bytes:
    """Return sequences in sequences, of one length or the other at each level."""
    body = b""
    vr = rng.choice((b"SQ", b"SQ", b"UN"))
    for _ in range(rng.choice((1, 5, 60, 64, 65, 300, 1000))):
        if rng.random() < 0.5:
            inner = struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
        else:
            inner = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + body
            inner += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        if rng.random() < 0.5:
            body = struct.pack("<HH2sHI", 0x0040, 0xA730, vr, 0, len(inner)) + inner
        else:
            body = struct.pack("<HH2sHI", 0x0040, 0xA730, vr, 0, UNDEFINED) + inner
            body += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return body


def _un(rng: random.Random) -> bytes:
    """Return UN of undefined length, in one byte order or the other, ended or not."""
    order = rng.choice("<>")
    inside = struct.pack(order + "HHI", 0x0009, 0x1002, 4) + b"abcd"
    whole = struct.pack(order + "HHI", 0xFFFE, 0xE000, len(inside)) + inside
    if rng.random() < 0.8:
        whole += struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0)
    return struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, UNDEFINED) + whole


def _late(data: bytes) -> bytes:
    """Return a data set with its SOP Instance UID behind all else."""
    start, end = data.index(b"\x08\0\x18\0UI"), data.index(b"\x08\0\x60\0CS")
    return data[:start] + data[end:] + data[start:end] if start < end else data


def unfolding(rng: random.Random, data: bytes) -> bytes:
    """Return a data set with a great many of something in it, which deflates to little."""
    count = rng.choice((1000, 100_000, 999_000))
    many = rng.choice(
        (
            b"\x08\0\1\0UL\0\0" * count,
            b"\x08\0\1\0??\0\0" * count,
            b"\x08\0\1\0UN\0\0\0\0\0\0" * count,
            b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" * count,
            (b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\xdd\xe0\0\0\0\0") * (count // 2),
        )
    )
    at = data.index(b"\x10\0\x10\0PN") if rng.random() < 0.5 else len(data)
    return data[:at] + many + data[at:]

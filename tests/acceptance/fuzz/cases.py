"""Conversations that almost make sense: valid ones, each spoiled in one place it has.

A case is a list of octet strings; after each of them the receiver is given the time to answer
if it has been asked something. All of it follows from one seed.
"""

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.acceptance.fuzz.oddities import (
    odd_association,
    odd_data_set,
    other_encoding,
    unfolding,
)
from tests.outbound import ct_slice
from tests.receiver import encoded
from tests.wire import (
    ABORT,
    ASSOCIATE_RQ,
    P_DATA_TF,
    RELEASE_RQ,
    VERIFICATION,
    associate_rq,
    command,
    echo_rq,
    element,
    item,
    pdu,
    pdv,
    store_rq,
)

CONTEXTS: Final = (
    (1, CTImageStorage, ExplicitVRLittleEndian),
    (3, VERIFICATION, ImplicitVRLittleEndian),
    (5, CTImageStorage, DeflatedExplicitVRLittleEndian),
    (7, CTImageStorage, ImplicitVRLittleEndian),
    (9, CTImageStorage, ExplicitVRBigEndian),
    (11, "1.2.840.10008.1.20.1", ImplicitVRLittleEndian),
)
BAD_UIDS: Final = (
    b"",
    b"../../x",
    b"1.2/../../../x",
    b"1..2",
    b".1",
    b"1.2\0.3",
    b"1.2 .3",
    "1.2.é".encode("latin-1"),
    b"\xff\xfe",
    b"1." * 40 + b"1",
    b"1" * 65,
    b"1.2\\1.3",
    b"1" * 9000,
)
CHARACTER_SETS: Final = (
    b"",
    b"ISO_IR 100",
    b"ISO 2022 IR 87\\",
    b"NOTHING",
    b"\\\\",
    b"\xff" * 16,
)
LENGTHS: Final = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
VRS: Final = (b"SQ", b"UN", b"OB", b"UI", b"LO", b"PN", b"US", b"UT", b"ZZ", b"\0\0", b"??", b"sq")


@dataclass
class Case:
    """One conversation.

    Attributes
    ----------
    kind : str
        What was spoiled.
    steps : list of bytes
        What is sent.
    reset : bool
        The connection ends by a reset rather than in good order.
    """

    kind: str
    steps: list[bytes] = field(default_factory=list)
    reset: bool = False


def _uid(rng: random.Random) -> str:
    return f"2.25.{rng.getrandbits(100)}"


def _slice(rng: random.Random, side: int = 16) -> tuple[str, bytes]:
    """Return the UID and the bytes of a valid instance, unlike any other."""
    ds = ct_slice(rng.randrange(4), side=side)
    ds.SOPInstanceUID = _uid(rng)
    return str(ds.SOPInstanceUID), encoded(ds)


def _data(context: int, data: bytes, size: int = 4000) -> list[bytes]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    last = len(pieces) - 1
    return [
        pdu(P_DATA_TF, pdv(context, 2 if number == last else 0, piece))
        for number, piece in enumerate(pieces)
    ]


def _store(uid: str, data: bytes, context: int = 1) -> list[bytes]:
    request = pdu(P_DATA_TF, pdv(context, 3, store_rq(CTImageStorage, uid)))
    return [b"".join([request, *_data(context, data)])]


def _whole(rng: random.Random) -> list[bytes]:
    """Return a valid conversation: an echo, an instance, a release."""
    echo = pdu(P_DATA_TF, pdv(3, 3, echo_rq()))
    return [associate_rq(CONTEXTS), echo, *_store(*_slice(rng)), pdu(RELEASE_RQ, bytes(4))]


def _overwritten(rng: random.Random, octets: bytes, start: int = 0) -> bytes:
    """Return octets with something else in one place."""
    spoiled = bytearray(octets)
    at = rng.randrange(start, len(spoiled))
    how = rng.randrange(5)
    if how == 0:
        spoiled[at] = rng.randrange(256)
    elif how == 1:
        spoiled[at : at + 2] = struct.pack(">H", rng.choice(LENGTHS) & 0xFFFF)
    elif how == 2:
        spoiled[at : at + 4] = struct.pack("<I", rng.choice(LENGTHS))
    elif how == 3:
        del spoiled[at : at + rng.randrange(1, 20)]
    else:
        spoiled[at:at] = rng.randbytes(rng.randrange(1, 20))
    return bytes(spoiled)


def of_pdus(rng: random.Random) -> list[bytes]:
    """Spoil types, lengths, reserved octets or the order of PDUs."""
    steps = _whole(rng)
    at = rng.randrange(len(steps))
    how = rng.randrange(7)
    if how == 0:
        steps[at] = bytes((rng.randrange(256),)) + steps[at][1:]
    elif how == 1:
        steps[at] = steps[at][:2] + struct.pack(">I", rng.choice(LENGTHS)) + steps[at][6:]
    elif how == 2:
        steps[at] = steps[at][:1] + rng.randbytes(1) + steps[at][2:]
    elif how == 3:
        rng.shuffle(steps)
    elif how == 4:
        steps.insert(at, pdu(rng.randrange(10), rng.randbytes(rng.randrange(40))))
    elif how == 5:
        steps.insert(at, steps[rng.randrange(len(steps))])
    else:
        steps[at] = steps[at][: rng.randrange(len(steps[at]))]
    return steps


def of_negotiation(rng: random.Random) -> list[bytes]:
    """Spoil presentation contexts, nested items and their lengths, titles, versions."""
    how = rng.randrange(6)
    contexts: list[tuple[int, str, str]] = list(CONTEXTS)
    if how == 0:
        contexts = [(rng.randrange(256), *one[1:]) for one in contexts]
    elif how == 1:
        contexts = contexts * rng.choice((0, 2, 30))
    elif how == 2:
        contexts.append((13, "1." * rng.choice((0, 40, 2000)), rng.choice(("", "x" * 300))))
    request = associate_rq(contexts, rng.choice((b"RADNODE", b"", b"\xff" * 16, b"OTHER")))
    if how == 3:
        request = request[:6] + _overwritten(rng, request[6:])
        request = request[:2] + struct.pack(">I", len(request) - 6) + request[6:]
    elif how == 4:
        kinds = (0x00, 0x10, 0x20, 0x21, 0x50, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x99)
        more = b"".join(
            item(rng.choice(kinds), rng.randbytes(rng.randrange(12))) for _ in range(3)
        )
        user = item(0x50, more) if rng.random() < 0.5 else more
        request = pdu(ASSOCIATE_RQ, request[6:] + user)
    elif how == 5:
        maximum = rng.choice((0, 1, 6, 7, 100, 0xFFFFFFFF))
        request = associate_rq(contexts, maximum_length=maximum)
    return [request, *_whole(rng)[1:]]


def of_commands(rng: random.Random) -> list[bytes]:
    """Spoil command sets: fields, elements, their lengths, UIDs."""
    uid, data = _slice(rng)
    named = rng.choice(BAD_UIDS) if rng.random() < 0.4 else uid.encode()
    of_class = rng.choice(BAD_UIDS) if rng.random() < 0.2 else CTImageStorage.encode()
    elements = [
        element(0x0002, of_class),
        element(0x0003, of_class),
        element(0x0110, struct.pack("<H", rng.getrandbits(16))),
        element(0x0120, struct.pack("<H", 1)),
        element(0x0700, struct.pack("<H", 0)),
        element(0x1000, named),
        element(0x1001, named),
        element(0x1008, b"\1\0"),
        element(rng.getrandbits(16), rng.randbytes(rng.choice((0, 1, 2, 300)))),
    ]
    for _ in range(rng.randrange(4)):
        del elements[rng.randrange(len(elements))]
    if rng.random() < 0.2:
        rng.shuffle(elements)
    fields: tuple[int, ...] = (
        0x0001,
        0x8001,
        0x0030,
        0x8030,
        0x0020,
        0x0010,
        0x0021,
        0x0FFF,
        0x0100,
        0x8100,
    )
    fields += (0x0110, 0x0120, 0x0130, 0x8130, 0x0140, 0x0150, 0x1234)
    chosen = 0x0001 if rng.random() < 0.5 else rng.choice(fields)
    said = command(chosen, *elements, data=rng.random() < 0.8)
    if rng.random() < 0.3:
        said = _overwritten(rng, said)
    context = rng.choice((1, 1, 1, 3, 11, 2, 255))
    body = b"".join([pdu(P_DATA_TF, pdv(context, 3, said)), *_data(context, data)])
    return [associate_rq(CONTEXTS), body, pdu(RELEASE_RQ, bytes(4))]


def of_fragments(rng: random.Random) -> list[bytes]:
    """Split a message at every kind of place, and spoil some fragments' heads."""
    uid, data = _slice(rng)
    items = _split(rng, 1, store_rq(CTImageStorage, uid)) + _split(rng, 0, data)
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        _spoil(rng, items, rng.randrange(len(items)))
    body = b""
    while items:
        count = rng.randrange(1, 6)
        body += pdu(P_DATA_TF, b"".join(items[:count]))
        items = items[count:]
    return [associate_rq(CONTEXTS), body, pdu(RELEASE_RQ, bytes(4))]


def _split(rng: random.Random, kind: int, whole: bytes) -> list[bytes]:
    items, at = [], 0
    while at < len(whole):
        size = rng.choice((0, 1, 2, 7, 100, 1000))
        last = 2 if at + size >= len(whole) else 0
        items.append(pdv(1, kind | last, whole[at : at + size]))
        at += size
    return items


def _spoil(rng: random.Random, items: list[bytes], at: int) -> None:
    one = items[at]
    spoiled: list[list[bytes]] = [
        [one[:4] + bytes((rng.choice((1, 3, 5, 0, 2)),)) + one[5:]],
        [one[:5] + bytes((rng.choice((0, 1, 2, 3, 0xFE)),)) + one[6:]],
        [struct.pack(">I", rng.choice(LENGTHS)) + one[4:]],
        [pdv(3, 3, echo_rq()), one],
        [],
        [items[rng.randrange(len(items))], one],
    ]
    items[at : at + 1] = rng.choice(spoiled)
    if not items:
        items.append(one)


def _explicit(tag: tuple[int, int], vr: bytes, length: int, value: bytes) -> bytes:
    return struct.pack("<HH2sHI", *tag, vr, 0, length & 0xFFFFFFFF) + value


def _nested(rng: random.Random) -> bytes:
    depth = rng.choice((1, 3, 30, 63, 70, 2000))
    open_ = _explicit((0x0008, 0x1140), b"SQ", 0xFFFFFFFF, b"")
    open_ += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    close = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return open_ * depth + close * (depth if rng.random() < 0.7 else rng.randrange(depth + 1))


def _uid_element(number: tuple[int, int], value: bytes) -> bytes:
    return struct.pack("<HH2sH", *number, b"UI", len(value) & 0xFFFF) + value


def of_data_sets(rng: random.Random) -> list[bytes]:
    """Spoil elements, VRs, lengths, nesting, UIDs, character sets."""
    uid, data = _slice(rng)
    how = rng.randrange(7)
    at = data.index(b"\x08\x00\x60\x00CS")  # Modality: a place between two elements
    if how == 0:
        for _ in range(rng.randrange(1, 4)):
            data = _overwritten(rng, data)
    elif how == 1:
        data = data[:at] + _nested(rng) + data[at:]
    elif how == 2:
        length, value = rng.choice(LENGTHS), rng.randbytes(rng.randrange(50))
        odd = _explicit((0x0009, 0x1001), rng.choice(VRS), length, value)
        data = data[:at] + odd + data[at:]
    elif how == 3:
        big = rng.choice((70_000, 1_500_000))
        data = data[:at] + _explicit((0x0009, 0x1001), b"OB", big, bytes(big)) + data[at:]
    elif how == 4:
        charset = rng.choice(CHARACTER_SETS)
        head = struct.pack("<HH2sH", 8, 5, b"CS", len(charset)) + charset
        name = rng.choice((b"M\xfcller^\xff", b"\x1b$B^\x1b(J", b"\xf0\x9f"))
        patient = struct.pack("<HH2sH", 0x10, 0x10, b"PN", len(name)) + name
        data = head + data[:at] + data[at:].replace(b"\x10\x00\x10\x00PN\x08\x00Made^Up ", patient)
    elif how == 5:
        tag = rng.choice(((8, 0x16), (8, 0x18), (0x20, 0xD), (0x20, 0xE)))
        start = data.index(struct.pack("<HH", *tag))
        end = start + 8 + struct.unpack_from("<H", data, start + 6)[0]
        data = data[:start] + _uid_element(tag, rng.choice(BAD_UIDS)) + data[end:]
    else:
        data = data[: rng.randrange(len(data))]
    context = 1 if rng.random() < 0.8 else rng.choice((7, 9))
    return [associate_rq(CONTEXTS), *_store(uid, data, context), pdu(RELEASE_RQ, bytes(4))]


@cache
def _zeros() -> bytes:
    """Return 8 MiB of zeros, deflated so that it can be repeated."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(bytes(8 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)


def of_deflated(rng: random.Random) -> list[bytes]:
    """Deflated data sets: whole, spoiled, or a few kB that would inflate to gigabytes."""
    uid, data = _slice(rng)
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    how = rng.randrange(4)
    if how == 0:
        times = rng.choice((4, 40, 300))  # 32 MiB, 320 MiB, 2.4 GiB
        head = data[: data.index(b"\xe0\x7f\x10\x00")]
        head += _explicit((0x7FE0, 0x0010), b"OW", times * (8 << 20), b"")
        if rng.random() < 0.3:  # in front of the UIDs
            head = _explicit((0x0008, 0x0001), b"OB", times * (8 << 20), b"")
        deflated = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
        deflated += _zeros() * times + zlib.compressobj(wbits=-zlib.MAX_WBITS).flush()
    else:
        deflated = squeeze.compress(data) + squeeze.flush()
        if how == 1:
            deflated = _overwritten(rng, deflated)
        elif how == 2:
            deflated = deflated[: rng.randrange(len(deflated))]
    return [associate_rq(CONTEXTS), *_store(uid, deflated, 5), pdu(RELEASE_RQ, bytes(4))]


def of_odd_requests(rng: random.Random) -> list[bytes]:
    """Ask as scanners do: odd titles, versions, items, context ids, transfer syntaxes."""
    uid, data = _slice(rng)
    context, request = odd_association(rng, CTImageStorage)
    return [request, *_store(uid, data, context), pdu(RELEASE_RQ, bytes(4))]


def of_odd_data_sets(rng: random.Random) -> list[bytes]:
    """Send what may be kept: odd VRs, orders, groups, lengths, sequences, encodings."""
    uid, data = _slice(rng)
    context, made = 1, odd_data_set(rng, data)
    if rng.random() < 0.3:
        ds = ct_slice(rng.randrange(4), side=rng.choice((16, 1024)))
        ds.SOPInstanceUID = uid
        context, made = other_encoding(rng, ds)
    if rng.random() < 0.2:
        made = _overwritten(rng, made)
    return [associate_rq(CONTEXTS), *_store(uid, made, context), pdu(RELEASE_RQ, bytes(4))]


def of_unfolding(rng: random.Random) -> list[bytes]:
    """Send a few octets that unfold to a great many elements, items or levels."""
    uid, data = _slice(rng)
    made = unfolding(rng, data)
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    if len(made) > 1 << 20 or rng.random() < 0.5:
        deflated = squeeze.compress(made) + squeeze.flush()
        return [associate_rq(CONTEXTS), *_store(uid, deflated, 5), pdu(RELEASE_RQ, bytes(4))]
    return [associate_rq(CONTEXTS), *_store(uid, made), pdu(RELEASE_RQ, bytes(4))]


def of_nothing(rng: random.Random) -> list[bytes]:
    """Noise, silence, a request for a web page."""
    return [
        rng.choice(
            (b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\0\x01", rng.randbytes(500))
        )
    ]


def of_a_valid_one(rng: random.Random) -> list[bytes]:
    """Spoil nothing; it may still be cut off or aborted."""
    return _whole(rng)


KINDS: Final[dict[Callable[[random.Random], list[bytes]], int]] = {
    of_pdus: 6,
    of_negotiation: 5,
    of_commands: 5,
    of_fragments: 5,
    of_data_sets: 6,
    of_deflated: 1,
    of_odd_requests: 5,
    of_odd_data_sets: 6,
    of_unfolding: 1,
    of_nothing: 1,
    of_a_valid_one: 2,
}


def made(seed: int) -> Case:
    """Return the case that belongs to a seed."""
    rng = random.Random(seed)  # noqa: S311 - cases to be had again, not secrets
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    steps = kind(rng)
    how = rng.random()
    if how < 0.1 and steps[-1]:
        steps[-1] = steps[-1][: rng.randrange(len(steps[-1]))]
    elif how < 0.2:
        steps = [*steps[: rng.randrange(1, len(steps) + 1)], pdu(ABORT, rng.randbytes(4))]
    return Case(kind.__name__.removeprefix("of_"), steps, reset=rng.random() < 0.1)

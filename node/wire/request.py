"""An A-ASSOCIATE-RQ as liberally as it may be read, and the octets of its acceptance.

Items that nobody here needs are passed over whatever is in them (PS3.8 Section 9.3.1:
unrecognised items shall be ignored; Table 9-11: of the protocol version only bit 0 is tested,
reserved fields are not). What is needed is read without judging it: titles end at a NUL and show
other octets than printable ASCII as ``?``, UIDs lose their padding. What cannot be read is told
beside what could, so that whoever sent it is answered and shown to people.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

ASSOCIATE_RQ: Final = 1  # PDU type (PS3.8 Table 9-11)
_FIXED: Final = 74  # octets in front of the first item
_TITLES: Final = slice(10, 74)  # titles and reserved octets, sent back as they came (Table 9-17)

_APPLICATION_CONTEXT: Final = 0x10
_CONTEXT: Final = 0x20
_CONTEXT_ANSWER: Final = 0x21
_ABSTRACT_SYNTAX: Final = 0x30
_TRANSFER_SYNTAX: Final = 0x40
_USER_INFORMATION: Final = 0x50
_MAXIMUM_LENGTH: Final = 0x51
_IMPLEMENTATION_CLASS: Final = 0x52
_ROLES: Final = 0x54
_IMPLEMENTATION_VERSION: Final = 0x55
_NEEDED: Final = frozenset((_CONTEXT, _USER_INFORMATION))

_APPLICATION_CONTEXT_NAME: Final = b"1.2.840.10008.3.1.1.1"
_DEFAULT_LENGTH: Final = 16384  # octets of a PDU, where the peer does not say
ACCEPTED: Final = 0  # result of a presentation context (PS3.8 Table 9-18)
NO_ABSTRACT_SYNTAX: Final = 3
NO_TRANSFER_SYNTAX: Final = 4

_HEAD: Final = struct.Struct(">BxH")  # type, reserved, length (PS3.8 Section 9.3.1)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context as proposed (PS3.8 Section 9.3.2.2); UIDs as they came, trimmed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextAnswer:
    """What becomes of a presentation context (PS3.8 Table 9-18)."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    result: int


@dataclass(frozen=True, slots=True)
class Negotiation:
    """What becomes of a request that is accepted.

    Attributes
    ----------
    answers : tuple of ContextAnswer
        To each presentation context, in the order of the request.
    roles : mapping of str to tuple of bool
        SCU and SCP role that are granted, by the SOP Classes that are answered to (PS3.7
        Section D.3.3.4).
    """

    answers: tuple[ContextAnswer, ...]
    roles: Mapping[str, tuple[bool, bool]]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for an association, and for what.

    Attributes
    ----------
    calling_ae, called_ae : str
        Printable ASCII, without padding; '' where nothing is left.
    protocol_version : int
    proposals : tuple of Proposal
        In their order, the first of each context id.
    roles : mapping of str to tuple of bool
        SCU and SCP role that are proposed for a SOP Class (PS3.7 Section D.3.3.4).
    maximum_length : int
        Octets of a P-DATA-TF PDU the peer takes; 0: as many as we like.
    unreadable : str
        Why the request cannot be served, whoever sent it; '' where it can.
    echo : bytes
        What an acceptance has to send back as it came.
    """

    calling_ae: str = ""
    called_ae: str = ""
    protocol_version: int = 1
    proposals: tuple[Proposal, ...] = ()
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    maximum_length: int = _DEFAULT_LENGTH
    unreadable: str = ""
    echo: bytes = bytes(64)


class _CutShortError(Exception):
    """An item that is needed says it is longer than what holds it."""


def read_request(pdu: bytes) -> Request:
    """Read an A-ASSOCIATE-RQ PDU; this never fails, see `Request.unreadable`.

    Parameters
    ----------
    pdu : bytes
        The whole PDU, its head included.
    """
    if len(pdu) < _FIXED:
        return Request(unreadable=f"a request of {len(pdu)} octets: expected at least {_FIXED}")
    (version,) = struct.unpack_from(">H", pdu, 6)
    proposals: dict[int, Proposal] = {}
    user: dict[int, bytes] = {}
    roles: dict[str, tuple[bool, bool]] = {}
    unreadable = ""
    try:
        for kind, body in _items(pdu[_FIXED:], _NEEDED):
            if kind == _CONTEXT and len(body) >= 4:
                proposal = _proposal(body)
                proposals.setdefault(proposal.context_id, proposal)
            elif kind == _USER_INFORMATION:
                for of, value in _items(body, frozenset()):
                    user.setdefault(of, value)
                    if of == _ROLES:
                        roles |= _roles(value)
    except _CutShortError as error:
        unreadable = str(error)
    return Request(
        calling_ae=_title(pdu[26:42]),
        called_ae=_title(pdu[10:26]),
        protocol_version=version,
        proposals=tuple(proposals.values()),
        roles=roles,
        maximum_length=_length(user.get(_MAXIMUM_LENGTH, b"")),
        unreadable=unreadable,
        echo=bytes(pdu[_TITLES]),
    )


def acceptance(request: Request, negotiation: Negotiation, ours: tuple[int, str, str]) -> bytes:
    """Return an A-ASSOCIATE-AC PDU (PS3.8 Table 9-17).

    Parameters
    ----------
    request : Request
        What is accepted.
    negotiation : Negotiation
        What becomes of it.
    ours : tuple of int, str and str
        Octets of a PDU that we take, our Implementation Class UID and Version Name.
    """
    maximum, implementation, version = ours
    user = (
        _item(_MAXIMUM_LENGTH, struct.pack(">I", maximum))
        + _item(_IMPLEMENTATION_CLASS, implementation.encode("ascii"))
        + b"".join(_item(_ROLES, _granted(*role)) for role in negotiation.roles.items())
        + _item(_IMPLEMENTATION_VERSION, version.encode("ascii"))
    )
    body = (
        struct.pack(">HH", 1, 0)
        + request.echo
        + _item(_APPLICATION_CONTEXT, _APPLICATION_CONTEXT_NAME)
        + b"".join(_answered(answer) for answer in negotiation.answers)
        + _item(_USER_INFORMATION, user)
    )
    return struct.pack(">BxI", 2, len(body)) + body


def _items(octets: bytes, needed: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each item.

    What is left at the end and can be no whole item is no item, unless it claims to be one
    that is needed: then part of what the peer asks for would be missing.
    """
    at = 0
    while at + 4 <= len(octets):
        kind, length = _HEAD.unpack_from(octets, at)
        body = octets[at + 4 : at + 4 + length]
        if len(body) < length:
            if kind in needed:
                raise _CutShortError(
                    f"an item {kind:02X}H of {length} octets where {len(body)} are left"
                )
            return
        yield kind, body
        at += 4 + length


def _proposal(body: bytes) -> Proposal:
    syntaxes = [(kind, _uid(value)) for kind, value in _items(body[4:], frozenset())]
    return Proposal(
        body[0],
        next((uid for kind, uid in syntaxes if kind == _ABSTRACT_SYNTAX), ""),
        tuple(uid for kind, uid in syntaxes if kind == _TRANSFER_SYNTAX and uid),
    )


def _roles(value: bytes) -> dict[str, tuple[bool, bool]]:
    """Return SOP Class, SCU and SCP role of a sub-item (PS3.7 Table D.3-9), if it has them."""
    if len(value) < 2:
        return {}
    end = 2 + struct.unpack_from(">H", value)[0]
    if len(value) < end + 2:
        return {}
    return {_uid(value[2:end]): (value[end] == 1, value[end + 1] == 1)}


def _length(value: bytes) -> int:
    return int(struct.unpack(">I", value)[0]) if len(value) == 4 else _DEFAULT_LENGTH


def _title(octets: bytes) -> str:
    """Return an AE title that may be shown, logged and compared: a peer may send anything."""
    shown = octets.split(b"\0", 1)[0].decode("latin-1")
    return "".join(
        character if " " <= character <= "~" and character != "\\" else "?" for character in shown
    ).strip()


def _uid(octets: bytes) -> str:
    """Return a UID without its padding; octets that no UID has stay, and make it none."""
    return octets.decode("latin-1").strip(" \0")


def _item(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(kind, len(body)) + body


def _granted(sop_class: str, roles: tuple[bool, bool]) -> bytes:
    uid = sop_class.encode("ascii")
    return struct.pack(">H", len(uid)) + uid + bytes(roles)


def _answered(answer: ContextAnswer) -> bytes:
    syntax = _item(_TRANSFER_SYNTAX, answer.transfer_syntax.encode("ascii"))
    return _item(_CONTEXT_ANSWER, bytes((answer.context_id, 0, answer.result, 0)) + syntax)

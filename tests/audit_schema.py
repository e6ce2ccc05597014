"""A checker of audit messages: the structure of the schema in PS3.15 Section A.5.1, as a table."""

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from xml.etree import ElementTree as ET

Check = Callable[[str], bool]


def _token(text: str) -> bool:
    return text == " ".join(text.split()) and text != ""


def _one_of(*values: str) -> Check:
    return lambda text: text in values


def _number(text: str) -> bool:
    return text.isdecimal()


def _oid(text: str) -> bool:
    return re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))*", text) is not None


def _moment(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def _base64(text: str) -> bool:
    return bool(b64decode(text, validate=True))


def _any(_text: str) -> bool:
    return True


@dataclass(frozen=True)
class Element:
    """What an element may hold.

    Attributes
    ----------
    must, may : dict of str to Check
        Attributes.
    children : tuple of (str, int, int)
        In their order: name, at least, at most.
    text : Check or None
        None: there must be none.
    """

    must: dict[str, Check] = field(default_factory=dict)
    may: dict[str, Check] = field(default_factory=dict)
    children: tuple[tuple[str, int, int], ...] = ()
    text: Check | None = None


MANY: Final = 1 << 30
_CODED: Final = Element(
    must={"csd-code": _token, "codeSystemName": _token, "originalText": _token},
    may={"displayName": _token},
)

ELEMENTS: Final = {
    "AuditMessage": Element(
        children=(
            ("EventIdentification", 1, 1),
            ("ActiveParticipant", 1, MANY),
            ("AuditSourceIdentification", 1, 1),
            ("ParticipantObjectIdentification", 0, MANY),
        )
    ),
    "EventIdentification": Element(
        must={
            "EventDateTime": _moment,
            "EventOutcomeIndicator": _one_of("0", "4", "8", "12"),
        },
        may={"EventActionCode": _one_of("C", "R", "U", "D", "E")},
        children=(
            ("EventID", 1, 1),
            ("EventTypeCode", 0, MANY),
            ("EventOutcomeDescription", 0, 1),
        ),
    ),
    "EventID": _CODED,
    "EventTypeCode": _CODED,
    "EventOutcomeDescription": Element(text=_any),
    "ActiveParticipant": Element(
        must={"UserID": bool, "UserIsRequestor": _one_of("true", "false", "1", "0")},
        may={
            "AlternativeUserID": _any,
            "UserName": _any,
            "NetworkAccessPointID": _token,
            "NetworkAccessPointTypeCode": _one_of("1", "2", "3", "4", "5"),
        },
        children=(("RoleIDCode", 0, MANY), ("MediaIdentifier", 0, 1)),
    ),
    "RoleIDCode": _CODED,
    "MediaIdentifier": Element(children=(("MediaType", 1, 1),)),
    "MediaType": _CODED,
    "AuditSourceIdentification": Element(
        must={"AuditSourceID": _token},
        may={"AuditEnterpriseSiteID": _token},
        children=(("AuditSourceTypeCode", 0, MANY),),
    ),
    "AuditSourceTypeCode": Element(must={"csd-code": _one_of(*"123456789")}),
    "ParticipantObjectIdentification": Element(
        must={"ParticipantObjectID": _token},
        may={
            "ParticipantObjectTypeCode": _one_of("1", "2", "3", "4"),
            "ParticipantObjectTypeCodeRole": _one_of(*(str(n) for n in range(1, 27))),
            "ParticipantObjectDataLifeCycle": _one_of(*(str(n) for n in range(1, 16))),
            "ParticipantObjectSensitivity": _token,
        },
        children=(
            ("ParticipantObjectIDTypeCode", 1, 1),
            ("ParticipantObjectName", 1, 1),  # or a query, which we never have
            ("ParticipantObjectDetail", 0, MANY),
            ("ParticipantObjectDescription", 0, MANY),
        ),
    ),
    "ParticipantObjectIDTypeCode": _CODED,
    "ParticipantObjectName": Element(text=_token),
    "ParticipantObjectDetail": Element(must={"type": _token, "value": _base64}),
    "ParticipantObjectDescription": Element(children=(("SOPClass", 0, MANY),)),
    "SOPClass": Element(must={"NumberOfInstances": _number}, may={"UID": _oid}),
}


def faults(xml: bytes) -> list[str]:
    """Return what is wrong with a message; nothing for a good one."""
    root = ET.fromstring(xml)  # noqa: S314 - our own output
    if root.tag != "AuditMessage":
        return [f"the root is {root.tag}"]
    return _faults(root)


def _faults(element: ET.Element) -> list[str]:
    rule = ELEMENTS.get(element.tag)
    if rule is None:
        return [f"{element.tag} is not known"]
    found = [f"{element.tag} lacks {name}" for name in rule.must if name not in element.attrib]
    for name, value in element.attrib.items():
        check = (rule.must | rule.may).get(name)
        if check is None:
            found.append(f"{element.tag} must not have {name}")
        elif not check(value):
            found.append(f"{element.tag} {name} is {value!r}")
    if rule.text is None and (element.text or "").strip():
        found.append(f"{element.tag} holds text")
    if rule.text is not None and not rule.text(element.text or ""):
        found.append(f"{element.tag} holds {element.text!r}")
    found += _order(element, rule)
    for child in element:
        found += _faults(child)
    return found


def _order(element: ET.Element, rule: Element) -> list[str]:
    names = [child.tag for child in element]
    found = []
    expected: list[str] = []
    for name, least, most in rule.children:
        count = names.count(name)
        expected += [name] * count
        if not least <= count <= most:
            found.append(f"{element.tag} has {count} {name}")
    if names != expected:
        found.append(f"{element.tag} has {', '.join(names)}")
    return found

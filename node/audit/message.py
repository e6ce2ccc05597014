"""Audit messages as XML, in the terms of PS3.15 Section A.5.

There is no patient in them: the node keeps identities out of everything it writes beside the
objects themselves, so what would be the Patient participant (mandatory in A.5.3) is left out and
the Study Instance UID stands for it. Whoever reviews the audit trail finds the patient by the
study, in the PACS.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, IntEnum
from ipaddress import ip_address
from typing import Final
from xml.etree import ElementTree as ET

SYSTEM_OBJECT: Final = "2"  # Participant Object Type Code
REPORT: Final = "3"  # Participant Object Type Code Role: what a study is (A.5.3.7)
SECURITY_RESOURCE: Final = "13"
APPLICATION_SERVER: Final = "4"  # Audit Source Type Code


class Code(Enum):
    """Codes of PS3.16 CID 400 to 405 and Annex D, coding scheme DCM."""

    APPLICATION_ACTIVITY = ("110100", "Application Activity")
    INSTANCES_ACCESSED = ("110103", "DICOM Instances Accessed")
    INSTANCES_TRANSFERRED = ("110104", "DICOM Instances Transferred")
    STUDY_DELETED = ("110105", "DICOM Study Deleted")
    EXPORT = ("110106", "Export")
    SECURITY_ALERT = ("110113", "Security Alert")
    APPLICATION_START = ("110120", "Application Start")
    APPLICATION_STOP = ("110121", "Application Stop")
    NODE_AUTHENTICATION = ("110126", "Node Authentication")
    APPLICATION = ("110150", "Application")
    DESTINATION = ("110152", "Destination Role ID")
    SOURCE = ("110153", "Source Role ID")
    DESTINATION_MEDIA = ("110154", "Destination Media")
    URI = ("110037", "URI")
    STUDY_INSTANCE_UID = ("110180", "Study Instance UID")
    NODE_ID = ("110182", "Node ID")


class EventOutcome(IntEnum):
    """Event Outcome Indicator; PS3.15 Section A.5.1."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8


@dataclass(frozen=True)
class Participant:
    """Who took part: an application, a node, or a medium.

    Attributes
    ----------
    user_id : str
        AE title, process id, or place.
    requestor : bool
        Whether it began the event.
    roles : tuple of Code
    address : str
        Host name or IP address; '' where unknown.
    medium : Code or None
        What kind of medium it is, for an export.
    """

    user_id: str
    requestor: bool
    roles: tuple[Code, ...] = ()
    address: str = ""
    alternative_id: str = ""
    name: str = ""
    medium: Code | None = None


@dataclass(frozen=True)
class Subject:
    """What the event is about: a study with its instances, or a node.

    Attributes
    ----------
    uid : str
        Participant Object ID.
    kind : Code
        What `uid` is.
    role : str
        Participant Object Type Code Role.
    classes : mapping of str to int
        Instances by SOP Class UID; '' for those whose class is not known any more.
    details : mapping of str to str
    """

    uid: str
    kind: Code
    role: str
    classes: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """One audit message; `at` in seconds since the epoch, `action` one of C R U D E."""

    event: Code
    action: str
    at: float
    participants: Sequence[Participant]
    subjects: Sequence[Subject] = ()
    event_type: Code | None = None
    outcome: EventOutcome = EventOutcome.SUCCESS
    because: str = ""

    def xml(self, source_id: str, site: str) -> bytes:
        """Return the message in UTF-8, without line breaks, as PS3.15 Section A.5.1 has it."""
        root = ET.Element("AuditMessage")
        self._identify(root)
        for participant in self.participants:
            _participate(root, participant)
        source = ET.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": source_id})
        if site:
            source.set("AuditEnterpriseSiteID", site)
        ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
        for subject in self.subjects:
            _concern(root, subject)
        text: str = ET.tostring(root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()

    def _identify(self, root: ET.Element) -> None:
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        event = ET.SubElement(
            root,
            "EventIdentification",
            {
                "EventActionCode": self.action,
                "EventDateTime": when,
                "EventOutcomeIndicator": str(int(self.outcome)),
            },
        )
        _code(event, "EventID", self.event)
        if self.event_type is not None:
            _code(event, "EventTypeCode", self.event_type)
        if self.because:
            ET.SubElement(event, "EventOutcomeDescription").text = _plain(self.because)


def _code(parent: ET.Element, element: str, code: Code) -> None:
    value, meaning = code.value
    attributes = {"csd-code": value, "codeSystemName": "DCM", "originalText": meaning}
    ET.SubElement(parent, element, attributes | {"displayName": meaning})


def _participate(root: ET.Element, participant: Participant) -> None:
    attributes = {
        "UserID": _plain(participant.user_id),
        "UserIsRequestor": "true" if participant.requestor else "false",
    }
    if participant.alternative_id:
        attributes["AlternativeUserID"] = _plain(participant.alternative_id)
    if participant.name:
        attributes["UserName"] = _plain(participant.name)
    if participant.address:
        attributes["NetworkAccessPointID"] = _plain(participant.address)
        attributes["NetworkAccessPointTypeCode"] = "2" if _is_address(participant.address) else "1"
    element = ET.SubElement(root, "ActiveParticipant", attributes)
    for role in participant.roles:
        _code(element, "RoleIDCode", role)
    if participant.medium is not None:
        _code(ET.SubElement(element, "MediaIdentifier"), "MediaType", participant.medium)


def _concern(root: ET.Element, subject: Subject) -> None:
    element = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": _plain(subject.uid),
            "ParticipantObjectTypeCode": SYSTEM_OBJECT,
            "ParticipantObjectTypeCodeRole": subject.role,
        },
    )
    _code(element, "ParticipantObjectIDTypeCode", subject.kind)
    ET.SubElement(element, "ParticipantObjectName").text = _plain(subject.uid)
    for name, value in sorted(subject.details.items()):
        octets = base64.b64encode(value.encode()).decode()
        ET.SubElement(element, "ParticipantObjectDetail", {"type": name, "value": octets})
    if not subject.classes:
        return
    described = ET.SubElement(element, "ParticipantObjectDescription")
    for sop_class, count in sorted(subject.classes.items()):
        attributes = {"UID": sop_class} if sop_class else {}
        attributes["NumberOfInstances"] = str(count)
        ET.SubElement(described, "SOPClass", attributes)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(text: str) -> str:
    """Return text that XML can hold; a peer may put control characters into its AE title."""
    return "".join(c if c.isprintable() else "?" for c in text)

"""Audit messages: what is told, in the schema of PS3.15 A.5.1, and nothing of a patient."""

import re
from base64 import b64decode
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from structlog.testing import capture_logs

from node.audit.auditor import AuditedDestination, Auditor, MessageWriter
from node.audit.message import Message
from node.audit.reporting import audited, auditor_of, collector_of, place_of
from node.audit.syslog import Collector, formatted, framed
from node.errors import TransientDeliveryError
from node.model.events import EventKind, LedgerEvent
from node.settings import Settings, load
from node.settings.trust import AuditSection
from node.store.access import Rejected
from node.store.catalog import Catalog
from node.store.outbox import Backlog, InstanceEvent, ProcessEvent, RefusedPeer
from tests.audit_schema import faults

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
WRITER = MessageWriter(
    "RADNODE",
    "radnode",
    "node7",
    {
        "pacs": AuditedDestination("PACS", "pacs.example.org"),
        "outbox": AuditedDestination("outbox", medium=True),
    },
)


def instance_event(number: int, event: str, study: str = "1.2.3", **known: Any) -> InstanceEvent:
    """Return an entry of the ledger about a CT image."""
    detail = {"from": "CT1"} if event in ("received", "repeated", "conflict") else {}
    detail |= {"to": known.pop("to")} if "to" in known else {}
    values = {"sop_class_uid": CT, "address": "10.1.2.3"} | known
    return InstanceEvent(number, 1_700_000_000.0 + number, event, study, detail, **values)


EVERYTHING = Backlog(
    [
        instance_event(1, "received"),
        instance_event(2, "received"),
        instance_event(3, "received", sop_class_uid=MR),
        instance_event(4, "repeated"),
        instance_event(5, "conflict"),
        instance_event(6, "classified", sop_class_uid=""),
        instance_event(7, "derived"),
        instance_event(8, "sent", to="pacs"),
        instance_event(9, "sent", to="outbox"),
        instance_event(10, "parked", to="pacs"),
        instance_event(11, "sent", to="no longer in the settings"),
        instance_event(12, "deleted", sop_class_uid=""),
        instance_event(13, "retried", to="pacs"),
        instance_event(14, "received", study="1.2.4"),
    ],
    [
        ProcessEvent(1, "start", 1_700_000_000.0, {"role": "receiver", "process": "42"}),
        ProcessEvent(2, "stop", 1_700_000_100.0, {"role": "receiver", "process": "42"}),
    ],
    [
        RefusedPeer(
            Rejected("X\x1b[1", "RADNODE", "192.0.2.1", "not among the sources"), 5, 3, 1.0
        ),
        RefusedPeer(Rejected("", "", "192.0.2.1", "TLS: wrong version number"), 1, 1, 2.0),
    ],
)


def xml_of(message: Message) -> ET.Element:
    """Return the message read again."""
    return ET.fromstring(message.xml("RADNODE", "HKU"))  # noqa: S314 - our own output


def summary(message: Message) -> tuple[str, str, str, str, str]:
    """Return event, action, outcome, participants and counts in short."""
    root = xml_of(message)
    event = root.find("EventIdentification")
    assert event is not None
    identity = event.find("EventID")
    assert identity is not None
    people = " ".join(
        f"{one.get('UserID')}{'*' if one.get('UserIsRequestor') == 'true' else ''}"
        f"@{one.get('NetworkAccessPointID', '-')}"
        for one in root.findall("ActiveParticipant")
    )
    counts = "+".join(one.get("NumberOfInstances", "") for one in root.iter("SOPClass"))
    return (
        identity.get("csd-code", ""),
        event.get("EventActionCode", ""),
        event.get("EventOutcomeIndicator", ""),
        people,
        counts,
    )


def test_everything_that_happens_is_told_in_the_schema_of_the_standard() -> None:
    """One message for each study, peer and kind of event; retries are no access to data."""
    messages = WRITER.messages(EVERYTHING)

    assert [fault for one in messages for fault in faults(one.xml("RADNODE", "HKU"))] == []
    assert [summary(one) for one in messages] == [
        ("110113", "E", "4", "RADNODE*@node7 X?[1@192.0.2.1", ""),
        ("110113", "E", "4", "RADNODE*@node7 192.0.2.1@192.0.2.1", ""),
        ("110100", "E", "0", "receiver:42@node7", ""),
        ("110104", "C", "0", "CT1*@10.1.2.3 RADNODE@node7", "2+1"),
        ("110104", "R", "0", "CT1*@- RADNODE@node7", "1"),
        ("110104", "C", "4", "CT1*@- RADNODE@node7", "1"),
        ("110103", "R", "0", "RADNODE*@node7", ""),
        ("110103", "C", "0", "RADNODE*@node7", "1"),
        ("110104", "R", "0", "RADNODE*@node7 PACS@pacs.example.org", "1"),
        ("110106", "R", "0", "RADNODE*@node7 outbox@-", "1"),
        ("110104", "R", "8", "RADNODE*@node7 PACS@pacs.example.org", "1"),
        ("110104", "R", "0", "RADNODE*@node7 no longer in the settings@-", "1"),
        ("110103", "D", "0", "RADNODE*@node7", "1"),
        ("110104", "C", "0", "CT1*@10.1.2.3 RADNODE@node7", "1"),
        ("110100", "E", "0", "receiver:42@node7", ""),
    ]


def test_an_alert_says_why_and_how_often() -> None:
    """The description is base64, since a peer can put anything into what it names."""
    (alert, _) = WRITER.messages(Backlog(refused=EVERYTHING.refused))
    detail = xml_of(alert).find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail is not None
    assert b64decode(detail.get("value", "")) == b"not among the sources, 3 times"


def test_the_time_is_that_of_the_event_with_its_zone() -> None:
    """Not of the sending, which may be days later."""
    (message,) = WRITER.messages(Backlog([instance_event(1, "received")]))
    event = xml_of(message).find("EventIdentification")
    assert event is not None
    assert event.get("EventDateTime") == "2023-11-14T22:13:21.000+00:00"


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (b"<AuditMessage/>", "has 0 EventIdentification"),
        (b'<AuditMessage><x UserID="1"/></AuditMessage>', "x is not known"),
    ],
)
def test_the_checker_finds_what_is_wrong(broken: bytes, fault: str) -> None:
    """A checker that never complains proves nothing."""
    assert any(fault in one for one in faults(broken))
    good = WRITER.messages(EVERYTHING)[3].xml("RADNODE", "")
    for old, new in (
        (b'EventOutcomeIndicator="0"', b'EventOutcomeIndicator="1"'),
        (b' UserIsRequestor="true"', b""),
        (b'AuditSourceID="RADNODE"', b'AuditSourceId="RADNODE"'),
        (b"csd-code", b"code"),
        (b'NumberOfInstances="2"', b'NumberOfInstances="two"'),
    ):
        assert old in good
        assert faults(good.replace(old, new, 1))


def test_the_syslog_header_is_that_of_the_standard() -> None:
    """RFC 5424 Section 6, priority and message id as PS3.15 A.6 has them; octets counted."""
    line = formatted(b"<AuditMessage/>", 1_700_000_000.5, "node7", 42)
    assert line == (
        b"<85>1 2023-11-14T22:13:20.500Z node7 radnode 42 DICOM+RFC3881 - "
        b"\xef\xbb\xbf<AuditMessage/>"
    )
    assert framed(line) == b"%d " % len(line) + line


class Recording:
    """A collector that remembers, and refuses while `down`."""

    def __init__(self) -> None:
        self.down = False
        self.taken: list[bytes] = []

    def deliver(self, messages: list[bytes]) -> None:
        """Take a batch."""
        if self.down:
            raise TransientDeliveryError("the collector is down")
        self.taken += messages

    def events(self) -> list[str]:
        """Return the codes of what was told."""
        return [re.findall(rb'<EventID csd-code="(\d+)"', one)[0].decode() for one in self.taken]


def tell(catalog: Catalog, count: int) -> None:
    """Put entries into the ledger, each of a study of its own."""
    with catalog.write() as connection:
        happened = [
            LedgerEvent(EventKind.RECEIVED, f"1.2.{number}", f"1.2.{number}.1", {"from": "CT1"})
            for number in range(count)
        ]
        catalog.ledger.tell(connection, happened, 1000.0)


def auditor(catalog: Catalog, collector: Recording) -> Auditor:
    """Return an auditor that tells `collector`."""
    return Auditor(catalog.outbox, WRITER, collector, ("RADNODE", ""), 42)  # type: ignore[arg-type]


def test_nothing_is_lost_while_the_collector_is_down(catalog: Catalog) -> None:
    """Told once it is back, by another process too, each once; the outage is logged once."""
    collector = Recording()
    collector.down = True
    tell(catalog, 3)
    catalog.outbox.note("start", {"role": "receiver", "process": "1"}, 1.0)
    catalog.access.note_rejection(Rejected("X", "Y", "192.0.2.1", "r"), 2.0)
    first = auditor(catalog, collector)
    with capture_logs() as logs:
        first.tick()
        first.tick()
        assert collector.taken == []
        catalog.access.note_rejection(Rejected("X", "Y", "192.0.2.1", "r"), 3.0)
        collector.down = False
        auditor(catalog, collector).tick()
        first.tick()
    assert sorted(collector.events()) == ["110100", "110104", "110104", "110104", "110113"]
    told = [line["event"] for line in logs]
    assert told == ["audit messages wait", "audit messages are taken again"]

    catalog.access.note_rejection(Rejected("X", "Y", "192.0.2.1", "r"), 4.0)
    tell(catalog, 1)
    first.tick()
    assert collector.events()[5:] == ["110113", "110104"]


def test_a_long_backlog_is_told_in_batches(catalog: Catalog) -> None:
    """More than one batch, in one look."""
    collector = Recording()
    tell(catalog, 2500)
    auditor(catalog, collector).tick()
    assert len(collector.taken) == 2500
    assert not catalog.outbox.backlog(10)


def test_the_settings_make_an_auditor(tmp_path: Path, catalog: Catalog) -> None:
    """Defaults: TLS on port 6514, our AE title as source; no section, no auditor."""
    config = tmp_path / "node.toml"
    config.write_text(
        '[audit]\nhost = "arr.example.org"\n'
        '[[destinations]]\nname = "a"\nkind = "dicomweb"\nurl = "https://a.example.org/dw"\n'
        '[[destinations]]\nname = "b"\nkind = "folder"\npath = "b"\n',
        encoding="utf-8",
    )
    settings = load(config)
    assert auditor_of(settings, catalog) is not None
    assert str(collector_of(settings)) == "tls arr.example.org:6514"
    assert [place_of(one) for one in settings.destinations] == [
        AuditedDestination("https://a.example.org/dw", "a.example.org"),
        AuditedDestination("b", medium=True),
    ]
    config.write_text("", encoding="utf-8")
    assert auditor_of(load(config), catalog) is None


def test_a_collector_that_is_not_there_is_a_retry() -> None:
    """Nobody listens on port 1."""
    with pytest.raises(TransientDeliveryError, match=r"tcp 127\.0\.0\.1:1: "):
        Collector("127.0.0.1", 1, "tcp").deliver([b"x"])


def test_a_begin_without_an_end_was_a_crash(catalog: Catalog) -> None:
    """Both are noted where there is an audit section, and neither without."""
    settings = Settings(audit=AuditSection(host="arr"))
    with audited(Settings(), catalog, "worker"):
        pass
    with audited(settings, catalog, "receiver"):
        pass
    with pytest.raises(ZeroDivisionError), audited(settings, catalog, "worker"):
        raise ZeroDivisionError
    told = [(one.kind, one.detail["role"]) for one in catalog.outbox.backlog(10).process_events]
    assert told == [("start", "receiver"), ("stop", "receiver"), ("start", "worker")]

"""From rows to audit messages, and from there to the collector; PS3.15 Section A.5.3.

What happened to instances is told for each study, peer and kind of event of a batch, with the
number of instances of each SOP Class. Rows are told at least once: a batch that was cut off is
sent again whole.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from node.audit.message import (
    REPORT,
    SECURITY_RESOURCE,
    Code,
    EventOutcome,
    Message,
    Participant,
    Subject,
)
from node.audit.syslog import Collector, formatted
from node.errors import StoreError, TransientDeliveryError
from node.model.events import EventKind
from node.store.outbox import Backlog, InstanceEvent, ProcessEvent, RefusedPeer

log = structlog.get_logger()

BATCH: Final = 1000

_INCOMING: Final[Mapping[str, tuple[str, EventOutcome, str]]] = {
    EventKind.RECEIVED: ("C", EventOutcome.SUCCESS, ""),
    EventKind.REPEATED: ("R", EventOutcome.SUCCESS, ""),
    EventKind.CONFLICT: (
        "C",
        EventOutcome.MINOR_FAILURE,
        "a known instance with other bytes, kept apart",
    ),
}
_OUTGOING: Final[Mapping[str, tuple[EventOutcome, str]]] = {
    EventKind.SENT: (EventOutcome.SUCCESS, ""),
    EventKind.PARKED: (EventOutcome.SERIOUS_FAILURE, "not accepted by the destination"),
}
_ACCESS: Final[Mapping[str, str]] = {
    EventKind.DERIVED: "C",
    EventKind.CLASSIFIED: "R",
    EventKind.DELETED: "D",
    EventKind.DISCARDED: "D",
}


@dataclass(frozen=True)
class AuditedDestination:
    """A destination as the auditor names it: AE title or place, host, and whether it is media."""

    user_id: str
    address: str = ""
    medium: bool = False


@dataclass(frozen=True)
class MessageWriter:
    """Tells what the rows say; knows no network and no database.

    Attributes
    ----------
    ae_title : str
        The node's.
    process : str
        What runs: goes into UserID where no AE title is meant.
    host : str
        This machine.
    places : mapping of str to AuditedDestination
        Destinations by name.
    """

    ae_title: str
    process: str
    host: str
    places: Mapping[str, AuditedDestination]

    def messages(self, backlog: Backlog) -> list[Message]:
        """Return the messages of a batch, oldest first."""
        found = [*self._instance_events(backlog.instance_events)]
        found += [self._process_event(event) for event in backlog.process_events]
        found += [self._alert(refusal) for refusal in backlog.refused]
        return sorted(found, key=lambda message: message.at)

    def _instance_events(self, instance_events: Iterable[InstanceEvent]) -> Iterable[Message]:
        groups: dict[tuple[str, str, str], list[InstanceEvent]] = {}
        for happened in instance_events:
            peer = str(happened.detail.get("from") or happened.detail.get("to") or "")
            key = happened.event, happened.study_instance_uid, peer
            groups.setdefault(key, []).append(happened)
        for (event, study, peer), group in groups.items():
            classes = Counter(entry.sop_class_uid for entry in group)
            if event == EventKind.CLASSIFIED:  # one entry for a whole series
                classes = Counter()
            subject = Subject(study, Code.STUDY_INSTANCE_UID, REPORT, classes)
            if event in _INCOMING:
                yield self._incoming(event, peer, group, subject)
            elif event in _OUTGOING:
                yield self._outgoing(event, peer, group, subject)
            elif event in _ACCESS:
                yield Message(
                    Code.INSTANCES_ACCESSED,
                    _ACCESS[event],
                    group[-1].at,
                    [self._ourselves(requestor=True)],
                    [subject],
                )

    def _incoming(
        self, event: str, peer: str, group: Sequence[InstanceEvent], subject: Subject
    ) -> Message:
        action, outcome, because = _INCOMING[event]
        # An instance that comes again may come from elsewhere than the first time.
        address = group[-1].address if event == EventKind.RECEIVED else ""
        participants = [
            Participant(peer or "unknown", True, (Code.SOURCE,), address),
            self._ourselves(requestor=False, role=Code.DESTINATION),
        ]
        return Message(
            Code.INSTANCES_TRANSFERRED,
            action,
            group[-1].at,
            participants,
            [subject],
            outcome=outcome,
            because=because,
        )

    def _outgoing(
        self, event: str, peer: str, group: Sequence[InstanceEvent], subject: Subject
    ) -> Message:
        outcome, because = _OUTGOING[event]
        place = self.places.get(peer, AuditedDestination(peer))
        if place.medium:
            there = Participant(place.user_id, False, (Code.DESTINATION_MEDIA,), medium=Code.URI)
        else:
            there = Participant(place.user_id, False, (Code.DESTINATION,), place.address)
        return Message(
            Code.EXPORT if place.medium else Code.INSTANCES_TRANSFERRED,
            "R",
            group[-1].at,
            [self._ourselves(requestor=True, role=Code.SOURCE), there],
            [subject],
            outcome=outcome,
            because=because,
        )

    def _ourselves(self, *, requestor: bool, role: Code | None = None) -> Participant:
        roles = (role,) if role else ()
        return Participant(self.ae_title, requestor, roles, self.host, name=self.process)

    def _process_event(self, event: ProcessEvent) -> Message:
        """Tell that a process began or ended (A.5.3.1)."""
        begun = event.kind == "start"
        who = Participant(
            f"{event.detail['role']}:{event.detail['process']}",
            False,
            (Code.APPLICATION,),
            self.host,
            alternative_id=f"AETITLES={self.ae_title}",
        )
        kind = Code.APPLICATION_START if begun else Code.APPLICATION_STOP
        return Message(Code.APPLICATION_ACTIVITY, "E", event.at, [who], event_type=kind)

    def _alert(self, refusal: RefusedPeer) -> Message:
        """Tell that a node could not prove who it is (A.5.3.11)."""
        peer = refusal.peer
        times = f", {refusal.fresh} times" if refusal.fresh > 1 else ""
        return Message(
            Code.SECURITY_ALERT,
            "E",
            refusal.last_at,
            [
                self._ourselves(requestor=True),
                Participant(peer.calling_ae or peer.address, False, (), peer.address),
            ],
            [
                Subject(
                    peer.address,
                    Code.NODE_ID,
                    SECURITY_RESOURCE,
                    details={"Alert Description": f"{peer.reason}{times}"},
                )
            ],
            Code.NODE_AUTHENTICATION,
            EventOutcome.MINOR_FAILURE,
            peer.reason,
        )


class AuditQueue(Protocol):
    """What the auditor needs of the outbox."""

    def backlog(self, limit: int) -> Backlog:
        """Return what is to be told next."""

    def sent(self, backlog: Backlog) -> None:
        """Forget what has been told."""


class Auditor:
    """Empties the spool into the collector, a batch at a time.

    Parameters
    ----------
    spool, writer, collector
        Where rows come from, what they say, and who is told.
    source_id, site : str
        Audit Source ID and Audit Enterprise Site ID.
    process_id : int
        For the header of syslog.
    """

    def __init__(
        self,
        spool: AuditQueue,
        writer: MessageWriter,
        collector: Collector,
        source: tuple[str, str],
        process_id: int,
    ) -> None:
        self._spool = spool
        self._writer = writer
        self._collector = collector
        self._source_id, self._site = source
        self._process_id = process_id
        self._failing = False

    def tick(self) -> None:
        """Tell everything that waits; what cannot be told waits on."""
        try:
            while backlog := self._spool.backlog(BATCH):
                messages = [self._syslog(message) for message in self._writer.messages(backlog)]
                if messages:
                    self._collector.deliver(messages)
                self._spool.sent(backlog)
        except (TransientDeliveryError, StoreError) as error:
            if not self._failing:
                log.warning("audit messages wait", because=str(error))
            self._failing = True
            return
        if self._failing:
            log.info("audit messages are taken again", collector=str(self._collector))
        self._failing = False

    def _syslog(self, message: Message) -> bytes:
        xml = message.xml(self._source_id, self._site)
        return formatted(xml, message.at, self._writer.host, self._process_id)

"""What is still to be told to the audit collector; nothing leaves here before it was sent.

The ledger and the rejections are read behind a mark that moves only when a batch has been sent;
what neither tells (a process began or ended, somebody logged in) waits in a table of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import sqlalchemy as sa

from node.store.access import AccessLog, Rejected
from node.store.database import Database
from node.store.tables import (
    association,
    audit_cursor,
    audit_event,
    instance,
    ledger,
    rejection,
)

AuditKind = Literal["start", "stop"]

LEDGER: Final = "ledger"
"""Name of the mark in table `audit_cursor`."""


@dataclass(frozen=True)
class InstanceEvent:
    """An entry of the ledger with what is known of its instance ('' and None: nothing)."""

    number: int
    at: float
    event: str
    study_instance_uid: str
    detail: Mapping[str, Any]
    sop_class_uid: str
    address: str


@dataclass(frozen=True)
class ProcessEvent:
    """Something of the node itself; see `Outbox.note`."""

    id: int
    kind: str
    at: float
    detail: Mapping[str, str]


@dataclass(frozen=True)
class RefusedPeer:
    """A peer that was turned away `times` times altogether, `fresh` of them not yet told."""

    peer: Rejected
    times: int
    fresh: int
    last_at: float


@dataclass(frozen=True)
class Backlog:
    """What is to be told next, oldest first."""

    instance_events: Sequence[InstanceEvent] = field(default=())
    process_events: Sequence[ProcessEvent] = field(default=())
    refused: Sequence[RefusedPeer] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.instance_events or self.process_events or self.refused)


class Outbox:
    """The owner of tables ``audit_event`` and ``audit_cursor``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    access : AccessLog
        Counts how many rejections were told.
    """

    def __init__(self, database: Database, access: AccessLog) -> None:
        self._database = database
        self._access = access

    def note(self, kind: AuditKind, detail: Mapping[str, str], now: float) -> None:
        """Remember something of the node itself until it has been told.

        Parameters
        ----------
        kind : AuditKind
            What happened.
        detail : mapping of str to str
            No patient in it.
        now : float
            Seconds since the epoch.
        """
        with self._database.write() as connection:
            row = {"kind": kind, "at": now, "detail": dict(detail)}
            connection.execute(sa.insert(audit_event), row)

    def backlog(self, limit: int) -> Backlog:
        """Return at most `limit` of each kind of what is to be told.

        Parameters
        ----------
        limit : int
            Of each kind.

        Returns
        -------
        Backlog
            The oldest first.
        """
        with self._database.read() as connection:
            mark = connection.execute(_MARK).scalar_one_or_none() or 0
            instance_events = connection.execute(_instance_events(mark, limit)).all()
            process_events = connection.execute(
                sa.select(audit_event).order_by(audit_event.c.id).limit(limit)
            ).all()
            refused = connection.execute(
                sa.select(rejection)
                .where(rejection.c.times > rejection.c.audited)
                .order_by(rejection.c.last_at)
                .limit(limit)
            ).all()
        return Backlog(
            [_instance_event(row) for row in instance_events],
            [ProcessEvent(row.id, row.kind, row.at, row.detail) for row in process_events],
            [_refused(row) for row in refused],
        )

    def sent(self, backlog: Backlog) -> None:
        """Forget what has been told.

        Parameters
        ----------
        backlog : Backlog
            As `backlog` returned it; all of it was taken.
        """
        with self._database.write() as connection:
            if backlog.instance_events:
                number = backlog.instance_events[-1].number
                connection.execute(
                    self._database.insert(audit_cursor)
                    .values(name=LEDGER, number=number)
                    .on_conflict_do_update(index_elements=["name"], set_={"number": number})
                )
            if backlog.process_events:
                ids = [event.id for event in backlog.process_events]
                connection.execute(sa.delete(audit_event).where(audit_event.c.id.in_(ids)))
            for refusal in backlog.refused:
                self._access.mark_audited(connection, refusal.peer, refusal.times)


_MARK = sa.select(audit_cursor.c.number).where(audit_cursor.c.name == LEDGER)


def _instance_events(mark: int, limit: int) -> sa.Select[Any]:
    return (
        sa.select(
            ledger.c.number,
            ledger.c.at,
            ledger.c.event,
            ledger.c.study_instance_uid,
            ledger.c.detail,
            instance.c.sop_class_uid,
            association.c.address,
        )
        .outerjoin(instance, instance.c.sop_instance_uid == ledger.c.subject)
        .outerjoin(association, association.c.id == instance.c.association_id)
        .where(ledger.c.number > mark)
        .order_by(ledger.c.number)
        .limit(limit)
    )


def _instance_event(row: sa.Row[Any]) -> InstanceEvent:
    return InstanceEvent(
        row.number,
        row.at,
        row.event,
        row.study_instance_uid,
        row.detail,
        row.sop_class_uid or "",
        row.address or "",
    )


def _refused(row: sa.Row[Any]) -> RefusedPeer:
    peer = Rejected(row.calling_ae, row.called_ae, row.address, row.reason)
    return RefusedPeer(peer, row.times, row.times - row.audited, row.last_at)

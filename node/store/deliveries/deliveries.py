"""What is to go where, and where it stands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.records import Asked, Coerced, Delivery, StoredInstance
from node.model.states import (
    DELIVERY_FAILED,
    DELIVERY_REFUSED,
    DELIVERY_TAKEN,
    DeliveryState,
    Move,
    WorkState,
)
from node.model.work import Task, TaskKey, WorkKind
from node.store.database import Database
from node.store.deliveries.scope import Scope, within
from node.store.ledger import Ledger
from node.store.rows import columns, instance_columns, instance_of, record
from node.store.tables import delivery, instance, outlet, work
from node.store.work.work import Work

_OUTCOMES: Final[dict[DeliveryState, tuple[Move[DeliveryState], EventKind]]] = {
    DeliveryState.DELIVERED: (DELIVERY_TAKEN, EventKind.SENT),
    DeliveryState.PARKED: (DELIVERY_REFUSED, EventKind.PARKED),
    DeliveryState.PENDING: (DELIVERY_FAILED, EventKind.RETRIED),
}
"""What an attempt can come to, and what the ledger calls that."""


class Deliveries:
    """The owner of table ``delivery``.

    What takes a connection is part of a transaction that others begin.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, work
        Owners of what is written together with it.
    """

    def __init__(self, database: Database, ledger: Ledger, work: Work) -> None:
        self._database = database
        self._ledger = ledger
        self._work = work

    def add(
        self,
        batch: str,
        destination: str,
        sop_instance_uids: Sequence[str],
        now: float,
        urgent: bool = False,
    ) -> None:
        """Ask for instances at a destination; rows that exist, of any batch, are kept.

        The batch is due at once, even where it has no instance: findings may go without. One
        that was through is due again where something of it is new.
        """
        rows = [
            {
                "sop_instance_uid": uid,
                "destination": destination,
                "batch": batch,
                "state": DeliveryState.PENDING,
                "attempts": 0,
                "reason": "",
                "added_at": now,
                "changed_at": now,
            }
            for uid in sorted(sop_instance_uids)
        ]
        turn = TaskKey(WorkKind.DELIVER, destination, batch)
        asked_for = (
            self._database.insert(delivery)
            .on_conflict_do_nothing()
            .returning(delivery.c.sop_instance_uid)
        )
        with self._database.write() as connection:
            added = list(connection.execute(asked_for, rows).scalars()) if rows else []
            again = is_anything_pending(connection, destination, batch)
            self._work.add(connection, turn, urgent=urgent, again=again)
            self._ledger.tell(connection, _routed(connection, batch, destination, added), now)

    def adopt(self) -> int:
        """Give a turn to every batch that has something pending and none; return how many.

        There are none, unless rows were changed by other means than this catalog's: a restored
        copy, a hand, a version before this one.
        """
        turn = sa.exists().where(
            work.c.kind == WorkKind.DELIVER,
            work.c.lane == delivery.c.destination,
            work.c.key == delivery.c.batch,
            work.c.state != WorkState.DONE,
        )
        orphans = (
            sa.select(delivery.c.destination, delivery.c.batch)
            .where(delivery.c.state == DeliveryState.PENDING, ~turn)
            .distinct()
        )
        with self._database.write() as connection:
            found = connection.execute(orphans).all()
            for destination, batch in found:
                self._work.add(connection, TaskKey(WorkKind.DELIVER, destination, batch))
        return len(found)

    def end_batch(self, task: Task) -> bool:
        """End a batch of which nothing is pending; tell whether that was so.

        An operator may have replayed an instance while its job was running.
        """
        with self._database.write() as connection:
            # Locked first: who makes something pending waits, and then makes it due again.
            if not self._work.is_held(connection, task):
                return False
            if is_anything_pending(connection, task.lane, task.key):
                return False
            return self._work.done_in(connection, task)

    def pending(self, batch: str, destination: str) -> list[StoredInstance]:
        """Return the instances of a batch that the destination has yet to take.

        Those that failed most come last: one that makes the peer fall over must not keep the
        others from arriving.
        """
        query = (
            sa.select(*instance_columns())
            .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(
                delivery.c.batch == batch,
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PENDING,
            )
            .order_by(
                delivery.c.attempts, instance.c.series_instance_uid, instance.c.sop_instance_uid
            )
        )
        with self._database.read() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def failed_attempts(self, batch: str, destination: str) -> dict[str, int]:
        """Return how often each pending instance of a batch has failed."""
        query = sa.select(delivery.c.sop_instance_uid, delivery.c.attempts).where(
            delivery.c.batch == batch,
            delivery.c.destination == destination,
            delivery.c.state == DeliveryState.PENDING,
        )
        with self._database.read() as connection:
            return {row.sop_instance_uid: row.attempts for row in connection.execute(query)}

    def asked(self, batch: str, destination: str) -> dict[str, Asked]:
        """Return since when each pending instance of a batch is wanted; no attempt changes that.

        Parameters
        ----------
        batch, destination : str
            Keys of the deliveries.

        Returns
        -------
        dict of str to Asked
            By SOP Instance UID.
        """
        query = (
            sa.select(delivery.c.sop_instance_uid, delivery.c.added_at, instance.c.revision)
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(
                delivery.c.batch == batch,
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PENDING,
            )
        )
        with self._database.read() as connection:
            return {
                row.sop_instance_uid: Asked(row.added_at, row.revision)
                for row in connection.execute(query)
            }

    def is_wanted(self, sop_instance_uid: str, destination: str, batch: str | None = None) -> bool:
        """Tell whether an instance is still to be sent: not cancelled, and nobody paused it.

        With `batch`, only as part of it: other bytes may have taken the instance's place since.
        """
        paused = sa.exists().where(outlet.c.destination == destination, outlet.c.paused)
        query = sa.select(delivery.c.state).where(
            delivery.c.sop_instance_uid == sop_instance_uid,
            delivery.c.destination == destination,
            delivery.c.state == DeliveryState.PENDING,
            ~paused,
            *_still_of(batch),
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def put_untried(
        self, sop_instance_uids: Sequence[str], destination: str, reason: str, now: float
    ) -> None:
        """Note why an attempt never came to these instances; it does not count as theirs."""
        if not sop_instance_uids:
            return
        with self._database.write() as connection:
            connection.execute(
                sa.update(delivery)
                .where(
                    delivery.c.sop_instance_uid == sa.bindparam("sop"),
                    delivery.c.destination == destination,
                    delivery.c.state == DeliveryState.PENDING,
                )
                .values(reason=reason, changed_at=now),
                [{"sop": uid} for uid in sop_instance_uids],
            )

    def put_outcome(
        self,
        sop_instance_uid: str,
        destination: str,
        state: DeliveryState,
        reason: str,
        now: float,
        batch: str | None = None,
    ) -> None:
        """Note the outcome of one attempt.

        What was delivered stays delivered, and what was cancelled or paused is not brought back
        by an attempt that was under way; that one arrived all the same is told as it is. With
        `batch`, it counts only while the instance is part of that: other bytes may have taken
        its place, and those were not sent.
        """
        self._put((sop_instance_uid, destination, batch), state, reason, now)

    def put_coerced(
        self,
        sop_instance_uid: str,
        destination: str,
        reason: str,
        now: float,
        batch: str | None,
        coerced: Coerced,
    ) -> None:
        """Note that an instance was delivered, and what was filled into it on its way.

        Parameters
        ----------
        coerced : Coerced
            For the ledger, which has it in front of the entry that it was sent.
        """
        key = sop_instance_uid, destination, batch
        self._put(key, DeliveryState.DELIVERED, reason, now, coerced)

    def _put(
        self,
        key: tuple[str, str, str | None],
        state: DeliveryState,
        reason: str,
        now: float,
        coerced: Coerced | None = None,
    ) -> None:
        sop_instance_uid, destination, batch = key
        move, event = _OUTCOMES[state]
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(delivery)
                .where(
                    delivery.c.sop_instance_uid == sop_instance_uid,
                    delivery.c.destination == destination,
                    delivery.c.state.in_(move.of),
                    *_still_of(batch),
                )
                .values(
                    state=move.to,
                    reason=reason,
                    attempts=delivery.c.attempts + 1,
                    commitment=None,  # to what it was sent before, if it was
                    changed_at=now,
                )
                .returning(delivery.c.state)
            ).first()
            if changed is None:
                return
            known = connection.execute(_STUDY_OF, {"sop": sop_instance_uid}).one_or_none()
            if known is not None:
                detail: dict[str, Any] = {"to": destination, "sha256": known.sha256}
                study = known.study_instance_uid
                entries = [LedgerEvent(event, study, sop_instance_uid, detail)]
                if coerced is not None:
                    filled = {
                        "attributes": list(coerced.attributes),
                        "sent_sha256": coerced.sha256,
                    }
                    change = LedgerEvent(
                        EventKind.COERCED, study, sop_instance_uid, detail | filled
                    )
                    entries.insert(0, change)
                self._ledger.tell(connection, entries, now)

    def of_study(self, study_instance_uid: str) -> list[Delivery]:
        """Return where every instance of a study, received or derived, stands."""
        query = (
            sa.select(
                *columns(Delivery, delivery),
                instance.c.series_instance_uid,
                instance.c.deleted_at.is_not(None).label("deleted"),
            )
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(instance.c.study_instance_uid == study_instance_uid)
            .order_by(delivery.c.destination, delivery.c.sop_instance_uid)
        )
        with self._database.read() as connection:
            return [record(Delivery, row) for row in connection.execute(query)]

    def parked_paths(self, series_instance_uid: str, destination: str) -> list[Path]:
        """Return the files of a series that are parked at a destination."""
        query = (
            sa.select(instance.c.path)
            .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(
                instance.c.series_instance_uid == series_instance_uid,
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PARKED,
            )
        )
        with self._database.read() as connection:
            return [Path(path) for path in connection.execute(query).scalars()]

    def selected(
        self, scope: Scope, states: Sequence[DeliveryState], limit: int
    ) -> list[Delivery]:
        """Return the deliveries within a scope, at most `limit` of them."""
        query = (
            sa.select(*columns(Delivery, delivery))
            .where(*within(scope), delivery.c.state.in_(states))
            .order_by(delivery.c.destination, delivery.c.batch, delivery.c.sop_instance_uid)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [record(Delivery, row) for row in connection.execute(query)]

    def counted(self, scope: Scope) -> dict[str, Counter[str]]:
        """Return how many deliveries stand in which state, by destination."""
        query = (
            sa.select(delivery.c.destination, delivery.c.state, sa.func.count())
            .where(*within(scope))
            .group_by(delivery.c.destination, delivery.c.state)
        )
        counts: dict[str, Counter[str]] = {}
        with self._database.read() as connection:
            for destination, state, count in connection.execute(query):
                counts.setdefault(destination, Counter())[state] = count
        return counts

    def forget(self, connection: sa.Connection, sop_instance_uid: str) -> None:
        """Forget where an instance had to go: it is another one from here on."""
        connection.execute(
            sa.delete(delivery).where(delivery.c.sop_instance_uid == sop_instance_uid)
        )

    def obey(
        self,
        connection: sa.Connection,
        move: Move[DeliveryState],
        rows: Sequence[tuple[str, str]],
        values: Mapping[str, Any],
    ) -> None:
        """Change the state of deliveries by an operator's order.

        Parameters
        ----------
        rows
            SOP Instance UID and destination of each; at least one.
        values
            What else is changed.
        """
        connection.execute(
            sa.update(delivery)
            .where(
                delivery.c.sop_instance_uid == sa.bindparam("sop"),
                delivery.c.destination == sa.bindparam("to"),
                sa.or_(*(delivery.c.state == state for state in move.of)),  # no IN for many rows
            )
            .values({"state": move.to, **values}),
            [{"sop": uid, "to": destination} for uid, destination in rows],
        )


def _routed(
    connection: sa.Connection, batch: str, destination: str, added: Sequence[str]
) -> list[LedgerEvent]:
    """Return what the ledger says of instances that are to go somewhere: one entry for a batch."""
    if not added:
        return []
    known = connection.execute(_STUDY_OF, {"sop": added[0]}).one_or_none()
    if known is None:
        return []
    detail = {"to": destination, "batch": batch, "instances": sorted(added)}
    subject = known.series_instance_uid
    return [LedgerEvent(EventKind.ROUTED, known.study_instance_uid, subject, detail)]


def _still_of(batch: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if batch is None else [delivery.c.batch == batch]


_STUDY_OF = sa.select(
    instance.c.study_instance_uid, instance.c.series_instance_uid, instance.c.sha256
).where(instance.c.sop_instance_uid == sa.bindparam("sop"))


def is_anything_pending(connection: sa.Connection, destination: str, batch: str) -> bool:
    """Tell whether a destination has yet to take something of a batch."""
    query = sa.select(delivery.c.sop_instance_uid).where(
        delivery.c.destination == destination,
        delivery.c.batch == batch,
        delivery.c.state == DeliveryState.PENDING,
    )
    return connection.execute(query.limit(1)).first() is not None

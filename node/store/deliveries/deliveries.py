"""What is to go where: asked for, tried, ordered otherwise, forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.records import Coerced
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
from node.store.deliveries.pending import is_anything_pending, part_of
from node.store.ledger import Ledger
from node.store.tables import delivery, instance, work
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
                    *part_of(batch),
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


_STUDY_OF = sa.select(
    instance.c.study_instance_uid, instance.c.series_instance_uid, instance.c.sha256
).where(instance.c.sop_instance_uid == sa.bindparam("sop"))

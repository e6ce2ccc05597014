"""What is to go where, and where it stands."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from node.model.records import Delivery, StoredInstance
from node.model.states import DeliveryState
from node.store.dispatches import first_dispatch
from node.store.ledger import Event, Happening, Ledger
from node.store.rows import instance_columns, instance_of
from node.store.tables import delivery, dispatch, instance, outlet

EVENTS: Final[dict[DeliveryState, Event]] = {
    DeliveryState.DELIVERED: "sent",
    DeliveryState.PARKED: "parked",
    DeliveryState.PENDING: "retried",
    DeliveryState.PAUSED: "paused",
    DeliveryState.CANCELLED: "cancelled",
}


class Deliveries(Ledger):
    """The catalog as delivery sees it."""

    def add_deliveries(
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
                "state": "pending",
                "attempts": 0,
                "reason": "",
                "added_at": now,
                "changed_at": now,
            }
            for uid in sop_instance_uids
        ]
        job = first_dispatch(destination, batch, now, urgent)
        asked_for = (
            self._insert(delivery).on_conflict_do_nothing().returning(delivery.c.sop_instance_uid)
        )
        with self._write() as connection:
            added = list(connection.execute(asked_for, rows).scalars()) if rows else []
            connection.execute(self._insert(dispatch).on_conflict_do_nothing(), job)
            self._tell(connection, _routed(connection, batch, destination, added), now)
            connection.execute(_again_where_pending(job, now))

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
                delivery.c.state == "pending",
            )
            .order_by(
                delivery.c.attempts, instance.c.series_instance_uid, instance.c.sop_instance_uid
            )
        )
        with self._read() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def failed_attempts(self, batch: str, destination: str) -> dict[str, int]:
        """Return how often each pending instance of a batch has failed."""
        query = sa.select(delivery.c.sop_instance_uid, delivery.c.attempts).where(
            delivery.c.batch == batch,
            delivery.c.destination == destination,
            delivery.c.state == "pending",
        )
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def is_wanted(self, sop_instance_uid: str, destination: str, batch: str | None = None) -> bool:
        """Tell whether an instance is still to be sent: not cancelled, and nobody paused it.

        With `batch`, only as part of it: other bytes may have taken the instance's place since.
        """
        paused = sa.exists().where(outlet.c.destination == destination, outlet.c.paused)
        query = sa.select(delivery.c.state).where(
            delivery.c.sop_instance_uid == sop_instance_uid,
            delivery.c.destination == destination,
            delivery.c.state == "pending",
            ~paused,
            *_still_of(batch),
        )
        with self._read() as connection:
            return connection.execute(query).first() is not None

    def put_untried(
        self, sop_instance_uids: Sequence[str], destination: str, reason: str, now: float
    ) -> None:
        """Note why an attempt never came to these instances; it does not count as theirs."""
        if not sop_instance_uids:
            return
        with self._write() as connection:
            connection.execute(
                sa.update(delivery)
                .where(
                    delivery.c.sop_instance_uid == sa.bindparam("sop"),
                    delivery.c.destination == destination,
                    delivery.c.state == "pending",
                )
                .values(reason=reason, changed_at=now),
                [{"sop": uid} for uid in sop_instance_uids],
            )

    def put_delivery(
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
        open_to = ["pending", "paused", "cancelled"] if state == "delivered" else ["pending"]
        with self._write() as connection:
            changed = connection.execute(
                sa.update(delivery)
                .where(
                    delivery.c.sop_instance_uid == sop_instance_uid,
                    delivery.c.destination == destination,
                    delivery.c.state.in_(open_to),
                    *_still_of(batch),
                )
                .values(
                    state=state,
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
                detail = {"to": destination, "sha256": known.sha256}
                told = Happening(EVENTS[state], known.study_instance_uid, sop_instance_uid, detail)
                self._tell(connection, [told], now)

    def deliveries(self, study_instance_uid: str) -> list[Delivery]:
        """Return where every instance of a study, received or derived, stands."""
        query = (
            sa.select(
                delivery.c.sop_instance_uid,
                delivery.c.destination,
                delivery.c.batch,
                delivery.c.state,
                delivery.c.attempts,
                delivery.c.reason,
                delivery.c.commitment,
                instance.c.series_instance_uid,
                instance.c.deleted_at.is_not(None),
            )
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(instance.c.study_instance_uid == study_instance_uid)
            .order_by(delivery.c.destination, delivery.c.sop_instance_uid)
        )
        with self._read() as connection:
            return [Delivery(*row) for row in connection.execute(query)]


def _routed(
    connection: sa.Connection, batch: str, destination: str, added: Sequence[str]
) -> list[Happening]:
    """Return what the ledger says of instances that are to go somewhere: one entry for a batch."""
    if not added:
        return []
    known = connection.execute(_STUDY_OF, {"sop": added[0]}).one_or_none()
    if known is None:
        return []
    detail = {"to": destination, "batch": batch, "instances": sorted(added)}
    subject = known.series_instance_uid
    return [Happening("routed", known.study_instance_uid, subject, detail)]


def _again_where_pending(job: Mapping[str, Any], now: float) -> sa.Update:
    """Make a batch that was through due, where something of it is pending all the same."""
    pending = sa.exists().where(
        delivery.c.destination == job["destination"],
        delivery.c.batch == job["batch"],
        delivery.c.state == "pending",
    )
    return (
        sa.update(dispatch)
        .where(
            dispatch.c.destination == job["destination"],
            dispatch.c.batch == job["batch"],
            dispatch.c.state == "done",
            pending,
        )
        .values(
            state="waiting",
            serial=dispatch.c.serial + 1,
            attempts=0,
            urgent=sa.or_(dispatch.c.urgent, sa.literal(job["urgent"])),
            next_at=now,
            changed_at=now,
        )
    )


def _still_of(batch: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if batch is None else [delivery.c.batch == batch]


_STUDY_OF = sa.select(
    instance.c.study_instance_uid, instance.c.series_instance_uid, instance.c.sha256
).where(instance.c.sop_instance_uid == sa.bindparam("sop"))

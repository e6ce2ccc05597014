"""What an operator orders about deliveries: cancel, replay; the running worker reads the rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from node.store.ledger import Event, Happening, Ledger
from node.store.records import Delivery, DeliveryState
from node.store.tables import delivery, dispatch, instance

_Row: TypeAlias = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class Scope:
    """Deliveries to a destination, of a study, series or instance; None means every one."""

    destination: str | None = None
    uid: str | None = None


class Orders(Ledger):
    """The catalog as the operator sees it."""

    def selected(
        self, scope: Scope, states: Sequence[DeliveryState], limit: int
    ) -> list[Delivery]:
        """Return the deliveries within a scope, at most `limit` of them."""
        query = (
            sa.select(
                delivery.c.sop_instance_uid,
                delivery.c.destination,
                delivery.c.batch,
                delivery.c.state,
                delivery.c.attempts,
                delivery.c.reason,
            )
            .where(*_within(scope), delivery.c.state.in_(states))
            .order_by(delivery.c.destination, delivery.c.batch, delivery.c.sop_instance_uid)
            .limit(limit)
        )
        with self._read() as connection:
            return [Delivery(*row) for row in connection.execute(query)]

    def counted(self, scope: Scope) -> dict[str, Counter[str]]:
        """Return how many deliveries stand in which state, by destination."""
        query = (
            sa.select(delivery.c.destination, delivery.c.state, sa.func.count())
            .where(*_within(scope))
            .group_by(delivery.c.destination, delivery.c.state)
        )
        counts: dict[str, Counter[str]] = {}
        with self._read() as connection:
            for destination, state, count in connection.execute(query):
                counts.setdefault(destination, Counter())[state] = count
        return counts

    def cancel(self, scope: Scope, now: float) -> int:
        """Give up what is pending within a scope; return how many instances that were.

        The worker asks before it sends an instance; one that is on the line at this moment
        may still arrive, and is then told as delivered.
        """
        with self._write() as connection:
            rows = self._ordered(connection, scope, ["pending"], "cancelled", now)
            for destination, batch in _batches(rows):
                left = sa.exists().where(
                    delivery.c.destination == destination,
                    delivery.c.batch == batch,
                    delivery.c.state == "pending",
                )
                connection.execute(
                    sa.update(dispatch)
                    .where(*_job(destination, batch), ~left)
                    .values(state="done", changed_at=now)
                )
        return len(rows)

    def replay(self, scope: Scope, states: Sequence[DeliveryState], now: float) -> int:
        """Make instances in these states pending again, with all their attempts before them.

        What is pending within the scope anyway is due at once. Returns how many instances are
        pending anew.
        """
        with self._write() as connection:
            rows = self._ordered(connection, scope, states, "pending", now)
            waiting: Sequence[_Row] = connection.execute(
                sa.select(delivery.c.destination, delivery.c.batch)
                .where(*_within(scope), delivery.c.state == "pending")
                .distinct()
            ).all()
            for destination, batch in _batches(waiting):
                fresh = {
                    "state": "waiting",
                    "serial": dispatch.c.serial + 1,
                    "attempts": 0,
                    "next_at": now,
                    "changed_at": now,
                }
                connection.execute(
                    sa.update(dispatch)
                    .where(*_job(destination, batch), dispatch.c.state != "queued")
                    .values(fresh)
                )
        return len(rows)

    def _ordered(
        self,
        connection: sa.Connection,
        scope: Scope,
        states: Sequence[DeliveryState],
        state: DeliveryState,
        now: float,
    ) -> Sequence[_Row]:
        """Change the state of all deliveries within a scope, and tell the ledger."""
        query = (
            sa.select(
                delivery.c.sop_instance_uid,
                delivery.c.destination,
                delivery.c.batch,
                instance.c.study_instance_uid,
                instance.c.sha256,
            )
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(*_within(scope), delivery.c.state.in_(states))
            .order_by(delivery.c.sop_instance_uid)
            .with_for_update(of=delivery)
        )
        rows: list[_Row] = list(connection.execute(query))
        event: Event = "cancelled" if state == "cancelled" else "replayed"
        if rows:
            connection.execute(
                sa.update(delivery)
                .where(
                    delivery.c.sop_instance_uid == sa.bindparam("sop"),
                    delivery.c.destination == sa.bindparam("to"),
                )
                .values(
                    state=state,
                    reason=f"{event} by the operator",
                    attempts=0 if state == "pending" else delivery.c.attempts,
                    changed_at=now,
                ),
                [{"sop": row.sop_instance_uid, "to": row.destination} for row in rows],
            )
        told = [
            Happening(
                event,
                row.study_instance_uid,
                row.sop_instance_uid,
                {"to": row.destination, "sha256": row.sha256},
            )
            for row in rows
        ]
        self._tell(connection, told, now)
        return rows


def _batches(rows: Sequence[_Row]) -> list[tuple[str, str]]:
    return sorted({(row.destination, row.batch) for row in rows})


def _job(destination: str, batch: str) -> list[sa.ColumnElement[bool]]:
    return [dispatch.c.destination == destination, dispatch.c.batch == batch]


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if scope.destination is not None:
        conditions.append(delivery.c.destination == scope.destination)
    if scope.uid is not None:
        of_uid = sa.select(instance.c.sop_instance_uid).where(
            sa.or_(
                instance.c.sop_instance_uid == scope.uid,
                instance.c.series_instance_uid == scope.uid,
                instance.c.study_instance_uid == scope.uid,
            )
        )
        conditions.append(delivery.c.sop_instance_uid.in_(of_uid))
    return conditions

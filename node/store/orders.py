"""What an operator orders about deliveries: pause, resume, cancel, replay.

Orders change rows; the running worker reads them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from node.errors import StoreError
from node.model.records import Delivery
from node.model.states import DeliveryState
from node.store.dispatches import first_dispatch
from node.store.ledger import Event, Happening, Ledger
from node.store.tables import delivery, dispatch, instance, series

_Row: TypeAlias = sa.Row[*tuple[Any, ...]]
_Bound: TypeAlias = sa.Tuple

ROWS_AT_ONCE: Final = 2000
_KEY: Final = sa.tuple_(delivery.c.sop_instance_uid, delivery.c.destination)


@dataclass(frozen=True)
class Scope:
    """Deliveries to a destination, of a study, series or instance; None means every one."""

    destination: str | None = None
    uid: str | None = None


@dataclass(frozen=True)
class Order:
    """Which states an order is about, what it makes of them, and what the ledger calls that."""

    of: tuple[DeliveryState, ...]
    state: DeliveryState
    event: Event
    attempts_anew: bool = False
    hastens: bool = False
    """Whether what is pending anyway is due at once, too."""


PAUSE: Final = Order((DeliveryState.PENDING,), DeliveryState.PAUSED, "paused")
RESUME: Final = Order((DeliveryState.PAUSED,), DeliveryState.PENDING, "resumed", hastens=True)
CANCEL: Final = Order(
    (DeliveryState.PENDING, DeliveryState.PAUSED, DeliveryState.PARKED),
    DeliveryState.CANCELLED,
    "cancelled",
)
REPLAY: Final = Order(
    (DeliveryState.PARKED, DeliveryState.CANCELLED),
    DeliveryState.PENDING,
    "replayed",
    attempts_anew=True,
    hastens=True,
)
REPLAY_DELIVERED: Final = Order(
    (DeliveryState.PARKED, DeliveryState.CANCELLED, DeliveryState.DELIVERED),
    DeliveryState.PENDING,
    "replayed",
    attempts_anew=True,
    hastens=True,
)


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

    def order(self, order: Order, scope: Scope, now: float) -> int:
        """Change the state of deliveries within a scope; return how many those were.

        The worker asks before it sends an instance, and obeys from the next one on. One that is
        on the line at this moment may still arrive, and is then told as delivered. What is
        ordered to be pending is due at once, and mostly so is what was pending anyway.

        A transaction changes some thousand rows, with the turns of their batches: others write
        between two of them. What was cut short is completed by the same order, given again.

        Raises
        ------
        StoreError
            If the rows cannot be changed, or no more of them.
        """
        count = 0
        try:
            if order.hastens:
                self.hasten(scope, now)
            for after, last in self._pages(order, scope):
                count += self._obeyed(order, [*_within(scope), after < _KEY, last >= _KEY], now)
        except StoreError as error:
            if not count:
                raise
            done = f"{count} instance(s) were {order.event}, not all; give the order again"
            raise StoreError(f"{done}: {error}") from error
        return count

    def _pages(self, order: Order, scope: Scope) -> Iterator[tuple[_Bound, _Bound]]:
        """Yield between which keys there are some thousand rows that an order is about.

        Each is looked at once: what a replay has made pending may be delivered meanwhile.
        """
        after = _bound("", "")
        while True:
            query = (
                sa.select(delivery.c.sop_instance_uid, delivery.c.destination)
                .where(*_within(scope), delivery.c.state.in_(order.of), after < _KEY)
                .order_by(delivery.c.sop_instance_uid, delivery.c.destination)
                .limit(ROWS_AT_ONCE)
            )
            with self._read() as connection:
                page = connection.execute(query).all()
            if not page:
                return
            yield after, (last := _bound(*page[-1]))
            if len(page) < ROWS_AT_ONCE:
                return
            after = last
            self._give_way()

    def hasten(self, scope: Scope, now: float) -> Counter[str]:
        """Make due what is pending, as if nothing had failed yet.

        Returns
        -------
        Counter[str]
            How many batches are due now, by destination; not those that are on the line.

        Raises
        ------
        StoreError
            If the rows cannot be changed, or no more of them.
        """
        hastened: Counter[str] = Counter()
        job = sa.tuple_(delivery.c.destination, delivery.c.batch)
        after = _bound("", "")
        while True:
            pending = (
                sa.select(delivery.c.destination, delivery.c.batch)
                .where(*_within(scope), delivery.c.state == "pending", job > after)
                .distinct()
                .order_by(delivery.c.destination, delivery.c.batch)
                .limit(ROWS_AT_ONCE)
            )
            with self._write() as connection:
                page = connection.execute(pending).all()
                hastened += self._make_due(connection, page, now, anew=True)
            if len(page) < ROWS_AT_ONCE:
                return hastened
            after = _bound(*page[-1])
            self._give_way()

    def _obeyed(self, order: Order, within: list[sa.ColumnElement[bool]], now: float) -> int:
        with self._write() as connection:
            rows = self._changed(connection, order, within, now)
            if order.state == "pending":
                self._make_due(connection, rows, now, anew=order.attempts_anew)
            else:
                for destination, batch in _batches(rows):
                    connection.execute(_end_where_nothing_is_left(destination, batch, now))
        return len(rows)

    def _make_due(
        self, connection: sa.Connection, rows: Sequence[_Row], now: float, *, anew: bool
    ) -> Counter[str]:
        due: Counter[str] = Counter()
        for destination, batch in _batches(rows):
            first = self._insert(dispatch).on_conflict_do_nothing()
            connection.execute(first, first_dispatch(destination, batch, now))
            changed = connection.execute(_due(destination, batch, now, anew=anew))
            due[destination] += len(changed.all())
        return due

    def _changed(
        self,
        connection: sa.Connection,
        order: Order,
        within: list[sa.ColumnElement[bool]],
        now: float,
    ) -> Sequence[_Row]:
        """Change the rows, and tell the ledger."""
        query = (
            sa.select(
                delivery.c.sop_instance_uid,
                delivery.c.destination,
                delivery.c.batch,
                instance.c.study_instance_uid,
                instance.c.sha256,
            )
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(*within, delivery.c.state.in_(order.of))
            .where(instance.c.deleted_at.is_(None))  # of a tombstone there is nothing to send
            .order_by(delivery.c.sop_instance_uid)
            .with_for_update(of=delivery)
        )
        rows: list[_Row] = list(connection.execute(query))
        if not rows:
            return rows
        values = {
            "state": order.state,
            "reason": f"{order.event} by the operator",
            "changed_at": now,
        }
        connection.execute(
            sa.update(delivery)
            .where(
                delivery.c.sop_instance_uid == sa.bindparam("sop"),
                delivery.c.destination == sa.bindparam("to"),
            )
            .values(values | (_ANEW if order.attempts_anew else {})),
            [{"sop": row.sop_instance_uid, "to": row.destination} for row in rows],
        )
        told = [
            Happening(
                order.event,
                row.study_instance_uid,
                row.sop_instance_uid,
                {"to": row.destination, "sha256": row.sha256},
            )
            for row in rows
        ]
        self._tell(connection, told, now)
        return rows


_ANEW: Final = {
    "attempts": 0,
    "commitment": None,
    "commitment_due": None,
    "commitment_attempts": 0,
    "transaction_uid": None,
}
"""A replay forgets what was tried and what was promised."""


def _end_where_nothing_is_left(destination: str, batch: str, now: float) -> sa.Update:
    left = sa.exists().where(
        delivery.c.destination == destination,
        delivery.c.batch == batch,
        delivery.c.state == "pending",
    )
    ended = sa.update(dispatch).where(*_job(destination, batch), ~left)
    return ended.values(state="done", changed_at=now)


def _due(destination: str, batch: str, now: float, *, anew: bool) -> sa.Executable:
    """Make a batch due; a job that runs just now sees what is pending when it ends."""
    fresh = {
        "state": "waiting",
        "serial": dispatch.c.serial + 1,
        "attempts": 0 if anew else dispatch.c.attempts,
        "next_at": now,
        "changed_at": now,
    }
    return (
        sa.update(dispatch)
        .where(*_job(destination, batch), dispatch.c.state != "queued")
        .values(fresh)
        .returning(dispatch.c.serial)
    )


def _bound(*values: str) -> _Bound:
    return sa.tuple_(*(sa.literal(one) for one in values))


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
                instance.c.series_instance_uid.in_(
                    sa.select(series.c.series_instance_uid).where(
                        series.c.received_uid == scope.uid
                    )
                ),
                instance.c.study_instance_uid == scope.uid,
            )
        )
        conditions.append(delivery.c.sop_instance_uid.in_(of_uid))
    return conditions

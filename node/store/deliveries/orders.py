"""What an operator orders about deliveries: pause, resume, cancel, replay.

Orders change rows; the running worker reads them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from node.errors import StoreError
from node.model.events import EventKind, LedgerEvent
from node.model.states import (
    DELIVERY_CANCELLED,
    DELIVERY_PAUSED,
    DELIVERY_REPLAYED,
    DELIVERY_RESUMED,
    DELIVERY_SENT_AGAIN,
    DELIVERY_UNPARKED,
    DeliveryState,
    Move,
)
from node.model.work import TaskKey, WorkKind
from node.store.database import Database
from node.store.deliveries.deliveries import Deliveries
from node.store.deliveries.pending import is_anything_pending
from node.store.deliveries.scope import Scope, within
from node.store.ledger import Ledger
from node.store.tables import delivery, instance
from node.store.work.work import Work

_Row: TypeAlias = sa.Row[*tuple[Any, ...]]
_Bound: TypeAlias = sa.Tuple

ROWS_AT_ONCE: Final = 2000
_KEY: Final = sa.tuple_(delivery.c.sop_instance_uid, delivery.c.destination)


@dataclass(frozen=True)
class Order:
    """Which move an order makes, and what the ledger calls that."""

    move: Move[DeliveryState]
    event: EventKind
    attempts_anew: bool = False
    hastens: bool = False
    """Whether what is pending anyway is due at once, too."""


PAUSE: Final = Order(DELIVERY_PAUSED, EventKind.PAUSED)
RESUME: Final = Order(DELIVERY_RESUMED, EventKind.RESUMED, hastens=True)
CANCEL: Final = Order(DELIVERY_CANCELLED, EventKind.CANCELLED)
REPLAY: Final = Order(DELIVERY_REPLAYED, EventKind.REPLAYED, attempts_anew=True, hastens=True)
REPLAY_DELIVERED: Final = Order(
    DELIVERY_SENT_AGAIN, EventKind.REPLAYED, attempts_anew=True, hastens=True
)
REPLAY_PARKED: Final = Order(
    DELIVERY_UNPARKED, EventKind.REPLAYED, attempts_anew=True, hastens=True
)


class Orders:
    """Carries out what an operator orders; the rows are those of other owners.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, deliveries, work
        Owners of what is written together with it.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        deliveries: Deliveries,
        work: Work,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._deliveries = deliveries
        self._work = work

    def give(self, order: Order, scope: Scope, now: float) -> int:
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
                self.hasten(scope)
            for after, last in self._pages(order, scope):
                count += self._obeyed(order, [*within(scope), after < _KEY, last >= _KEY], now)
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
                .where(*within(scope), delivery.c.state.in_(order.move.of), after < _KEY)
                .order_by(delivery.c.sop_instance_uid, delivery.c.destination)
                .limit(ROWS_AT_ONCE)
            )
            with self._database.read() as connection:
                page = connection.execute(query).all()
            if not page:
                return
            yield after, (last := _bound(*page[-1]))
            if len(page) < ROWS_AT_ONCE:
                return
            after = last
            self._database.give_way()

    def hasten(self, scope: Scope) -> Counter[str]:
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
                .where(*within(scope), delivery.c.state == DeliveryState.PENDING, job > after)
                .distinct()
                .order_by(delivery.c.destination, delivery.c.batch)
                .limit(ROWS_AT_ONCE)
            )
            with self._database.write() as connection:
                page = connection.execute(pending).all()
                hastened += self._make_due(connection, page, anew=True)
            if len(page) < ROWS_AT_ONCE:
                return hastened
            after = _bound(*page[-1])
            self._database.give_way()

    def _obeyed(self, order: Order, within: list[sa.ColumnElement[bool]], now: float) -> int:
        with self._database.write() as connection:
            rows = self._changed(connection, order, within, now)
            if not rows:
                return 0
            if order.move.to is DeliveryState.PENDING:
                self._make_due(connection, rows, anew=order.attempts_anew)
            else:
                for destination, batch in _batches(rows):
                    turn = TaskKey(WorkKind.DELIVER, destination, batch)
                    # First: who makes something pending waits, and then makes it due again.
                    self._work.lock(connection, turn)
                    if not is_anything_pending(connection, destination, batch):
                        self._work.empty(connection, turn)
            self._ledger.tell(connection, _events(order, rows), now)
        return len(rows)

    def _make_due(
        self, connection: sa.Connection, rows: Sequence[_Row], *, anew: bool
    ) -> Counter[str]:
        due: Counter[str] = Counter()
        for destination, batch in _batches(rows):
            turn = TaskKey(WorkKind.DELIVER, destination, batch)
            due[destination] += self._work.hasten(connection, turn, anew=anew)
        return due

    def _changed(
        self,
        connection: sa.Connection,
        order: Order,
        within: list[sa.ColumnElement[bool]],
        now: float,
    ) -> Sequence[_Row]:
        """Change the rows that an order is about."""
        query = (
            sa.select(
                delivery.c.sop_instance_uid,
                delivery.c.destination,
                delivery.c.batch,
                instance.c.study_instance_uid,
                instance.c.sha256,
            )
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(*within, delivery.c.state.in_(order.move.of))
            .where(instance.c.deleted_at.is_(None))  # of a tombstone there is nothing to send
            .order_by(delivery.c.sop_instance_uid, delivery.c.destination)
            .with_for_update(of=delivery)
        )
        rows: list[_Row] = list(connection.execute(query))
        if not rows:
            return rows
        values = {"reason": f"{order.event} by the operator", "changed_at": now}
        keys = [(row.sop_instance_uid, row.destination) for row in rows]
        anew = _ANEW if order.attempts_anew else {}
        self._deliveries.obey(connection, order.move, keys, values | anew)
        return rows


_ANEW: Final = {
    "attempts": 0,
    "commitment": None,
    "commitment_due": None,
    "commitment_attempts": 0,
    "transaction_uid": None,
}
"""A replay forgets what was tried and what was promised."""


def _bound(*values: str) -> _Bound:
    return sa.tuple_(*(sa.literal(value) for value in values))


def _events(order: Order, rows: Sequence[_Row]) -> list[LedgerEvent]:
    """Return what the ledger says of an order."""
    return [
        LedgerEvent(
            order.event,
            row.study_instance_uid,
            row.sop_instance_uid,
            {"to": row.destination, "sha256": row.sha256},
        )
        for row in rows
    ]


def _batches(rows: Sequence[_Row]) -> list[tuple[str, str]]:
    return sorted({(row.destination, row.batch) for row in rows})

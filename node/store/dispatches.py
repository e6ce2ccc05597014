"""When each batch is tried next at its destination: what the worker's clock reads.

A batch waits until it is due, is queued as the job with its serial number, and afterwards waits
again with the next number, or is done. A job whose number is no longer that of its batch is
stale, and does nothing.
"""

from typing import Any

import sqlalchemy as sa

from node.model.records import Dispatch
from node.store.database import Database
from node.store.tables import delivery, dispatch

_COLUMNS = [
    dispatch.c.destination,
    dispatch.c.batch,
    dispatch.c.state,
    dispatch.c.serial,
    dispatch.c.attempts,
    dispatch.c.urgent,
    dispatch.c.next_at,
]


class Dispatches(Database):
    """The catalog as the dispatcher sees it."""

    def due_destinations(self, now: float) -> list[str]:
        """Return where something is due."""
        query = (
            sa.select(dispatch.c.destination)
            .where(dispatch.c.state == "waiting", dispatch.c.next_at <= now)
            .distinct()
            .order_by(dispatch.c.destination)
        )
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def due(self, destination: str, now: float, limit: int, urgent: bool) -> list[Dispatch]:
        """Return the batches to queue next, the urgent ones (or only those) first.

        Parameters
        ----------
        urgent
            Only the urgent ones.
        """
        query = (
            sa.select(*_COLUMNS)
            .where(
                dispatch.c.state == "waiting",
                dispatch.c.destination == destination,
                dispatch.c.next_at <= now,
            )
            .order_by(dispatch.c.urgent.desc(), dispatch.c.next_at, dispatch.c.batch)
            .limit(limit)
        )
        if urgent:
            query = query.where(dispatch.c.urgent)
        with self._read() as connection:
            return [Dispatch(*row) for row in connection.execute(query)]

    def in_flight(self) -> dict[str, int]:
        """Return how many batches are queued or being sent, by destination."""
        query = (
            sa.select(dispatch.c.destination, sa.func.count())
            .where(dispatch.c.state == "queued")
            .group_by(dispatch.c.destination)
        )
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def queued_before(self, moment: float) -> list[Dispatch]:
        """Return the batches that were queued before a moment and have not come back."""
        query = sa.select(*_COLUMNS).where(
            dispatch.c.state == "queued", dispatch.c.changed_at < moment
        )
        with self._read() as connection:
            return [Dispatch(*row) for row in connection.execute(query)]

    def dispatches(self, destination: str) -> list[Dispatch]:
        """Return the batches of a destination that are not done, the next one first."""
        query = (
            sa.select(*_COLUMNS)
            .where(dispatch.c.state.in_(["waiting", "queued"]))
            .where(dispatch.c.destination == destination)
            .order_by(dispatch.c.next_at, dispatch.c.batch)
        )
        with self._read() as connection:
            return [Dispatch(*row) for row in connection.execute(query)]

    def job(self, destination: str, batch: str, serial: int) -> Dispatch | None:
        """Return the batch whose queued job has this number; None where the job is stale."""
        query = sa.select(*_COLUMNS).where(*_of(destination, batch, serial, "queued"))
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Dispatch(*row)

    def mark_dispatched(self, destination: str, batch: str, serial: int, now: float) -> None:
        """Note that the job with this number is queued."""
        self._change(_of(destination, batch, serial, "waiting"), {"state": "queued"}, now)

    def put_back(self, job: Dispatch, attempts: int, next_at: float, now: float) -> None:
        """Let a batch wait for its next job; nothing happens where this one is stale."""
        where = _of(job.destination, job.batch, job.serial, "queued")
        values = {
            "state": "waiting",
            "serial": job.serial + 1,
            "attempts": attempts,
            "next_at": next_at,
        }
        self._change(where, values, now)

    def adopt(self, now: float) -> int:
        """Make every batch due that has something pending and no turn; return how many.

        There are none, unless rows were changed by other means than this catalog's: a restored
        copy, a hand.
        """
        live = sa.exists().where(
            dispatch.c.destination == delivery.c.destination,
            dispatch.c.batch == delivery.c.batch,
            dispatch.c.state.in_(["waiting", "queued"]),
        )
        orphans = (
            sa.select(delivery.c.destination, delivery.c.batch)
            .where(delivery.c.state == "pending", ~live)
            .distinct()
        )
        again = {"state": "waiting", "serial": dispatch.c.serial + 1, "next_at": now}
        with self._write() as connection:
            found = connection.execute(orphans).all()
            for destination, batch in found:
                connection.execute(
                    self._insert(dispatch).on_conflict_do_update(
                        index_elements=[dispatch.c.destination, dispatch.c.batch], set_=again
                    ),
                    first_dispatch(destination, batch, now),
                )
        return len(found)

    def close_dispatch(self, job: Dispatch, now: float) -> bool:
        """End a batch of which nothing is pending; tell whether that was so.

        An operator may have replayed an instance while the job was running.
        """
        pending = sa.exists().where(
            delivery.c.batch == job.batch,
            delivery.c.destination == job.destination,
            delivery.c.state == "pending",
        )
        where = [*_of(job.destination, job.batch, job.serial, "queued"), ~pending]
        return self._change(where, {"state": "done"}, now)

    def _change(
        self, where: list[sa.ColumnElement[bool]], values: dict[str, Any], now: float
    ) -> bool:
        change = (
            sa.update(dispatch)
            .where(*where)
            .values(**values, changed_at=now)
            .returning(dispatch.c.serial)
        )
        with self._write() as connection:
            return connection.execute(change).first() is not None


def first_dispatch(
    destination: str, batch: str, now: float, urgent: bool = False
) -> dict[str, Any]:
    """Return the row of a batch that is due and was never tried."""
    return {
        "destination": destination,
        "batch": batch,
        "state": "waiting",
        "serial": 0,
        "attempts": 0,
        "urgent": urgent,
        "next_at": now,
        "changed_at": now,
    }


def _of(destination: str, batch: str, serial: int, state: str) -> list[sa.ColumnElement[bool]]:
    return [
        dispatch.c.destination == destination,
        dispatch.c.batch == batch,
        dispatch.c.serial == serial,
        dispatch.c.state == state,
    ]

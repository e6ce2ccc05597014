"""When each batch is tried next at its destination: what the worker's clock reads.

A batch waits until it is due, is queued as the job with its serial number, and afterwards waits
again with the next number, or is done. A job whose number is no longer that of its batch is
stale, and does nothing.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from node.model.records import Dispatch
from node.model.states import (
    DISPATCH_BACK,
    DISPATCH_CLOSED,
    DISPATCH_DUE,
    DISPATCH_EMPTIED,
    DISPATCH_QUEUED,
    DeliveryState,
    DispatchState,
    Move,
)
from node.store.database import Database
from node.store.pruning import Spent, prune
from node.store.rows import columns, record
from node.store.tables import delivery, dispatch

_COLUMNS = columns(Dispatch, dispatch)


class Dispatches:
    """The owner of table ``dispatch``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def due_destinations(self, now: float) -> list[str]:
        """Return where something is due."""
        query = (
            sa.select(dispatch.c.destination)
            .where(dispatch.c.state == DispatchState.WAITING, dispatch.c.next_at <= now)
            .distinct()
            .order_by(dispatch.c.destination)
        )
        with self._database.read() as connection:
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
                dispatch.c.state == DispatchState.WAITING,
                dispatch.c.destination == destination,
                dispatch.c.next_at <= now,
            )
            .order_by(dispatch.c.urgent.desc(), dispatch.c.next_at, dispatch.c.batch)
            .limit(limit)
        )
        if urgent:
            query = query.where(dispatch.c.urgent)
        with self._database.read() as connection:
            return [record(Dispatch, row) for row in connection.execute(query)]

    def in_flight(self) -> dict[str, int]:
        """Return how many batches are queued or being sent, by destination."""
        query = (
            sa.select(dispatch.c.destination, sa.func.count())
            .where(dispatch.c.state == DispatchState.QUEUED)
            .group_by(dispatch.c.destination)
        )
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def queued_before(self, moment: float) -> list[Dispatch]:
        """Return the batches that were queued before a moment and have not come back."""
        query = sa.select(*_COLUMNS).where(
            dispatch.c.state == DispatchState.QUEUED, dispatch.c.changed_at < moment
        )
        with self._database.read() as connection:
            return [record(Dispatch, row) for row in connection.execute(query)]

    def of_destination(self, destination: str) -> list[Dispatch]:
        """Return the batches of a destination that are not done, the next one first."""
        query = (
            sa.select(*_COLUMNS)
            .where(dispatch.c.state.in_((DispatchState.WAITING, DispatchState.QUEUED)))
            .where(dispatch.c.destination == destination)
            .order_by(dispatch.c.next_at, dispatch.c.batch)
        )
        with self._database.read() as connection:
            return [record(Dispatch, row) for row in connection.execute(query)]

    def job(self, destination: str, batch: str, serial: int) -> Dispatch | None:
        """Return the batch whose queued job has this number; None where the job is stale."""
        query = sa.select(*_COLUMNS).where(
            *_of(destination, batch, serial), dispatch.c.state == DispatchState.QUEUED
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else record(Dispatch, row)

    def mark_queued(self, destination: str, batch: str, serial: int, now: float) -> None:
        """Note that the job with this number is queued."""
        self._change(_of(destination, batch, serial), DISPATCH_QUEUED, {}, now)

    def put_back(self, job: Dispatch, attempts: int, next_at: float, now: float) -> None:
        """Let a batch wait for its next job; nothing happens where this one is stale."""
        where = _of(job.destination, job.batch, job.serial)
        values = {
            "serial": job.serial + 1,
            "attempts": attempts,
            "next_at": next_at,
        }
        self._change(where, DISPATCH_BACK, values, now)

    def adopt(self, now: float) -> int:
        """Make every batch due that has something pending and no turn; return how many.

        There are none, unless rows were changed by other means than this catalog's: a restored
        copy, a hand.
        """
        live = sa.exists().where(
            dispatch.c.destination == delivery.c.destination,
            dispatch.c.batch == delivery.c.batch,
            dispatch.c.state.in_((DispatchState.WAITING, DispatchState.QUEUED)),
        )
        orphans = (
            sa.select(delivery.c.destination, delivery.c.batch)
            .where(delivery.c.state == DeliveryState.PENDING, ~live)
            .distinct()
        )
        again = {"state": DispatchState.WAITING, "serial": dispatch.c.serial + 1, "next_at": now}
        with self._database.write() as connection:
            found = connection.execute(orphans).all()
            for destination, batch in found:
                connection.execute(
                    self._database.insert(dispatch).on_conflict_do_update(
                        index_elements=[dispatch.c.destination, dispatch.c.batch], set_=again
                    ),
                    first_dispatch(destination, batch, now),
                )
        return len(found)

    def close(self, job: Dispatch, now: float) -> bool:
        """End a batch of which nothing is pending; tell whether that was so.

        An operator may have replayed an instance while the job was running.
        """
        pending = sa.exists().where(
            delivery.c.batch == job.batch,
            delivery.c.destination == job.destination,
            delivery.c.state == DeliveryState.PENDING,
        )
        where = [*_of(job.destination, job.batch, job.serial), ~pending]
        return self._change(where, DISPATCH_CLOSED, {}, now)

    def add(self, connection: sa.Connection, row: Mapping[str, Any]) -> None:
        """Give a batch its turn, made by `first_dispatch`; one that has a turn keeps it."""
        connection.execute(self._database.insert(dispatch).on_conflict_do_nothing(), row)

    def again_where_pending(
        self, connection: sa.Connection, row: Mapping[str, Any], now: float
    ) -> None:
        """Make a batch that was through due, where something of it is pending all the same."""
        connection.execute(_again_where_pending(row, now))

    def make_due(
        self, connection: sa.Connection, destination: str, batch: str, now: float, *, anew: bool
    ) -> int:
        """Make a batch due; a job that runs just now sees what is pending when it ends.

        Returns
        -------
        int
            1 where it is due now, 0 where it is on the line.
        """
        self.add(connection, first_dispatch(destination, batch, now))
        return len(connection.execute(_due(destination, batch, now, anew=anew)).all())

    def end_where_nothing_is_left(
        self, connection: sa.Connection, destination: str, batch: str, now: float
    ) -> None:
        """End a batch of which nothing is pending any more."""
        connection.execute(_end_where_nothing_is_left(destination, batch, now))

    def prune(self, before: float) -> int:
        """Remove the turns of batches that were done before a time; return how many."""
        return prune(self._database, _spent(before))

    def move_due_times(self, connection: sa.Connection, seconds: float) -> None:
        """Let what waits be due as far ahead as it was before the clock was set."""
        connection.execute(
            sa.update(dispatch)
            .where(dispatch.c.state == DispatchState.WAITING)
            .values(next_at=dispatch.c.next_at + seconds)
        )

    def _change(
        self,
        where: list[sa.ColumnElement[bool]],
        move: Move[DispatchState],
        values: dict[str, Any],
        now: float,
    ) -> bool:
        change = (
            sa.update(dispatch)
            .where(*where, dispatch.c.state.in_(move.of))
            .values(**values, state=move.to, changed_at=now)
            .returning(dispatch.c.serial)
        )
        with self._database.write() as connection:
            return connection.execute(change).first() is not None


def first_dispatch(
    destination: str, batch: str, now: float, urgent: bool = False
) -> dict[str, Any]:
    """Return the row of a batch that is due and was never tried."""
    return {
        "destination": destination,
        "batch": batch,
        "state": DispatchState.WAITING,
        "serial": 0,
        "attempts": 0,
        "urgent": urgent,
        "next_at": now,
        "changed_at": now,
    }


def _of(destination: str, batch: str, serial: int) -> list[sa.ColumnElement[bool]]:
    return [*_job(destination, batch), dispatch.c.serial == serial]


def _again_where_pending(job: Mapping[str, Any], now: float) -> sa.Update:
    """Make a batch that was through due, where something of it is pending all the same."""
    pending = sa.exists().where(
        delivery.c.destination == job["destination"],
        delivery.c.batch == job["batch"],
        delivery.c.state == DeliveryState.PENDING,
    )
    return (
        sa.update(dispatch)
        .where(
            dispatch.c.destination == job["destination"],
            dispatch.c.batch == job["batch"],
            dispatch.c.state == DispatchState.DONE,
            pending,
        )
        .values(
            state=DispatchState.WAITING,
            serial=dispatch.c.serial + 1,
            attempts=0,
            urgent=sa.or_(dispatch.c.urgent, sa.literal(job["urgent"])),
            next_at=now,
            changed_at=now,
        )
    )


def _end_where_nothing_is_left(destination: str, batch: str, now: float) -> sa.Update:
    left = sa.exists().where(
        delivery.c.destination == destination,
        delivery.c.batch == batch,
        delivery.c.state == DeliveryState.PENDING,
    )
    ended = sa.update(dispatch).where(*_job(destination, batch), ~left)
    return ended.values(state=DISPATCH_EMPTIED.to, changed_at=now)


def _due(destination: str, batch: str, now: float, *, anew: bool) -> sa.Executable:
    """Make a batch due; a job that runs just now sees what is pending when it ends."""
    fresh = {
        "state": DISPATCH_DUE.to,
        "serial": dispatch.c.serial + 1,
        "attempts": 0 if anew else dispatch.c.attempts,
        "next_at": now,
        "changed_at": now,
    }
    return (
        sa.update(dispatch)
        .where(*_job(destination, batch), dispatch.c.state.in_(DISPATCH_DUE.of))
        .values(fresh)
        .returning(dispatch.c.serial)
    )


def _job(destination: str, batch: str) -> list[sa.ColumnElement[bool]]:
    return [dispatch.c.destination == destination, dispatch.c.batch == batch]


def _spent(before: float) -> Spent:
    """Say which batches are through."""
    over = (dispatch.c.state == DispatchState.DONE, dispatch.c.changed_at < before)
    return Spent(dispatch, over, over)

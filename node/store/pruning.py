"""Rows about what is over: they go after a while. The ledger stays whole, and so do instances.

Nothing that is still owed, asked, due or on the line is touched, however old it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.store.database import Database
from node.store.tables import (
    association,
    commitment_part,
    commitment_promise,
    commitment_request,
    delivery,
    dispatch,
    instance,
    series,
)

ROWS_AT_ONCE: Final = 2000
REQUESTS_AT_ONCE: Final = 5
"""Each may have a thousand parts, which go with it."""


@dataclass(frozen=True)
class _Spent:
    """Rows of a table that may go.

    Attributes
    ----------
    where
        What is so of them; `still` is what may have changed since they were looked for.
    """

    table: sa.Table
    where: tuple[sa.ColumnElement[bool], ...]
    still: tuple[sa.ColumnElement[bool], ...]
    at_once: int
    parts: sa.Table | None = None


class Pruning(Database):
    """The catalog as whoever tidies it up sees it."""

    def prune_records(self, before: float) -> int:
        """Remove associations and storage commitment that were over before a time.

        Returns
        -------
        int
            How many rows, those of a request's instances not counted.
        """
        spent = (_associations(before), _promises(before), _requests(before))
        return sum(self._prune(one) for one in spent)

    def prune_dispatches(self, before: float) -> int:
        """Remove the turns of batches that were done before a time; return how many."""
        return self._prune(_dispatches(before))

    def _prune(self, spent: _Spent) -> int:
        """Remove rows, some thousand in a transaction; they are looked for before it."""
        keys = list(spent.table.primary_key.columns)
        looked_for = sa.select(*keys).where(*spent.where).order_by(*keys).limit(spent.at_once)
        count = 0
        while True:
            with self._read() as connection:
                page = connection.execute(looked_for).all()
            if not page:
                return count
            removed = self._removed(spent, keys, [tuple(row) for row in page])
            count += removed
            if len(page) < spent.at_once or not removed:
                return count
            self._give_way()

    def _removed(
        self, spent: _Spent, keys: Sequence[sa.Column[Any]], page: Sequence[tuple[Any, ...]]
    ) -> int:
        """Remove those of a page that may still go: one may have been asked for again."""
        removed = 0
        with self._write() as connection:
            for key in page:
                named = [column == value for column, value in zip(keys, key, strict=True)]
                gone = connection.execute(sa.delete(spent.table).where(*named, *spent.still))
                removed += gone.rowcount
                if gone.rowcount and spent.parts is not None:
                    of_it = spent.parts.c.transaction_uid == key[0]
                    connection.execute(sa.delete(spent.parts).where(of_it))
        return removed


def _associations(before: float) -> _Spent:
    """Say which are closed, and no longer needed to tell whether a series is whole.

    The newest stays: SQLite would give its number to another, and old instances name it.
    """
    waited_for = (
        sa.select(instance.c.association_id)
        .join(series, series.c.series_instance_uid == instance.c.series_instance_uid)
        .where(
            series.c.unsettled,
            instance.c.revision.is_(None),
            instance.c.association_id.is_not(None),
        )
    )
    newest = sa.select(sa.func.max(association.alias().c.id)).scalar_subquery()
    return _Spent(
        association,
        (
            association.c.closed_at < before,
            association.c.id < newest,
            association.c.id.not_in(waited_for),
        ),
        (),  # nothing opens it again, and nothing more comes by it
        ROWS_AT_ONCE,
    )


def _promises(before: float) -> _Spent:
    """Say of which requests of others nothing is owed, nor was asked for again since."""
    over = (
        commitment_promise.c.state.in_(("reported", "parked")),
        commitment_promise.c.asked_at < before,
        commitment_promise.c.due_at < before,
    )
    return _Spent(commitment_promise, over, over, ROWS_AT_ONCE)


def _requests(before: float) -> _Spent:
    """Say which requests of ours are over: no instance waits for their answer."""
    waiting = (
        sa.exists()
        .where(
            commitment_part.c.transaction_uid == commitment_request.c.transaction_uid,
            delivery.c.sop_instance_uid == commitment_part.c.sop_instance_uid,
            delivery.c.destination == commitment_request.c.destination,
            delivery.c.transaction_uid == commitment_request.c.transaction_uid,
            delivery.c.commitment.in_(("asked", "again")),
        )
        .correlate(commitment_request)
    )
    over = (
        commitment_request.c.state.in_(("asked", "failed", "answered")),
        commitment_request.c.asked_at < before,
        ~waiting,
    )
    return _Spent(commitment_request, over, over, REQUESTS_AT_ONCE, commitment_part)


def _dispatches(before: float) -> _Spent:
    """Say which batches are through."""
    over = (dispatch.c.state == "done", dispatch.c.changed_at < before)
    return _Spent(dispatch, over, over, ROWS_AT_ONCE)

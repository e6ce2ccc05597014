"""What others have asked us to commit to, until they have been told what we hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from node.model.records import StoredInstance
from node.model.states import PROMISE_OWED, PROMISE_PARKED, PROMISE_REPORTED, PromiseState
from node.store.commitments.requests import Reference
from node.store.database import Database
from node.store.ledger import Happening, Ledger
from node.store.pruning import Spent, prune
from node.store.tables import commitment_promise


@dataclass(frozen=True, slots=True)
class Promise:
    """One request of another application entity; `attempts` to report have failed so far."""

    transaction_uid: str
    calling_ae: str
    wanted: tuple[Reference, ...]
    state: PromiseState
    attempts: int
    reason: str


class Promises:
    """The owner of table ``commitment_promise``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger
        Owners of what is written together with it.
    """

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    def promise(
        self, transaction_uid: str, calling_ae: str, wanted: Sequence[Reference], now: float
    ) -> bool:
        """Keep a request; when this returns, a report is owed, whatever is killed.

        Returns
        -------
        bool
            False where the Transaction UID is in use for other instances. The same request
            again is owed a report again.
        """
        listed = [[one.sop_class_uid, one.sop_instance_uid] for one in wanted]
        key = {"transaction_uid": transaction_uid, "calling_ae": calling_ae}
        owed = {"state": PROMISE_OWED.to, "attempts": 0, "reason": "", "due_at": now}
        with self._database.write() as connection:
            known = connection.execute(
                sa.select(commitment_promise.c.wanted).where(_is(transaction_uid, calling_ae))
            ).one_or_none()
            if known is None:
                connection.execute(
                    sa.insert(commitment_promise).values(
                        **key, wanted=listed, asked_at=now, **owed
                    )
                )
                return True
            if known.wanted != listed:
                return False
            connection.execute(
                sa.update(commitment_promise)
                .where(_is(transaction_uid, calling_ae))
                .values(**owed)
            )
            return True

    def owed(self, now: float) -> list[Promise]:
        """Return the requests that are to be reported on now, oldest first."""
        query = (
            sa.select(commitment_promise)
            .where(
                commitment_promise.c.state == PromiseState.OWED, commitment_promise.c.due_at <= now
            )
            .order_by(commitment_promise.c.asked_at)
        )
        with self._database.read() as connection:
            return [_promise_of(row) for row in connection.execute(query)]

    def get(self, transaction_uid: str, calling_ae: str) -> Promise | None:
        """Return one request."""
        query = sa.select(commitment_promise).where(_is(transaction_uid, calling_ae))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return _promise_of(row) if row is not None else None

    def owe_later(self, promise: Promise, reason: str, due_at: float) -> None:
        """Note that a report did not get through, and when to try again."""
        self._put(promise, state=PROMISE_OWED.to, reason=reason, due_at=due_at)

    def park(self, promise: Promise, reason: str) -> None:
        """Note that a report will not get through; the peer may ask again."""
        self._put(promise, state=PROMISE_PARKED.to, reason=reason)

    def keep(self, promise: Promise, committed: Sequence[StoredInstance], now: float) -> None:
        """Note that the peer has been told, and of what we have told it that we hold it."""
        happened = [
            Happening(
                "committed",
                one.study_instance_uid,
                one.sop_instance_uid,
                {
                    "for": promise.calling_ae,
                    "sha256": one.sha256,
                    "transaction": promise.transaction_uid,
                },
            )
            for one in committed
        ]
        with self._database.write() as connection:
            connection.execute(
                sa.update(commitment_promise)
                .where(_is(promise.transaction_uid, promise.calling_ae))
                .values(state=PROMISE_REPORTED.to, reason="")
            )
            self._ledger.tell(connection, happened, now)

    def prune(self, before: float) -> int:
        """Remove requests of others that were over before a time; return how many."""
        return prune(self._database, _promises(before))

    def move_due_times(self, connection: sa.Connection, seconds: float) -> None:
        """Let what waits be due as far ahead as it was before the clock was set."""
        connection.execute(
            sa.update(commitment_promise).values(due_at=commitment_promise.c.due_at + seconds)
        )

    def _put(self, promise: Promise, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(commitment_promise)
                .where(_is(promise.transaction_uid, promise.calling_ae))
                .values(attempts=promise.attempts + 1, **values)
            )


def _is(transaction_uid: str, calling_ae: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        commitment_promise.c.transaction_uid == transaction_uid,
        commitment_promise.c.calling_ae == calling_ae,
    )


def _promise_of(row: sa.Row[Any]) -> Promise:
    return Promise(
        transaction_uid=row.transaction_uid,
        calling_ae=row.calling_ae,
        wanted=tuple(Reference(*one) for one in row.wanted),
        state=row.state,
        attempts=row.attempts,
        reason=row.reason,
    )


def _promises(before: float) -> Spent:
    """Say of which requests of others nothing is owed, nor was asked for again since."""
    over = (
        commitment_promise.c.state.in_((PromiseState.REPORTED, PromiseState.PARKED)),
        commitment_promise.c.asked_at < before,
        commitment_promise.c.due_at < before,
    )
    return Spent(commitment_promise, over, over)

"""What others have asked us to commit to, until they have been told what we hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from node.model.records import StoredInstance
from node.store.commitments import Reference
from node.store.ledger import Happening, Ledger
from node.store.rows import instance_columns, instance_of
from node.store.tables import commitment_promise, conflict, instance

PromiseState = Literal["owed", "reported", "parked"]


@dataclass(frozen=True, slots=True)
class Promise:
    """One request of another application entity; `attempts` to report have failed so far."""

    transaction_uid: str
    calling_ae: str
    wanted: tuple[Reference, ...]
    state: PromiseState
    attempts: int
    reason: str


class Promises(Ledger):
    """The catalog as the Storage Commitment SCP sees it."""

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
        owed = {"state": "owed", "attempts": 0, "reason": "", "due_at": now}
        with self._write() as connection:
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
            .where(commitment_promise.c.state == "owed", commitment_promise.c.due_at <= now)
            .order_by(commitment_promise.c.asked_at)
        )
        with self._read() as connection:
            return [_promise_of(row) for row in connection.execute(query)]

    def promised(self, transaction_uid: str, calling_ae: str) -> Promise | None:
        """Return one request."""
        query = sa.select(commitment_promise).where(_is(transaction_uid, calling_ae))
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return _promise_of(row) if row is not None else None

    def owe_later(self, promise: Promise, reason: str, due_at: float) -> None:
        """Note that a report did not get through, and when to try again."""
        self._put(promise, state="owed", reason=reason, due_at=due_at)

    def park_promise(self, promise: Promise, reason: str) -> None:
        """Note that a report will not get through; the peer may ask again."""
        self._put(promise, state="parked", reason=reason)

    def keep_promise(
        self, promise: Promise, committed: Sequence[StoredInstance], now: float
    ) -> None:
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
        with self._write() as connection:
            connection.execute(
                sa.update(commitment_promise)
                .where(_is(promise.transaction_uid, promise.calling_ae))
                .values(state="reported", reason="")
            )
            self._tell(connection, happened, now)

    def known(self, sop_instance_uids: Sequence[str]) -> dict[str, StoredInstance]:
        """Return the instances among these UIDs whose files have not been deleted."""
        query = sa.select(*instance_columns()).where(
            instance.c.sop_instance_uid.in_(sop_instance_uids), instance.c.deleted_at.is_(None)
        )
        with self._read() as connection:
            found = [instance_of(row) for row in connection.execute(query)]
        return {one.sop_instance_uid: one for one in found}

    def in_conflict(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Return which of these UIDs came with different bytes, too."""
        query = sa.select(conflict.c.sop_instance_uid).where(
            conflict.c.sop_instance_uid.in_(sop_instance_uids)
        )
        with self._read() as connection:
            return {str(row[0]) for row in connection.execute(query)}

    def _put(self, promise: Promise, **values: Any) -> None:
        with self._write() as connection:
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

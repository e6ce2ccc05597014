"""What destinations answered for: reports, whenever they come and however often."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from node.model.commitment import Decide, Failed, Reference
from node.model.events import EventKind, LedgerEvent
from node.model.keys import Batch, BatchKind
from node.model.states import CommitmentState
from node.model.work import TaskKey, WorkKind
from node.store.commitments.requests import Requests
from node.store.database import Database
from node.store.deliveries.commitment import (
    ask_one_again,
    commit,
    park_uncommitted,
    send_again,
)
from node.store.ledger import Ledger
from node.store.tables import commitment_part, commitment_request, delivery, instance
from node.store.work.work import Work


class CommitmentAnswers:
    """Writes, by way of their owners, what destinations answer.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, requests, work
        Owners of what is written.
    """

    def __init__(self, database: Database, ledger: Ledger, requests: Requests, work: Work) -> None:
        self._database = database
        self._ledger = ledger
        self._requests = requests
        self._work = work

    def take(
        self,
        transaction_uid: str,
        committed: Sequence[Reference],
        failed: Sequence[Failed],
        decide: Decide,
        now: float,
    ) -> bool:
        """Note what a destination answered, whenever it does and however often.

        Success counts for every instance that the request named, even after its time ran
        out or after it was given up, but not after a failure in the same transaction. A failure
        counts only for an instance of whose requests this is the last, and only once. What the
        request did not name is ignored.

        Parameters
        ----------
        transaction_uid : str
            As the report names it.
        committed : sequence of Reference
            What it says is kept.
        failed : sequence of Failed
            What it says is not, with the reasons.
        decide : Decide
            What follows a failure.
        now : float
            Seconds since the epoch.

        Returns
        -------
        bool
            False where there is no such request.
        """
        with self._database.write() as connection:
            request = connection.execute(
                sa.select(commitment_request)
                .where(commitment_request.c.transaction_uid == transaction_uid)
                .with_for_update()
            ).one_or_none()
            if request is None:
                return False
            rows: dict[str, Any] = {
                row.sop_instance_uid: row
                for row in connection.execute(
                    _PARTS, {"uid": transaction_uid, "destination": request.destination}
                )
            }
            good = [row for named in committed if (row := _kept(named, rows)) is not None]
            bad = [
                (rows[failure.reference.sop_instance_uid], failure.reason)
                for failure in failed
                if failure.reference.sop_instance_uid in rows
            ]
            entries = self._commit(connection, good, transaction_uid, now)
            for row, reason in bad:
                entries += self._fail(connection, row, reason, decide, now)
            self._requests.close_if_answered(connection, transaction_uid)
            # Last: on PostgreSQL who waits for the end of the chain may hold one of these rows.
            self._ledger.tell(connection, entries, now)
        return True

    def _commit(
        self,
        connection: sa.Connection,
        rows: Sequence[Any],
        transaction_uid: str,
        now: float,
    ) -> list[LedgerEvent]:
        """Note what is committed to; return what the ledger is to be told."""
        fresh = [row for row in rows if row.commitment is not CommitmentState.COMMITTED]
        for row in rows:
            self._requests.answer(connection, transaction_uid, row.sop_instance_uid, "committed")
        for row in fresh:
            commit(connection, row.sop_instance_uid, row.destination, now)
        return [
            LedgerEvent(
                EventKind.COMMITTED,
                row.study_instance_uid,
                row.sop_instance_uid,
                {"to": row.destination, "sha256": row.sha256, "transaction": transaction_uid},
            )
            for row in fresh
        ]

    def _fail(
        self,
        connection: sa.Connection,
        row: Any,
        reason: int,
        decide: Decide,
        now: float,
    ) -> list[LedgerEvent]:
        """Note what is not, and what follows; return what the ledger is to be told."""
        transaction_uid = row.asked_in
        if row.commitment is not CommitmentState.ASKED or row.transaction_uid != transaction_uid:
            return []
        self._requests.answer(connection, transaction_uid, row.sop_instance_uid, f"{reason:04X}")
        then = decide(row.destination, reason, row.commitment_attempts)
        due_at = now + then.wait_s
        uid, destination = row.sop_instance_uid, row.destination
        if then.then == "park":
            park_uncommitted(connection, destination, [uid], then.reason, now)
        elif then.then == "send":
            batch = Batch(BatchKind.AGAIN, transaction_uid, row.commitment_attempts)
            turn = TaskKey(WorkKind.DELIVER, destination, str(batch))
            send_again(connection, uid, destination, batch, then.reason, now)
            self._work.add(connection, turn, wait_s=then.wait_s)
        else:
            ask_one_again(connection, uid, destination, due_at)
        detail = {
            "to": row.destination,
            "reason": f"{reason:04X}",
            "then": then.then,
            "transaction": transaction_uid,
        }
        return [
            LedgerEvent(
                EventKind.COMMITMENT_FAILED, row.study_instance_uid, row.sop_instance_uid, detail
            )
        ]


def _kept(reference: Reference, rows: Mapping[str, Any]) -> Any:
    """Return the row of what a report says is kept; None where it cannot count."""
    row = rows.get(reference.sop_instance_uid)
    if row is None or row.sop_class_uid != reference.sop_class_uid:
        return None
    return row if row.answer in ("", "committed") else None


_PARTS = (
    sa.select(
        delivery.c.sop_instance_uid,
        delivery.c.destination,
        delivery.c.commitment,
        delivery.c.commitment_attempts,
        delivery.c.transaction_uid,
        commitment_part.c.transaction_uid.label("asked_in"),
        commitment_part.c.answer,
        instance.c.sop_class_uid,
        instance.c.study_instance_uid,
        instance.c.sha256,
    )
    .join(commitment_part, commitment_part.c.sop_instance_uid == delivery.c.sop_instance_uid)
    .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
    .where(
        commitment_part.c.transaction_uid == sa.bindparam("uid"),
        delivery.c.destination == sa.bindparam("destination"),
    )
    .order_by(delivery.c.sop_instance_uid)
    .with_for_update(of=delivery)
)

"""What destinations answered for: reports, whenever they come and however often."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from node.model.keys import Batch, BatchKind
from node.store.commitments import (
    UNANSWERED,
    Commitments,
    Decide,
    Failed,
    Reference,
    change,
    parked,
    request_row,
)
from node.store.dispatches import first_dispatch
from node.store.ledger import Happening
from node.store.tables import commitment_part, commitment_request, delivery, dispatch, instance


class CommitmentReports(Commitments):
    """The catalog as the Storage Commitment SCU sees what comes back."""

    def take_report(
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

        Returns
        -------
        bool
            False where there is no such request.
        """
        with self._write() as connection:
            request = connection.execute(
                sa.select(commitment_request).where(
                    commitment_request.c.transaction_uid == transaction_uid
                )
            ).one_or_none()
            if request is None:
                return False
            rows: dict[str, Any] = {
                row.sop_instance_uid: row
                for row in connection.execute(
                    _PARTS, {"uid": transaction_uid, "destination": request.destination}
                )
            }
            good = [
                rows[one.sop_instance_uid]
                for one in committed
                if one.sop_instance_uid in rows
                and rows[one.sop_instance_uid].sop_class_uid == one.sop_class_uid
                and rows[one.sop_instance_uid].answer in ("", "committed")
            ]
            bad = [
                (rows[one.reference.sop_instance_uid], one.reason)
                for one in failed
                if one.reference.sop_instance_uid in rows
            ]
            self._commit(connection, good, transaction_uid, now)
            for row, reason in bad:
                self._fail(connection, row, reason, decide, now)
            if connection.execute(UNANSWERED, {"uid": transaction_uid}).first() is None:
                connection.execute(request_row(transaction_uid).values(state="answered"))
        return True

    def _commit(
        self,
        connection: sa.Connection,
        rows: Sequence[Any],
        transaction_uid: str,
        now: float,
    ) -> None:
        fresh = [row for row in rows if row.commitment != "committed"]
        for row in rows:
            _answer(connection, transaction_uid, row.sop_instance_uid, "committed")
        for row in fresh:
            values = {
                "state": "delivered",
                "reason": "",
                "commitment": "committed",
                "commitment_due": None,
                "changed_at": now,
            }
            change(connection, row.sop_instance_uid, row.destination, values)
        happened = [
            Happening(
                "committed",
                row.study_instance_uid,
                row.sop_instance_uid,
                {"to": row.destination, "sha256": row.sha256, "transaction": transaction_uid},
            )
            for row in fresh
        ]
        self._tell(connection, happened, now)

    def _fail(
        self,
        connection: sa.Connection,
        row: Any,
        reason: int,
        decide: Decide,
        now: float,
    ) -> None:
        transaction_uid = row.asked_in
        if row.commitment != "asked" or row.transaction_uid != transaction_uid:
            return
        _answer(connection, transaction_uid, row.sop_instance_uid, f"{reason:04X}")
        then = decide(reason, row.commitment_attempts)
        due_at = now + then.wait_s
        values: dict[str, Any] = {"commitment": "again", "commitment_due": due_at}
        if then.then == "park":
            values = parked(then.told, now)
        elif then.then == "send":
            batch = str(Batch(BatchKind.AGAIN, transaction_uid, row.commitment_attempts))
            job = first_dispatch(row.destination, batch, now) | {"next_at": due_at}
            connection.execute(self._insert(dispatch).on_conflict_do_nothing(), job)
            values = {
                "state": "pending",
                "reason": then.told,
                "batch": batch,
                "attempts": 0,
                "commitment": None,
                "commitment_due": None,
                "changed_at": now,
            }
        change(connection, row.sop_instance_uid, row.destination, values)
        detail = {
            "to": row.destination,
            "reason": f"{reason:04X}",
            "then": then.then,
            "transaction": transaction_uid,
        }
        told = Happening("commitment failed", row.study_instance_uid, row.sop_instance_uid, detail)
        self._tell(connection, [told], now)


def _answer(connection: sa.Connection, transaction_uid: str, uid: str, answer: str) -> None:
    connection.execute(
        sa.update(commitment_part)
        .where(
            commitment_part.c.transaction_uid == transaction_uid,
            commitment_part.c.sop_instance_uid == uid,
        )
        .values(answer=answer)
    )


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
)

"""What destinations are asked to commit to: requests, from their making to their end."""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from node.model.records import StoredInstance
from node.model.states import (
    REQUEST_ANSWERED,
    REQUEST_ASKED,
    REQUEST_FAILED,
    CommitmentState,
    Move,
    RequestState,
)
from node.model.work import TaskKey, WorkKind
from node.store.commitments.unanswered import waiting
from node.store.database import Database
from node.store.deliveries.commitment import ask_again, mark_asked
from node.store.pruning import Spent, prune
from node.store.rows import instance_columns, instance_of
from node.store.tables import commitment_part, commitment_request, delivery, instance
from node.store.work.work import Work

REQUESTS_AT_ONCE: Final = 5
"""That are removed in one transaction; each may have a thousand parts, which go with it."""

_OVER: Final = (RequestState.ASKED, RequestState.FAILED, RequestState.ANSWERED)


class Requests:
    """The owner of tables ``commitment_request`` and ``commitment_part``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    work
        Owner of what is written together with it.
    """

    def __init__(self, database: Database, work: Work) -> None:
        self._database = database
        self._work = work

    def open(
        self, destination: str, transaction_uid: str, limit: int, now: float, due_at: float
    ) -> int:
        """Put delivered instances that wait for commitment into a new request, due at once.

        Parameters
        ----------
        destination : str
            By its name.
        transaction_uid : str
            A new one.
        limit : int
            Instances in one request.
        now : float
            Seconds since the epoch.
        due_at : float
            When they count as not answered for, seconds since the epoch.

        Returns
        -------
        int
            How many; 0 where none waits, and then there is no request.
        """
        with self._database.write() as connection:
            uids = waiting(connection, destination, limit, now)
            if uids:
                uids = mark_asked(connection, destination, uids, transaction_uid, due_at)
            if not uids:
                return 0
            connection.execute(
                sa.insert(commitment_request).values(
                    transaction_uid=transaction_uid,
                    destination=destination,
                    state=RequestState.NEW,
                    reason="",
                    asked_at=now,
                )
            )
            connection.execute(
                sa.insert(commitment_part),
                [
                    {"transaction_uid": transaction_uid, "sop_instance_uid": uid, "answer": ""}
                    for uid in uids
                ],
            )
            self._work.add(connection, TaskKey(WorkKind.ASK, destination, transaction_uid))
        return len(uids)

    def begin(self, transaction_uid: str) -> list[StoredInstance]:
        """Return the instances of a request, once: a Transaction UID is never used twice.

        A step that runs again after a crash gets none: nobody knows whether the peer has the
        request, so its time runs out and a new one is made.

        Parameters
        ----------
        transaction_uid : str

        Returns
        -------
        list of StoredInstance
        """
        with self._database.write() as connection:
            begun = connection.execute(
                moved(transaction_uid, REQUEST_ASKED).returning(
                    commitment_request.c.transaction_uid
                )
            ).one_or_none()
            if begun is None:
                return []
            query = (
                sa.select(*instance_columns())
                .join(
                    commitment_part,
                    commitment_part.c.sop_instance_uid == instance.c.sop_instance_uid,
                )
                .where(commitment_part.c.transaction_uid == transaction_uid)
                .order_by(instance.c.sop_instance_uid)
            )
            return [instance_of(row) for row in connection.execute(query)]

    def fail(
        self, transaction_uid: str, reason: str, wait_s: Callable[[int], float], now: float
    ) -> None:
        """Note that a request did not come through; its instances are asked for again.

        Parameters
        ----------
        wait_s
            Takes how often an instance was asked for; returns how long to wait, in seconds.
        """
        with self._database.write() as connection:
            connection.execute(moved(transaction_uid, REQUEST_FAILED).values(reason=reason))
            ask_again(connection, transaction_uid, wait_s, now)

    def is_answered(self, transaction_uid: str) -> bool:
        """Tell whether every instance of a request has been answered for.

        Parameters
        ----------
        transaction_uid : str

        Returns
        -------
        bool
        """
        with self._database.read() as connection:
            return connection.execute(UNANSWERED, {"uid": transaction_uid}).first() is None

    def forget(self, connection: sa.Connection, sop_instance_uid: str) -> None:
        """Forget what was asked about an instance: other bytes take its place.

        Parameters
        ----------
        connection : sa.Connection
            Of the transaction it is part of.
        sop_instance_uid : str
        """
        connection.execute(
            sa.delete(commitment_part).where(
                commitment_part.c.sop_instance_uid == sop_instance_uid
            )
        )

    def answer(
        self, connection: sa.Connection, transaction_uid: str, uid: str, answer: str
    ) -> None:
        """Note what was answered about an instance of a request.

        Parameters
        ----------
        connection : sa.Connection
            Of the transaction it is part of.
        transaction_uid : str
        uid : str
            SOP Instance UID.
        answer : str
            What came back.
        """
        connection.execute(
            sa.update(commitment_part)
            .where(
                commitment_part.c.transaction_uid == transaction_uid,
                commitment_part.c.sop_instance_uid == uid,
            )
            .values(answer=answer)
        )

    def close_if_answered(self, connection: sa.Connection, transaction_uid: str) -> None:
        """Note that a request is answered, where each of its instances is.

        Parameters
        ----------
        connection : sa.Connection
            Of the transaction it is part of.
        transaction_uid : str
        """
        if connection.execute(UNANSWERED, {"uid": transaction_uid}).first() is None:
            connection.execute(moved(transaction_uid, REQUEST_ANSWERED))

    def prune(self, before: float) -> int:
        """Remove our requests that were over before a time; return how many.

        Parameters
        ----------
        before : float
            Seconds since the epoch.

        Returns
        -------
        int
        """
        return prune(self._database, _requests(before))


def moved(transaction_uid: str, move: Move[RequestState]) -> sa.Update:
    """Return an UPDATE of one request that stands where a move begins."""
    return (
        sa.update(commitment_request)
        .where(
            commitment_request.c.transaction_uid == transaction_uid,
            commitment_request.c.state.in_(move.of),
        )
        .values(state=move.to)
    )


UNANSWERED = (
    sa.select(commitment_part.c.sop_instance_uid)
    .where(
        commitment_part.c.transaction_uid == sa.bindparam("uid"), commitment_part.c.answer == ""
    )
    .limit(1)
)


def _requests(before: float) -> Spent:
    """Say which requests of ours are over: no instance waits for their answer."""
    waiting = (
        sa.exists()
        .where(
            commitment_part.c.transaction_uid == commitment_request.c.transaction_uid,
            delivery.c.sop_instance_uid == commitment_part.c.sop_instance_uid,
            delivery.c.destination == commitment_request.c.destination,
            delivery.c.transaction_uid == commitment_request.c.transaction_uid,
            delivery.c.commitment.in_((CommitmentState.ASKED, CommitmentState.AGAIN)),
        )
        .correlate(commitment_request)
    )
    over = (
        commitment_request.c.state.in_(_OVER),
        commitment_request.c.asked_at < before,
        ~waiting,
    )
    return Spent(commitment_request, over, over, REQUESTS_AT_ONCE, commitment_part)

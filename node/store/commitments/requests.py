"""What destinations are asked to commit to: requests, and who has to be asked again."""

from collections.abc import Callable, Collection
from typing import Final

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.records import StoredInstance
from node.model.states import (
    REQUEST_ANSWERED,
    REQUEST_ASKED,
    REQUEST_FAILED,
    CommitmentState,
    DeliveryState,
    Move,
    RequestState,
)
from node.model.work import TaskKey, WorkKind
from node.store.database import Database
from node.store.deliveries.commitment import ask_again, mark_asked, park_uncommitted
from node.store.ledger import Ledger
from node.store.pruning import Spent, prune
from node.store.rows import instance_columns, instance_of
from node.store.tables import commitment_part, commitment_request, delivery, instance
from node.store.work.work import Work

REQUESTS_AT_ONCE: Final = 5
"""That are removed in one transaction; each may have a thousand parts, which go with it."""

_OVER: Final = (RequestState.ASKED, RequestState.FAILED, RequestState.ANSWERED)

AT_ONCE: Final = 1000
"""Rows that one statement names: a list of any length would pass what a database takes."""

LONGEST_GATHERING_S: Final = 60.0
"""Instances are asked for together when their batch is through, or after this long."""


class Requests:
    """The owner of tables ``commitment_request`` and ``commitment_part``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, work
        Owners of what is written together with it.
    """

    def __init__(self, database: Database, ledger: Ledger, work: Work) -> None:
        self._database = database
        self._ledger = ledger
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
            uids: list[str] = []
            # One after the other: an OR of them would read every delivered row there is.
            for ripe in (_not_asked(now), _due(now)):
                waiting = (
                    sa.select(delivery.c.sop_instance_uid)
                    .where(
                        delivery.c.destination == destination,
                        delivery.c.state == DeliveryState.DELIVERED,
                        ripe,
                    )
                    .order_by(delivery.c.batch, delivery.c.sop_instance_uid)
                    .limit(limit - len(uids))
                )
                uids += connection.execute(waiting).scalars()
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

    def give_up(self, destination: str, attempts: int, reason: str, now: float) -> int:
        """Park what was asked for so often and never answered; return how many.

        In several transactions where those are many: what one has parked, the next looks for no
        more.

        Parameters
        ----------
        destination : str
            By its name.
        attempts : int
            Requests without an answer.
        reason : str
            For a person.
        now : float
            Seconds since the epoch.

        Returns
        -------
        int
        """
        count = 0
        while given_up := self._some_given_up(destination, attempts, reason, now):
            count += given_up
            if given_up < AT_ONCE:
                break
            self._database.give_way()
        return count

    def _some_given_up(self, destination: str, attempts: int, reason: str, now: float) -> int:
        spent = (
            sa.select(delivery.c.sop_instance_uid)
            .where(
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.DELIVERED,
                delivery.c.commitment.in_((CommitmentState.ASKED, CommitmentState.AGAIN)),
                delivery.c.commitment_due <= now,
                delivery.c.commitment_attempts >= attempts,
            )
            .order_by(delivery.c.sop_instance_uid)
            .limit(AT_ONCE)
            .with_for_update()
        )
        with self._database.write() as connection:
            uids = list(connection.execute(spent).scalars())
            if uids:
                park_uncommitted(connection, destination, uids, reason, now)
                self._tell_all(
                    connection, EventKind.COMMITMENT_FAILED, destination, uids, reason, now
                )
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

    def _tell_all(
        self,
        connection: sa.Connection,
        event: EventKind,
        destination: str,
        uids: Collection[str],
        reason: str,
        now: float,
    ) -> None:
        studies = sa.select(instance.c.sop_instance_uid, instance.c.study_instance_uid).where(
            instance.c.sop_instance_uid.in_(uids)
        )
        happened = [
            LedgerEvent(
                event,
                row.study_instance_uid,
                row.sop_instance_uid,
                {"to": destination, "because": reason},
            )
            for row in connection.execute(studies)
        ]
        self._ledger.tell(connection, happened, now)


def _not_asked(now: float) -> sa.ColumnElement[bool]:
    """Say what was never asked for: of a batch that is through, or sent a while ago."""
    other = delivery.alias()
    batch_unfinished = (
        sa.exists()
        .where(
            other.c.batch == delivery.c.batch,
            other.c.destination == delivery.c.destination,
            other.c.state == DeliveryState.PENDING,
        )
        .correlate(delivery)
    )
    return sa.and_(
        delivery.c.commitment.is_(None),
        sa.or_(~batch_unfinished, delivery.c.changed_at <= now - LONGEST_GATHERING_S),
    )


def _due(now: float) -> sa.ColumnElement[bool]:
    """Say whose answer has been waited for long enough, or whose request failed."""
    return sa.and_(
        delivery.c.commitment.in_((CommitmentState.ASKED, CommitmentState.AGAIN)),
        delivery.c.commitment_due <= now,
    )


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

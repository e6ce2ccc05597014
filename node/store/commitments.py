"""What destinations are asked to commit to: requests, and who has to be asked again.

Column `delivery.commitment` of a delivered instance:

====================  ===================================================================
NULL                  not asked for since it was sent last
``asked``             in an open request; ``commitment_due`` is when to ask again
``again``             no request came through; ask at ``commitment_due``
``committed``         the destination answers for it
====================  ===================================================================
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from node.model.records import StoredInstance
from node.store.ledger import Event, Happening, Ledger
from node.store.rows import instance_columns, instance_of
from node.store.tables import commitment_part, commitment_request, delivery, instance

AT_ONCE: Final = 1000
"""Rows that one statement names: a list of any length would pass what a database takes."""

LONGEST_GATHERING_S: Final = 60.0
"""Instances are asked for together when their batch is through, or after this long."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance as the messages name it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An instance that is not committed to; `reason` is its Failure Reason (0008,1197)."""

    reference: Reference
    reason: int


@dataclass(frozen=True, slots=True)
class Remedied:
    """What follows a failure.

    Attributes
    ----------
    then : {"ask", "send", "park"}
    wait_s : float
        Before it is done, in seconds.
    told : str
        The reason in words.
    """

    then: Literal["ask", "send", "park"]
    wait_s: float
    told: str


Decide = Callable[[int, int], Remedied]
"""Takes Failure Reason and how often we have asked; pure."""


class Commitments(Ledger):
    """The catalog as the Storage Commitment SCU sees it."""

    def open_request(
        self, destination: str, transaction_uid: str, limit: int, now: float, due_at: float
    ) -> int:
        """Put delivered instances that wait for commitment into a new request.

        Returns
        -------
        int
            How many; 0 where none waits, and then there is no request.
        """
        with self._write() as connection:
            uids: list[str] = []
            # One after the other: an OR of them would read every delivered row there is.
            for ripe in (_not_asked(now), _due(now)):
                waiting = (
                    sa.select(delivery.c.sop_instance_uid)
                    .where(
                        delivery.c.destination == destination,
                        delivery.c.state == "delivered",
                        ripe,
                    )
                    .order_by(delivery.c.batch, delivery.c.sop_instance_uid)
                    .limit(limit - len(uids))
                )
                uids += connection.execute(waiting).scalars()
            if not uids:
                return 0
            connection.execute(
                sa.insert(commitment_request).values(
                    transaction_uid=transaction_uid,
                    destination=destination,
                    state="new",
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
            connection.execute(
                sa.update(delivery)
                .where(
                    delivery.c.destination == destination, delivery.c.sop_instance_uid.in_(uids)
                )
                .values(
                    commitment="asked",
                    commitment_due=due_at,
                    commitment_attempts=delivery.c.commitment_attempts + 1,
                    transaction_uid=transaction_uid,
                )
            )
        return len(uids)

    def give_up(self, destination: str, attempts: int, reason: str, now: float) -> int:
        """Park what was asked for so often and never answered; return how many.

        In several transactions where those are many: what one has parked, the next looks for no
        more.
        """
        count = 0
        while given_up := self._some_given_up(destination, attempts, reason, now):
            count += given_up
            if given_up < AT_ONCE:
                break
            self._give_way()
        return count

    def _some_given_up(self, destination: str, attempts: int, reason: str, now: float) -> int:
        spent = (
            sa.select(delivery.c.sop_instance_uid)
            .where(
                delivery.c.destination == destination,
                delivery.c.state == "delivered",
                delivery.c.commitment.in_(("asked", "again")),
                delivery.c.commitment_due <= now,
                delivery.c.commitment_attempts >= attempts,
            )
            .order_by(delivery.c.sop_instance_uid)
            .limit(AT_ONCE)
            .with_for_update()
        )
        with self._write() as connection:
            uids = list(connection.execute(spent).scalars())
            if uids:
                connection.execute(
                    sa.update(delivery)
                    .where(
                        delivery.c.destination == destination,
                        delivery.c.sop_instance_uid.in_(uids),
                    )
                    .values(parked(reason, now))
                )
                self._tell_all(connection, "commitment failed", destination, uids, reason, now)
        return len(uids)

    def new_requests(self) -> list[tuple[str, str]]:
        """Return (Transaction UID, destination) of requests that no job was queued for."""
        query = sa.select(
            commitment_request.c.transaction_uid, commitment_request.c.destination
        ).where(commitment_request.c.state == "new")
        with self._read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def mark_request_queued(self, transaction_uid: str) -> None:
        """Note that the job of a request is queued."""
        with self._write() as connection:
            connection.execute(
                request_row(transaction_uid)
                .where(commitment_request.c.state == "new")
                .values(state="queued")
            )

    def begin_request(self, transaction_uid: str) -> list[StoredInstance]:
        """Return the instances of a request, once: a Transaction UID is never used twice.

        A step that runs again after a crash gets none: nobody knows whether the peer has the
        request, so its time runs out and a new one is made.
        """
        with self._write() as connection:
            begun = connection.execute(
                request_row(transaction_uid)
                .where(commitment_request.c.state.in_(("new", "queued")))
                .values(state="asked")
                .returning(commitment_request.c.transaction_uid)
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

    def fail_request(
        self, transaction_uid: str, reason: str, wait_s: Callable[[int], float], now: float
    ) -> None:
        """Note that a request did not come through; its instances are asked for again.

        Parameters
        ----------
        wait_s
            Takes how often an instance was asked for; returns how long to wait, in seconds.
        """
        with self._write() as connection:
            connection.execute(request_row(transaction_uid).values(state="failed", reason=reason))
            rows = connection.execute(
                sa.select(delivery.c.commitment_attempts)
                .where(
                    delivery.c.transaction_uid == transaction_uid,
                    delivery.c.commitment == "asked",
                )
                .distinct()
            ).all()
            for (attempts,) in rows:
                connection.execute(
                    sa.update(delivery)
                    .where(
                        delivery.c.transaction_uid == transaction_uid,
                        delivery.c.commitment == "asked",
                        delivery.c.commitment_attempts == attempts,
                    )
                    .values(commitment="again", commitment_due=now + wait_s(attempts))
                )

    def is_answered(self, transaction_uid: str) -> bool:
        """Tell whether every instance of a request has been answered for."""
        with self._read() as connection:
            return connection.execute(UNANSWERED, {"uid": transaction_uid}).first() is None

    def _tell_all(
        self,
        connection: sa.Connection,
        event: Event,
        destination: str,
        uids: Collection[str],
        reason: str,
        now: float,
    ) -> None:
        studies = sa.select(instance.c.sop_instance_uid, instance.c.study_instance_uid).where(
            instance.c.sop_instance_uid.in_(uids)
        )
        happened = [
            Happening(event, row[1], row[0], {"to": destination, "because": reason})
            for row in connection.execute(studies)
        ]
        self._tell(connection, happened, now)


def _not_asked(now: float) -> sa.ColumnElement[bool]:
    """Say what was never asked for: of a batch that is through, or sent a while ago."""
    other = delivery.alias()
    batch_unfinished = (
        sa.exists()
        .where(
            other.c.batch == delivery.c.batch,
            other.c.destination == delivery.c.destination,
            other.c.state == "pending",
        )
        .correlate(delivery)
    )
    return sa.and_(
        delivery.c.commitment.is_(None),
        sa.or_(~batch_unfinished, delivery.c.changed_at <= now - LONGEST_GATHERING_S),
    )


def _due(now: float) -> sa.ColumnElement[bool]:
    """Say whose answer has been waited for long enough, or whose request failed."""
    return sa.and_(delivery.c.commitment.in_(("asked", "again")), delivery.c.commitment_due <= now)


def parked(reason: str, now: float) -> dict[str, Any]:
    """Return a delivery that only a person can help: replayed, it is asked for from the start."""
    return {
        "state": "parked",
        "reason": reason,
        "commitment": None,
        "commitment_due": None,
        "commitment_attempts": 0,
        "changed_at": now,
    }


def request_row(transaction_uid: str) -> sa.Update:
    """Return an UPDATE of one request."""
    return sa.update(commitment_request).where(
        commitment_request.c.transaction_uid == transaction_uid
    )


def change(connection: sa.Connection, uid: str, destination: str, values: dict[str, Any]) -> None:
    """Change the row of one delivery."""
    connection.execute(
        sa.update(delivery)
        .where(delivery.c.sop_instance_uid == uid, delivery.c.destination == destination)
        .values(values)
    )


UNANSWERED = (
    sa.select(commitment_part.c.sop_instance_uid)
    .where(
        commitment_part.c.transaction_uid == sa.bindparam("uid"), commitment_part.c.answer == ""
    )
    .limit(1)
)

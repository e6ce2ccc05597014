"""Delivered instances that no destination has answered for: which to ask for, which to give up."""

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.states import CommitmentState, DeliveryState
from node.store.database import Database
from node.store.deliveries.commitment import park_uncommitted
from node.store.ledger import Ledger
from node.store.tables import delivery, instance

AT_ONCE: Final = 1000
"""Rows that one statement names: a list of any length would pass what a database takes."""

LONGEST_GATHERING_S: Final = 60.0
"""Instances are asked for together when their batch is through, or after this long."""


class Unanswered:
    """Parks, by way of their owner, what was asked for in vain; the rows are deliveries.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger : Ledger
        Is told what was given up.
    """

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

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
                _due(now),
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
                self._tell(connection, destination, uids, reason, now)
        return len(uids)

    def _tell(
        self,
        connection: sa.Connection,
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
                EventKind.COMMITMENT_FAILED,
                row.study_instance_uid,
                row.sop_instance_uid,
                {"to": destination, "because": reason},
            )
            for row in connection.execute(studies)
        ]
        self._ledger.tell(connection, happened, now)


def waiting(connection: sa.Connection, destination: str, limit: int, now: float) -> list[str]:
    """Return the SOP Instance UIDs of delivered instances that are to be asked for now.

    Parameters
    ----------
    connection : sa.Connection
        Of the transaction that asks for them.
    destination : str
        By its name.
    limit : int
        At most so many; those that were never asked for come first.
    now : float
        Seconds since the epoch.

    Returns
    -------
    list of str
    """
    uids: list[str] = []
    # One after the other: an OR of them would read every delivered row there is.
    for ripe in (_not_asked(now), _due(now)):
        query = (
            sa.select(delivery.c.sop_instance_uid)
            .where(
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.DELIVERED,
                ripe,
            )
            .order_by(delivery.c.batch, delivery.c.sop_instance_uid)
            .limit(limit - len(uids))
        )
        uids += connection.execute(query).scalars()
    return uids


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

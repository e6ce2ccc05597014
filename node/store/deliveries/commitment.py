"""How far delivered instances are committed to: these columns of table ``delivery``.

Every function is part of a transaction that others begin.
"""

from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa

from node.model.keys import Batch
from node.model.states import (
    COMMITMENT_AGAIN,
    COMMITMENT_ASKED,
    COMMITMENT_GIVEN,
    DELIVERY_COMMITTED,
    DELIVERY_LOST_THERE,
    DELIVERY_NOT_COMMITTED,
    DeliveryState,
)
from node.store.tables import delivery

_KEY: Final = (delivery.c.sop_instance_uid, delivery.c.destination)


def _in_order(*which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select rows, locked by their keys one after the other, as an order locks them."""
    locked = sa.select(*_KEY).where(*which).order_by(*_KEY)
    return sa.tuple_(*_KEY).in_(locked.with_for_update())


def mark_asked(
    connection: sa.Connection,
    destination: str,
    uids: Sequence[str],
    transaction_uid: str,
    due_at: float,
) -> list[str]:
    """Note that a request names these instances, and when to ask again.

    Returns
    -------
    list of str
        Those that the destination has, and does not answer for yet: somebody may have said so, or
        have sent an instance anew, since the request was put together.
    """
    open_still = sa.or_(
        delivery.c.commitment.is_(None), delivery.c.commitment.in_(COMMITMENT_ASKED.of)
    )
    asked = (
        sa.update(delivery)
        .where(
            _in_order(
                delivery.c.destination == destination, delivery.c.sop_instance_uid.in_(uids)
            ),
            delivery.c.state == DeliveryState.DELIVERED,
            open_still,
        )
        .values(
            commitment=COMMITMENT_ASKED.to,
            commitment_due=due_at,
            commitment_attempts=delivery.c.commitment_attempts + 1,
            transaction_uid=transaction_uid,
        )
        .returning(delivery.c.sop_instance_uid)
    )
    return sorted(connection.execute(asked).scalars())


def ask_again(
    connection: sa.Connection, transaction_uid: str, wait_s: Callable[[int], float], now: float
) -> None:
    """Let the instances of a request that failed be asked for in another one.

    Parameters
    ----------
    wait_s
        Takes how often an instance was asked for; returns how long to wait, in seconds.
    """
    of_request = (
        delivery.c.transaction_uid == transaction_uid,
        delivery.c.commitment.in_(COMMITMENT_AGAIN.of),
    )
    counts = sa.select(delivery.c.commitment_attempts).where(*of_request).distinct()
    for attempts in connection.execute(counts).scalars().all():
        connection.execute(
            sa.update(delivery)
            .where(_in_order(*of_request, delivery.c.commitment_attempts == attempts))
            .values(commitment=COMMITMENT_AGAIN.to, commitment_due=now + wait_s(attempts))
        )


def ask_one_again(connection: sa.Connection, uid: str, destination: str, due_at: float) -> None:
    """Let one instance that was asked for be asked for again."""
    connection.execute(
        sa.update(delivery)
        .where(*_is(uid, destination), delivery.c.commitment.in_(COMMITMENT_AGAIN.of))
        .values(commitment=COMMITMENT_AGAIN.to, commitment_due=due_at)
    )


def commit(connection: sa.Connection, uid: str, destination: str, now: float) -> None:
    """Note that a destination answers for an instance."""
    values = {
        "state": DELIVERY_COMMITTED.to,
        "reason": "",
        "commitment": COMMITMENT_GIVEN.to,
        "commitment_due": None,
        "changed_at": now,
    }
    connection.execute(
        sa.update(delivery)
        .where(*_is(uid, destination), delivery.c.state.in_(DELIVERY_COMMITTED.of))
        .values(values)
    )


def park_uncommitted(
    connection: sa.Connection, destination: str, uids: Sequence[str], reason: str, now: float
) -> None:
    """Park what only a person can help; replayed, it is asked for from the start."""
    values = {
        "state": DELIVERY_NOT_COMMITTED.to,
        "reason": reason,
        "commitment": None,
        "commitment_due": None,
        "commitment_attempts": 0,
        "changed_at": now,
    }
    connection.execute(
        sa.update(delivery)
        .where(
            delivery.c.destination == destination,
            delivery.c.sop_instance_uid.in_(uids),
            delivery.c.state.in_(DELIVERY_NOT_COMMITTED.of),
        )
        .values(values)
    )


def send_again(
    connection: sa.Connection, uid: str, destination: str, batch: Batch, reason: str, now: float
) -> None:
    """Let an instance be sent again that a destination took and does not hold."""
    values = {
        "state": DELIVERY_LOST_THERE.to,
        "reason": reason,
        "batch": str(batch),
        "attempts": 0,
        "commitment": None,
        "commitment_due": None,
        "changed_at": now,
    }
    connection.execute(
        sa.update(delivery)
        .where(*_is(uid, destination), delivery.c.state.in_(DELIVERY_LOST_THERE.of))
        .values(values)
    )


def move_due_times(connection: sa.Connection, seconds: float) -> None:
    """Let what waits be asked for as far ahead as it was before the clock was set."""
    connection.execute(
        sa.update(delivery)
        .where(_in_order(delivery.c.commitment_due.is_not(None)))
        .values(commitment_due=delivery.c.commitment_due + seconds)
    )


def _is(uid: str, destination: str) -> list[sa.ColumnElement[bool]]:
    return [delivery.c.sop_instance_uid == uid, delivery.c.destination == destination]

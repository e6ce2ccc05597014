"""How many instances stand where, counted by the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from node.model.states import CommitmentState, DeliveryState
from node.store.tables import delivery, instance


@dataclass(frozen=True, slots=True)
class InstanceCount:
    """So many instances that stand alike at one destination.

    Attributes
    ----------
    deleted : bool
        They are not here any more.
    reason : str
        Why they are not there; '' where they are.
    """

    destination: str
    state: DeliveryState
    commitment: CommitmentState | None
    deleted: bool
    reason: str
    count: int


def counting(*by: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Return the query for what stands where; its rows begin with these columns."""
    deleted = instance.c.deleted_at.is_not(None)
    reason = sa.case((delivery.c.state == DeliveryState.DELIVERED, ""), else_=delivery.c.reason)
    columns = (delivery.c.destination, delivery.c.state, delivery.c.commitment, deleted, reason)
    return (
        sa.select(*by, *columns, sa.func.count())
        .join_from(instance, delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
        .group_by(*by, *columns)
    )


def count_of(row: Sequence[Any]) -> InstanceCount:
    """Return the record of the last columns of a row of `counting`."""
    destination, state, commitment, deleted, reason, count = row[-6:]
    return InstanceCount(destination, state, commitment, bool(deleted), reason, count)

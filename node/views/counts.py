"""How many instances stand where, counted by the database."""

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
    """Return the query for what stands where: for each of these columns' values, and each way."""
    columns = (
        delivery.c.destination,
        delivery.c.state,
        delivery.c.commitment,
        instance.c.deleted_at.is_not(None).label("deleted"),
        sa.case((delivery.c.state == DeliveryState.DELIVERED, ""), else_=delivery.c.reason).label(
            "reason"
        ),
    )
    return (
        sa.select(*by, *columns, sa.func.count().label("instances"))
        .join_from(instance, delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
        .group_by(*by, *columns)
    )


def count_of(row: sa.Row[Any]) -> InstanceCount:
    """Return the record of a row of `counting`."""
    return InstanceCount(
        destination=row.destination,
        state=row.state,
        commitment=row.commitment,
        deleted=bool(row.deleted),
        reason=row.reason,
        count=row.instances,
    )

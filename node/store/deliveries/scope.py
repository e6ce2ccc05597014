"""Which deliveries a question or an order is about."""

from dataclasses import dataclass

import sqlalchemy as sa

from node.store.tables import delivery, instance, series


@dataclass(frozen=True)
class Scope:
    """Deliveries to a destination, of a study, series or instance; None means every one."""

    destination: str | None = None
    uid: str | None = None


def within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of deliveries within a scope."""
    conditions: list[sa.ColumnElement[bool]] = []
    if scope.destination is not None:
        conditions.append(delivery.c.destination == scope.destination)
    if scope.uid is not None:
        of_uid = sa.select(instance.c.sop_instance_uid).where(
            sa.or_(
                instance.c.sop_instance_uid == scope.uid,
                instance.c.series_instance_uid == scope.uid,
                instance.c.series_instance_uid.in_(
                    sa.select(series.c.series_instance_uid).where(
                        series.c.received_uid == scope.uid
                    )
                ),
                instance.c.study_instance_uid == scope.uid,
            )
        )
        conditions.append(delivery.c.sop_instance_uid.in_(of_uid))
    return conditions

"""What ought to be held in the quarantine and is not: read from what others wrote."""

from typing import Final

import sqlalchemy as sa

from node.model.failures import HoldKind
from node.model.records import Conflict, FailedRevision
from node.model.states import DeliveryState, HoldState
from node.store.database import Database
from node.store.rows import conflict_of
from node.store.studies.revisions import went_wrong
from node.store.tables import conflict, delivery, instance, quarantine, revision, series

OPEN: Final = (HoldState.HELD, HoldState.DISCARDING)
"""Nothing is decided yet, or not yet carried out."""


class Unheld:
    """Reads what went wrong; writes nothing.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def revisions(self) -> list[FailedRevision]:
        """Return the revisions that went wrong and are not held (again)."""
        held = sa.exists().where(
            quarantine.c.series_instance_uid == revision.c.series_instance_uid,
            quarantine.c.revision == revision.c.revision,
            quarantine.c.state != HoldState.REPLAYED,
        )
        query = (
            sa.select(
                series.c.study_instance_uid,
                revision.c.series_instance_uid,
                revision.c.revision,
                revision.c.failure_kind,
                revision.c.reason,
            )
            .join(series, series.c.series_instance_uid == revision.c.series_instance_uid)
            .where(*went_wrong(), ~held)
        )
        with self._database.read() as connection:
            return [FailedRevision(**row._mapping) for row in connection.execute(query)]

    def conflicts(self) -> list[Conflict]:
        """Return what came under a known UID with other bytes and is not held (again)."""
        held = sa.exists().where(
            quarantine.c.kind == HoldKind.CONFLICT,
            quarantine.c.sop_instance_uid == conflict.c.sop_instance_uid,
            quarantine.c.sha256 == conflict.c.sha256,
            quarantine.c.state.in_(OPEN),
        )
        with self._database.read() as connection:
            return [
                conflict_of(row)
                for row in connection.execute(sa.select(conflict).where(~held)).mappings()
            ]

    def parked(self) -> list[tuple[str, str, str, str]]:
        """Return (study, series, destination, reason) of parked deliveries that are not held.

        What was decided counts for what was parked then, not for what was since.
        """
        held = sa.exists().where(
            quarantine.c.kind == HoldKind.DELIVERY,
            quarantine.c.series_instance_uid == instance.c.series_instance_uid,
            quarantine.c.destination == delivery.c.destination,
            quarantine.c.state != HoldState.REPLAYED,
            sa.or_(
                quarantine.c.state.in_(OPEN),
                delivery.c.changed_at <= quarantine.c.changed_at,
            ),
        )
        series_of = (
            instance.c.study_instance_uid,
            instance.c.series_instance_uid,
            delivery.c.destination,
        )
        query = (
            sa.select(*series_of, sa.func.min(delivery.c.reason))
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(delivery.c.state == DeliveryState.PARKED, ~held)
            .group_by(*series_of)
        )
        with self._database.read() as connection:
            return [tuple(row) for row in connection.execute(query)]

"""Where deliveries stand: read by whoever shows them or decides about them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from node.model.records import Delivery
from node.model.states import DeliveryState
from node.store.database import Database
from node.store.deliveries.scope import Scope, within
from node.store.rows import columns, record
from node.store.tables import delivery, instance


class DeliveryStates:
    """Reads of table ``delivery`` where each stands; its owner is `Deliveries`.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_study(self, study_instance_uid: str) -> list[Delivery]:
        """Return where every instance of a study, received or derived, stands."""
        query = (
            sa.select(
                *columns(Delivery, delivery),
                instance.c.series_instance_uid,
                instance.c.deleted_at.is_not(None).label("deleted"),
            )
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(instance.c.study_instance_uid == study_instance_uid)
            .order_by(delivery.c.destination, delivery.c.sop_instance_uid)
        )
        with self._database.read() as connection:
            return [record(Delivery, row) for row in connection.execute(query)]

    def parked_paths(self, series_instance_uid: str, destination: str) -> list[Path]:
        """Return the files of a series that are parked at a destination."""
        query = (
            sa.select(instance.c.path)
            .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(
                instance.c.series_instance_uid == series_instance_uid,
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PARKED,
            )
        )
        with self._database.read() as connection:
            return [Path(path) for path in connection.execute(query).scalars()]

    def selected(
        self, scope: Scope, states: Sequence[DeliveryState], limit: int
    ) -> list[Delivery]:
        """Return the deliveries within a scope, at most `limit` of them."""
        query = (
            sa.select(*columns(Delivery, delivery))
            .where(*within(scope), delivery.c.state.in_(states))
            .order_by(delivery.c.destination, delivery.c.batch, delivery.c.sop_instance_uid)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [record(Delivery, row) for row in connection.execute(query)]

    def counted(self, scope: Scope) -> dict[str, Counter[str]]:
        """Return how many deliveries stand in which state, by destination."""
        query = (
            sa.select(delivery.c.destination, delivery.c.state, sa.func.count())
            .where(*within(scope))
            .group_by(delivery.c.destination, delivery.c.state)
        )
        counts: dict[str, Counter[str]] = {}
        with self._database.read() as connection:
            for destination, state, count in connection.execute(query):
                counts.setdefault(destination, Counter())[state] = count
        return counts

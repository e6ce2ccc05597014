"""What a destination has yet to take: read by whoever sends it."""

import sqlalchemy as sa

from node.model.records import Asked, StoredInstance
from node.model.states import DeliveryState
from node.store.database import Database
from node.store.rows import instance_columns, instance_of
from node.store.tables import delivery, instance, outlet


class Pending:
    """Reads of table ``delivery`` what is pending; its owner is `Deliveries`.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_batch(self, batch: str, destination: str) -> list[StoredInstance]:
        """Return the instances of a batch that the destination has yet to take.

        Those that failed most come last: one that makes the peer fall over must not keep the
        others from arriving.
        """
        query = (
            sa.select(*instance_columns())
            .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(
                delivery.c.batch == batch,
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PENDING,
            )
            .order_by(
                delivery.c.attempts, instance.c.series_instance_uid, instance.c.sop_instance_uid
            )
        )
        with self._database.read() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def failed_attempts(self, batch: str, destination: str) -> dict[str, int]:
        """Return how often each pending instance of a batch has failed."""
        query = sa.select(delivery.c.sop_instance_uid, delivery.c.attempts).where(
            delivery.c.batch == batch,
            delivery.c.destination == destination,
            delivery.c.state == DeliveryState.PENDING,
        )
        with self._database.read() as connection:
            return {row.sop_instance_uid: row.attempts for row in connection.execute(query)}

    def asked(self, batch: str, destination: str) -> dict[str, Asked]:
        """Return since when each pending instance of a batch is wanted; no attempt changes that.

        Parameters
        ----------
        batch, destination : str
            Keys of the deliveries.

        Returns
        -------
        dict of str to Asked
            By SOP Instance UID.
        """
        query = (
            sa.select(delivery.c.sop_instance_uid, delivery.c.added_at, instance.c.revision)
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(
                delivery.c.batch == batch,
                delivery.c.destination == destination,
                delivery.c.state == DeliveryState.PENDING,
            )
        )
        with self._database.read() as connection:
            return {
                row.sop_instance_uid: Asked(row.added_at, row.revision)
                for row in connection.execute(query)
            }

    def is_wanted(self, sop_instance_uid: str, destination: str, batch: str | None = None) -> bool:
        """Tell whether an instance is still to be sent: not cancelled, and nobody paused it.

        With `batch`, only as part of it: other bytes may have taken the instance's place since.
        """
        paused = sa.exists().where(outlet.c.destination == destination, outlet.c.paused)
        query = sa.select(delivery.c.state).where(
            delivery.c.sop_instance_uid == sop_instance_uid,
            delivery.c.destination == destination,
            delivery.c.state == DeliveryState.PENDING,
            ~paused,
            *part_of(batch),
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None


def part_of(batch: str | None) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of deliveries of a batch; None means any."""
    return [] if batch is None else [delivery.c.batch == batch]


def is_anything_pending(connection: sa.Connection, destination: str, batch: str) -> bool:
    """Tell whether a destination has yet to take something of a batch."""
    query = sa.select(delivery.c.sop_instance_uid).where(
        delivery.c.destination == destination,
        delivery.c.batch == batch,
        delivery.c.state == DeliveryState.PENDING,
    )
    return connection.execute(query.limit(1)).first() is not None

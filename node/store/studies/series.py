"""What the receiver writes of a series; series and studies for whoever reads them.

A series is one of its study. Two studies whose series have one UID, as a careless de-identifier
makes them, have two: the first has the UID as its key, any other a key made of study and UID.
"""

from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert

from node.identity import derived_uid
from node.model.events import EventKind, LedgerEvent, particulars
from node.model.records import SeriesProgress, SeriesSummary, StoredInstance
from node.model.states import Origin, Recorded
from node.store.database import Database
from node.store.deliveries.deliveries import Deliveries
from node.store.ledger import Ledger
from node.store.studies.instances import Instances
from node.store.tables import association, derived, instance, revision, series, summary


def series_key(study_instance_uid: str, series_instance_uid: str) -> str:
    """Return the key of a series whose UID is that of a series of another study already."""
    return str(derived_uid(study_instance_uid, series_instance_uid, "series"))


class Studies:
    """The owner of table ``series``.

    What takes a connection is part of a transaction that others begin.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, instances, deliveries
        Owners of what is written together with a series.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instances: Instances,
        deliveries: Deliveries,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._instances = instances
        self._deliveries = deliveries

    def record(self, stored: StoredInstance, now: float) -> Recorded:
        """Commit one received instance; when this returns, the row is durable.

        Returns
        -------
        Recorded
            "new"; "repeated" for the same bytes, those of an object of our own included;
            "conflict" for other bytes under a known UID, noted beside the first ones; "deleted",
            and nothing is written, where the path is that of a tombstone: record it under a
            fresh one. A tombstone that comes again is new again, and goes where the rules say.

        Raises
        ------
        StoreError
            If the row was not committed; the peer must not be told Success.
        """
        with self._database.write() as connection:
            if self._instances.add(connection, stored):
                self._count(connection, stored, now)
                self._tell(connection, EventKind.RECEIVED, stored, now)
                return Recorded.NEW
            known = self._instances.known_as(connection, stored.sop_instance_uid)
            same = known.sha256 == stored.sha256
            if known.deleted_at is not None:
                if known.path == stored.path:
                    return Recorded.DELETED
                if same:
                    self._revive(connection, stored, known.origin, now)
                    return Recorded.NEW
            if same:
                self._see_again(connection, stored, known)
                self._tell(connection, EventKind.REPEATED, stored, now)
                return Recorded.REPEATED
            self._instances.keep_apart(connection, stored)
            self._tell(connection, EventKind.CONFLICT, stored, now)
            return Recorded.CONFLICT

    def unsettled(self) -> list[SeriesProgress]:
        """Return every series with instances newer than its last revision."""
        with self._database.read() as connection:
            return [
                SeriesProgress(
                    series_instance_uid=row.series_instance_uid,
                    study_instance_uid=row.study_instance_uid,
                    revision=row.revision,
                    instance_count=row.instance_count,
                    first_instance_at=row.first_at,
                    last_instance_at=row.last_at,
                    open_associations=row.open_associations,
                    last_released_at=row.last_released_at,
                    aborted=bool(row.aborted),
                )
                for row in connection.execute(_UNSETTLED)
            ]

    def study_of(self, series_instance_uid: str) -> str:
        """Return the study of a series that was received, also where its files were deleted."""
        query = sa.select(series.c.study_instance_uid).where(
            series.c.series_instance_uid == series_instance_uid
        )
        with self._database.read() as connection:
            return str(connection.execute(query).scalar_one())

    def received_uid(self, series_instance_uid: str) -> str:
        """Return the Series Instance UID of a series as its images have it, given its key."""
        query = sa.select(series.c.received_uid).where(
            series.c.series_instance_uid == series_instance_uid
        )
        with self._database.read() as connection:
            return str(connection.execute(query).scalar_one() or series_instance_uid)

    def series_of(self, study_instance_uid: str) -> list[SeriesSummary]:
        """Return the received series of a study in the order they began to come."""
        query = (
            sa.select(series, revision.c.state, revision.c.reason)
            .outerjoin(
                revision,
                (revision.c.series_instance_uid == series.c.series_instance_uid)
                & (revision.c.revision == series.c.revision),
            )
            .where(series.c.study_instance_uid == study_instance_uid)
            .order_by(series.c.first_instance_at)
        )
        with self._database.read() as connection:
            return [_summary_of(row) for row in connection.execute(query)]

    def settled(self, connection: sa.Connection, series_instance_uid: str, number: int) -> None:
        """Note that all that came of a series belongs to this revision, or to one before."""
        connection.execute(
            sa.update(series)
            .where(series.c.series_instance_uid == series_instance_uid)
            .values(revision=number, unsettled=False)
        )

    def bury(self, connection: sa.Connection, series_instance_uid: str, now: float) -> None:
        """Make a tombstone of a series."""
        connection.execute(
            sa.update(series)
            .where(series.c.series_instance_uid == series_instance_uid)
            .values(deleted_at=now)
        )

    def receive_again(self, connection: sa.Connection, of: StoredInstance, now: float) -> None:
        """Let the series of an instance come in once more; where it has none, it begins now."""
        again = {"unsettled": True, "last_instance_at": now, "deleted_at": None}
        begun = {
            "series_instance_uid": of.series_instance_uid,
            "study_instance_uid": of.study_instance_uid,
            "instance_count": 1,
            "revision": 0,
            "first_instance_at": now,
        }
        connection.execute(
            self._database.insert(series).on_conflict_do_update(
                index_elements=[series.c.series_instance_uid], set_=again
            ),
            begun | again,
        )

    def _count(self, connection: sa.Connection, stored: StoredInstance, now: float) -> None:
        """Count a new instance in its series, which is receiving from here on."""
        row = {
            "series_instance_uid": stored.series_instance_uid,
            "study_instance_uid": stored.study_instance_uid,
            "instance_count": 1,
            "unsettled": True,
            "revision": 0,
            "first_instance_at": now,
            "last_instance_at": now,
            "received_uid": None,
        }
        if connection.execute(self._count_instance, row).one_or_none() is not None:
            return
        key = series_key(stored.study_instance_uid, stored.series_instance_uid)
        self._instances.move_to_series(connection, stored.sop_instance_uid, key)
        row |= {"series_instance_uid": key, "received_uid": stored.series_instance_uid}
        connection.execute(self._count_instance, row).one()

    def _revive(
        self, connection: sa.Connection, stored: StoredInstance, origin: Origin, now: float
    ) -> None:
        """Make an instance of a tombstone, and forget where it had been delivered before.

        What we made ourselves stays delivered: it is kept once more, and no more than that.
        """
        uid = stored.sop_instance_uid
        of_series: sa.Select[Any] | sa.CompoundSelect[Any] = sa.union(
            sa.select(derived.c.source_series_uid).where(derived.c.sop_instance_uid == uid),
            # What was made of a study goes with its last series: with any of them.
            sa.select(sa.func.min(series.c.series_instance_uid))
            .join(summary, summary.c.study_instance_uid == series.c.study_instance_uid)
            .where(summary.c.sop_instance_uid == uid),
        )
        state: dict[str, Any] = {"deleted_at": None, "last_instance_at": now}
        if origin is Origin.RECEIVED:
            of_series = sa.select(instance.c.series_instance_uid).where(
                instance.c.sop_instance_uid == uid
            )
            state["unsettled"] = True
            self._deliveries.forget(connection, uid)
        self._instances.revive(connection, stored, origin)
        connection.execute(
            sa.update(series).where(series.c.series_instance_uid.in_(of_series)).values(state)
        )
        self._tell(connection, EventKind.RECEIVED, stored, now)

    def _see_again(
        self, connection: sa.Connection, stored: StoredInstance, known: StoredInstance
    ) -> None:
        """Let a repeat before the verdict vouch."""
        if known.origin is not Origin.RECEIVED or stored.association_id is None:
            return
        if not self._instances.is_judged(connection, stored.sop_instance_uid):
            self._instances.see_again(connection, stored)

    def _tell(
        self, connection: sa.Connection, event: EventKind, stored: StoredInstance, now: float
    ) -> None:
        """Tell the ledger of an instance that came in."""
        detail = particulars(stored) | {"from": stored.calling_ae}
        happened = LedgerEvent(event, stored.study_instance_uid, stored.sop_instance_uid, detail)
        self._ledger.tell(connection, [happened], now)

    @cached_property
    def _count_instance(self) -> ReturningInsert[Any]:
        """Count, or return nothing where another study has a series of this key."""
        insert = self._database.insert(series)
        counting = insert.on_conflict_do_update(
            index_elements=[series.c.series_instance_uid],
            set_={
                "instance_count": series.c.instance_count + 1,
                "unsettled": sa.true(),
                "deleted_at": sa.null(),
                "last_instance_at": sa.literal_column("excluded.last_instance_at"),
            },
            where=series.c.study_instance_uid == insert.excluded.study_instance_uid,
        )
        return counting.returning(series.c.series_instance_uid)


def _summary_of(row: sa.Row[Any]) -> SeriesSummary:
    """Return the record of a row of `series` joined with its last revision."""
    return SeriesSummary(
        series_instance_uid=row.series_instance_uid,
        study_instance_uid=row.study_instance_uid,
        instance_count=row.instance_count,
        revision=row.revision,
        state="receiving" if row.unsettled else row.state,
        reason=row.reason or "",
        last_instance_at=row.last_instance_at,
        received_uid=row.received_uid,
    )


_RELEASED_AT = sa.case((association.c.released, association.c.closed_at))
_OPEN = sa.case((association.c.closed_at.is_(None), association.c.id))
_ABORTED = sa.case((association.c.released.is_(False), 1), else_=0)
_UNSETTLED = (
    sa.select(
        series.c.series_instance_uid,
        series.c.study_instance_uid,
        series.c.revision,
        series.c.instance_count,
        sa.func.min(instance.c.received_at).label("first_at"),
        sa.func.max(instance.c.received_at).label("last_at"),
        sa.func.count(sa.distinct(_OPEN)).label("open_associations"),
        sa.func.max(_RELEASED_AT).label("last_released_at"),
        sa.func.max(_ABORTED).label("aborted"),
    )
    .select_from(series)
    .join(instance, instance.c.series_instance_uid == series.c.series_instance_uid)
    .outerjoin(association, association.c.id == instance.c.association_id)
    .where(series.c.unsettled, instance.c.revision.is_(None), instance.c.origin == Origin.RECEIVED)
    .group_by(
        series.c.series_instance_uid,
        series.c.study_instance_uid,
        series.c.revision,
        series.c.instance_count,
    )
    .order_by(sa.func.min(instance.c.received_at))
)

"""What the receiver writes: associations, instances, conflicts.

A series is one of its study. Two studies whose series have one UID, as a careless de-identifier
makes them, have two: the first has the UID as its key, any other a key made of study and UID.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert

from node.identity import derived_uid
from node.model.records import Conflict, StoredInstance
from node.model.states import Origin, Recorded
from node.store.ledger import Event, Happening, Ledger, particulars
from node.store.rows import conflict_of, instance_columns, instance_of, instance_values
from node.store.tables import association, conflict, delivery, derived, instance, series


def series_key(study_instance_uid: str, series_instance_uid: str) -> str:
    """Return the key of a series whose UID is that of a series of another study already."""
    return str(derived_uid(study_instance_uid, series_instance_uid, "series"))


class Reception(Ledger):
    """The catalog as the receiver sees it."""

    def open_association(self, calling_ae: str, called_ae: str, address: str, now: float) -> int:
        """Note that a peer has connected and return the association's number.

        Others are not waited for as long as for an instance: its first one would wait twice.
        """
        with self._write(briefly=True) as connection:
            result = connection.execute(
                sa.insert(association).returning(association.c.id),
                {
                    "calling_ae": calling_ae,
                    "called_ae": called_ae,
                    "address": address,
                    "opened_at": now,
                },
            )
            return int(result.scalar_one())

    def close_association(self, association_id: int, released: bool, now: float) -> None:
        """Note how an association ended: by release, or else aborted or lost."""
        with self._write() as connection:
            connection.execute(
                sa.update(association)
                .where(association.c.id == association_id, association.c.closed_at.is_(None))
                .values(closed_at=now, released=released)
            )

    def close_stale_associations(self, now: float) -> None:
        """Count the associations that a killed receiver left open as aborted."""
        with self._write() as connection:
            connection.execute(
                sa.update(association)
                .where(association.c.closed_at.is_(None))
                .values(closed_at=now, released=False)
            )

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
        with self._write() as connection:
            added = connection.execute(self._add_instance, instance_values(stored))
            if added.one_or_none() is not None:
                self._count(connection, stored, now)
                self._tell(connection, [_happening("received", stored)], now)
                return Recorded.NEW
            known = connection.execute(_KNOWN, {"sop": stored.sop_instance_uid}).one()
            if known.deleted_at is not None:
                if known.path == stored.path.as_posix():
                    return Recorded.DELETED
                if known.sha256 == stored.sha256:
                    self._revive(connection, stored, known.origin, now)
                    return Recorded.NEW
            if known.sha256 == stored.sha256:
                self._see_again(connection, stored, known)
                self._tell(connection, [_happening("repeated", stored)], now)
                return Recorded.REPEATED
            connection.execute(
                self._insert(conflict).on_conflict_do_nothing(), _conflict_values(stored)
            )
            self._tell(connection, [_happening("conflict", stored)], now)
            return Recorded.CONFLICT

    def instance(self, sop_instance_uid: str) -> StoredInstance | None:
        """Return one instance, received or derived, or its tombstone, or None."""
        with self._read() as connection:
            row = connection.execute(_INSTANCE, {"sop": sop_instance_uid}).one_or_none()
        return instance_of(row) if row is not None else None

    def instances(
        self,
        series_instance_uid: str,
        origin: Origin | None = None,
        revision: int | None = None,
    ) -> list[StoredInstance]:
        """Return the instances of a series in the order of their UIDs, without tombstones.

        With `revision`, only those that this revision and earlier ones were judged on: a late
        instance must not change what a step that runs again makes.
        """
        query = (
            sa.select(*instance_columns())
            .where(
                instance.c.series_instance_uid == series_instance_uid,
                instance.c.deleted_at.is_(None),
            )
            .order_by(instance.c.sop_instance_uid)
        )
        if origin is not None:
            query = query.where(instance.c.origin == origin)
        if revision is not None:
            query = query.where(instance.c.revision <= revision)
        with self._read() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def received_in(self, study_instance_uid: str) -> list[tuple[str, Path]]:
        """Return series and path of every instance of a study that was received and is here."""
        query = sa.select(instance.c.series_instance_uid, instance.c.path).where(
            instance.c.study_instance_uid == study_instance_uid,
            instance.c.origin == "received",
            instance.c.deleted_at.is_(None),
        )
        with self._read() as connection:
            return [(row[0], Path(row[1])) for row in connection.execute(query)]

    def conflicts(self, study_instance_uid: str) -> list[Conflict]:
        """Return what came to a study under a known UID with other bytes."""
        query = (
            sa.select(conflict)
            .where(conflict.c.study_instance_uid == study_instance_uid)
            .order_by(conflict.c.received_at)
        )
        with self._read() as connection:
            return [conflict_of(row) for row in connection.execute(query).mappings()]

    def called_ae(self, association_id: int) -> str:
        """Return the title that a peer called, '' where the association is forgotten."""
        query = sa.select(association.c.called_ae).where(association.c.id == association_id)
        with self._read() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def addresses(self, association_ids: Iterable[int]) -> dict[int, str]:
        """Return where the callers of associations were, as far as that is still known."""
        query = sa.select(association.c.id, association.c.address).where(
            association.c.id.in_(sorted(association_ids))
        )
        with self._read() as connection:
            return {row.id: row.address for row in connection.execute(query)}

    def conflict_path(self, sop_instance_uid: str, sha256: str) -> Path | None:
        """Return where other bytes of an instance are kept, relative to the storage root."""
        query = sa.select(conflict.c.path).where(
            conflict.c.sop_instance_uid == sop_instance_uid, conflict.c.sha256 == sha256
        )
        with self._read() as connection:
            path = connection.execute(query).scalar_one_or_none()
        return None if path is None else Path(path)

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
        connection.execute(
            sa.update(instance)
            .where(instance.c.sop_instance_uid == stored.sop_instance_uid)
            .values(series_instance_uid=key)
        )
        row |= {"series_instance_uid": key, "received_uid": stored.series_instance_uid}
        connection.execute(self._count_instance, row).one()

    def _revive(
        self, connection: sa.Connection, stored: StoredInstance, origin: Origin, now: float
    ) -> None:
        """Make an instance of a tombstone, and forget where it had been delivered before.

        What we made ourselves stays delivered: it is kept once more, and no more than that.
        """
        uid = stored.sop_instance_uid
        values = instance_values(stored) | {"origin": origin}
        of_series = sa.select(derived.c.source_series_uid).where(derived.c.sop_instance_uid == uid)
        state: dict[str, Any] = {"deleted_at": None, "last_instance_at": now}
        if origin == "received":  # the same bytes: the series is the one it was of
            of_series = sa.select(instance.c.series_instance_uid).where(
                instance.c.sop_instance_uid == uid
            )
            del values["series_instance_uid"]
            values["revision"] = None
            state["unsettled"] = True
            connection.execute(sa.delete(delivery).where(delivery.c.sop_instance_uid == uid))
        connection.execute(
            sa.update(instance).where(instance.c.sop_instance_uid == uid).values(values)
        )
        connection.execute(
            sa.update(series).where(series.c.series_instance_uid.in_(of_series)).values(state)
        )
        self._tell(connection, [_happening("received", stored)], now)

    @cached_property
    def _add_instance(self) -> sa.Insert:
        """Made once: making it takes longer than SQLite takes to run it."""
        # RETURNING, for psycopg does not tell a row count here: every new instance would be a
        # repeated one, and never be counted in its series.
        return (
            self._insert(instance).on_conflict_do_nothing().returning(instance.c.sop_instance_uid)
        )

    @cached_property
    def _count_instance(self) -> ReturningInsert[Any]:
        """Count, or return nothing where another study has a series of this key."""
        insert = self._insert(series)
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

    def _see_again(
        self, connection: sa.Connection, stored: StoredInstance, known: sa.Row[*tuple[Any, ...]]
    ) -> None:
        """Let a repeat before the verdict vouch: what an abort cut short, the retry completes."""
        waits = known.origin == "received" and known.revision is None
        if waits and stored.association_id is not None:
            connection.execute(
                sa.update(instance)
                .where(instance.c.sop_instance_uid == stored.sop_instance_uid)
                .values(association_id=stored.association_id)
            )


_KNOWN = sa.select(
    instance.c.origin,
    instance.c.sha256,
    instance.c.revision,
    instance.c.path,
    instance.c.deleted_at,
).where(instance.c.sop_instance_uid == sa.bindparam("sop"))
_INSTANCE = sa.select(*instance_columns()).where(
    instance.c.sop_instance_uid == sa.bindparam("sop")
)


def _happening(event: Event, stored: StoredInstance) -> Happening:
    """Return what the ledger says of an instance that came in."""
    detail = particulars(stored) | {"from": stored.calling_ae}
    return Happening(event, stored.study_instance_uid, stored.sop_instance_uid, detail)


def _conflict_values(stored: StoredInstance) -> dict[str, object]:
    """Return the row of table `conflict` for an instance that was kept apart."""
    return {
        "sop_instance_uid": stored.sop_instance_uid,
        "series_instance_uid": stored.series_instance_uid,
        "study_instance_uid": stored.study_instance_uid,
        "path": stored.path.as_posix(),
        "size": stored.size,
        "sha256": stored.sha256,
        "calling_ae": stored.calling_ae,
        "received_at": stored.received_at,
    }

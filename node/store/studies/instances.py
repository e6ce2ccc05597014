"""Instances, what is kept apart from its namesakes, and files that have to go."""

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from node.errors import UidTakenError
from node.model.records import Conflict, StoredInstance
from node.model.states import Origin
from node.store.database import Database
from node.store.paths import INSTANCES
from node.store.rows import (
    conflict_of,
    conflict_values,
    instance_columns,
    instance_of,
    instance_values,
)
from node.store.tables import conflict, deletion, instance

PAGE: Final = 200


class Instances:
    """The owner of tables ``instance``, ``conflict`` and ``deletion``.

    What takes a connection is part of a transaction that others begin.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, sop_instance_uid: str) -> StoredInstance | None:
        """Return one instance, received or derived, or its tombstone, or None."""
        with self._database.read() as connection:
            row = connection.execute(_INSTANCE, {"sop": sop_instance_uid}).one_or_none()
        return instance_of(row) if row is not None else None

    def of_series(
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
        with self._database.read() as connection:
            return [instance_of(row) for row in connection.execute(query)]

    def received_in(self, study_instance_uid: str) -> list[tuple[str, Path]]:
        """Return series and path of every instance of a study that was received and is here."""
        query = sa.select(instance.c.series_instance_uid, instance.c.path).where(
            instance.c.study_instance_uid == study_instance_uid,
            instance.c.origin == Origin.RECEIVED,
            instance.c.deleted_at.is_(None),
        )
        with self._database.read() as connection:
            return [(row.series_instance_uid, Path(row.path)) for row in connection.execute(query)]

    def conflicts(self, study_instance_uid: str) -> list[Conflict]:
        """Return what came to a study under a known UID with other bytes."""
        query = (
            sa.select(conflict)
            .where(conflict.c.study_instance_uid == study_instance_uid)
            .order_by(conflict.c.received_at)
        )
        with self._database.read() as connection:
            return [conflict_of(row) for row in connection.execute(query).mappings()]

    def conflict_path(self, sop_instance_uid: str, sha256: str) -> Path | None:
        """Return where other bytes of an instance are kept, relative to the storage root."""
        query = sa.select(conflict.c.path).where(
            conflict.c.sop_instance_uid == sop_instance_uid, conflict.c.sha256 == sha256
        )
        with self._database.read() as connection:
            path = connection.execute(query).scalar_one_or_none()
        return None if path is None else Path(path)

    def known(self, sop_instance_uids: Sequence[str]) -> dict[str, StoredInstance]:
        """Return the instances among these UIDs whose files have not been deleted."""
        query = sa.select(*instance_columns()).where(
            instance.c.sop_instance_uid.in_(sop_instance_uids), instance.c.deleted_at.is_(None)
        )
        with self._database.read() as connection:
            found = [instance_of(row) for row in connection.execute(query)]
        return {row.sop_instance_uid: row for row in found}

    def in_conflict(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Return which of these UIDs came with different bytes, too."""
        query = sa.select(conflict.c.sop_instance_uid).where(
            conflict.c.sop_instance_uid.in_(sop_instance_uids)
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def named_paths(self, study_instance_uid: str) -> set[str]:
        """Return the paths that rows name in a study's folder, relative to the storage root.

        Those of tombstones are among them: their files are about to be removed.
        """
        folder = f"{INSTANCES.as_posix()}/{study_instance_uid}/"
        with self._database.read() as connection:
            return {
                path
                for table in (instance, conflict, deletion)
                for path in connection.execute(
                    sa.select(table.c.path).where(
                        table.c.path.startswith(folder, autoescape=True)
                        if table is deletion
                        else table.c.study_instance_uid == study_instance_uid
                    )
                ).scalars()
            }

    def to_remove(self) -> list[Path]:
        """Return paths, relative to the storage root, whose files have to go."""
        with self._database.read() as connection:
            paths = connection.execute(sa.select(deletion.c.path).limit(PAGE)).scalars()
            return [Path(path) for path in paths]

    def mark_removed(self, paths: Collection[Path]) -> None:
        """Note that these files are gone."""
        with self._database.write() as connection:
            connection.execute(
                sa.delete(deletion).where(deletion.c.path.in_([path.as_posix() for path in paths]))
            )

    def add(self, connection: sa.Connection, stored: StoredInstance) -> bool:
        """Write the row of an instance unless its UID has one; tell whether it was written."""
        added = connection.execute(self._add, instance_values(stored))
        return added.one_or_none() is not None

    def known_as(self, connection: sa.Connection, sop_instance_uid: str) -> StoredInstance:
        """Return the row of a UID that has one."""
        return instance_of(connection.execute(_INSTANCE, {"sop": sop_instance_uid}).one())

    def is_judged(self, connection: sa.Connection, sop_instance_uid: str) -> bool:
        """Tell whether an instance belongs to a revision of its series."""
        query = sa.select(instance.c.revision).where(_is(sop_instance_uid))
        return connection.execute(query).scalar() is not None

    def keep_apart(self, connection: sa.Connection, stored: StoredInstance) -> None:
        """Write the row of other bytes that came under a known UID."""
        connection.execute(
            self._database.insert(conflict).on_conflict_do_nothing(), conflict_values(stored)
        )

    def move_to_series(self, connection: sa.Connection, sop_instance_uid: str, key: str) -> None:
        """Give an instance to another series of the catalog."""
        connection.execute(
            sa.update(instance).where(_is(sop_instance_uid)).values(series_instance_uid=key)
        )

    def see_again(self, connection: sa.Connection, stored: StoredInstance) -> None:
        """Let a repeat vouch: what an abort cut short, the retry completes."""
        connection.execute(
            sa.update(instance)
            .where(_is(stored.sop_instance_uid))
            .values(association_id=stored.association_id)
        )

    def revive(self, connection: sa.Connection, stored: StoredInstance, origin: Origin) -> None:
        """Make an instance of a tombstone: received anew, it waits for the next revision."""
        values = instance_values(stored) | {"origin": origin}
        if origin is Origin.RECEIVED:  # the same bytes: the series is the one it was of
            del values["series_instance_uid"]
            values["revision"] = None
        connection.execute(sa.update(instance).where(_is(stored.sop_instance_uid)).values(values))

    def assign(self, connection: sa.Connection, series_instance_uid: str, revision: int) -> None:
        """Give every received instance of a series that has no revision this one."""
        connection.execute(
            sa.update(instance)
            .where(
                instance.c.series_instance_uid == series_instance_uid,
                instance.c.revision.is_(None),
                instance.c.origin == Origin.RECEIVED,
            )
            .values(revision=revision)
        )

    def claim(self, connection: sa.Connection, stored: StoredInstance) -> None:
        """Write the row of a derived object, unless its UID names other bytes.

        Raises
        ------
        UidTakenError
            If it does.
        """
        row = instance_values(stored) | {"origin": Origin.DERIVED}
        # First, and then asked: a receiver may be writing the same UID at this moment.
        connection.execute(self._database.insert(instance).on_conflict_do_nothing(), row)
        known = self.known_as(connection, stored.sop_instance_uid)
        gone = known.origin is Origin.RECEIVED and known.deleted_at is not None
        if known.sha256 != stored.sha256 or gone:
            raise UidTakenError(stored.sop_instance_uid, f"were {known.origin}")
        if known.origin is Origin.DERIVED:
            connection.execute(sa.update(instance).where(_is(stored.sop_instance_uid)).values(row))
        # Made anew under the path it had: retention must not remove it any more.
        connection.execute(sa.delete(deletion).where(deletion.c.path == stored.path.as_posix()))

    def bury(
        self, connection: sa.Connection, members: Iterable[tuple[str, str]], now: float
    ) -> None:
        """Make tombstones of instances, and note their files as to be removed.

        Parameters
        ----------
        members : iterable of (str, str)
            SOP Instance UID and path of each; at least one.
        """
        buried = list(members)
        connection.execute(
            sa.update(instance)
            .where(instance.c.sop_instance_uid == sa.bindparam("sop"))
            .values(deleted_at=now),
            [{"sop": uid} for uid, _ in buried],
        )
        connection.execute(
            self._database.insert(deletion).on_conflict_do_nothing(),
            [{"path": path} for _, path in buried],
        )

    def take_place(
        self,
        connection: sa.Connection,
        sop_instance_uid: str,
        sha256: str,
        transfer_syntax_uid: str,
        now: float,
    ) -> StoredInstance:
        """Let other bytes take the place of the first ones; return the first ones.

        Those are kept apart in their turn, unless they were deleted. The instance is received
        from here on, and waits for the next revision of its series.
        """
        other = connection.execute(
            sa.select(conflict).where(*_other(sop_instance_uid, sha256))
        ).one()
        first = self.known_as(connection, sop_instance_uid)
        self.drop(connection, sop_instance_uid, sha256)
        if first.deleted_at is None:
            self.keep_apart(connection, first)
        connection.execute(
            sa.update(instance)
            .where(_is(sop_instance_uid))
            .values({name: other._mapping[name] for name in _SWAPPED})
            .values(
                transfer_syntax_uid=transfer_syntax_uid,
                received_at=now,
                association_id=None,
                revision=None,
                deleted_at=None,
                origin=Origin.RECEIVED,
            )
        )
        return first

    def drop(self, connection: sa.Connection, sop_instance_uid: str, sha256: str) -> None:
        """Forget other bytes of an instance."""
        connection.execute(sa.delete(conflict).where(*_other(sop_instance_uid, sha256)))

    @cached_property
    def _add(self) -> sa.Insert:
        """Made once: making it takes longer than SQLite takes to run it."""
        # RETURNING, for psycopg does not tell a row count here: every new instance would be a
        # repeated one, and never be counted in its series.
        insert = self._database.insert(instance).on_conflict_do_nothing()
        return insert.returning(instance.c.sop_instance_uid)


_INSTANCE = sa.select(*instance_columns()).where(
    instance.c.sop_instance_uid == sa.bindparam("sop")
)
_SWAPPED = ("path", "size", "sha256", "calling_ae")


def _is(sop_instance_uid: str) -> sa.ColumnElement[bool]:
    return instance.c.sop_instance_uid == sop_instance_uid


def _other(sop_instance_uid: str, sha256: str) -> list[sa.ColumnElement[bool]]:
    return [conflict.c.sop_instance_uid == sop_instance_uid, conflict.c.sha256 == sha256]

"""What the headers of each series say, kept in rows: searched and shown without reading a file.

A study has no row of its own: what it is called is what its series agree on (`node.views`), so
that there is no copy to go wrong when a series comes late, changes, or is deleted.
"""

import unicodedata
from dataclasses import asdict, replace
from typing import Any, Final

import sqlalchemy as sa

from node.model.headers import HeaderSnapshot
from node.store.database import Database
from node.store.rows import columns, record
from node.store.tables import series, series_header

FOLDED: Final = 1024
"""Characters of a folded text: taken apart, one of them may be several."""


def folded(name: str) -> str:
    """Return a text as it is searched: without case, accents and what parts its components.

    Databases fold case each in their own way, SQLite that of ASCII only; so it is done here.
    """
    apart = unicodedata.normalize("NFKD", name).casefold()
    bare = "".join(character for character in apart if not unicodedata.combining(character))
    return " ".join(
        "".join(" " if character in "^=," else character for character in bare).split()
    )


class Snapshots:
    """The owner of table ``series_header``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self, series_instance_uid: str, revision: int, snapshot: HeaderSnapshot, now: float
    ) -> None:
        """Keep what the headers of a revision say, in the place of what earlier ones said.

        Nothing is written of a series that was deleted meanwhile.
        """
        table = series_header
        alive = (
            sa.select(series.c.study_instance_uid)
            .where(
                series.c.series_instance_uid == series_instance_uid, series.c.deleted_at.is_(None)
            )
            .with_for_update()
        )
        with self._database.write() as connection:
            study = connection.execute(alive).scalar_one_or_none()
            if study is None:
                return
            row: dict[str, Any] = asdict(snapshot) | {
                "series_instance_uid": series_instance_uid,
                "study_instance_uid": study,
                "revision": revision,
                "taken_at": now,
                "differing": list(snapshot.differing),
                "patient_name_folded": folded(snapshot.patient_name or "")[:FOLDED] or None,
                "descriptions_folded": folded(_descriptions(snapshot))[: 2 * FOLDED] or None,
            }
            insert = self._database.insert(table)
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[table.c.series_instance_uid],
                    set_=row,
                    where=table.c.revision <= insert.excluded.revision,
                ),
                row,
            )

    def missing(self, limit: int) -> list[tuple[str, int]]:
        """Return series and last revision of what has no snapshot of that, the newest first."""
        query = (
            sa.select(series.c.series_instance_uid, series.c.revision)
            .outerjoin(
                series_header,
                series_header.c.series_instance_uid == series.c.series_instance_uid,
            )
            .where(
                series.c.deleted_at.is_(None),
                series.c.revision > sa.func.coalesce(series_header.c.revision, 0),
            )
            .order_by(series.c.last_instance_at.desc(), series.c.series_instance_uid)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [(row.series_instance_uid, row.revision) for row in connection.execute(query)]

    def of_series(self, series_instance_uid: str) -> HeaderSnapshot | None:
        """Return what the headers of a series said when it was settled last; None before that."""
        query = sa.select(*snapshot_columns()).where(
            series_header.c.series_instance_uid == series_instance_uid
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else snapshot_of(row)

    def forget(self, connection: sa.Connection, series_instance_uid: str) -> None:
        """Forget a series that is deleted, in the transaction that does it; its UIDs stay."""
        connection.execute(
            sa.delete(series_header).where(
                series_header.c.series_instance_uid == series_instance_uid
            )
        )


def _descriptions(snapshot: HeaderSnapshot) -> str:
    texts = (snapshot.study_description, snapshot.series_description, snapshot.protocol_name)
    return " ".join(part for part in texts if part)


def snapshot_columns() -> list[sa.Column[Any]]:
    """Return the columns that make a `HeaderSnapshot`."""
    return columns(HeaderSnapshot, series_header)


def snapshot_of(row: sa.Row[*tuple[Any, ...]]) -> HeaderSnapshot:
    """Return the record of a row that has `snapshot_columns`, whatever else it has."""
    snapshot = record(HeaderSnapshot, row)
    return replace(snapshot, differing=tuple(snapshot.differing))  # JSON knows lists

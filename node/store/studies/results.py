"""What was made of a series: which objects, when first, and whose UIDs were found taken."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent, particulars
from node.model.records import StoredInstance
from node.store.database import Database
from node.store.ledger import Ledger
from node.store.rows import instance_columns, instance_of
from node.store.studies.instances import Instances
from node.store.tables import derived, instance, result, series


@dataclass(frozen=True, slots=True)
class Making:
    """When something was made: seconds since the epoch, and the node's offset from UTC then."""

    at: float
    utc_offset_s: int


@dataclass(frozen=True, slots=True)
class ResultKey:
    """One revision of a series, and the weights that look at it."""

    series_instance_uid: str
    revision: int
    model_sha256: str


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What a result of one revision by one set of weights is made of besides the images.

    Attributes
    ----------
    series_made : Making
        That of the first result of the series.
    number : int
        How often its UIDs were found taken by other bytes.
    """

    made: Making
    series_made: Making
    number: int


class Results:
    """The owner of tables ``derived`` and ``result``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, instances
        Owners of what is written together with a result.
    """

    def __init__(self, database: Database, ledger: Ledger, instances: Instances) -> None:
        self._database = database
        self._ledger = ledger
        self._instances = instances

    def begin(self, key: ResultKey, now: Making) -> ResultRow:
        """Return the row of a result, made now where there is none: a repeat has the first's."""
        row = {
            "series_instance_uid": key.series_instance_uid,
            "revision": key.revision,
            "model_sha256": key.model_sha256,
            "made_at": now.at,
            "utc_offset_s": now.utc_offset_s,
            "edition": 0,
        }
        first = (
            sa.select(result.c.made_at, result.c.utc_offset_s)
            .where(result.c.series_instance_uid == key.series_instance_uid)
            .order_by(result.c.revision, result.c.made_at, result.c.model_sha256)
            .limit(1)
        )
        with self._database.write() as connection:
            connection.execute(self._database.insert(result).on_conflict_do_nothing(), row)
            kept = connection.execute(sa.select(result).where(*_of_key(key))).one()
            began = connection.execute(first).one()
        return ResultRow(
            Making(kept.made_at, kept.utc_offset_s),
            Making(began.made_at, began.utc_offset_s),
            kept.edition,
        )

    def next_edition(self, key: ResultKey, number: int, uid: str, now: Making) -> None:
        """Note that a UID of an edition is taken, and tell the ledger; twice is once.

        Parameters
        ----------
        uid : str
            The SOP Instance UID that names other bytes.
        """
        edition = {
            "edition": number + 1,
            "made_at": now.at,
            "utc_offset_s": now.utc_offset_s,
        }
        with self._database.write() as connection:
            moved = connection.execute(
                sa.update(result)
                .where(*_of_key(key), result.c.edition == number)
                .values(edition)
                .returning(result.c.edition)
            ).one_or_none()
            study = connection.execute(_STUDY_OF, {"uid": key.series_instance_uid}).scalar()
            if moved is None or study is None:
                return
            detail = {"revision": key.revision, "edition": number + 1}
            self._ledger.tell(
                connection, [LedgerEvent(EventKind.UID_TAKEN, study, uid, detail)], now.at
            )

    def put(
        self,
        source_series_uid: str,
        revision: int,
        made: Mapping[str, StoredInstance],
        now: float,
    ) -> None:
        """Note the objects made from one revision of a series, by kind: all of them, or none.

        The same bytes again are the same objects; others take the place of those noted before.

        Raises
        ------
        UidTakenError
            If the UID of one names other bytes, received or made: nothing is changed.
        """
        with self._database.write() as connection:
            for kind, stored in made.items():
                self._instances.claim(connection, stored)
                row = {
                    "source_series_uid": source_series_uid,
                    "revision": revision,
                    "kind": kind,
                    "sop_instance_uid": stored.sop_instance_uid,
                    "created_at": now,
                }
                key = [derived.c.source_series_uid, derived.c.revision, derived.c.kind]
                connection.execute(
                    self._database.insert(derived).on_conflict_do_update(
                        index_elements=key, set_=row
                    ),
                    row,
                )
            entries = [
                LedgerEvent(
                    EventKind.DERIVED,
                    stored.study_instance_uid,
                    stored.sop_instance_uid,
                    {"kind": kind, "revision": revision, "of": source_series_uid}
                    | particulars(stored),
                )
                for kind, stored in made.items()
            ]
            self._ledger.tell(connection, entries, now)

    def of_series(
        self, source_series_uid: str, revision: int | None = None
    ) -> list[tuple[str, StoredInstance]]:
        """Return (kind, instance) made from one revision, by default the latest with any."""
        of_series = derived.c.source_series_uid == source_series_uid
        wanted = (
            revision
            if revision is not None
            else sa.select(sa.func.max(derived.c.revision)).where(of_series).scalar_subquery()
        )
        query = (
            sa.select(*instance_columns(), derived.c.kind)
            .join(derived, derived.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(of_series, derived.c.revision == wanted, instance.c.deleted_at.is_(None))
            .order_by(derived.c.kind)
        )
        with self._database.read() as connection:
            return [(row.kind, instance_of(row)) for row in connection.execute(query)]


_STUDY_OF = sa.select(series.c.study_instance_uid).where(
    series.c.series_instance_uid == sa.bindparam("uid")
)


def _of_key(key: ResultKey) -> list[sa.ColumnElement[bool]]:
    return [
        result.c.series_instance_uid == key.series_instance_uid,
        result.c.revision == key.revision,
        result.c.model_sha256 == key.model_sha256,
    ]

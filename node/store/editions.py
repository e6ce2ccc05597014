"""When each result was made first, and how often its UIDs were found taken."""

from dataclasses import dataclass

import sqlalchemy as sa

from node.store.ledger import Happening, Ledger
from node.store.tables import result, series


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


class Editions(Ledger):
    """The catalog as whoever dates and names a result sees it."""

    def begin_result(self, key: ResultKey, now: Making) -> ResultRow:
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
        with self._write() as connection:
            connection.execute(self._insert(result).on_conflict_do_nothing(), row)
            kept = connection.execute(sa.select(result).where(*_one(key))).one()
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
        with self._write() as connection:
            moved = connection.execute(
                sa.update(result)
                .where(*_one(key), result.c.edition == number)
                .values(edition)
                .returning(result.c.edition)
            ).one_or_none()
            study = connection.execute(_STUDY_OF, {"uid": key.series_instance_uid}).scalar()
            if moved is None or study is None:
                return
            detail = {"revision": key.revision, "edition": number + 1}
            self._tell(connection, [Happening("uid taken", study, uid, detail)], now.at)


_STUDY_OF = sa.select(series.c.study_instance_uid).where(
    series.c.series_instance_uid == sa.bindparam("uid")
)


def _one(key: ResultKey) -> list[sa.ColumnElement[bool]]:
    return [
        result.c.series_instance_uid == key.series_instance_uid,
        result.c.revision == key.revision,
        result.c.model_sha256 == key.model_sha256,
    ]

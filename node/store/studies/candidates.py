"""Which series can be run again: read by whoever orders that."""

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from node.model.states import REVISION_AGAIN
from node.store.database import Database
from node.store.tables import revision, series

Standing = Literal["through", "in work", "coming in", "deleted"]
"""Only what is through can be run again."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series with its last revision, and whether that can be run again."""

    study_instance_uid: str
    series_instance_uid: str
    revision: int
    standing: Standing


class Candidates:
    """Reads of tables ``series`` and ``revision`` which series can be run again.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def named(self, uid: str | None, since: float | None = None) -> list[Candidate]:
        """Return the series that a UID names, of a study or series, and that changed since.

        Parameters
        ----------
        since
            Seconds since the epoch: of the last instance that came.
        """
        query = (
            sa.select(series, revision.c.state)
            .outerjoin(
                revision,
                (revision.c.series_instance_uid == series.c.series_instance_uid)
                & (revision.c.revision == series.c.revision),
            )
            .order_by(series.c.first_instance_at, series.c.series_instance_uid)
        )
        if uid is not None:
            query = query.where(
                sa.or_(
                    series.c.series_instance_uid == uid,
                    series.c.received_uid == uid,
                    series.c.study_instance_uid == uid,
                )
            )
        if since is not None:
            query = query.where(series.c.last_instance_at >= since)
        with self._database.read() as connection:
            return [
                Candidate(
                    row.study_instance_uid, row.series_instance_uid, row.revision, _standing(row)
                )
                for row in connection.execute(query)
            ]


def _standing(row: sa.Row[Any]) -> Standing:
    if row.deleted_at is not None:
        return "deleted"
    if row.unsettled or row.state is None:
        return "coming in"
    return "through" if row.state in REVISION_AGAIN.of else "in work"

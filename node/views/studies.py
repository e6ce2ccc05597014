"""The list of studies: a page of it, newest first, whatever there is."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.model.headers import StudyHeader, study_header
from node.store.database import Database
from node.store.studies.snapshots import snapshot_columns, snapshot_of
from node.store.tables import instance, series, series_header
from node.views.counts import InstanceCount, count_of, counting
from node.views.filters import StudyFilter, conditions
from node.views.standing import shown_of, standing_in
from node.views.state import StudyState, study_state

MOST: Final = 500
"""Studies of one page."""

_ANY: Final = StudyFilter()
_CURSOR: Final = re.compile(r"([0-9]{1,20}(?:[.][0-9]{1,20})?)/([0-9.]{1,64})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last study of a page: the next one goes on behind it, whatever came meanwhile."""

    last_instance_at: float
    study_instance_uid: str

    def __str__(self) -> str:
        return f"{self.last_instance_at!r}/{self.study_instance_uid}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor that a page showed.

        Parameters
        ----------
        text : str
            As ``str`` of a cursor writes it.

        Returns
        -------
        Cursor

        Raises
        ------
        ValueError
            If it is none.
        """
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise ValueError("expected a moment and a Study Instance UID, as the list showed them")
        return cls(float(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study; times are seconds since the epoch.

    Attributes
    ----------
    header : StudyHeader
        Empty until its first series has settled.
    counts : tuple of InstanceCount
        Of every instance, received or derived, that was to go somewhere.
    """

    study_instance_uid: str
    state: StudyState
    series_count: int
    instance_count: int
    last_instance_at: float
    header: StudyHeader
    counts: tuple[InstanceCount, ...]

    @property
    def cursor(self) -> Cursor:
        """Where the list goes on behind it."""
        return Cursor(self.last_instance_at, self.study_instance_uid)


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Some studies, of how many there are, and where the list goes on (None at its end)."""

    studies: tuple[StudyRow, ...]
    total: int
    after: Cursor | None


_last: Final = sa.func.max(series.c.last_instance_at)
_here: Final = sa.func.count().filter(series.c.deleted_at.is_(None))


def page_of_studies(
    database: Database, wanted: StudyFilter = _ANY, limit: int = 50, after: Cursor | None = None
) -> StudyPage:
    """Return a page of the studies that are wanted, the one that changed last first.

    Four queries, however many studies there are or are shown.

    Parameters
    ----------
    database : Database
        Of the catalog.
    wanted : StudyFilter
        What narrows the list; nothing: every study.
    limit : int
        At most `MOST`.
    after : Cursor, optional
        The last study of the page before.

    Returns
    -------
    StudyPage
        The rows, and the cursor of the next page where there is one.
    """
    limit = max(1, min(limit, MOST))
    with database.read() as connection:
        rows = connection.execute(_page(wanted, limit + 1, after)).all()
        total = rows[0].total
        rows = [row for row in rows if row.study_instance_uid is not None]
        uids = [row.study_instance_uid for row in rows[:limit]]
        shown = _by_study(connection.execute(shown_of(uids)))
        headers = _by_study(connection.execute(_headers(uids)))
        counts = _by_study(connection.execute(_counts(uids)))
    studies = tuple(
        StudyRow(
            study_instance_uid=(uid := row.study_instance_uid),
            state=study_state({StudyState(found.state) for found in shown[uid]}, bool(row.here)),
            series_count=row.series_count,
            instance_count=row.instance_count,
            last_instance_at=row.last_instance_at,
            header=study_header([snapshot_of(found) for found in headers[uid]]),
            counts=tuple(count_of(found) for found in counts[uid]),
        )
        for row in rows[:limit]
    )
    return StudyPage(studies, total, studies[-1].cursor if len(rows) > limit else None)


def count_unread(database: Database) -> int:
    """Return how many series have no header kept: they come in, or were settled long ago.

    A search of headers does not find them yet.

    Parameters
    ----------
    database : Database
        Of the catalog.

    Returns
    -------
    int
    """
    query = (
        sa.select(sa.func.count())
        .select_from(series)
        .outerjoin(
            series_header, series_header.c.series_instance_uid == series.c.series_instance_uid
        )
        .where(series.c.deleted_at.is_(None), series_header.c.series_instance_uid.is_(None))
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def _found(wanted: StudyFilter) -> sa.Select[Any]:
    study = series.c.study_instance_uid
    query = (
        sa.select(
            study,
            sa.func.count().label("series_count"),
            sa.func.sum(series.c.instance_count).label("instance_count"),
            _last.label("last_instance_at"),
            _here.label("here"),
        )
        .where(*conditions(wanted, study))
        .group_by(study)
    )
    if wanted.states:
        query = query.having(standing_in(study, _here > 0, wanted.states))
    if wanted.since is not None:
        query = query.having(_last >= wanted.since)
    if wanted.until is not None:
        query = query.having(_last <= wanted.until)
    return query


def _page(wanted: StudyFilter, limit: int, after: Cursor | None) -> sa.Select[Any]:
    """Return the query for some studies, and with each how many there are.

    What is wanted is looked for once, for both: of a destination that gets everything, every
    instance there is has to be read. Where the list is at its end, one row says the number alone.
    """
    found = _found(wanted).cte("found")
    total = sa.select(sa.func.count().label("total")).select_from(found).subquery()
    page = sa.select(found).limit(limit).order_by(*_newest_first(found))
    if after is not None:
        page = page.where(_behind(found, after))
    shown = page.subquery("page")
    return (
        sa.select(total.c.total, shown)
        .select_from(total.outerjoin(shown, sa.true()))
        .order_by(*_newest_first(shown))
    )


def _newest_first(study: sa.FromClause) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    return study.c.last_instance_at.desc(), study.c.study_instance_uid.desc()


def _behind(study: sa.FromClause, after: Cursor) -> sa.ColumnElement[bool]:
    return sa.or_(
        study.c.last_instance_at < after.last_instance_at,
        sa.and_(
            study.c.last_instance_at == after.last_instance_at,
            study.c.study_instance_uid < after.study_instance_uid,
        ),
    )


def _headers(uids: Sequence[str]) -> sa.Select[Any]:
    return sa.select(series_header.c.study_instance_uid, *snapshot_columns()).where(
        series_header.c.study_instance_uid.in_(uids)
    )


def _counts(uids: Sequence[str]) -> sa.Select[Any]:
    return counting(instance.c.study_instance_uid).where(instance.c.study_instance_uid.in_(uids))


def _by_study(rows: sa.CursorResult[Any]) -> defaultdict[str, list[sa.Row[Any]]]:
    found: defaultdict[str, list[sa.Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.study_instance_uid].append(row)
    return found

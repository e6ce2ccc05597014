"""Series and their revisions: what is coming in, what was judged whole, what became of it."""

from typing import Any

import sqlalchemy as sa

from node.model.failures import FailureKind
from node.model.records import Revision, SeriesProgress, SeriesSummary, StudySummary
from node.model.states import RevisionState
from node.store.database import Database
from node.store.tables import association, instance, revision, series


class Revisions(Database):
    """The catalog as the sweep and the status table see it."""

    def unsettled(self) -> list[SeriesProgress]:
        """Return every series with instances newer than its last revision."""
        with self._read() as connection:
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

    def settle(
        self,
        series_instance_uid: str,
        evidence: dict[str, Any],
        now: float,
        judged: int | None = None,
    ) -> int | None:
        """Make the next revision, state "complete", of all instances recorded by now.

        Parameters
        ----------
        judged
            How many instances of the series the evidence is about.

        Returns
        -------
        int or None
            The number of the revision; where nothing new has come, that of the last one. None
            where an instance has come since the series was judged: judge it again.

        Raises
        ------
        StoreError
            If the series is not in the catalog.
        """
        of_series = series.c.series_instance_uid == series_instance_uid
        with self._write() as connection:
            row = connection.execute(sa.select(series).where(of_series)).one()
            if not row.unsettled:
                return int(row.revision)
            if judged is not None and row.instance_count != judged:
                return None
            number = int(row.revision) + 1
            connection.execute(
                sa.insert(revision).values(
                    series_instance_uid=series_instance_uid,
                    revision=number,
                    state="complete",
                    reason="",
                    evidence=evidence,
                    completed_at=now,
                    instance_count=row.instance_count,
                )
            )
            connection.execute(
                sa.update(instance)
                .where(
                    instance.c.series_instance_uid == series_instance_uid,
                    instance.c.revision.is_(None),
                    instance.c.origin == "received",
                )
                .values(revision=number)
            )
            connection.execute(
                sa.update(series).where(of_series).values(revision=number, unsettled=False)
            )
            return number

    def unqueued(self) -> list[tuple[str, int]]:
        """Return the revisions that no workflow has been enqueued for, oldest first."""
        query = (
            sa.select(revision.c.series_instance_uid, revision.c.revision)
            .where(revision.c.state == "complete")
            .order_by(revision.c.completed_at)
        )
        with self._read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def mark_queued(self, series_instance_uid: str, number: int) -> None:
        """Note that the workflow of a complete revision is enqueued."""
        with self._write() as connection:
            connection.execute(
                _one(series_instance_uid, number)
                .where(revision.c.state == "complete")
                .values(state="queued")
            )

    def queued_since(self, moment: float) -> list[tuple[str, int]]:
        """Return the revisions that were made before a moment and are queued or worked on."""
        query = sa.select(revision.c.series_instance_uid, revision.c.revision).where(
            revision.c.state == "queued", revision.c.completed_at < moment
        )
        with self._read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def queue_again(self, series_instance_uid: str, number: int) -> None:
        """Put a revision whose job is gone back to where it was complete."""
        with self._write() as connection:
            connection.execute(
                _one(series_instance_uid, number)
                .where(revision.c.state == "queued")
                .values(state="complete", reason="")
            )

    def finish(
        self,
        series_instance_uid: str,
        number: int,
        state: RevisionState,
        reason: str = "",
        kind: FailureKind | None = None,
    ) -> None:
        """Note how a revision ended: "done", or "unusable" with the reason.

        Parameters
        ----------
        kind : FailureKind or None
            What went wrong; None where the series is what it is.
        """
        ended: dict[str, Any] = {"state": state, "reason": reason, "failure_kind": kind}
        if state != "queued":
            ended |= {"send_again": False}  # it was, in this round
        with self._write() as connection:
            connection.execute(_one(series_instance_uid, number).values(ended))

    def revisions(self, series_instance_uid: str) -> list[Revision]:
        """Return the revisions of a series, first to last."""
        query = (
            sa.select(revision)
            .where(revision.c.series_instance_uid == series_instance_uid)
            .order_by(revision.c.revision)
        )
        with self._read() as connection:
            return [Revision(**row._mapping) for row in connection.execute(query)]

    def studies(self) -> list[StudySummary]:
        """Return every study, the one that changed last first."""
        last = sa.func.max(series.c.last_instance_at)
        query = (
            sa.select(
                series.c.study_instance_uid,
                sa.func.count().label("series_count"),
                sa.func.sum(series.c.instance_count).label("instance_count"),
                last.label("last_instance_at"),
            )
            .group_by(series.c.study_instance_uid)
            .order_by(last.desc())
        )
        with self._read() as connection:
            return [StudySummary(*row) for row in connection.execute(query)]

    def study_of(self, series_instance_uid: str) -> str:
        """Return the study of a series that was received, also where its files were deleted."""
        query = sa.select(series.c.study_instance_uid).where(
            series.c.series_instance_uid == series_instance_uid
        )
        with self._read() as connection:
            return str(connection.execute(query).scalar_one())

    def received_uid(self, series_instance_uid: str) -> str:
        """Return the Series Instance UID of a series as its images have it, given its key."""
        query = sa.select(series.c.received_uid).where(
            series.c.series_instance_uid == series_instance_uid
        )
        with self._read() as connection:
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
        with self._read() as connection:
            return [_summary_of(row) for row in connection.execute(query)]


def _one(series_instance_uid: str, number: int) -> sa.Update:
    """Return an UPDATE of one revision."""
    return sa.update(revision).where(
        revision.c.series_instance_uid == series_instance_uid, revision.c.revision == number
    )


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
    .where(series.c.unsettled, instance.c.revision.is_(None), instance.c.origin == "received")
    .group_by(
        series.c.series_instance_uid,
        series.c.study_instance_uid,
        series.c.revision,
        series.c.instance_count,
    )
    .order_by(sa.func.min(instance.c.received_at))
)

"""Revisions: what was judged whole, what became of it, and what is run again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.failures import FailureKind
from node.model.records import Revision
from node.model.states import (
    REVISION_AGAIN,
    REVISION_DONE,
    REVISION_LOST,
    REVISION_QUEUED,
    REVISION_REPLAYED,
    REVISION_ROUTED,
    REVISION_UNUSABLE,
    Move,
    RevisionState,
)
from node.store.database import Database
from node.store.ledger import Ledger
from node.store.studies.instances import Instances
from node.store.studies.series import Studies
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


_ENDS: Final = {
    RevisionState.QUEUED: REVISION_ROUTED,
    RevisionState.DONE: REVISION_DONE,
    RevisionState.UNUSABLE: REVISION_UNUSABLE,
}


class Revisions:
    """The owner of table ``revision``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, instances, studies
        Owners of what is written together with a revision.
    """

    def __init__(
        self, database: Database, ledger: Ledger, instances: Instances, studies: Studies
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._instances = instances
        self._studies = studies

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
        # Locked first: who records an instance writes that, and then waits here with its series,
        # or is waited for. Else one that comes meanwhile would be in no revision, and go nowhere.
        row_of_series = (
            sa.select(series)
            .where(series.c.series_instance_uid == series_instance_uid)
            .with_for_update()
        )
        with self._database.write() as connection:
            row = connection.execute(row_of_series).one()
            if not row.unsettled:
                return int(row.revision)
            if judged is not None and row.instance_count != judged:
                return None
            number = int(row.revision) + 1
            connection.execute(
                sa.insert(revision).values(
                    series_instance_uid=series_instance_uid,
                    revision=number,
                    state=RevisionState.COMPLETE,
                    reason="",
                    evidence=evidence,
                    completed_at=now,
                    instance_count=row.instance_count,
                )
            )
            self._instances.assign(connection, series_instance_uid, number)
            self._studies.settled(connection, series_instance_uid, number)
            return number

    def unqueued(self) -> list[tuple[str, int]]:
        """Return the revisions that no workflow has been enqueued for, oldest first."""
        query = (
            sa.select(revision.c.series_instance_uid, revision.c.revision)
            .where(revision.c.state == RevisionState.COMPLETE)
            .order_by(revision.c.completed_at)
        )
        with self._database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def mark_queued(self, series_instance_uid: str, number: int) -> None:
        """Note that the workflow of a complete revision is enqueued."""
        with self._database.write() as connection:
            connection.execute(_moved(series_instance_uid, number, REVISION_QUEUED))

    def queued_since(self, moment: float) -> list[tuple[str, int]]:
        """Return the revisions that were made before a moment and are queued or worked on."""
        query = sa.select(revision.c.series_instance_uid, revision.c.revision).where(
            revision.c.state == RevisionState.QUEUED, revision.c.completed_at < moment
        )
        with self._database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def queue_again(self, series_instance_uid: str, number: int) -> None:
        """Put a revision whose job is gone back to where it was complete."""
        with self._database.write() as connection:
            connection.execute(
                _moved(series_instance_uid, number, REVISION_LOST).values(reason="")
            )

    def finish(
        self,
        series_instance_uid: str,
        number: int,
        state: RevisionState,
        reason: str = "",
        kind: FailureKind | None = None,
    ) -> None:
        """Note how a revision ended, or with "queued" that its segmentation follows.

        Parameters
        ----------
        kind : FailureKind or None
            What went wrong; None where the series is what it is.
        """
        ended: dict[str, Any] = {"reason": reason, "failure_kind": kind}
        if state is not RevisionState.QUEUED:
            ended |= {"send_again": False}  # it was, in this round
        with self._database.write() as connection:
            connection.execute(_moved(series_instance_uid, number, _ENDS[state]).values(ended))

    def of_series(self, series_instance_uid: str) -> list[Revision]:
        """Return the revisions of a series, first to last."""
        query = (
            sa.select(revision)
            .where(revision.c.series_instance_uid == series_instance_uid)
            .order_by(revision.c.revision)
        )
        with self._database.read() as connection:
            return [Revision(**row._mapping) for row in connection.execute(query)]

    def candidates(self, uid: str | None, since: float | None = None) -> list[Candidate]:
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

    def is_sent_again(self, series_instance_uid: str, number: int) -> bool:
        """Tell whether what a revision delivered before is to be sent again in this round."""
        query = sa.select(revision.c.send_again).where(*_of(series_instance_uid, number))
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar())

    def put_judged(self, series_instance_uid: str, detail: Mapping[str, Any], now: float) -> None:
        """Note in the ledger what the rules said of instances of a series."""
        with self._database.write() as connection:
            query = sa.select(series.c.study_instance_uid).where(
                series.c.series_instance_uid == series_instance_uid
            )
            study = connection.execute(query).scalar_one()
            entry = LedgerEvent(EventKind.JUDGED, study, series_instance_uid, detail)
            self._ledger.tell(connection, [entry], now)

    def begin_again(
        self,
        connection: sa.Connection,
        series_instance_uid: str,
        number: int,
        *,
        send_again: bool,
    ) -> int | None:
        """Put a revision that is through back to where it was complete, as a new round.

        Returns
        -------
        int or None
            How many rounds were counted; None where it is in work, and nothing is changed.
        """
        begun = connection.execute(
            _moved(series_instance_uid, number, REVISION_AGAIN)
            .values(
                reason="",
                failure_kind=None,
                rounds=revision.c.rounds + 1,
                send_again=send_again,
            )
            .returning(revision.c.rounds)
        ).one_or_none()
        return None if begun is None else int(begun.rounds)

    def replay(self, connection: sa.Connection, series_instance_uid: str, number: int) -> None:
        """Put a revision that was held back to where it was complete, whatever it is at."""
        connection.execute(
            _moved(series_instance_uid, number, REVISION_REPLAYED).values(
                reason="", failure_kind=None
            )
        )


def _standing(row: sa.Row[Any]) -> Standing:
    if row.deleted_at is not None:
        return "deleted"
    if row.unsettled or row.state is None:
        return "coming in"
    return "through" if row.state in REVISION_AGAIN.of else "in work"


def _of(series_instance_uid: str, number: int) -> Sequence[sa.ColumnElement[bool]]:
    return [revision.c.series_instance_uid == series_instance_uid, revision.c.revision == number]


def _moved(series_instance_uid: str, number: int, move: Move[RevisionState]) -> sa.Update:
    """Return an UPDATE of one revision that stands where a move begins."""
    return (
        sa.update(revision)
        .where(*_of(series_instance_uid, number), revision.c.state.in_(move.of))
        .values(state=move.to)
    )


def went_wrong() -> list[sa.ColumnElement[bool]]:
    """Select revisions that ended as somebody ought to look at."""
    return [revision.c.state == RevisionState.UNUSABLE, revision.c.failure_kind.is_not(None)]

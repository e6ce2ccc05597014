"""Revisions: what was judged whole, what became of it, and that it is run again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.model.failures import FailureKind
from node.model.keys import RevisionKey
from node.model.records import Revision
from node.model.states import (
    REVISION_AGAIN,
    REVISION_DONE,
    REVISION_REPLAYED,
    REVISION_ROUTED,
    REVISION_UNUSABLE,
    Move,
    RevisionState,
)
from node.model.work import (
    SegmentationPlan,
    Task,
    WorkKind,
    recognition_of,
    segmentation_of,
)
from node.store.database import Database
from node.store.studies.instances import Instances
from node.store.studies.series import Studies
from node.store.studies.summaries import Summaries
from node.store.tables import revision, series
from node.store.work.work import Work


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work on a revision ended.

    Attributes
    ----------
    kind : FailureKind or None
        What went wrong; None where the series is what it is.
    segmentation : SegmentationPlan or None
        What follows: only where the state is "queued".
    summary_to : mapping of str to bool, or None
        Destinations that are to have the study's summary because of it, and whether that is
        urgent; None leaves what was said before.
    """

    state: RevisionState
    reason: str = ""
    kind: FailureKind | None = None
    segmentation: SegmentationPlan | None = None
    summary_to: Mapping[str, bool] | None = None


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
    instances, studies, summaries, work
        Owners of what is written together with a revision.
    """

    def __init__(
        self,
        database: Database,
        instances: Instances,
        studies: Studies,
        summaries: Summaries,
        work: Work,
    ) -> None:
        self._database = database
        self._summaries = summaries
        self._work = work
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

        To recognise it is due with that, in one transaction.

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
            self._work.add(connection, recognition_of(RevisionKey(series_instance_uid, number)))
            return number

    def finish(
        self,
        series_instance_uid: str,
        number: int,
        state: RevisionState,
        reason: str = "",
        kind: FailureKind | None = None,
    ) -> None:
        """Note how a revision ended that nothing is at; see `end`.

        Parameters
        ----------
        kind : FailureKind or None
            What went wrong; None where the series is what it is.
        """
        key, ending = RevisionKey(series_instance_uid, number), Ending(state, reason, kind)
        with self._database.write() as connection:
            connection.execute(_ended(key, ending))

    def end(self, task: Task, ending: Ending) -> bool:
        """Note how the work on a revision ended; tell whether it was ours to say.

        That it is done, what the revision is now, that its segmentation is due, and the summary
        of its study: all of it, or nothing, where the revision is run again since, or by somebody
        else.
        """
        with self._database.write() as connection:
            return self.end_in(connection, task, ending)

    def end_in(self, connection: sa.Connection, task: Task, ending: Ending) -> bool:
        """Note within a transaction how the work on a revision ended."""
        key = RevisionKey.parse(task.key)
        recognised = task.kind is WorkKind.RECOGNISE
        study = self._summaries.lock_study(connection, key.series) if recognised else None
        # The row of the revision before its work, as whoever has it run again: else the two would
        # wait for each other.
        locked = sa.select(revision.c.send_again).where(*_of(key.series, key.number))
        send_again = bool(connection.execute(locked.with_for_update()).scalar())
        if not self._work.done_in(connection, task):
            return False
        connection.execute(_ended(key, ending))
        if ending.segmentation is not None:
            plan = ending.segmentation.as_json()
            self._work.add(connection, segmentation_of(key), detail=plan)
        if study is not None:
            self._summaries.let_be_due(connection, study, send_again=send_again)
        return True

    def of_series(self, series_instance_uid: str) -> list[Revision]:
        """Return the revisions of a series, first to last."""
        query = (
            sa.select(revision)
            .where(revision.c.series_instance_uid == series_instance_uid)
            .order_by(revision.c.revision)
        )
        with self._database.read() as connection:
            return [Revision(**row._mapping) for row in connection.execute(query)]

    def is_sent_again(self, series_instance_uid: str, number: int) -> bool:
        """Tell whether what a revision delivered before is to be sent again in this round."""
        query = sa.select(revision.c.send_again).where(*_of(series_instance_uid, number))
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar())

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
        if begun is None:
            return None
        self._run_again(connection, series_instance_uid, number)
        return int(begun.rounds)

    def replay(self, connection: sa.Connection, series_instance_uid: str, number: int) -> None:
        """Put a revision that was held back to where it was complete, whatever it is at."""
        connection.execute(
            _moved(series_instance_uid, number, REVISION_REPLAYED).values(
                reason="", failure_kind=None
            )
        )
        self._run_again(connection, series_instance_uid, number)

    def _run_again(self, connection: sa.Connection, series_instance_uid: str, number: int) -> None:
        """Let a revision be recognised from the beginning; whoever is at it is stale."""
        key = RevisionKey(series_instance_uid, number)
        self._work.restart(connection, recognition_of(key))
        self._work.empty(connection, segmentation_of(key))


def _of(series_instance_uid: str, number: int) -> Sequence[sa.ColumnElement[bool]]:
    return [revision.c.series_instance_uid == series_instance_uid, revision.c.revision == number]


def _ended(key: RevisionKey, ending: Ending) -> sa.Update:
    """Return the UPDATE of one revision that says how it ended."""
    ended: dict[str, Any] = {"reason": ending.reason, "failure_kind": ending.kind}
    if ending.state is not RevisionState.QUEUED:
        ended |= {"send_again": False}  # it was, in this round
    if ending.summary_to is not None:
        ended |= {"summary_to": dict(ending.summary_to)}
    return _moved(key.series, key.number, _ENDS[ending.state]).values(ended)


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

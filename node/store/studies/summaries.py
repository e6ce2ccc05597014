"""Reports of what was recognised of a study: when each is due, which there are, what of them.

A report is due as soon as no series of its study is open: in the transaction that ends the last
recognition, so that nothing has to look for it.
"""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent, particulars
from node.model.records import StoredInstance
from node.model.summary import RecognisedStudy
from node.model.work import Task, summary_of
from node.store.database import Database
from node.store.ledger import Ledger
from node.store.rows import instance_columns, instance_of
from node.store.studies.instances import Instances
from node.store.studies.recognised import is_to_be_told, recognised_study
from node.store.studies.results import Making
from node.store.tables import instance, series, summary
from node.store.work.work import Work

KIND: Final = "summary"
"""What the ledger and `radnode status` call it."""

SEND_AGAIN: Final = "send_again"
"""In the detail of the work: what was delivered before is to be sent once more."""


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One report of a study.

    Attributes
    ----------
    number : int
        From 1 on; each supersedes the one before.
    content_sha256 : str
        Of what it tells, as `RecognisedStudy.sha256` says.
    series_made : Making
        That of the first report of the study.
    edition : int
        How often its UID was found taken by other bytes.
    sop_instance_uid : str or None
        None until it is kept.
    """

    number: int
    content_sha256: str
    made: Making
    series_made: Making
    edition: int
    sop_instance_uid: str | None


class Summaries:
    """The owner of table ``summary``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, instances, work
        Owners of what is written together with a report.
    """

    def __init__(
        self, database: Database, ledger: Ledger, instances: Instances, work: Work
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._instances = instances
        self._work = work

    def lock_study(self, connection: sa.Connection, series_instance_uid: str) -> str | None:
        """Let others who end a recognition in the study of a series wait; return that study.

        Of two that end at the same time each would find the other's series open, and nobody
        would let the report be due.
        """
        own = sa.select(series.c.study_instance_uid).where(
            series.c.series_instance_uid == series_instance_uid
        )
        study = connection.execute(own).scalar()
        if study is not None:
            locked = sa.select(series.c.series_instance_uid).where(
                series.c.study_instance_uid == study
            )
            in_order = locked.order_by(series.c.series_instance_uid).with_for_update()
            connection.execute(in_order).all()
        return study

    def let_be_due(
        self, connection: sa.Connection, study_instance_uid: str, *, send_again: bool
    ) -> None:
        """Let a report be written if somebody wants one and nothing of the study is open.

        Parameters
        ----------
        send_again : bool
            An operator wants what was delivered before to be sent once more.
        """
        if is_to_be_told(connection, study_instance_uid):
            detail = {SEND_AGAIN: send_again}
            if send_again:
                self._work.tell(connection, summary_of(study_instance_uid), detail)
            self._work.add(connection, summary_of(study_instance_uid), detail=detail)

    def recognised(self, study_instance_uid: str) -> RecognisedStudy:
        """Return what was recognised of a study."""
        with self._database.read() as connection:
            return recognised_study(connection, study_instance_uid)

    def end(self, task: Task, seen: RecognisedStudy) -> None:
        """Note that a report tells what was seen.

        Where it is another by now, or was to be sent again meanwhile, it is due again.
        """
        with self._database.write() as connection:
            # Locked first: who ends a recognition waits, and then lets the report be due again.
            detail = self._work.held_detail(connection, task)
            if detail is None:
                return
            now = recognised_study(connection, task.key)
            is_told = now == seen and detail == task.detail
            if is_told or now.is_open:  # open: the end of that lets it be due
                self._work.done_in(connection, task)
            else:
                self._work.later_in(connection, task, 0.0, attempts=0)

    def begin(self, study_instance_uid: str, content_sha256: str, now: Making) -> SummaryRow:
        """Return the row of the report that tells this, made now where the last tells other.

        A repeat has the first one's. A row of which no object was kept is used for what is to be
        told now: nobody was told of it.
        """
        values = {
            "content_sha256": content_sha256,
            "made_at": now.at,
            "utc_offset_s": now.utc_offset_s,
            "edition": 0,
        }
        with self._database.write() as connection:
            last = connection.execute(_LAST, {"study": study_instance_uid}).one_or_none()
            if last is None or (
                last.content_sha256 != content_sha256 and last.sop_instance_uid is not None
            ):
                key = {
                    "study_instance_uid": study_instance_uid,
                    "number": 1 if last is None else last.number + 1,
                }
                connection.execute(self._database.insert(summary), key | values)
            elif last.content_sha256 != content_sha256:
                connection.execute(
                    sa.update(summary).where(*_is(study_instance_uid, last.number)).values(values)
                )
            rows = connection.execute(_ALL, {"study": study_instance_uid}).all()
        return _row(rows[-1], rows[0])

    def next_edition(
        self, study_instance_uid: str, row: SummaryRow, uid: str, now: Making
    ) -> None:
        """Note that the UID of a report is taken, and tell the ledger; twice is once.

        Parameters
        ----------
        uid : str
            The SOP Instance UID that names other bytes.
        """
        with self._database.write() as connection:
            moved = connection.execute(
                sa.update(summary)
                .where(*_is(study_instance_uid, row.number), summary.c.edition == row.edition)
                .values(edition=row.edition + 1, made_at=now.at, utc_offset_s=now.utc_offset_s)
                .returning(summary.c.edition)
            ).one_or_none()
            if moved is None:
                return
            detail = {"kind": KIND, "revision": row.number, "edition": row.edition + 1}
            entry = LedgerEvent(EventKind.UID_TAKEN, study_instance_uid, uid, detail)
            self._ledger.tell(connection, [entry], now.at)

    def put(self, number: int, stored: StoredInstance, now: float) -> None:
        """Note the object of a report, and tell the ledger; twice is once.

        Raises
        ------
        UidTakenError
            If its UID names other bytes, received or made: nothing is changed.
        """
        study = stored.study_instance_uid
        with self._database.write() as connection:
            self._instances.claim(connection, stored)
            noted = connection.execute(
                sa.update(summary)
                .where(
                    *_is(study, number),
                    summary.c.sop_instance_uid.is_distinct_from(stored.sop_instance_uid),
                )
                .values(sop_instance_uid=stored.sop_instance_uid)
                .returning(summary.c.number)
            ).one_or_none()
            if noted is None:
                return
            detail = {"kind": KIND, "revision": number, "of": study} | particulars(stored)
            entry = LedgerEvent(EventKind.DERIVED, study, stored.sop_instance_uid, detail)
            self._ledger.tell(connection, [entry], now)

    def of_study(self, study_instance_uid: str) -> list[tuple[int, StoredInstance]]:
        """Return number and instance of the reports of a study, first to last.

        Those whose files retention deleted are among them: a later one names its predecessors.
        """
        query = (
            sa.select(*instance_columns(), summary.c.number)
            .join(summary, summary.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(summary.c.study_instance_uid == study_instance_uid)
            .order_by(summary.c.number)
        )
        with self._database.read() as connection:
            return [(row.number, instance_of(row)) for row in connection.execute(query)]


def _is(study_instance_uid: str, number: int) -> list[sa.ColumnElement[bool]]:
    return [summary.c.study_instance_uid == study_instance_uid, summary.c.number == number]


def _row(row: sa.Row[Any], first: sa.Row[Any]) -> SummaryRow:
    return SummaryRow(
        row.number,
        row.content_sha256,
        Making(row.made_at, row.utc_offset_s),
        Making(first.made_at, first.utc_offset_s),
        row.edition,
        row.sop_instance_uid,
    )


_ALL: Final = (
    sa.select(summary)
    .where(summary.c.study_instance_uid == sa.bindparam("study"))
    .order_by(summary.c.number)
)
_LAST: Final = (
    sa.select(summary)
    .where(summary.c.study_instance_uid == sa.bindparam("study"))
    .order_by(summary.c.number.desc())
    .limit(1)
)

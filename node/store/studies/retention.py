"""What may leave the disk: whole series that everybody who was to have them has.

A series goes with all that was made of it, at once: its rows become tombstones, and the ledger
tells, in one transaction; then the files are removed, whose paths that transaction has noted. A
path that was given up is never used again, so that a file that comes anew is not removed.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.states import HoldState, WorkState
from node.model.work import WorkKind
from node.store.database import Database
from node.store.ledger import Ledger
from node.store.studies.instances import Instances
from node.store.studies.kept import DeliveryStanding, Member, RetainedSeries, kept_because
from node.store.studies.revisions import went_wrong
from node.store.studies.series import Studies
from node.store.studies.snapshots import Snapshots
from node.store.tables import (
    conflict,
    delivery,
    derived,
    instance,
    quarantine,
    revision,
    series,
    summary,
    work,
)

PAGE: Final = 200
_OPEN: Final = (HoldState.HELD, HoldState.DISCARDING)


class Retention:
    """Decides over many tables what may go, and lets their owners bury it.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, instances, studies, snapshots
        Owners of what goes.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instances: Instances,
        studies: Studies,
        snapshots: Snapshots,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._instances = instances
        self._studies = studies
        self._snapshots = snapshots

    def aged(self, before: float) -> Iterator[str]:
        """Yield the series that nothing was received of since, oldest first."""
        at, uid = float("-inf"), ""
        while True:
            query = (
                sa.select(series.c.last_instance_at, series.c.series_instance_uid)
                .where(
                    series.c.deleted_at.is_(None),
                    series.c.last_instance_at <= before,
                    sa.tuple_(series.c.last_instance_at, series.c.series_instance_uid)
                    > sa.tuple_(sa.literal(at), sa.literal(uid)),
                )
                .order_by(series.c.last_instance_at, series.c.series_instance_uid)
                .limit(PAGE)
            )
            with self._database.read() as connection:
                page = connection.execute(query).all()
            for at, uid in page:  # noqa: B007 - the last one begins the next page
                yield uid
            if len(page) < PAGE:
                return

    def kept_because(self, uid: str, before: float, committing: Collection[str]) -> str:
        """Return why a series must stay; '' where it may go."""
        with self._database.read() as connection:
            return kept_because(_unit(connection, uid), before, committing)

    def delete(self, uid: str, before: float, committing: Collection[str], now: float) -> int:
        """Make tombstones of a series, unless it must stay; return of how many instances.

        Looked at once more in the transaction that does it: an instance may have come since.
        """
        with self._database.write() as connection:
            connection.execute(
                sa.select(series.c.series_instance_uid)
                .where(series.c.series_instance_uid == uid)
                .with_for_update()
            )
            unit = _unit(connection, uid)
            if kept_because(unit, before, committing):
                return 0
            members = [(member.sop_instance_uid, member.path) for member in unit.members]
            self._instances.bury(connection, members, now)
            self._studies.bury(connection, uid, now)
            self._snapshots.forget(connection, uid)
            self._ledger.tell(connection, _deletions(unit), now)
        return len(members)


def _deletions(unit: RetainedSeries) -> list[LedgerEvent]:
    """Return what the ledger says: where each instance is instead."""
    where: dict[str, list[str]] = {}
    for standing in unit.standings:
        holder = f"{standing.destination} ({standing.commitment or standing.state})"
        where.setdefault(standing.sop_instance_uid, []).append(holder)
    return [
        LedgerEvent(
            EventKind.DELETED,
            member.study_instance_uid,
            member.sop_instance_uid,
            {
                "sha256": member.sha256,
                "held by": ", ".join(sorted(where[member.sop_instance_uid])),
            },
        )
        for member in unit.members
    ]


def _unit(connection: sa.Connection, uid: str) -> RetainedSeries:
    found = connection.execute(
        sa.select(series.c.unsettled, series.c.last_instance_at).where(
            series.c.series_instance_uid == uid
        )
    ).one()
    revisions = connection.execute(
        sa.select(revision.c.state, revision.c.failure_kind, revision.c.completed_at).where(
            revision.c.series_instance_uid == uid
        )
    ).all()
    members = _members(connection, uid)
    alive = {row.sop_instance_uid for row in members}
    standings = connection.execute(
        sa.select(
            delivery.c.sop_instance_uid,
            delivery.c.destination,
            delivery.c.state,
            delivery.c.commitment,
            delivery.c.changed_at,
        ).where(delivery.c.sop_instance_uid.in_(_of_unit(uid)))
    ).all()
    times = [row.completed_at for row in revisions] + [row.changed_at for row in standings]
    times += [row.received_at for row in members]
    being_told = sa.select(work.c.serial).where(
        work.c.kind == WorkKind.SUMMARISE,
        work.c.lane == "",
        work.c.key == _study_of(uid),
        work.c.state != WorkState.DONE,
    )
    return RetainedSeries(
        settled=not found.unsettled,
        summarised=connection.execute(being_told).first() is None,
        revisions=tuple((row.state, row.failure_kind) for row in revisions),
        quarantined=_quarantined(connection, uid),
        members=tuple(
            Member(row.sop_instance_uid, row.study_instance_uid, row.path, row.sha256)
            for row in members
        ),
        standings=tuple(
            DeliveryStanding(row.sop_instance_uid, row.destination, row.state, row.commitment)
            for row in standings
            if row.sop_instance_uid in alive
        ),
        last_at=max([found.last_instance_at, *times]),
    )


def _quarantined(connection: sa.Connection, uid: str) -> int:
    conflicts = (
        sa.select(sa.func.count())
        .select_from(conflict)
        .where(
            sa.or_(
                conflict.c.series_instance_uid == uid,
                conflict.c.sop_instance_uid.in_(_of_unit(uid)),
            )
        )
    )
    holds = (
        sa.select(sa.func.count())
        .select_from(quarantine)
        .where(
            quarantine.c.series_instance_uid.in_(series_of_unit(uid)),
            quarantine.c.state.in_(_OPEN),
        )
    )
    # What went wrong is held some seconds later: until somebody has decided, it stays.
    decided = sa.exists().where(
        quarantine.c.series_instance_uid == revision.c.series_instance_uid,
        quarantine.c.revision == revision.c.revision,
        quarantine.c.state.in_((HoldState.RELEASED, HoldState.DISCARDED)),
    )
    failed = (
        sa.select(sa.func.count())
        .select_from(revision)
        .where(revision.c.series_instance_uid == uid, *went_wrong(), ~decided)
    )
    queries = (conflicts, holds, failed)
    return sum(int(connection.execute(query).scalar_one()) for query in queries)


def _of_unit(uid: str) -> sa.CompoundSelect[Any]:
    """Select the UIDs of a series and of what was made of it.

    Of the last one of its study also of what was made of all: the reports of what was recognised.
    """
    return sa.union(
        sa.select(instance.c.sop_instance_uid).where(instance.c.series_instance_uid == uid),
        sa.select(derived.c.sop_instance_uid).where(derived.c.source_series_uid == uid),
        sa.select(summary.c.sop_instance_uid).where(
            summary.c.sop_instance_uid.is_not(None),
            summary.c.study_instance_uid == _study_of(uid),
            ~_others_here(uid),
        ),
    )


def _study_of(uid: str) -> sa.ScalarSelect[Any]:
    query = sa.select(series.c.study_instance_uid).where(series.c.series_instance_uid == uid)
    return query.scalar_subquery()


def _others_here(uid: str) -> sa.Exists:
    """Tell whether other series of the study of one were not deleted."""
    other = series.alias()
    return sa.exists().where(
        other.c.study_instance_uid == _study_of(uid),
        other.c.series_instance_uid != uid,
        other.c.deleted_at.is_(None),
    )


def series_of_unit(uid: str) -> sa.CompoundSelect[Any]:
    """Select the UIDs of a series and of those that what was made of it belongs to."""
    return sa.union(
        sa.select(sa.literal(uid)),
        sa.select(instance.c.series_instance_uid)
        .join(derived, derived.c.sop_instance_uid == instance.c.sop_instance_uid)
        .where(derived.c.source_series_uid == uid),
    )


def _members(connection: sa.Connection, uid: str) -> list[Any]:
    query = sa.select(
        instance.c.sop_instance_uid,
        instance.c.study_instance_uid,
        instance.c.path,
        instance.c.sha256,
        instance.c.received_at,
    ).where(instance.c.sop_instance_uid.in_(_of_unit(uid)), instance.c.deleted_at.is_(None))
    return list(connection.execute(query.order_by(instance.c.sop_instance_uid)))

"""One study with its series: what they are, what was made of them, where all of it stands."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import sqlalchemy as sa

from node.model.events import EventKind
from node.model.headers import HeaderSnapshot, StudyHeader, study_header
from node.model.records import Finding
from node.model.states import DeliveryState, Origin, RevisionState, WorkState
from node.model.work import WorkKind
from node.store.database import Database
from node.store.rows import finding_of
from node.store.studies.snapshots import snapshot_columns, snapshot_of
from node.store.studies.summaries import KIND
from node.store.tables import (
    conflict,
    derived,
    finding,
    instance,
    ledger,
    revision,
    series,
    series_header,
    summary,
    work,
)
from node.views.counts import InstanceCount, count_of, counting

_THROUGH: Final = (RevisionState.DONE, RevisionState.UNUSABLE)


@dataclass(frozen=True, slots=True)
class MadeObject:
    """A segmentation or report that the node made."""

    kind: str
    sop_instance_uid: str
    counts: tuple[InstanceCount, ...]


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One received series.

    Attributes
    ----------
    received_uid : str or None
        Its Series Instance UID, where another study has a series of the same.
    state : RevisionState or "receiving"
        Of its last revision; receiving while instances came that belong to none.
    header : HeaderSnapshot or None
        None until it has settled.
    findings : tuple of Finding
        Of the last revision that has any.
    made : tuple of MadeObject
        From the last revision of which anything was made.
    """

    series_instance_uid: str
    received_uid: str | None
    instance_count: int
    revision: int
    state: RevisionState | Literal["receiving"]
    reason: str
    header: HeaderSnapshot | None
    findings: tuple[Finding, ...]
    counts: tuple[InstanceCount, ...]
    made: tuple[MadeObject, ...]


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study.

    Attributes
    ----------
    series : tuple of SeriesView
        In the order in which they began to come.
    judged : tuple of (str, dict)
        Series, and what the rules said last of it; of one that holds own output beside images,
        an entry for each.
    made : tuple of MadeObject
        Of all of it: the last report of what was recognised.
    is_summarised : bool
        No such report is to be written.
    kept_apart : tuple of Path
        Instances that came twice with different bytes, relative to the storage root.
    pending : int
        Instances that are on their way to a destination.
    """

    study_instance_uid: str
    header: StudyHeader
    series: tuple[SeriesView, ...]
    judged: tuple[tuple[str, dict[str, Any]], ...]
    made: tuple[MadeObject, ...]
    is_summarised: bool
    kept_apart: tuple[Path, ...]
    pending: int

    @property
    def is_finished(self) -> bool:
        """Whether every series is through, and nothing is to be made or on its way."""
        through = all(
            summary.revision > 0 and summary.state in _THROUGH for summary in self.series
        )
        return bool(self.series) and through and self.is_summarised and not self.pending


def view_of_study(database: Database, study_instance_uid: str) -> StudyView | None:
    """Return a study; None where no series of it was ever received.

    Eight queries, however many series it has.

    Parameters
    ----------
    database : Database
        Of the catalog.
    study_instance_uid : str

    Returns
    -------
    StudyView or None
    """
    of_study = {"study": study_instance_uid}
    with database.read() as connection:
        rows = connection.execute(_SERIES, of_study).all()
        findings = connection.execute(_FINDINGS, of_study).all()
        counts = connection.execute(_COUNTS, of_study).all()
        made = connection.execute(_MADE, of_study).all()
        judged = connection.execute(_JUDGED, of_study).all()
        apart = connection.execute(_APART, of_study).scalars().all()
        reports = connection.execute(_REPORTS, of_study).scalars().all()
        to_be_told = connection.execute(_TO_BE_TOLD, of_study).first()
    if not rows:
        return None
    by_series, by_object = _by("series_instance_uid", counts), _by("made_uid", counts)
    found = _by("series_instance_uid", findings)
    objects = {
        uid: tuple(
            MadeObject(row.kind, row.sop_instance_uid, _totals(by_object[row.sop_instance_uid]))
            for row in group
        )
        for uid, group in _by("source_series_uid", made).items()
    }
    views = tuple(
        _series_view(
            row,
            tuple(finding_of(finding) for finding in found[row.series_instance_uid]),
            _totals(by_series[row.series_instance_uid]),
            objects.get(row.series_instance_uid, ()),
        )
        for row in rows
    )
    return StudyView(
        study_instance_uid=study_instance_uid,
        header=study_header([view.header for view in views if view.header is not None]),
        series=views,
        judged=_last_judged(judged),
        made=tuple(MadeObject(KIND, uid, _totals(by_object[uid])) for uid in reports),
        is_summarised=to_be_told is None,
        kept_apart=tuple(map(Path, apart)),
        pending=sum(row.instances for row in counts if row.state == DeliveryState.PENDING),
    )


def _series_view(
    row: Any,
    findings: tuple[Finding, ...],
    counts: tuple[InstanceCount, ...],
    made: tuple[MadeObject, ...],
) -> SeriesView:
    return SeriesView(
        series_instance_uid=row.series_instance_uid,
        received_uid=row.received_uid,
        instance_count=row.instance_count,
        revision=row.revision,
        state="receiving" if row.unsettled else row.state,
        reason=row.reason or "",
        header=None if row.header_count is None else snapshot_of(row),
        findings=findings,
        counts=counts,
        made=made,
    )


def _totals(rows: Sequence[Any]) -> tuple[InstanceCount, ...]:
    return tuple(count_of(row) for row in rows)


def _by(column: str, rows: Sequence[Any]) -> defaultdict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row._mapping[column]].append(row)
    return found


def _last_judged(rows: Sequence[Any]) -> tuple[tuple[str, dict[str, Any]], ...]:
    last = {(row.subject, str(row.detail.get("of", ""))): row.detail for row in rows}
    return tuple((subject, detail) for (subject, _), detail in last.items())


_STUDY: Final[sa.BindParameter[str]] = sa.bindparam("study")
_KEYS: Final = sa.select(series.c.series_instance_uid).where(series.c.study_instance_uid == _STUDY)

_SERIES: Final = (
    sa.select(
        series.c.series_instance_uid,
        series.c.received_uid,
        series.c.instance_count,
        series.c.revision,
        series.c.unsettled,
        revision.c.state,
        revision.c.reason,
        *snapshot_columns(),
    )
    .outerjoin(
        revision,
        sa.and_(
            revision.c.series_instance_uid == series.c.series_instance_uid,
            revision.c.revision == series.c.revision,
        ),
    )
    .outerjoin(series_header, series_header.c.series_instance_uid == series.c.series_instance_uid)
    .where(series.c.study_instance_uid == _STUDY)
    .order_by(series.c.first_instance_at, series.c.series_instance_uid)
)

_later = finding.alias("later")
_FINDINGS: Final = (
    sa.select(finding)
    .where(
        finding.c.series_instance_uid.in_(_KEYS),
        finding.c.revision
        == sa.select(sa.func.max(_later.c.revision))
        .where(_later.c.series_instance_uid == finding.c.series_instance_uid)
        .scalar_subquery(),
    )
    .order_by(finding.c.series_instance_uid, finding.c.position)
)

_COUNTS: Final = counting(
    instance.c.series_instance_uid,
    sa.case((instance.c.origin == Origin.DERIVED, instance.c.sop_instance_uid)).label("made_uid"),
).where(instance.c.study_instance_uid == _STUDY)

_other = derived.alias("other")
_MADE: Final = (
    sa.select(derived.c.source_series_uid, derived.c.kind, derived.c.sop_instance_uid)
    .join(instance, instance.c.sop_instance_uid == derived.c.sop_instance_uid)
    .where(
        derived.c.source_series_uid.in_(_KEYS),
        derived.c.revision
        == sa.select(sa.func.max(_other.c.revision))
        .where(_other.c.source_series_uid == derived.c.source_series_uid)
        .scalar_subquery(),
        instance.c.deleted_at.is_(None),
    )
    .order_by(derived.c.source_series_uid, derived.c.kind)
)

_REPORTS: Final = (
    sa.select(summary.c.sop_instance_uid)
    .join(instance, instance.c.sop_instance_uid == summary.c.sop_instance_uid)
    .where(summary.c.study_instance_uid == _STUDY, instance.c.deleted_at.is_(None))
    .order_by(summary.c.number.desc())
    .limit(1)
)

_TO_BE_TOLD: Final = sa.select(work.c.serial).where(
    work.c.kind == WorkKind.SUMMARISE,
    work.c.lane == "",
    work.c.key == _STUDY,
    work.c.state != WorkState.DONE,
)

_JUDGED: Final = (
    sa.select(ledger.c.subject, ledger.c.detail)
    .where(ledger.c.study_instance_uid == _STUDY, ledger.c.event == EventKind.JUDGED)
    .order_by(ledger.c.number)
)

_APART: Final = (
    sa.select(conflict.c.path)
    .where(conflict.c.study_instance_uid == _STUDY)
    .order_by(conflict.c.received_at)
)

"""Rows of a study, read as what was recognised of it."""

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa

from node.model.findings import SOME_INSTANCES, FindingName
from node.model.records import Finding
from node.model.states import Origin, RevisionState
from node.model.summary import TOLD, FirstImage, RecognisedSeries, RecognisedStudy
from node.store.rows import finding_of
from node.store.tables import finding, instance, revision, series


def recognised_study(connection: sa.Connection, study_instance_uid: str) -> RecognisedStudy:
    """Return what was recognised of a study, as one transaction sees it.

    Series of which retention deleted the files are told of, too: what was recognised stands in
    rows.

    Parameters
    ----------
    connection : sa.Connection
    study_instance_uid : str

    Returns
    -------
    RecognisedStudy
    """
    of_study = {"study": study_instance_uid}
    rows = connection.execute(_SERIES, of_study).all()
    found: dict[str, list[Finding]] = {}
    for row in connection.execute(_FINDINGS, of_study):
        found.setdefault(row.series_instance_uid, []).append(finding_of(row))
    known = [_recognised(connection, row, found.get(row.series_instance_uid, [])) for row in rows]
    return RecognisedStudy(
        study_instance_uid,
        is_open=any(map(_is_open, rows)),
        series=tuple(entry for entry in known if entry is not None),
        wanted_by=_wanted_by(rows),
    )


def is_to_be_told(connection: sa.Connection, study_instance_uid: str) -> bool:
    """Tell whether no series of a study is open, and somebody wants to know what it is.

    Asked at the end of each recognition, so that it reads one row for each series.

    Parameters
    ----------
    connection : sa.Connection
    study_instance_uid : str

    Returns
    -------
    bool
    """
    rows = connection.execute(_SERIES, {"study": study_instance_uid}).all()
    return bool(_wanted_by(rows)) and not any(map(_is_open, rows))


def _wanted_by(rows: Iterable[sa.Row[Any]]) -> dict[str, bool]:
    wanted: dict[str, bool] = {}
    for row in rows:
        for destination, urgent in (row.summary_to or {}).items():
            wanted[destination] = wanted.get(destination, False) or bool(urgent)
    return wanted


def _is_open(row: sa.Row[Any]) -> bool:
    """Tell whether a series comes in, or is to be recognised."""
    if row.deleted_at is not None:
        return False
    return bool(row.unsettled) or row.state in (None, RevisionState.COMPLETE)


def _recognised(
    connection: sa.Connection, row: sa.Row[Any], found: list[Finding]
) -> RecognisedSeries | None:
    """Return a series of which something is told; of own output alone nothing is."""
    findings = tuple(finding for finding in found if finding.name in TOLD)
    if not findings:
        return None
    own_output = (finding for finding in found if finding.name == FindingName.OWN_OUTPUT)
    own = {uid for finding in own_output for uid in _some(finding)}
    of_series = _IMAGES.limit(len(own) + 1)
    images = connection.execute(of_series, {"series": row.series_instance_uid}).all()
    first = next((image for image in images if image.sop_instance_uid not in own), None)
    if first is None:
        return None
    image = FirstImage(first.sop_class_uid, first.sop_instance_uid)
    uid = row.received_uid or row.series_instance_uid
    return RecognisedSeries(row.series_instance_uid, uid, image, findings)


def _some(own_output: Finding) -> list[str]:
    return list(own_output.evidence.get(SOME_INSTANCES, []))


_OF_STUDY: Final = series.c.study_instance_uid == sa.bindparam("study")

_SERIES: Final[sa.Select[Any]] = (
    sa.select(
        series.c.series_instance_uid,
        series.c.received_uid,
        series.c.unsettled,
        series.c.deleted_at,
        revision.c.state,
        revision.c.summary_to,
    )
    .outerjoin(
        revision,
        sa.and_(
            revision.c.series_instance_uid == series.c.series_instance_uid,
            revision.c.revision == series.c.revision,
        ),
    )
    .where(_OF_STUDY)
    .order_by(series.c.first_instance_at, series.c.series_instance_uid)
)

_FINDINGS: Final = (
    sa.select(finding)
    .join(
        series,
        sa.and_(
            series.c.series_instance_uid == finding.c.series_instance_uid,
            series.c.revision == finding.c.revision,
        ),
    )
    .where(
        _OF_STUDY,
        sa.or_(finding.c.source == "fused", finding.c.name == FindingName.OWN_OUTPUT),
        finding.c.name.in_(sorted({*map(str, TOLD), str(FindingName.OWN_OUTPUT)})),
    )
    .order_by(finding.c.series_instance_uid, finding.c.position)
)

# Tombstones, too; by revision, so that what comes late does not stand for its series.
_IMAGES: Final = (
    sa.select(instance.c.sop_instance_uid, instance.c.sop_class_uid)
    .where(
        instance.c.series_instance_uid == sa.bindparam("series"),
        instance.c.origin == Origin.RECEIVED,
        instance.c.revision.is_not(None),
    )
    .order_by(instance.c.revision, instance.c.sop_instance_uid)
)

"""Which rows show that a study is held, comes in, is worked on, or is on its way."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa

from node.model.states import DeliveryState, HoldState, RevisionState, WorkState
from node.model.work import WorkKind
from node.store.tables import delivery, instance, quarantine, revision, series, work
from node.views.state import OPEN, StudyState

IN_WORK: Final = (RevisionState.COMPLETE, RevisionState.QUEUED)
UNDECIDED: Final = (HoldState.HELD, HoldState.DISCARDING)

_Study = sa.ColumnElement[Any]


def _received(among: Sequence[str] | None) -> sa.Select[Any]:
    query = sa.select(series.c.study_instance_uid).where(series.c.unsettled)
    return query if among is None else query.where(series.c.study_instance_uid.in_(among))


def _worked_on(among: Sequence[str] | None) -> sa.Select[Any]:
    query = (
        sa.select(series.c.study_instance_uid)
        .join(revision, revision.c.series_instance_uid == series.c.series_instance_uid)
        .where(revision.c.state.in_(IN_WORK))
    )
    return query if among is None else query.where(series.c.study_instance_uid.in_(among))


def _summarised(among: Sequence[str] | None) -> sa.Select[Any]:
    query = sa.select(work.c.key.label("study_instance_uid")).where(
        work.c.kind == WorkKind.SUMMARISE, work.c.state != WorkState.DONE
    )
    return query if among is None else query.where(work.c.key.in_(among))


def _quarantined(among: Sequence[str] | None) -> sa.Select[Any]:
    query = sa.select(quarantine.c.study_instance_uid).where(quarantine.c.state.in_(UNDECIDED))
    return query if among is None else query.where(quarantine.c.study_instance_uid.in_(among))


def _with_delivery(state: DeliveryState, among: Sequence[str] | None) -> sa.Select[Any]:
    query = (
        sa.select(instance.c.study_instance_uid)
        .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
        .where(delivery.c.state == state, sa.text("delivery.state <> 'delivered'"))
    )
    return query if among is None else query.where(instance.c.study_instance_uid.in_(among))


def showing(state: StudyState, among: Sequence[str] | None = None) -> list[sa.Select[Any]]:
    """Return the queries for the studies whose rows show a state of `OPEN`.

    Parameters
    ----------
    among : sequence of str, optional
        Only these studies.
    """
    match state:
        case StudyState.HELD:
            return [_quarantined(among), _with_delivery(DeliveryState.PARKED, among)]
        case StudyState.RECEIVING:
            return [_received(among)]
        case StudyState.WORKING:
            return [_worked_on(among), _summarised(among)]
        case StudyState.SENDING:
            return [_with_delivery(DeliveryState.PENDING, among)]
        case StudyState.PAUSED:
            return [_with_delivery(DeliveryState.PAUSED, among)]
        case _:
            return []


def shown_of(among: Sequence[str]) -> sa.CompoundSelect[Any]:
    """Return one query for (study, state) of all that rows show of these studies."""
    queries = [
        query.add_columns(sa.literal(str(state)).label("state")).distinct()
        for state in OPEN
        for query in showing(state, among)
    ]
    return sa.union(*queries)


def standing_in(study: _Study, here: _Study, states: Collection[StudyState]) -> _Study:
    """Return the condition that a study stands in one of these states: as `study_state` says.

    Parameters
    ----------
    study
        Its UID.
    here
        Whether a series of it was not deleted.
    """
    return sa.or_(sa.false(), *(_stands_in(study, here, state) for state in states))


def _stands_in(study: _Study, here: _Study, state: StudyState) -> _Study:
    if state in OPEN:
        before = OPEN[: OPEN.index(state)]
        return sa.and_(_shows(study, state), *(~_shows(study, other) for other in before))
    none = sa.and_(*(~_shows(study, other) for other in OPEN))
    return sa.and_(none, here if state is StudyState.DONE else ~here)


def _shows(study: _Study, state: StudyState) -> _Study:
    return sa.or_(*(study.in_(query) for query in showing(state)))

"""What a list of studies is narrowed to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from node.model.keys import OF_ONE_SERIES, BatchKind
from node.store.studies.snapshots import folded
from node.store.tables import delivery, instance, revision, series, series_header
from node.views.state import StudyState

_Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """Which studies are wanted; what is '' or None narrows nothing.

    Attributes
    ----------
    patient : str
        A Patient ID, or parts of a name.
    patient_id, accession_number : str
        As the header has them.
    patient_name, description : str
        Words that the name, the study's or a series' description holds, whatever their case and
        accents.
    study_from, study_until : str
        ``YYYYMMDD``: Study Date not before the one, not after the other.
    states : tuple of StudyState
        Any of these.
    destination : str
        Something of it is or was to go there.
    since, until : float or None
        When the last instance came, in seconds since the epoch.
    """

    patient: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    description: str = field(default="", repr=False)
    study_from: str = ""
    study_until: str = ""
    states: tuple[StudyState, ...] = ()
    destination: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def asks_headers(self) -> bool:
        """Whether only studies whose headers are kept can be found."""
        return any(True for _ in _of_headers(self))


def conditions(wanted: StudyFilter, study: sa.ColumnElement[Any]) -> Iterator[_Condition]:
    """Yield what must be true of a study, given its UID: of its headers and its deliveries."""
    headers = list(_of_headers(wanted))
    if headers:
        yield study.in_(sa.select(series_header.c.study_instance_uid).where(*headers))
    if wanted.destination:
        yield study.in_(_meant_for(wanted.destination))


def _meant_for(destination: str) -> sa.CompoundSelect[Any]:
    """Select the studies of which something is or was to go to a destination.

    Batch by batch: there are hundreds of times as many instances, and of a destination that gets
    everything each of them would be read. Only batches that are not of one series are looked at
    by instance.
    """
    of_series = (
        sa.select(series.c.study_instance_uid)
        .join(revision, revision.c.series_instance_uid == series.c.series_instance_uid)
        .where(
            sa.exists().where(
                delivery.c.destination == destination,
                delivery.c.batch.in_([_batch(kind) for kind in OF_ONE_SERIES]),
            )
        )
    )
    of_others = (
        sa.select(instance.c.study_instance_uid)
        .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
        .where(
            delivery.c.destination == destination,
            *(~delivery.c.batch.startswith(f"{kind}/") for kind in OF_ONE_SERIES),
        )
    )
    return sa.union(of_series, of_others)


def _batch(kind: BatchKind) -> sa.ColumnElement[str]:
    """Return the key of a revision's batch, as `Batch` writes it."""
    number = sa.cast(revision.c.revision, sa.String)
    return sa.literal(f"{kind}/") + revision.c.series_instance_uid + sa.literal("/") + number


def _of_headers(wanted: StudyFilter) -> Iterator[_Condition]:
    """Yield what the headers of one series of it must say: of a mixed study, not of two."""
    table = series_header.c
    if wanted.patient:
        yield sa.or_(table.patient_id == wanted.patient, _named(wanted.patient))
    if wanted.patient_id:
        yield table.patient_id == wanted.patient_id
    if wanted.patient_name:
        yield _named(wanted.patient_name)
    if wanted.accession_number:
        yield table.accession_number == wanted.accession_number
    if wanted.description:
        yield _described(wanted.description)
    if wanted.study_from:
        yield table.study_date >= wanted.study_from
    if wanted.study_until:
        yield table.study_date <= wanted.study_until


def _named(words: str) -> _Condition:
    column = series_header.c.patient_name_folded
    return sa.and_(*(column.contains(word, autoescape=True) for word in _words(words)))


def _described(words: str) -> _Condition:
    column = series_header.c.descriptions_folded
    return sa.and_(*(column.contains(word, autoescape=True) for word in _words(words)))


def _words(text: str) -> list[str]:
    """Return the words of a search; of nothing but signs, the text, which no name holds."""
    return folded(text).split() or [text]

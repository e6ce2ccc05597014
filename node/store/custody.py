"""What the rows say of a study, to be held against what the ledger tells."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from node.model.records import Conflict, Delivery, StoredInstance
from node.store.database import Database
from node.store.rows import columns, conflict_of, instance_of, record
from node.store.studies.findings import findings_sha256
from node.store.studies.summaries import KIND
from node.store.tables import conflict, delivery, derived, finding, instance, series, summary

AT_ONCE: Final = 500  # UIDs that one statement names


@dataclass(frozen=True)
class StudyRows:
    """The rows of a study.

    Attributes
    ----------
    instances : dict of str to StoredInstance
        By SOP Instance UID, tombstones included.
    apart : dict of (str, str) to Conflict
        By SOP Instance UID and digest.
    deliveries : dict of (str, str) to Delivery
        By SOP Instance UID and destination.
    findings : dict of (str, int) to str
        Digest of all findings, by Series Instance UID and revision.
    derived : dict of (str, int, str) to str
        SOP Instance UID by Series Instance UID of the source, revision and kind; of a report on
        the whole study by that study, its number and kind.
    """

    instances: dict[str, StoredInstance] = field(default_factory=dict)
    apart: dict[tuple[str, str], Conflict] = field(default_factory=dict)
    deliveries: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    findings: dict[tuple[str, int], str] = field(default_factory=dict)
    derived: dict[tuple[str, int, str], str] = field(default_factory=dict)


class Custody:
    """Reads what is held against the ledger; writes nothing.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self, study_instance_uid: str, subjects: Collection[str]) -> StudyRows:
        """Return the rows of a study, and of these instances wherever they belong by now.

        Parameters
        ----------
        study_instance_uid : str
        subjects : collection of str
            SOP Instance UIDs that the ledger names.

        Returns
        -------
        StudyRows
        """
        with self._database.read() as connection:
            stands = StudyRows()
            for row in _rows(connection, instance, study_instance_uid, subjects):
                stored = instance_of(row)
                stands.instances[stored.sop_instance_uid] = stored
            for row in _rows(connection, conflict, study_instance_uid, subjects):
                other = conflict_of(row)
                stands.apart[other.sop_instance_uid, other.sha256] = other
            for delivered in _deliveries(connection, stands.instances):
                key = delivered.sop_instance_uid, delivered.destination
                stands.deliveries[key] = delivered
            of_study = sa.select(series.c.series_instance_uid).where(
                series.c.study_instance_uid == study_instance_uid
            )
            stands.findings.update(_findings(connection, of_study))
            query = sa.select(derived).where(derived.c.source_series_uid.in_(of_study))
            for row in connection.execute(query).mappings():
                made = row["source_series_uid"], row["revision"], row["kind"]
                stands.derived[made] = row["sop_instance_uid"]
            of_all = sa.select(summary).where(
                summary.c.study_instance_uid == study_instance_uid,
                summary.c.sop_instance_uid.is_not(None),
            )
            for row in connection.execute(of_all).mappings():
                made = study_instance_uid, row["number"], KIND
                stands.derived[made] = row["sop_instance_uid"]
        return stands


def _pages(uids: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(uids)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


def _rows(
    connection: sa.Connection, table: sa.Table, study: str, subjects: Collection[str]
) -> Iterator[Any]:
    """Yield the rows of a table with these instances; one of both kinds comes twice."""
    yield from connection.execute(
        sa.select(table).where(table.c.study_instance_uid == study)
    ).mappings()
    for page in _pages(subjects):
        query = sa.select(table).where(table.c.sop_instance_uid.in_(page))
        yield from connection.execute(query).mappings()


def _deliveries(connection: sa.Connection, uids: Collection[str]) -> Iterator[Delivery]:
    for page in _pages(uids):
        query = sa.select(*columns(Delivery, delivery)).where(
            delivery.c.sop_instance_uid.in_(page)
        )
        for row in connection.execute(query):
            yield record(Delivery, row)


def _findings(connection: sa.Connection, of_study: sa.Select[Any]) -> dict[tuple[str, int], str]:
    query = (
        sa.select(finding)
        .where(finding.c.series_instance_uid.in_(of_study))
        .order_by(finding.c.series_instance_uid, finding.c.revision, finding.c.position)
    )
    found: dict[tuple[str, int], list[sa.RowMapping]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault((row["series_instance_uid"], row["revision"]), []).append(row)
    return {key: findings_sha256(rows) for key, rows in found.items()}

"""What was found about a series, and what the rules said of it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from node.model.events import EventKind, LedgerEvent
from node.model.records import Finding
from node.store.database import Database
from node.store.ledger import Ledger
from node.store.rows import finding_of
from node.store.tables import finding, series


def findings_sha256(rows: Iterable[Mapping[str, Any] | sa.RowMapping]) -> str:
    """Return the digest of findings in their order, the same of those written and those read.

    It is of the values as their rows hold them: rows that an older version wrote keep their
    digest, whatever the values are read as.

    Parameters
    ----------
    rows
        What stands in the table `finding`, by the names of its columns.
    """
    content = [
        [row["name"], row["source"], row["value"], float(row["probability"]), row["evidence"]]
        for row in rows
    ]
    content = json.loads(
        json.dumps(content)
    )  # as they are read again: keys are text, tuples are lists
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Findings:
    """The owner of table ``finding``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger : Ledger
        Is told digests, never values.
    """

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    def put(
        self,
        series_instance_uid: str,
        revision: int,
        findings: Sequence[Finding],
        now: float,
        model_sha256: str = "",
    ) -> None:
        """Replace the findings of one revision; the order is kept.

        Parameters
        ----------
        model_sha256
            Digest of the weights that ran, for the ledger; which findings they spoke for, each of
            them says itself.
        """
        rows = [
            {
                "series_instance_uid": series_instance_uid,
                "revision": revision,
                "position": position,
                "name": str(finding.name),
                "source": finding.source,
                "value": finding.value,
                "probability": finding.probability,
                "evidence": finding.evidence,
                "model_sha256": finding.model_sha256,
            }
            for position, finding in enumerate(findings)
        ]
        with self._database.write() as connection:
            connection.execute(
                sa.delete(finding).where(
                    finding.c.series_instance_uid == series_instance_uid,
                    finding.c.revision == revision,
                )
            )
            if rows:
                connection.execute(sa.insert(finding), rows)
            study = connection.execute(_STUDY_OF, {"uid": series_instance_uid}).scalar()
            if study is not None:
                detail = {
                    "revision": revision,
                    "model_sha256": model_sha256,
                    "findings_sha256": findings_sha256(rows),
                }
                entry = LedgerEvent(EventKind.CLASSIFIED, study, series_instance_uid, detail)
                self._ledger.tell(connection, [entry], now)

    def put_judged(self, series_instance_uid: str, detail: Mapping[str, Any], now: float) -> None:
        """Note in the ledger what the rules said of instances of a series."""
        with self._database.write() as connection:
            study = connection.execute(_STUDY_OF, {"uid": series_instance_uid}).scalar_one()
            entry = LedgerEvent(EventKind.JUDGED, study, series_instance_uid, detail)
            self._ledger.tell(connection, [entry], now)

    def of_series(self, series_instance_uid: str, revision: int | None = None) -> list[Finding]:
        """Return the findings of one revision, by default of the latest that has any."""
        of_series = finding.c.series_instance_uid == series_instance_uid
        wanted = (
            revision
            if revision is not None
            else sa.select(sa.func.max(finding.c.revision)).where(of_series).scalar_subquery()
        )
        query = (
            sa.select(finding)
            .where(of_series, finding.c.revision == wanted)
            .order_by(finding.c.position)
        )
        with self._database.read() as connection:
            return [finding_of(row) for row in connection.execute(query)]


_STUDY_OF = sa.select(series.c.study_instance_uid).where(
    series.c.series_instance_uid == sa.bindparam("uid")
)

"""What the pipeline found and made: findings and derived objects."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from node.errors import UidTakenError
from node.model.records import Finding, StoredInstance
from node.store.ledger import Happening, Ledger, particulars
from node.store.rows import finding_of, instance_columns, instance_of, instance_values
from node.store.tables import deletion, derived, finding, instance, series


def findings_sha256(rows: Iterable[Mapping[str, Any] | sa.RowMapping]) -> str:
    """Return the digest of findings in their order, the same of those written and those read.

    It is of the values as their rows hold them: rows that an older version wrote keep their
    digest, whatever the values are read as.

    Parameters
    ----------
    rows
        What stands in the table `finding`, by the names of its columns.
    """
    told = [
        [row["name"], row["source"], row["value"], float(row["probability"]), row["evidence"]]
        for row in rows
    ]
    told = json.loads(json.dumps(told))  # as they are read again: keys are text, tuples are lists
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Results(Ledger):
    """The catalog as classification and segmentation see it."""

    def put_findings(
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
                "name": str(one.name),
                "source": one.source,
                "value": one.value,
                "probability": one.probability,
                "evidence": one.evidence,
                "model_sha256": one.model_sha256,
            }
            for position, one in enumerate(findings)
        ]
        with self._write() as connection:
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
                told = Happening("classified", study, series_instance_uid, detail)
                self._tell(connection, [told], now)

    def findings(self, series_instance_uid: str, revision: int | None = None) -> list[Finding]:
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
        with self._read() as connection:
            return [finding_of(row) for row in connection.execute(query)]

    def put_derived(
        self,
        source_series_uid: str,
        revision: int,
        made: Mapping[str, StoredInstance],
        now: float,
    ) -> None:
        """Note the objects made from one revision of a series, by kind: all of them, or none.

        The same bytes again are the same objects; others take the place of those noted before.

        Raises
        ------
        UidTakenError
            If the UID of one names other bytes, received or made: nothing is changed.
        """
        with self._write() as connection:
            for kind, stored in made.items():
                self._claim(connection, stored)
                row = {
                    "source_series_uid": source_series_uid,
                    "revision": revision,
                    "kind": kind,
                    "sop_instance_uid": stored.sop_instance_uid,
                    "created_at": now,
                }
                key = [derived.c.source_series_uid, derived.c.revision, derived.c.kind]
                connection.execute(
                    self._insert(derived).on_conflict_do_update(index_elements=key, set_=row), row
                )
            told = [
                Happening(
                    "derived",
                    stored.study_instance_uid,
                    stored.sop_instance_uid,
                    {"kind": kind, "revision": revision, "of": source_series_uid}
                    | particulars(stored),
                )
                for kind, stored in made.items()
            ]
            self._tell(connection, told, now)

    def _claim(self, connection: sa.Connection, stored: StoredInstance) -> None:
        """Write the row of a derived object, unless its UID names other bytes."""
        row = instance_values(stored) | {"origin": "derived"}
        # First, and then asked: a receiver may be writing the same UID at this moment.
        connection.execute(self._insert(instance).on_conflict_do_nothing(), row)
        known = connection.execute(_KNOWN, {"sop": stored.sop_instance_uid}).one()
        gone = known.origin == "received" and known.deleted_at is not None
        if known.sha256 != stored.sha256 or gone:
            raise UidTakenError(stored.sop_instance_uid, f"were {known.origin}")
        if known.origin == "derived":
            connection.execute(
                sa.update(instance)
                .where(instance.c.sop_instance_uid == stored.sop_instance_uid)
                .values(row)
            )
        # Made anew under the path it had: retention must not remove it any more.
        connection.execute(sa.delete(deletion).where(deletion.c.path == stored.path.as_posix()))

    def derived(
        self, source_series_uid: str, revision: int | None = None
    ) -> list[tuple[str, StoredInstance]]:
        """Return (kind, instance) made from one revision, by default the latest with any."""
        of_series = derived.c.source_series_uid == source_series_uid
        wanted = (
            revision
            if revision is not None
            else sa.select(sa.func.max(derived.c.revision)).where(of_series).scalar_subquery()
        )
        query = (
            sa.select(*instance_columns(), derived.c.kind)
            .join(derived, derived.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(of_series, derived.c.revision == wanted, instance.c.deleted_at.is_(None))
            .order_by(derived.c.kind)
        )
        with self._read() as connection:
            return [(row.kind, instance_of(row)) for row in connection.execute(query)]


_KNOWN = sa.select(instance.c.origin, instance.c.sha256, instance.c.deleted_at).where(
    instance.c.sop_instance_uid == sa.bindparam("sop")
)
_STUDY_OF = sa.select(series.c.study_instance_uid).where(
    series.c.series_instance_uid == sa.bindparam("uid")
)

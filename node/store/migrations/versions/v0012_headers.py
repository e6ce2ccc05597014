"""What the headers of a series say, and which weights spoke for each finding."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_LIVER: Final = ("liver", "liver_volume_ml")
_PAGE: Final = 2000

_finding = sa.table(
    "finding",
    *(sa.column(name) for name in ("series_instance_uid", "revision", "position", "name")),
    *(sa.column(name) for name in ("source", "probability", "model_sha256")),
    sa.column("value", sa.JSON()),
    sa.column("evidence", sa.JSON()),
)
_ledger = sa.table(
    "ledger",
    *(sa.column(name) for name in ("number", "event", "subject")),
    sa.column("detail", sa.JSON()),
)

_Key = tuple[str, int]
_Entry = tuple[str, str]


def upgrade() -> None:
    """Add the table of headers, an index of what is not delivered, and the weights."""
    op.create_table(
        "series_header",
        sa.Column("series_instance_uid", sa.String(64), primary_key=True),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.Float(53), nullable=False),
        sa.Column("header_count", sa.Integer(), nullable=False),
        sa.Column("own_output", sa.Boolean(), nullable=False),
        sa.Column("differing", sa.JSON(), nullable=False),
        sa.Column("patient_id", sa.String(256)),
        sa.Column("issuer_of_patient_id", sa.String(256)),
        sa.Column("patient_name", sa.String(256)),
        sa.Column("patient_name_folded", sa.String(1024)),
        sa.Column("patient_birth_date", sa.String(8)),
        sa.Column("patient_sex", sa.String(16)),
        sa.Column("accession_number", sa.String(64)),
        sa.Column("study_id", sa.String(64)),
        sa.Column("study_date", sa.String(8)),
        sa.Column("study_time", sa.String(16)),
        sa.Column("study_description", sa.String(256)),
        sa.Column("modality", sa.String(16)),
        sa.Column("series_number", sa.Integer()),
        sa.Column("series_date", sa.String(8)),
        sa.Column("series_time", sa.String(16)),
        sa.Column("series_description", sa.String(256)),
        sa.Column("body_part_examined", sa.String(16)),
        sa.Column("protocol_name", sa.String(256)),
        sa.Column("descriptions_folded", sa.String(2048)),
        sa.Column("station_name", sa.String(64)),
        sa.Column("manufacturer", sa.String(256)),
        sa.Column("manufacturer_model_name", sa.String(256)),
    )
    for name, column in (
        ("series_header_of_study", "study_instance_uid"),
        ("series_header_patient", "patient_id"),
        ("series_header_accession", "accession_number"),
        ("series_header_date", "study_date"),
    ):
        op.create_index(name, "series_header", [column])
    undelivered = sa.text("state <> 'delivered'")
    op.create_index(
        "delivery_open",
        "delivery",
        ["state"],
        sqlite_where=undelivered,
        postgresql_where=undelivered,
    )
    op.add_column(
        "finding",
        sa.Column("model_sha256", sa.String(64), nullable=False, server_default=""),
    )
    _name_weights(op.get_bind())


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "headers and the weights of each finding would be lost")


def _name_weights(connection: sa.Connection) -> None:
    """Write beside each finding the weights that spoke for it, as far as the ledger proves them.

    An entry ``classified`` has the digest of the findings it tells of, and of the weights: only
    where the findings of now are those of an entry is it known which weights made them.
    """
    entries = _classified(connection)
    named: list[dict[str, Any]] = []
    for key, rows in _findings(connection):
        named += _weights(rows, entries.get(key, ()))
        if len(named) >= _PAGE:
            _write(connection, named)
            named = []
    _write(connection, named)


def _write(connection: sa.Connection, named: Sequence[dict[str, Any]]) -> None:
    if not named:
        return
    connection.execute(
        sa.update(_finding)
        .where(
            _finding.c.series_instance_uid == sa.bindparam("uid"),
            _finding.c.revision == sa.bindparam("number"),
            _finding.c.position == sa.bindparam("place"),
        )
        .values(model_sha256=sa.bindparam("weights")),
        list(named),
    )


def _classified(connection: sa.Connection) -> dict[_Key, list[_Entry]]:
    """Return (findings, weights) of the entries about each revision, in their order."""
    query = (
        sa.select(_ledger.c.subject, _ledger.c.detail)
        .where(_ledger.c.event == "classified")
        .order_by(_ledger.c.number)
    )
    entries: dict[_Key, list[_Entry]] = {}
    rows = connection.execute(query.execution_options(yield_per=_PAGE))
    for subject, content in rows:
        entry = (content.get("findings_sha256", ""), content.get("model_sha256", ""))
        entries.setdefault((subject, content.get("revision", 0)), []).append(entry)
    return entries


def _findings(connection: sa.Connection) -> Iterator[tuple[_Key, list[Any]]]:
    """Yield the findings of each revision, a page of them at a time: the table is written to."""
    key = sa.tuple_(_finding.c.series_instance_uid, _finding.c.revision)
    last: _Key = ("", 0)
    while True:
        keys = [
            (row[0], row[1])
            for row in connection.execute(
                sa.select(_finding.c.series_instance_uid, _finding.c.revision)
                .where(key > sa.tuple_(*map(sa.literal, last)))
                .distinct()
                .order_by(_finding.c.series_instance_uid, _finding.c.revision)
                .limit(_PAGE)
            )
        ]
        if not keys:
            return
        query = (
            sa.select(_finding)
            .where(key > sa.tuple_(*map(sa.literal, last)))
            .where(key <= sa.tuple_(*map(sa.literal, keys[-1])))
            .order_by(_finding.c.series_instance_uid, _finding.c.revision, _finding.c.position)
        )
        rows = connection.execute(query).all()
        for found, group in groupby(rows, lambda row: (row.series_instance_uid, row.revision)):
            yield found, list(group)
        last = keys[-1]


def _weights(rows: Sequence[Any], entries: Sequence[_Entry]) -> Iterator[dict[str, Any]]:
    """Yield the findings of one revision that pixels spoke for, with the weights."""
    digests = [digest for digest, _ in entries]
    if (now := _digest(rows)) not in digests:
        return
    last = len(digests) - 1 - digests[::-1].index(now)
    of_liver = [row for row in rows if row.name in _LIVER]
    others = [row for row in rows if row.name not in _LIVER]
    recognised = entries[last][1]
    if of_liver:  # they were added to what was recognised, which has an entry of its own
        before = [weights for digest, weights in entries[:last] if digest == _digest(others)]
        recognised = before[-1] if before else ""
    seen = {row.name for row in others if row.source == "pixels"}
    for row in rows:
        if row.name in _LIVER:
            weights = entries[last][1]
        elif row.source == "pixels" or (row.source == "fused" and _by_pixels(row.name, seen)):
            weights = recognised
        else:
            continue
        yield {
            "uid": row.series_instance_uid,
            "number": row.revision,
            "place": row.position,
            "weights": weights,
        }


def _by_pixels(name: str, seen: set[str]) -> bool:
    """Tell whether pixels had a part in a fused finding: its own witness, or any for these."""
    return name in seen or (name in ("strange", "disagreement", "coverage_unknown") and bool(seen))


def _digest(rows: Sequence[Any]) -> str:
    """Return the digest of findings as the ledger of that version has it."""
    content = [[r.name, r.source, r.value, float(r.probability), r.evidence] for r in rows]
    content = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

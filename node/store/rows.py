"""Between rows of the tables and the records they hold."""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.model.findings import typed
from node.model.records import Conflict, Finding, StoredInstance
from node.store.tables import instance

_TOLD_ONLY = frozenset({"head_sha256"})  # goes into the ledger; no row needs it
_NAMES = tuple(field.name for field in fields(StoredInstance) if field.name not in _TOLD_ONLY)


def instance_columns() -> list[sa.Column[Any]]:
    """Return the columns that make a `StoredInstance`."""
    return [instance.c[name] for name in _NAMES]


def instance_of(row: Iterable[Any]) -> StoredInstance:
    """Return the record of a row that begins with `instance_columns`."""
    values = dict(zip(_NAMES, row, strict=False))
    values["path"] = Path(values["path"])
    return StoredInstance(**values)


def instance_values(stored: StoredInstance) -> dict[str, Any]:
    """Return the row of a record."""
    values = {name: getattr(stored, name) for name in _NAMES}
    values["path"] = stored.path.as_posix()
    return values


def finding_of(row: sa.Row[*tuple[Any, ...]]) -> Finding:
    """Return the record of a row, its value as the finding's type says."""
    value = typed(row.name, row.value)
    return Finding(row.name, value, row.probability, row.source, row.evidence, row.model_sha256)


def conflict_of(row: sa.RowMapping) -> Conflict:
    """Return the record of a row, by the names of its columns."""
    return Conflict(
        sop_instance_uid=row["sop_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        path=Path(row["path"]),
        size=row["size"],
        sha256=row["sha256"],
        calling_ae=row["calling_ae"],
        received_at=row["received_at"],
    )

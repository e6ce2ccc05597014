"""Between rows of the tables and the records they hold."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from node.model.findings import typed
from node.model.keys import HeldBytes, HeldDeliveries, HeldRevision, HoldKey
from node.model.records import Conflict, Finding, Held, Hold, StoredInstance
from node.store.tables import instance

Record = TypeVar("Record")

_KEY_COLUMNS = ("revision", "sop_instance_uid", "sha256", "destination")  # of table quarantine
_LEDGER_ONLY = frozenset({"head_sha256"})  # no row needs it
_NAMES = tuple(field.name for field in fields(StoredInstance) if field.name not in _LEDGER_ONLY)


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(kind.__dataclass_fields__)


def record(kind: type[Record], row: sa.Row[*tuple[Any, ...]]) -> Record:
    """Return the record of a row, its fields by the names of the row's columns.

    A field that the row does not have keeps its default.
    """
    values = row._mapping
    return kind(**{name: values[name] for name in _names(kind) if name in values})


def columns(kind: type[Any], table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns of a table that make a record."""
    return [table.c[name] for name in _names(kind) if name in table.c]


def instance_columns() -> list[sa.Column[Any]]:
    """Return the columns that make a `StoredInstance`."""
    return [instance.c[name] for name in _NAMES]


def instance_of(row: sa.Row[*tuple[Any, ...]] | sa.RowMapping) -> StoredInstance:
    """Return the record of a row that has `instance_columns`."""
    row_values = row._mapping if isinstance(row, sa.Row) else row
    values = {name: row_values[name] for name in _NAMES}
    values["path"] = Path(values["path"])
    return StoredInstance(**values)


def instance_values(stored: StoredInstance) -> dict[str, Any]:
    """Return the row of a record."""
    values = {name: getattr(stored, name) for name in _NAMES}
    values["path"] = stored.path.as_posix()
    return values


def finding_of(row: sa.Row[*tuple[Any, ...]]) -> Finding:
    """Return the record of a row, its value as the finding's type says.

    Parameters
    ----------
    row : sa.Row
        Of the table `finding`, with all its columns.

    Returns
    -------
    Finding
    """
    value = typed(row.name, row.value)
    return Finding(row.name, value, row.probability, row.source, row.evidence, row.model_sha256)


def conflict_of(row: sa.RowMapping) -> Conflict:
    """Return the record of a row, by the names of its columns."""
    values = {name: row[name] for name in _names(Conflict)}
    return Conflict(**values | {"path": Path(row["path"])})


def conflict_values(stored: StoredInstance) -> dict[str, Any]:
    """Return the row of table `conflict` for an instance that was kept apart."""
    values = {name: getattr(stored, name) for name in _names(Conflict)}
    return values | {"path": stored.path.as_posix()}


def hold_values(hold: Hold) -> dict[str, Any]:
    """Return of the row of table `quarantine` what says what is held."""
    return {
        "id": hold.id,
        "kind": hold.kind,
        "study_instance_uid": hold.study_instance_uid,
        "series_instance_uid": hold.series_instance_uid,
        "reason": hold.reason,
        "folder": hold.folder.as_posix(),
        **dict.fromkeys(_KEY_COLUMNS),
        **asdict(hold.key),
    }


def held_of(row: sa.Row[Any]) -> Held:
    """Return the record of a row of table `quarantine`."""
    hold = Hold(
        row.kind, row.study_instance_uid, row.series_instance_uid, _key_of(row), row.reason
    )
    return Held(hold, row.state, row.rounds, row.held_at)


def _key_of(row: sa.Row[Any]) -> HoldKey:
    if row.revision is not None:
        return HeldRevision(row.revision)
    if row.sha256 is not None:
        return HeldBytes(row.sop_instance_uid, row.sha256)
    return HeldDeliveries(row.destination)

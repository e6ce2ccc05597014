"""A manifest as `radnet labels manifest` writes it, of one series that stands on its test side."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from radnet.datasets.manifest import HEADS, TYPES

LABELS = {"sequence": "CT", "plane": "axial", "contrast": None, "coverage": "liver"}


def write_manifest(
    out: Path, files: Sequence[Path], mask: Path | None = None, modality: str = "CT"
) -> Path:
    """Write it, and return its path."""
    row = dict.fromkeys(TYPES, "") | {
        "series_instance_uid": "1.2.3",
        "modality": modality,
        "split": "test",
        "files": [str(path) for path in files],
        "mask": str(mask) if mask else None,
        **LABELS,
        **{f"{head}_known": LABELS[head] is not None for head in HEADS},
    }
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE t ({columns})")
        marks = ", ".join("?" for _ in row)
        db.execute(f"INSERT INTO t VALUES ({marks})", list(row.values()))  # noqa: S608
        db.execute("COPY t TO ? (FORMAT parquet)", [str(out)])
    return out

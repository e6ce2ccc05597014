"""A folder of scans that cannot be written to, beside it with a completed manifest."""

import csv
import io
from pathlib import Path
from typing import Final

from radnet.datasets.scans import MANIFEST, scan_of
from radnet.errors import DataError, UsageError
from radnet.harvest.durable import publish

MORE: Final = ("values", "liver", "patient")  # columns that a manifest may lack


def complete(folder: Path, additions: Path, out: Path) -> int:
    """Write the manifest of `folder`, completed, into `out`, with links to what lies beside it.

    Parameters
    ----------
    folder
        Scans with a MANIFEST.csv; it is not changed.
    additions
        A CSV with the column ``id`` and columns of a manifest. A cell that is not empty takes the
        place of the manifest's.
    out
        Made, or made anew; what it holds besides stays.

    Returns
    -------
    int
        How many scans were added to.

    Raises
    ------
    UsageError
        If `out` is `folder`, a link's place is taken, or a file cannot be read.
    DataError
        If `additions` names a scan or a column that there is not, or the outcome is no manifest.
    """
    if out.exists() and out.samefile(folder):
        raise UsageError(f"{out}: is the folder itself; expected another one")
    rows, columns = _table(folder / MANIFEST)
    more, added = _table(additions)
    named = {row["id"] for row in rows}
    if strange := sorted({row["id"] for row in more} - named):
        raise DataError(f"{additions}: {', '.join(strange)} not in {folder / MANIFEST}")
    if strange := sorted(set(added) - {*columns, *MORE}):
        raise DataError(f"{additions}: no column {', '.join(strange)} in a manifest")
    columns += [name for name in added if name not in columns]
    by_id = {row["id"]: {name: cell for name, cell in row.items() if cell} for row in more}
    completed = [row | by_id.get(row["id"], {}) for row in rows]
    for row in completed:
        scan_of(row)  # or the reason why it is none
    out.mkdir(parents=True, exist_ok=True)
    _link(folder, out)
    _write(out, columns, completed)
    return len(by_id)


def _table(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as CSV ({type(error).__name__})") from error
    if "id" not in columns:
        raise DataError(f"{path}: no column id; expected a manifest, or additions to one")
    if any(None in row or None in row.values() for row in rows):
        raise DataError(f"{path}: rows of another length than its head")
    return rows, columns


def _link(folder: Path, out: Path) -> None:
    for path in folder.iterdir():
        link = out / path.name
        if path.name == MANIFEST or (link.is_symlink() and link.samefile(path)):
            continue
        if link.exists() or link.is_symlink():
            raise UsageError(f"{link}: is there already; expected a folder without it")
        link.symlink_to(path.resolve())


def _write(out: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    part = out / f".{MANIFEST}.part"
    part.write_text(text.getvalue(), encoding="utf-8")
    publish(part, out / MANIFEST)

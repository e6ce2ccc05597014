"""Labels of every series of a source, as one Parquet table.

Finished series stand in small part files beside the table until the end, so that a scan that
was cut off goes on where it stopped.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from pydicom import Dataset

from radnet.errors import RadnetError
from radnet.harvest.durable import publish
from radnet.harvest.sources import Listed, ScanSource
from radnet.labels.evidence import HEADS, SeriesLabels
from radnet.labels.header import read_header
from radnet.labels.rules import load_rules

PART: Final = 200  # series in one part file
LABEL_TYPES: Final = (
    dict.fromkeys(HEADS, "VARCHAR")
    | {f"{head}_confidence": "DOUBLE" for head in HEADS}
    | {"conflicts": "VARCHAR[]", "oblique_degrees": "DOUBLE", "slice_spacing_mm": "DOUBLE"}
)
TYPES: Final = {
    "series_instance_uid": "VARCHAR",
    "study_instance_uid": "VARCHAR",
    "patient_id": "VARCHAR",
    "collection": "VARCHAR",
    "modality": "VARCHAR",
    "manufacturer": "VARCHAR",
    "series_description": "VARCHAR",
    "body_part": "VARCHAR",
    "instances": "BIGINT",
    **LABEL_TYPES,
    "license_short_name": "VARCHAR",
    "source_DOI": "VARCHAR",
}  # columns of the table, in order
MAKERS: Final = {
    "SIEMENS": "SIEMENS", "CPS": "SIEMENS", "GE": "GE", "GEMS": "GE", "PHILIPS": "PHILIPS",
    "ADAC": "PHILIPS", "MARCONI": "PHILIPS", "PICKER": "PHILIPS",
    "TOSHIBA": "CANON", "CANON": "CANON",
}  # fmt: skip

Tick = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True)
class LabelScan:
    """What a scan is asked for.

    Attributes
    ----------
    out
        The Parquet file.
    site
        Rules of the site, read after those of radnet.
    modalities
        What to write; empty means all.
    force
        Whether a finished `out` is made anew instead of completed.
    """

    out: Path
    site: Path | None = None
    modalities: frozenset[str] = frozenset()
    force: bool = False

    @property
    def parts(self) -> Path:
        """Return the folder of the part files."""
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def old(self) -> Path | None:
        """Return the finished table that is to be completed, if there is one."""
        return self.out if self.out.is_file() and not self.force else None


@dataclass(frozen=True)
class Scanned:
    """What a scan did: series labelled now, taken over, and of those under other rules."""

    labelled: int
    kept: int
    stale: bool = False


def manufacturer(text: str) -> str:
    """Return one name for all spellings of a manufacturer, upper case; '' where unknown.

    Parameters
    ----------
    text : str
        Manufacturer (0008,0070) as it stands.

    Returns
    -------
    str
    """
    name = text.upper().split(" / ")[0].strip()
    first = name.replace(",", " ").replace("_", " ").split()[:1]
    return MAKERS.get(first[0], name) if first else ""


def clean(text: str) -> str:
    """Return `text` without what JSON or UTF-8 cannot carry.

    Parameters
    ----------
    text : str
        Anything that a header holds.

    Returns
    -------
    str
    """
    kept = "".join(sign if sign.isprintable() else " " for sign in text)
    return kept.encode("utf-8", "replace").decode("utf-8").strip()


def label_columns(labels: SeriesLabels) -> dict[str, Any]:
    """Return the columns of the table that `labels` fill."""
    row: dict[str, Any] = {}
    conflicts: list[str] = []
    for head in HEADS:
        label = getattr(labels, head)
        row[head] = str(label.value) or None
        row[f"{head}_confidence"] = round(label.confidence, 4)
        conflicts += [clean(f"{head}: {sentence}") for sentence in label.conflicts]
    return row | {
        "conflicts": conflicts,
        "oblique_degrees": labels.oblique_degrees,
        "slice_spacing_mm": labels.slice_spacing_mm,
    }


def table_row(listed: Listed, headers: Sequence[Dataset], labels: SeriesLabels) -> dict[str, Any]:
    """Return one row of the table."""
    first = headers[0]
    return {
        "series_instance_uid": clean(listed.uid),
        "study_instance_uid": _text(first, "StudyInstanceUID"),
        "patient_id": _text(first, "PatientID"),
        "collection": clean(listed.collection),
        "modality": _text(first, "Modality"),
        "manufacturer": manufacturer(_text(first, "Manufacturer")),
        "series_description": _text(first, "SeriesDescription"),
        "body_part": _text(first, "BodyPartExamined"),
        "instances": listed.instances or len(headers),
    } | label_columns(labels)


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else clean(str(value))


def scan_series(source: ScanSource, scan: LabelScan, tick: Tick) -> Scanned:
    """Label the series of `source` that ``scan.out`` does not hold yet, and add them to it.

    Parameters
    ----------
    source : ScanSource
        The archive.
    scan : LabelScan
        Where the table goes, and the site's rules.
    tick : callable
        Told how many series are done.

    Returns
    -------
    Scanned

    Raises
    ------
    RadnetError
        If the source stops answering; what was read stays in the part files.
    """
    rules = load_rules(scan.site)
    open_parts(scan, str(getattr(source, "root", "")))
    done = _counts(scan)
    listed = list(source.series())
    todo = [one for one in listed if not _same(done.get(clean(one.uid)), one.instances)]
    rows: list[dict[str, Any]] = []
    labelled = 0
    try:
        for number, one in enumerate(todo, start=1):
            headers = source.headers(one)
            if headers:
                rows.append(table_row(one, headers, read_header(headers, rules)))
                labelled += 1
            if len(rows) >= PART:
                _write_next(scan.parts, rows)
                rows = []
            tick(number, len(todo))
    finally:
        if rows:
            _write_next(scan.parts, rows)
    stale = is_stale(scan)
    _merge(scan)
    return Scanned(labelled, len(listed) - len(todo), stale)


def _same(before: int | None, now: int) -> bool:
    return before is not None and now in (before, 0)


def _write_next(folder: Path, rows: list[dict[str, Any]]) -> None:
    write_part(folder / f"{len(part_files(folder)):06d}.jsonl", rows)


def write_part(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as lines of JSON; the file is whole and on disk, or is not there."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
    publish(partial, path)


def part_files(folder: Path) -> list[Path]:
    """Return the finished part files, in the order they were written."""
    return sorted(folder.glob("*.jsonl"))


def rules_digest(site: Path | None) -> str:
    """Return what changes whenever the rules do: radnet's own or those of the site."""
    package = Path(__file__).parents[1] / "labels"
    files = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".toml"))
    digest = hashlib.sha256()
    for path in [*files, *([site] if site else [])]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def open_parts(scan: LabelScan, source: str) -> None:
    """Make the folder of the part files; throw those away that another scan left there."""
    plan = json.dumps(
        {"source": source, "rules": rules_digest(scan.site), "only": sorted(scan.modalities)}
    )
    told = scan.parts / "plan.json"
    if told.is_file() and told.read_text(encoding="utf-8") != plan:
        shutil.rmtree(scan.parts)
    scan.parts.mkdir(parents=True, exist_ok=True)
    told.write_text(plan, encoding="utf-8")


def connect(scan: LabelScan) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB of little memory that spills into the folder of the part files."""
    return duckdb.connect(
        config={
            "memory_limit": "1GB",
            "temp_directory": str(scan.parts / "spill"),
            "preserve_insertion_order": "false",
            "threads": "2",
        }
    )


def lines(scan: LabelScan) -> Iterator[dict[str, Any]]:
    """Yield the rows of all part files, oldest first."""
    for path in part_files(scan.parts):
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _counts(scan: LabelScan) -> dict[str, int]:
    """Return how many instances each series had when it was labelled."""
    done: dict[str, int] = {}
    if scan.old:
        with connect(scan) as db:
            found = db.execute(
                "SELECT series_instance_uid, instances FROM read_parquet(?)", [str(scan.old)]
            )
            done = dict(found.fetchall())
    return done | {row["series_instance_uid"]: row["instances"] for row in lines(scan)}


def first_line(error: Exception) -> str:
    """Return what DuckDB says went wrong, without its stack trace.

    Parameters
    ----------
    error : Exception
        Of DuckDB.

    Returns
    -------
    str
    """
    return (str(error).splitlines() or [type(error).__name__])[0]


def quoted(path: Path) -> str:
    """Return a path as SQL text, where DuckDB takes no parameter; no name can end the string.

    Parameters
    ----------
    path : Path
        Any.

    Returns
    -------
    str
        With its quotes.
    """
    return "'" + str(path).replace("'", "''") + "'"


def json_columns(types: dict[str, str]) -> str:
    """Return the ``columns`` argument of DuckDB's read_json; names and types are our own."""
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in types.items()) + "}"


def is_stale(scan: LabelScan) -> bool:
    """Tell whether the table to be completed was labelled by other rules."""
    if not scan.old:
        return False
    with connect(scan) as db:
        found = db.execute(
            "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = 'radnet_rules'",
            [str(scan.old)],
        ).fetchone()
    return found != (rules_digest(scan.site),)


def write_table(
    scan: LabelScan, db: duckdb.DuckDBPyConnection, rows: str, values: Sequence[object]
) -> None:
    """Write the rows of a query and those of the old table beside them; drop the parts."""
    columns = ", ".join(TYPES)
    query = f"WITH new AS ({rows}) SELECT {columns} FROM new"  # noqa: S608 (our own text)
    told = list(values)
    if scan.old:
        query += (
            f" UNION ALL SELECT {columns} FROM read_parquet(?) AS old"  # noqa: S608
            " WHERE old.series_instance_uid NOT IN (SELECT series_instance_uid FROM new)"
        )
        told.append(str(scan.old))
    partial = scan.out.with_name(f"{scan.out.name}.partial")
    db.execute(
        f"COPY ({query}) TO {quoted(partial)} (FORMAT parquet, COMPRESSION zstd, "
        f"KV_METADATA {{radnet_rules: '{rules_digest(scan.site)}'}})",
        told,
    )
    publish(partial, scan.out)
    shutil.rmtree(scan.parts)


def _merge(scan: LabelScan) -> None:
    """Write all part files and the old table into one; the last row of a series holds."""
    if not part_files(scan.parts):
        write_part(scan.parts / "000000.jsonl", [])
    rows = (
        f"SELECT * EXCLUDE (filename) FROM read_json(?, columns = {json_columns(TYPES)}, "  # noqa: S608
        "format = 'newline_delimited', filename = true) "
        "WHERE len(?) = 0 OR list_contains(?, modality) QUALIFY row_number() "
        "OVER (PARTITION BY series_instance_uid ORDER BY filename DESC) = 1"
    )
    only = sorted(scan.modalities)
    files = [str(path) for path in part_files(scan.parts)]
    try:
        with connect(scan) as db:
            write_table(scan, db, rows, [files, only, only])
    except duckdb.Error as error:
        raise RadnetError(f"{scan.out}: cannot be written ({first_line(error)})") from error

"""Labels of the whole index of NCI Imaging Data Commons, from its table: no download.

The index has a million series but many times fewer distinct texts. Each is labelled once; SQL
carries the labels to the series.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import duckdb

from radnet.errors import RadnetError, UsageError
from radnet.harvest.label_scan import (
    LABEL_TYPES,
    LabelScan,
    Scanned,
    Tick,
    connect,
    first_line,
    is_stale,
    json_columns,
    label_columns,
    manufacturer,
    open_parts,
    write_part,
    write_table,
)
from radnet.labels.row import TableRow, label_row
from radnet.labels.rules import Rules, load_rules

CHUNK: Final = 2000  # distinct texts in one part file
WORKERS: Final = 2
TEXTS: Final = {
    "modality": "Modality",
    "series_description": "SeriesDescription",
    "body_part": "BodyPartExamined",
    "collection": "collection_id",
    "study_description": "StudyDescription",
}  # what a label can depend on, and its column in the index

Row = tuple[int, str, str, str, str, str]  # key, then `TEXTS`


def index_file() -> Path:
    """Return the index that the package idc-index-data installs.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import idc_index_data
    except ImportError as error:
        raise UsageError("idc-index is not installed: pip install radnet-node[harvest]") from error
    return Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH))


def scan_index(index: Path, scan: LabelScan, tick: Tick) -> Scanned:
    """Label the series of an IDC index that ``scan.out`` does not hold yet; see `LabelScan`.

    Parameters
    ----------
    index : Path
        Parquet of the IDC's index.
    scan : LabelScan
        Where the table goes, and the site's rules.
    tick : callable
        Told how many series are done.

    Returns
    -------
    Scanned
    """
    load_rules(scan.site)  # a mistake in the site's rules is told here, not by a worker
    size = index.stat()
    before = scan.old.stat().st_mtime_ns if scan.old else 0
    open_parts(scan, f"{index} {size.st_size} {size.st_mtime_ns} {before}")
    try:
        with connect(scan) as db:
            total = _select(db, index, scan)
            files = _label_all(db, scan, tick)
            (todo,) = db.execute("SELECT count(*) FROM todo").fetchone() or (0,)
            stale = is_stale(scan)
            _makers(db)
            write_table(scan, db, _joined(), [[str(path) for path in files]])
    except duckdb.Error as error:
        raise RadnetError(f"{index}: cannot be scanned ({first_line(error)})") from error
    return Scanned(todo, total - todo, stale)


def _select(db: duckdb.DuckDBPyConnection, index: Path, scan: LabelScan) -> int:
    """Make the tables `todo` (series) and `texts` (distinct texts); return the series in all."""
    only = sorted(scan.modalities)
    texts = ", ".join(f"coalesce({theirs}, '') AS {ours}" for ours, theirs in TEXTS.items())
    wanted = "len(?) = 0 OR list_contains(?, Modality)"
    values: list[object] = [str(index), only, only]
    (total,) = db.execute(
        f"SELECT count(*) FROM read_parquet(?) WHERE {wanted}",  # noqa: S608 (our own text)
        values,
    ).fetchone() or (0,)
    known = ""
    if scan.old:
        known = (
            " AND (SeriesInstanceUID, instanceCount) NOT IN"
            " (SELECT (series_instance_uid, instances) FROM read_parquet(?))"
        )
        values.append(str(scan.old))
    db.execute(
        f"CREATE TEMP TABLE todo AS SELECT {texts}, SeriesInstanceUID AS series_instance_uid, "  # noqa: S608
        "StudyInstanceUID AS study_instance_uid, PatientID AS patient_id, "
        "coalesce(Manufacturer, '') AS maker, instanceCount AS instances, license_short_name, "
        f"source_DOI FROM read_parquet(?) WHERE ({wanted}){known}",
        values,
    )
    names = ", ".join(TEXTS)
    db.execute(
        f"CREATE TEMP TABLE texts AS SELECT row_number() OVER (ORDER BY {names}) AS key, * "  # noqa: S608
        f"FROM (SELECT DISTINCT {names} FROM todo)"
    )
    return int(total)


def _label_all(db: duckdb.DuckDBPyConnection, scan: LabelScan, tick: Tick) -> list[Path]:
    """Label every chunk of `texts` that has no part file yet; return all part files."""
    (count,) = db.execute("SELECT count(*) FROM texts").fetchone() or (0,)
    chunks = range(0, max(count, 1), CHUNK)
    files = [scan.parts / f"{start // CHUNK:06d}.jsonl" for start in chunks]
    missing = [
        (path, start) for path, start in zip(files, chunks, strict=True) if not path.exists()
    ]
    done = len(files) - len(missing)
    tick(min(done * CHUNK, count), count)
    for _ in _labelled(db, missing, scan.site):
        done += 1
        tick(min(done * CHUNK, count), count)
    return files


def _labelled(
    db: duckdb.DuckDBPyConnection, missing: Sequence[tuple[Path, int]], site: Path | None
) -> Iterator[None]:
    """Write the missing part files, in this process if it is one, else in `WORKERS` others."""
    if len(missing) <= 1:
        for path, start in missing:
            label_chunk(path, _chunk(db, start), site)
            yield
        return
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(label_chunk, path, _chunk(db, start), site) for path, start in missing
        ]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _chunk(db: duckdb.DuckDBPyConnection, start: int) -> list[Row]:
    names = ", ".join(TEXTS)
    return db.execute(
        f"SELECT key, {names} FROM texts WHERE key > ? AND key <= ? ORDER BY key",  # noqa: S608
        [start, start + CHUNK],
    ).fetchall()


_rules = cache(load_rules)


def label_chunk(path: Path, rows: Sequence[Row], site: Path | None) -> None:
    """Label distinct texts and write them as one part file; runs in a worker."""
    rules: Rules = _rules(site)
    write_part(path, [_labels(row, rules) for row in rows])


def _labels(row: Row, rules: Rules) -> dict[str, Any]:
    key, *texts = row
    labels = label_row(TableRow(**dict(zip(TEXTS, texts, strict=True))), rules)
    return {"key": key} | label_columns(labels)


def _makers(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `makers`: every spelling of a manufacturer, and its one name."""
    found = db.execute("SELECT DISTINCT maker FROM todo").fetchall()
    told = json.dumps([{"maker": name, "manufacturer": manufacturer(name)} for (name,) in found])
    db.execute(
        "CREATE TEMP TABLE makers AS SELECT unnest(from_json(?, "
        """'[{"maker": "VARCHAR", "manufacturer": "VARCHAR"}]'), recursive := true)""",
        [told],
    )


def _joined() -> str:
    columns = json_columns({"key": "BIGINT"} | LABEL_TYPES)
    return (
        f"SELECT * FROM todo JOIN texts USING ({', '.join(TEXTS)}) JOIN makers USING (maker) "  # noqa: S608
        f"JOIN read_json(?, columns = {columns}, format = 'newline_delimited') USING (key)"
    )

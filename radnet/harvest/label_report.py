"""What a table of labels holds: how much is known, of what, and where header and truth differ."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from radnet.errors import DataError
from radnet.harvest.label_scan import first_line, quoted
from radnet.labels.evidence import HEADS
from radnet.labels.vocabulary import ELSEWHERE

BIGGEST: Final = "nlst"  # three quarters of all CT in the IDC; figures are given without it too
MOST_GROUPS: Final = 40
MOST_QUARRELS: Final = 25


@dataclass(frozen=True)
class TableGroup:
    """A part of the table and the share of its series of which each label is known."""

    name: str
    series: int
    known: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """A label in which the header and what a person sees in the images are not the same."""

    series: str
    head: str
    header: str
    truth: str
    conflicts: tuple[str, ...]

    @property
    def misleads(self) -> bool:
        """Tell whether the header says something else, not just nothing."""
        return bool(self.header)


@dataclass(frozen=True)
class Quarrel:
    """What one attribute says against the label that was given, and in how many series."""

    head: str
    attribute: str
    says: str
    rule: str
    series: int


@dataclass(frozen=True)
class Report:
    """All figures of one table of labels.

    Attributes
    ----------
    values
        Label to value to number of series; '' is unknown.
    totals, collections, vendors
        The whole table (with and without `BIGGEST`); its CT and MR by part, the largest first.
    conflicts
        Label to number of series in which evidence for it disagreed.
    quarrels
        What contradicted, the most frequent first.
    differences
        From the truth, where one was given; `judged` is how many labels were compared.
    """

    series: int
    values: Mapping[str, Mapping[str, int]]
    totals: tuple[TableGroup, ...]
    collections: tuple[TableGroup, ...]
    vendors: tuple[TableGroup, ...]
    conflicts: Mapping[str, int]
    quarrels: tuple[Quarrel, ...] = ()
    differences: tuple[Difference, ...] = ()
    judged: int = 0


def report(table: Path, truth: Path | None = None) -> Report:
    """Return the figures of a table that ``radnet labels scan`` wrote.

    Parameters
    ----------
    table
        The Parquet file.
    truth
        A CSV of what a person sees: ``id`` (the collection of the series) and columns named
        like the labels. An empty contrast is not judged, any other empty cell means none.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If either file cannot be read as such.
    """
    with duckdb.connect() as db:
        try:
            db.execute(f"CREATE VIEW labels AS SELECT * FROM read_parquet({quoted(table)})")  # noqa: S608
            db.execute(f"SELECT {', '.join(HEADS)}, conflicts FROM labels LIMIT 0")  # noqa: S608
        except duckdb.Error as error:
            raise DataError(
                f"{table}: not a table of `radnet labels scan` ({first_line(error)})"
            ) from error
        differences, judged = _compare(db, truth) if truth else ((), 0)
        (series,) = db.execute("SELECT count(*) FROM labels").fetchone() or (0,)
        return Report(
            series=series,
            values={head: _values(db, head) for head in HEADS},
            totals=_totals(db),
            collections=_groups(db, "collection"),
            vendors=_groups(db, "manufacturer"),
            conflicts={head: _conflicts(db, head) for head in HEADS},
            quarrels=_quarrels(db),
            differences=differences,
            judged=judged,
        )


def _values(db: duckdb.DuckDBPyConnection, head: str) -> dict[str, int]:
    found = db.execute(
        f"SELECT coalesce({head}, ''), count(*) FROM labels GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
    )
    return dict(found.fetchall())


def _known() -> str:
    return ", ".join(f"avg(({head} IS NOT NULL)::INT)" for head in HEADS)


def _group(row: tuple[Any, ...]) -> TableGroup:
    name, series, *shares = row
    return TableGroup(name or "(none)", series, dict(zip(HEADS, shares, strict=True)))


def _groups(db: duckdb.DuckDBPyConnection, column: str) -> tuple[TableGroup, ...]:
    rows = db.execute(
        f"SELECT {column}, count(*), {_known()} FROM labels "  # noqa: S608
        "WHERE modality IN ('CT', 'MR') GROUP BY 1 "
        f"ORDER BY 2 DESC, 1 LIMIT {MOST_GROUPS}"
    ).fetchall()
    return tuple(_group(row) for row in rows)


def _totals(db: duckdb.DuckDBPyConnection) -> tuple[TableGroup, ...]:
    groups: list[TableGroup] = []
    for name, where in (
        ("all", "true"),
        ("CT", "modality = 'CT'"),
        (f"CT without {BIGGEST}", f"modality = 'CT' AND collection <> '{BIGGEST}'"),
        ("MR", "modality = 'MR'"),
    ):
        row = db.execute(
            f"SELECT '{name}', count(*), {_known()} FROM labels WHERE {where}"  # noqa: S608
        ).fetchone()
        if row and row[1]:
            groups.append(_group(row))
    return tuple(groups)


def _conflicts(db: duckdb.DuckDBPyConnection, head: str) -> int:
    (count,) = db.execute(
        "SELECT count(*) FROM labels WHERE len(list_filter(conflicts, "
        "lambda told: starts_with(told, ?))) > 0",
        [f"{head}: "],
    ).fetchone() or (0,)
    return int(count)


def _quarrels(db: duckdb.DuckDBPyConnection) -> tuple[Quarrel, ...]:
    """Count the sentences of `radnet.labels.evidence.Label.conflicts`, what was found left out."""
    found = db.execute(
        "WITH told AS (SELECT unnest(conflicts) AS told FROM labels), parts AS (SELECT "
        r"regexp_extract(told, '^(\w+): (\w+) says (\S+) .*rule ([^)]+)\)$', "
        "['head', 'attribute', 'says', 'rule']) AS part FROM told) "
        "SELECT part.head, part.attribute, part.says, part.rule, count(*) FROM parts "
        "WHERE part.head <> '' GROUP BY ALL ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT ?",
        [MOST_QUARRELS],
    )
    return tuple(Quarrel(*row) for row in found.fetchall())


def _compare(db: duckdb.DuckDBPyConnection, truth: Path) -> tuple[tuple[Difference, ...], int]:
    seen = _read_truth(truth)
    heads = [head for head in HEADS if head in next(iter(seen.values()), {})]
    rows = db.execute(
        f"SELECT collection, conflicts, {', '.join(heads)} FROM labels ORDER BY 1"  # noqa: S608
    ).fetchall()
    found: list[Difference] = []
    judged = 0
    for collection, conflicts, *values in rows:
        if collection not in seen:
            continue
        for head, value in zip(heads, values, strict=True):
            said, true = value or "", seen[collection][head]
            if head == "contrast" and not true:
                continue
            judged += 1
            if _same(head, said, true):
                continue
            told = tuple(one for one in conflicts if one.startswith(f"{head}: "))
            found.append(Difference(collection, head, said, true, told))
    return tuple(found), judged


def _same(head: str, said: str, true: str) -> bool:
    return said == true or (head == "coverage" and said == ELSEWHERE and not true)


def _read_truth(truth: Path) -> dict[str, dict[str, str]]:
    try:
        with truth.open(newline="", encoding="utf-8") as file:
            rows = {row["id"]: row for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise DataError(
            f"{truth}: cannot be read as a CSV with a column id ({error!r})"
        ) from error
    return rows

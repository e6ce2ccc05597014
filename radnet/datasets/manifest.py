"""What to train on: a Parquet table made of labels, in which no patient stands on both sides.

Made from the table of ``radnet labels scan``. A row is one series with its files, its labels,
whether each label is sure enough to be learned from, its patient (a digest, no name) and its
side: ``train``, ``validation`` or ``test``. The side follows from the patient alone, so that it
stays when the archive grows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, Literal, get_args

import duckdb

from radnet.errors import DataError
from radnet.harvest.durable import publish
from radnet.harvest.label_scan import first_line, quoted
from radnet.labels.vocabulary import ELSEWHERE, Contrast, Plane, Region
from radnet.labels.vocabulary import Sequence as Weighting

Split = Literal["train", "validation", "test"]
HEADS: Final = ("sequence", "plane", "contrast", "coverage")
FEWEST: Final = 5  # instances of a series that is worth learning from
TYPES: Final = {
    "series_instance_uid": "VARCHAR",
    "patient": "VARCHAR",
    "collection": "VARCHAR",
    "modality": "VARCHAR",
    "manufacturer": "VARCHAR",
    "split": "VARCHAR",
    "files": "VARCHAR[]",
    "mask": "VARCHAR",
    **{
        column: kind
        for head in HEADS
        for column, kind in ((head, "VARCHAR"), (f"{head}_known", "BOOLEAN"))
    },
    "license_short_name": "VARCHAR",
    "source_DOI": "VARCHAR",
}  # columns, in order
NEEDED: Final = frozenset(TYPES) - {"mask", "manufacturer", "license_short_name", "source_DOI"}


@dataclass(frozen=True)
class ManifestOrder:
    """What a manifest is made of.

    Attributes
    ----------
    sure
        A label less sure than this is not learned from.
    per_patient
        Series of one patient in one collection, at most; of different kinds first.
    per_collection
        Series of one collection, at most; 0: all.
    test, validation
        Shares of the patients.
    licences
        Patterns such as ``CC BY ?.0``; empty: any, and none.
    """

    sure: float = 0.9
    per_patient: int = 6
    per_collection: int = 2000
    test: float = 0.15
    validation: float = 0.1
    modalities: tuple[str, ...] = ("CT", "MR")
    licences: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One series of a manifest; None where its label is not known."""

    series_instance_uid: str
    patient: str
    collection: str
    modality: str
    manufacturer: str
    split: Split
    files: tuple[Path, ...]
    mask: Path | None
    sequence: Weighting | None
    plane: Plane | None
    contrast: Contrast | None
    coverage: frozenset[Region] | None
    licence: str = ""
    doi: str = ""


SELECT: Final = """
WITH labelled AS (
    SELECT *, coalesce(nullif(patient_id, ''), study_instance_uid) AS person,
        sha256(concat($seed, series_instance_uid)) AS lot
    FROM read_parquet($labels)
    WHERE list_contains($modalities, modality) AND instances >= $fewest
        AND coalesce(localizer, '') <> '1'
        AND (len($licences) = 0 OR list_contains($licences, license_short_name))
), placed AS (
    SELECT *, ('0x' || sha256(concat($seed, person))[1:8])::UBIGINT / 4294967296.0 AS place
    FROM labelled
), varied AS (
    SELECT *, row_number() OVER (
        PARTITION BY person, collection, sequence, plane, contrast ORDER BY lot) AS twin
    FROM placed
), few AS (
    SELECT * FROM varied QUALIFY row_number() OVER (
        PARTITION BY person, collection ORDER BY twin, lot) <= $per_patient
), capped AS (
    SELECT * FROM few QUALIFY $per_collection = 0 OR collection = '' OR row_number() OVER (
        PARTITION BY collection ORDER BY lot) <= $per_collection
)
SELECT series_instance_uid, sha256(person)[1:16] AS patient, collection, modality, manufacturer,
    CASE WHEN place < $test THEN 'test' WHEN place < $test + $validation THEN 'validation'
        ELSE 'train' END AS split,
    paths.files, paths.mask, {labels}, license_short_name, "source_DOI"
FROM capped {join} JOIN paths USING (series_instance_uid)
ORDER BY series_instance_uid
"""  # no patient's name or number leaves it


def make_manifest(
    labels: Path,
    out: Path,
    wanted: ManifestOrder,
    files: Mapping[str, Sequence[Path]] | None = None,
    masks: Mapping[str, Path] | None = None,
) -> dict[str, int]:
    """Write the manifest of a table of labels; return the series on each side.

    Parameters
    ----------
    labels
        As ``radnet labels scan`` writes it.
    files
        Series Instance UID to its files; a series without is left out. None: no files are at
        hand yet, and `radnet fetch idc --manifest` gets them.
    masks
        Series Instance UID to the NIfTI mask of its liver.

    Raises
    ------
    DataError
        If the table cannot be read, or nothing is left of it.
    """
    heads = ", ".join(
        f"{head}, {head} IS NOT NULL AND {head}_confidence >= $sure AS {head}_known"
        for head in HEADS
    )
    query = "CREATE TABLE rows AS " + SELECT.format(
        labels=heads, join="" if files is not None else "LEFT"
    )
    partial = out.with_name(f"{out.name}.partial")
    found = files or {}
    rows = [
        (uid, [str(_beside(out, path)) for path in paths], _mask(out, masks, uid))
        for uid, paths in found.items()
    ]
    try:
        with duckdb.connect() as db:
            db.execute(
                "CREATE TABLE paths (series_instance_uid VARCHAR, files VARCHAR[], mask VARCHAR)"
            )
            if rows:
                db.executemany("INSERT INTO paths VALUES (?, ?, ?)", rows)
            db.execute(query, _values(labels, wanted, _licences(db, labels, wanted)))
            db.execute(f"COPY rows TO {quoted(partial)} (FORMAT parquet, COMPRESSION zstd)")
            counts = db.execute("SELECT split, count(*) FROM rows GROUP BY split").fetchall()
    except duckdb.Error as error:
        raise DataError(
            f"{labels}: no table of radnet labels scan ({first_line(error)})"
        ) from error
    if not counts:
        partial.unlink()
        raise DataError(
            f"{labels}: no series of it is left; expected some with files, of the wanted "
            "modalities and licences"
        )
    publish(partial, out)
    return {"train": 0, "validation": 0, "test": 0} | dict(counts)


def _values(labels: Path, wanted: ManifestOrder, licences: list[str]) -> dict[str, object]:
    return {
        "labels": str(labels),
        "seed": f"radnet-{wanted.seed}-",
        "modalities": list(wanted.modalities),
        "licences": licences,
        "fewest": FEWEST,
        "sure": wanted.sure,
        "per_patient": wanted.per_patient,
        "per_collection": wanted.per_collection,
        "test": wanted.test,
        "validation": wanted.validation,
    }


def _licences(db: duckdb.DuckDBPyConnection, labels: Path, wanted: ManifestOrder) -> list[str]:
    """Return the licences of the table that fit the wanted patterns; empty where any will do."""
    if not wanted.licences:
        return []
    told = db.execute(
        "SELECT DISTINCT coalesce(license_short_name, '') FROM read_parquet(?)", [str(labels)]
    ).fetchall()
    fit = [name for (name,) in told if any(fnmatch(name, one) for one in wanted.licences)]
    return fit or ["no licence fits"]


def _beside(out: Path, path: Path) -> Path:
    """Return `path` as the manifest holds it: relative where it lies below the manifest."""
    home, path = out.resolve().parent, path.resolve()
    return path.relative_to(home) if path.is_relative_to(home) else path


def _mask(out: Path, masks: Mapping[str, Path] | None, uid: str) -> str | None:
    path = (masks or {}).get(uid)
    return str(_beside(out, path)) if path else None


def read_table(manifest: Path, *splits: Split) -> list[Row]:
    """Return the series of a manifest that stand on one of the sides; of all without `splits`.

    Raises
    ------
    DataError
        If the file is no manifest, holds a word that is no label, or nothing on those sides.
    """
    asked = splits or get_args(Split)
    try:
        with duckdb.connect() as db:
            there = db.execute(
                "SELECT * FROM read_parquet(?) WHERE list_contains(?, split) ORDER BY 1",
                [str(manifest), list(asked)],
            )
            columns = [column[0] for column in there.description or ()]
            told = [dict(zip(columns, row, strict=True)) for row in there.fetchall()]
    except duckdb.Error as error:
        raise DataError(f"{manifest}: no manifest ({first_line(error)})") from error
    if missing := NEEDED - set(columns):
        raise DataError(f"{manifest}: no column {', '.join(sorted(missing))}")
    if not told:
        raise DataError(f"{manifest}: no series on the side {' or '.join(asked)}")
    try:
        return [_row(manifest.parent, one) for one in told]
    except ValueError as error:
        raise DataError(f"{manifest}: {error}") from error


def _row(home: Path, told: Mapping[str, Any]) -> Row:
    known = {head: told[head] if told[f"{head}_known"] else None for head in HEADS}
    return Row(
        str(told["series_instance_uid"]),
        str(told["patient"]),
        str(told["collection"] or ""),
        str(told["modality"]),
        str(told.get("manufacturer") or ""),
        told["split"],
        tuple(home / path for path in told["files"] or ()),
        home / told["mask"] if told.get("mask") else None,
        Weighting(known["sequence"]) if known["sequence"] else None,
        Plane(known["plane"]) if known["plane"] else None,
        Contrast(known["contrast"]) if known["contrast"] else None,
        _regions(known["coverage"]),
        str(told.get("license_short_name") or ""),
        str(told.get("source_DOI") or ""),
    )


def _regions(words: str | None) -> frozenset[Region] | None:
    """Return the regions of a coverage; none for a known nothing, None for an unknown."""
    if not words:
        return None
    return frozenset(Region(word) for word in words.split(";") if word != ELSEWHERE)


def with_files(row: Row, files: Sequence[Path]) -> Row:
    """Return `row` with its files."""
    return replace(row, files=tuple(files))

"""Real scans of a data folder: its manifest, who may be learned from, and their voxels.

The folder holds ``MANIFEST.csv`` and, of each of its rows by `kind`, ``dicom/<id>/*.dcm``,
``liver/<id>_{ct,liver}.nii.gz`` (liver pair) or ``nifti/<id>.nii.gz`` (nifti; where the folder
holds nothing else, beside the manifest).
"""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

import highdicom as hd

from radnet.datasets.reading import read_files
from radnet.errors import DataError
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence

# One patient must not stand on both sides: ct_abdomen_ts and ts_dicom are the same person.
CLASSIFIER_TEST: Final = frozenset(
    {"ct_abdomen_ts", "ts_dicom", "ct_headneck_acrin001", "ts_example", "amos0013", "lits06_8bit"}
)
LIVER_TEST: Final = frozenset({"ts_dicom", "ts_example", "amos0013", "lits06_8bit"})
HEAD_TO_FOOT: Final = tuple(Region)
NOTED: Final = {
    "portal venous": Contrast.CONTRAST,
    "no contrast": Contrast.NONCONTRAST,
}  # what the manifest's note tells of a scan whose column `contrast` is empty

Kind = Literal["dicom", "liver pair", "nifti"]


@dataclass(frozen=True)
class Scan:
    """One row of the manifest; None where a person could not tell."""

    name: str
    kind: Kind
    modality: str
    sequence: Sequence | None
    plane: Plane | None
    contrast: Contrast | None
    coverage: frozenset[Region]
    coverage_whole: bool  # False: the regions named are seen, of the others little is known
    source: str
    licence: str
    role: Literal["train", "test"]
    test_only: bool = False  # never to be learned from, whatever is asked for


def read_manifest(folder: Path) -> list[Scan]:
    """Return the scans of `folder` in the manifest's order, each with its role."""
    with (folder / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        return [_scan(row) for row in csv.DictReader(file)]


def _scan(row: dict[str, str]) -> Scan:
    name = row["id"]
    kept_out = row["use"] != "train" or name in CLASSIFIER_TEST | LIVER_TEST
    regions = frozenset(Region(part) for part in row["coverage"].split(";") if part)
    pair = row["kind"] == "liver pair"
    return Scan(
        name,
        _kind(row),
        row["modality"],
        Sequence(row["sequence"]) if row["sequence"] else None,
        Plane(row["plane"]) if row["plane"] else None,
        _contrast(row),
        regions,
        not pair and (bool(regions) or "none of the nine" in row["note"] or "knee" in name),
        row["source"],
        row["licence"],
        "test" if kept_out else "train",
        row["use"] == "test only",
    )


def _kind(row: dict[str, str]) -> Kind:
    for kind in get_args(Kind):
        if row["kind"] == kind:
            return cast("Kind", kind)
    raise DataError(
        f"MANIFEST.csv: {row['id']}: kind {row['kind']!r}; expected {', '.join(get_args(Kind))}"
    )


def _contrast(row: dict[str, str]) -> Contrast | None:
    if row["contrast"]:
        return Contrast(row["contrast"])
    return next((value for words, value in NOTED.items() if words in row["note"]), None)


def files(folder: Path, scan: Scan) -> list[Path]:
    """Return the files of `scan` in a fixed order."""
    if scan.kind == "dicom":
        return sorted((folder / "dicom" / scan.name).glob("*.dcm"))
    if scan.kind == "nifti":
        name = f"{scan.name}.nii.gz"
        inside = folder / "nifti" / name
        return [inside if inside.is_file() else folder / name]
    return [folder / "liver" / f"{scan.name}_{part}.nii.gz" for part in ("ct", "liver")]


def digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the bytes of all files of a scan, in their order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


def read_scan(folder: Path, scan: Scan) -> hd.Volume:
    """Return the voxels of `scan`; of a liver pair those of the CT.

    Raises
    ------
    UnusableVolumeError
        As of `radnet.datasets.reading.read_files`.
    """
    paths = files(folder, scan)
    return read_files(paths[:1] if scan.kind == "liver pair" else paths, scan.modality, scan.name)

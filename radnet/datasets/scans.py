"""Real scans of a data folder: its manifest, who may be learned from, and their voxels.

The folder holds ``MANIFEST.csv`` and, of each of its rows by `kind`, ``dicom/<id>/*.dcm``,
``liver/<id>_{ct,liver}.nii.gz`` (liver pair) or ``nifti/<id>.nii.gz`` (nifti; where the folder
holds nothing else, beside the manifest).

Columns of ``MANIFEST.csv``; an empty cell says that a person could not tell, a column marked *
may be missing:

=========  ============================================================================
id         name of the scan, and of its files
kind       dicom, liver pair or nifti
modality   as in (0008,0060)
sequence   class of `radnet.labels.vocabulary`; so are plane and contrast
coverage   regions, by semicolons; ``elsewhere``: the scan shows none of the nine
note       free text; tells of the agent where `contrast` is empty
source     who published it, under which `licence`
use        ``train``; ``test``: left out, but of a liver with ``--every-scan``; ``test only``:
           always; ``development``: never learned from and never reported on, for trainings keep
           the weights that do best on it
values*    ``windowed``: grey levels of one window, no Hounsfield units
liver*     ``none``: no liver in view; ``unfit``: the liver network does not learn from it
patient*   the same word for all scans of one patient; else DICOM says it, and of other files
           each is its own patient
=========  ============================================================================

One patient stands on one side: whoever fills `use` sees to it. A scan that was left out when the
shipped weights were made (same id and source in ``weights/split.json``) counts as ``test`` where
its row says ``train``: the figures of those weights are measured on it.
"""

import csv
import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

import highdicom as hd

from radnet.datasets.reading import read_files
from radnet.errors import DataError
from radnet.labels.vocabulary import ELSEWHERE, Contrast, Plane, Region, Sequence

MANIFEST: Final = "MANIFEST.csv"
NOTED: Final = {
    "portal venous": Contrast.CONTRAST,
    "no contrast": Contrast.NONCONTRAST,
}  # what the manifest's note tells of a scan whose column `contrast` is empty

Kind = Literal["dicom", "liver pair", "nifti"]
Use = Literal["train", "development", "test", "test only"]
Role = Literal["train", "development", "test"]
Values = Literal["", "windowed"]
Liver = Literal["", "none", "unfit"]
Word = TypeVar("Word", bound=str)


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
    role: Role
    test_only: bool = False  # never to be learned from, whatever is asked for
    windowed: bool = False  # grey levels of one window: they tell little of Hounsfield units
    liver: Liver = ""
    patient: str = ""  # what the manifest calls the patient


def read_manifest(folder: Path) -> list[Scan]:
    """Return the scans of `folder` in the manifest's order, each with its role.

    Raises
    ------
    DataError
        If a cell holds a word that its column does not know.
    """
    with (folder / MANIFEST).open(newline="", encoding="utf-8") as file:
        scans = [scan_of(row) for row in csv.DictReader(file)]
    kept = _left_out()
    return [
        replace(scan, role="test") if (scan.name, scan.source) in kept else scan for scan in scans
    ]


@functools.cache
def _left_out() -> frozenset[tuple[str, str]]:
    """Return id and source of each scan that the shipped weights are judged by."""
    recorded = resources.files("radnet.weights") / "split.json"
    return frozenset(
        (row["id"], row["source"])
        for row in json.loads(recorded.read_text(encoding="utf-8"))
        if row["role"] == "test"
    )


def scan_of(row: dict[str, str]) -> Scan:
    """Return the scan that a row of a manifest, cell by column, is about.

    Raises
    ------
    DataError
        If a cell holds a word that its column does not know.
    """
    use: Use = _word(row, "use", get_args(Use))
    role: Role = "test" if use == "test only" else use
    kind: Kind = _word(row, "kind", get_args(Kind))
    values: Values = _word(row, "values", get_args(Values))
    parts = {part for part in row["coverage"].split(";") if part}
    try:
        return Scan(
            row["id"],
            kind,
            row["modality"],
            Sequence(row["sequence"]) if row["sequence"] else None,
            Plane(row["plane"]) if row["plane"] else None,
            _contrast(row),
            frozenset(Region(part) for part in parts - {ELSEWHERE}),
            bool(parts) and kind != "liver pair",
            row["source"],
            row["licence"],
            role,
            use == "test only",
            values == "windowed",
            _word(row, "liver", get_args(Liver)),
            row.get("patient") or "",
        )
    except ValueError as error:
        raise DataError(f"{MANIFEST}: {row['id']}: {error}") from error


def _word(row: dict[str, str], column: str, known: tuple[Word, ...]) -> Word:
    """Return the word in a column; a column that is missing is empty."""
    found = row.get(column) or ""
    for word in known:
        if word == found:
            return word
    expected = ", ".join(word or "nothing" for word in known)
    raise DataError(f"{MANIFEST}: {row['id']}: {column} {found!r}; expected {expected}")


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

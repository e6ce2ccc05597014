"""Folders in the layout of LiTS: the volumes, whose they are, and on which side they stand.

The layout is ``volume-N.nii[.gz]`` with ``segmentation-N.nii[.gz]`` beside it, in any folder
below. A patient's side follows from a hash of who it is, and from no other volume; it is kept in
``split.csv`` in the folder, and a side that stands there never moves, whatever is added. Columns
of ``split.csv``: volume (``volume-N``), patient (N; whoever knows better fills it before the first
training), side (``train`` or ``test``).
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from radnet.errors import DataError
from radnet.harvest.durable import publish

Side = Literal["train", "test"]
SPLIT: Final = "split.csv"
COLUMNS: Final = ("volume", "patient", "side")
HELD_OUT: Final = 0.25  # share of the patients
LOT: Final = "lits-311-"  # another word would deal the patients anew
NAME: Final = re.compile(r"(volume-(\d+))\.nii(\.gz)?")


@dataclass(frozen=True)
class LitsVolume:
    """One CT with its segmentation, in which 1 is liver and 2 a tumour, which lies in it."""

    ct: Path
    mask: Path
    patient: str
    side: Side

    @property
    def named(self) -> str:
        """Return who the patient is where somebody said it; a number is another one elsewhere."""
        return "" if self.patient == _number(_name(self.ct)) else self.patient


@dataclass(frozen=True)
class SideOfVolume:
    """One row of a frozen split: whose a volume is, and the side of that patient."""

    patient: str
    side: Side


def lits_files(data: Path) -> list[tuple[Path, Path]]:
    """Return volume and segmentation of every case of a folder in LiTS layout, in a fixed order.

    Raises
    ------
    DataError
        If the folder holds no such file, or a volume without its segmentation.
    """
    found = sorted(path for path in data.rglob("volume-*") if NAME.fullmatch(path.name))
    if not found:
        raise DataError(
            f"{data}: neither volume-N.nii[.gz] with segmentation-N.nii[.gz] nor a MANIFEST.csv"
        )
    return [(path, _twin(path)) for path in found]


def _twin(path: Path) -> Path:
    twin = path.with_name(path.name.replace("volume-", "segmentation-"))
    if not twin.is_file():
        raise DataError(f"{path.name}: no {twin.name} beside it")
    return twin


def lits_volumes(data: Path) -> list[LitsVolume]:
    """Return every case of a folder in LiTS layout with its side, which is kept from now on.

    Raises
    ------
    DataError
        As of `lits_files`; if there are fewer than two patients, ``split.csv`` is none, or one of
        its patients stands on both sides.
    """
    pairs = lits_files(data)
    names = {pair: _name(pair[0]) for pair in pairs}
    frozen = _read(data / SPLIT)
    sides = decided(list(names.values()), frozen)
    if sides != frozen:
        _keep(data / SPLIT, sides, frozen)
    return [
        LitsVolume(*pair, patient=sides[name].patient, side=sides[name].side)
        for pair, name in names.items()
    ]


def decided(volumes: Sequence[str], frozen: Mapping[str, SideOfVolume]) -> dict[str, SideOfVolume]:
    """Return the split with every volume in it: what is frozen, and what is added.

    Parameters
    ----------
    volumes
        Names such as ``volume-3``.
    frozen
        The entries so far; also of volumes that are gone for now.

    Raises
    ------
    DataError
        If no patient is left for one of the sides.
    """
    known = {entry.patient: entry.side for entry in frozen.values()}
    added = {name: _number(name) for name in sorted(set(volumes)) if name not in frozen}
    fresh = sorted({patient for patient in added.values() if patient not in known}, key=place)
    known |= {patient: _dealt(patient) for patient in fresh}
    present = {frozen[name].patient if name in frozen else added[name] for name in volumes}
    short: tuple[tuple[Side, list[str]], ...] = (("test", fresh), ("train", fresh[::-1]))
    for side, candidates in short:
        if any(known[patient] == side for patient in present):
            continue
        if len(present) < 2 or not candidates:
            raise DataError(
                f"{len(present)} patients, none of them on the side {side}; expected two at the "
                "least, and one on either side"
            )
        known[candidates[0]] = side
    entries = {name: SideOfVolume(patient, known[patient]) for name, patient in added.items()}
    return {**frozen, **entries}


def place(patient: str) -> float:
    """Return where a hash puts a patient between 0 and 1; below `HELD_OUT` he is held out."""
    digest = hashlib.sha256(f"{LOT}{patient}".encode()).hexdigest()
    return int(digest[:8], 16) / 2**32


def _dealt(patient: str) -> Side:
    return "test" if place(patient) < HELD_OUT else "train"


def _name(path: Path) -> str:
    match = NAME.fullmatch(path.name)
    assert match is not None  # noqa: S101 (it was found by this very pattern)
    return match[1]


def _number(name: str) -> str:
    return str(int(name.removeprefix("volume-")))


def _read(path: Path) -> dict[str, SideOfVolume]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if missing := set(COLUMNS) - set(reader.fieldnames or ()):
        raise DataError(f"{path}: no column {', '.join(sorted(missing))}; expected a frozen split")
    entries = {row["volume"]: _entry(path, row) for row in rows}
    sides: dict[str, Side] = {}
    for name, entry in entries.items():
        if sides.setdefault(entry.patient, entry.side) != entry.side:
            raise DataError(f"{path}: {name}: its patient stands on both sides; expected one side")
    return entries


def _entry(path: Path, row: Mapping[str, str]) -> SideOfVolume:
    for side in get_args(Side):
        if row["side"] == side:
            return SideOfVolume(row["patient"] or row["volume"], side)
    raise DataError(f"{path}: {row['volume']}: side {row['side']!r}; expected train or test")


def _keep(
    path: Path, sides: Mapping[str, SideOfVolume], frozen: Mapping[str, SideOfVolume]
) -> None:
    """Write the split; a folder that cannot be written to needs none where hashes decide all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((name, one.patient, one.side) for name, one in sides.items())
    part = path.with_name(f".{SPLIT}.{os.getpid()}")
    try:
        part.write_text(text.getvalue(), encoding="utf-8")
        publish(part, path)
    except OSError as error:
        added = [one for name, one in sides.items() if name not in frozen]
        if all(_dealt(one.patient) == one.side for one in added):
            return
        raise DataError(
            f"{path}: cannot be written ({error.strerror}), and no hash puts a patient of these "
            f"few on one of the sides; expected this file:\n{text.getvalue()}"
        ) from error

"""Livers to train on, in whichever form they lie: MANIFEST.csv, LiTS layout or a manifest."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from radnet.datasets.liver_cases import Case, case_of_files, make_case, real_cases
from radnet.datasets.manifest import Row, Split, read_table
from radnet.datasets.masks import mask_on
from radnet.datasets.prepared import read_row
from radnet.errors import DataError

PARQUET: Final = ".parquet"
HELD_OUT: Final = 4  # every fourth patient
MOST_JUDGED: Final = 12  # cases, for a training is to end some time
NAME: Final = re.compile(r"volume-(\d+)\.nii(\.gz)?")

C = TypeVar("C")  # a case, or the files of one


def learn_and_judge(sets: Sequence[Path], roles: frozenset[str]) -> tuple[list[Case], list[Case]]:
    """Return the cases of sets to learn from, and up to `MOST_JUDGED` of each that are left out.

    Parameters
    ----------
    sets
        Each a folder with MANIFEST.csv, a folder in LiTS layout, or the Parquet file of a manifest
        with masks. Of the first two, the left-out ones are those of the role ``test`` and every
        fourth; of a manifest, its validation side: its test side is not looked at.
    roles
        With ``test`` in it, the left-out patients are learned from, too.
    """
    learn: list[Case] = []
    judge: list[Case] = []
    for one in sets:
        learned, left_out = _sides(one, roles)
        learn += learned
        judge += left_out[:MOST_JUDGED]
    return learn, judge


def _sides(data: Path, roles: frozenset[str]) -> tuple[list[Case], list[Case]]:
    every = "test" in roles
    if data.suffix == PARQUET:
        sides: tuple[Split, ...] = ("train", "test") if every else ("train",)
        judge = [_case(row, mask) for row, mask in _masked(data, "validation")[:MOST_JUDGED]]
        return table_cases(data, *sides), judge
    if (data / "MANIFEST.csv").is_file():
        left_out = [] if every else real_cases(data, frozenset({"test"}))
        return real_cases(data, roles), left_out
    cases = lits_cases(data)
    return (cases, []) if every else split(cases)


def table_cases(manifest: Path, *sides: Split) -> list[Case]:
    """Return the CTs of a manifest that have a mask.

    Raises
    ------
    DataError
        If there are none, or a mask does not lie on the grid of its scan.
    """
    rows = _masked(manifest, *sides)
    if not rows:
        raise DataError(
            f"{manifest}: no CT with a mask on the side {' or '.join(sides)}; "
            "`radnet labels manifest --masks FOLDER` takes SERIES_UID.nii.gz"
        )
    return [_case(row, mask) for row, mask in rows]


def _masked(manifest: Path, *sides: Split) -> list[tuple[Row, Path]]:
    rows = read_table(manifest, *sides)
    return [(row, row.mask) for row in rows if row.mask and row.modality == "CT"]


def _case(row: Row, mask: Path) -> Case:
    image = read_row(row)
    liver = mask_on(image, mask).astype(np.float32)
    return make_case(row.series_instance_uid, image, liver, phantom=False)


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


def lits_cases(data: Path) -> list[Case]:
    """Return the cases of a folder in LiTS layout; 1 is liver, 2 a tumour, which lies in it.

    Raises
    ------
    DataError
        If the folder holds no such file, a volume without its segmentation, or a segmentation
        that does not lie in its volume.
    """
    return [_lits_case(*pair) for pair in lits_files(data)]


def _lits_case(path: Path, mask: Path) -> Case:
    return case_of_files(path.name, path, mask)


def split(cases: Sequence[C]) -> tuple[list[C], list[C]]:
    """Return cases to train on and cases held out: every fourth, one for each patient.

    Raises
    ------
    DataError
        If there are fewer than two.
    """
    if len(cases) < 2:
        raise DataError(f"{len(cases)} cases; expected two at the least")
    held_out = [case for index, case in enumerate(cases) if index % HELD_OUT == HELD_OUT - 1]
    held_out = held_out or [cases[-1]]
    return [case for case in cases if case not in held_out], held_out

"""Livers to train on, in whichever form they lie: MANIFEST.csv, LiTS layout or a manifest."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from radnet.datasets.lits import LitsVolume, lits_files, lits_volumes
from radnet.datasets.liver_cases import Case, case_of_files, make_case, real_cases
from radnet.datasets.manifest import Row, Split, read_table
from radnet.datasets.masks import mask_on
from radnet.datasets.patients import patient_key
from radnet.datasets.prepared import read_row
from radnet.errors import DataError

PARQUET: Final = ".parquet"
MOST_JUDGED: Final = 12  # cases, for a training is to end some time


def learn_and_judge(sets: Sequence[Path], roles: frozenset[str]) -> tuple[list[Case], list[Case]]:
    """Return the cases of sets to learn from, and up to `MOST_JUDGED` of each that are left out.

    Parameters
    ----------
    sets
        Each a folder with MANIFEST.csv, a folder in LiTS layout, or the Parquet file of a manifest
        with masks. Of the first two, the left-out ones are those of the role ``test`` and of the
        side ``test``; of a manifest, its validation side: its test side is not looked at.
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
    if every:
        return [case_of_files(ct.name, ct, mask) for ct, mask in lits_files(data)], []
    return lits_sides(data)


def development(sets: Sequence[Path]) -> list[Case]:
    """Return the cases of the role ``development`` of folders with MANIFEST.csv."""
    folders = [one for one in sets if (one / "MANIFEST.csv").is_file()]
    return [case for one in folders for case in real_cases(one, frozenset({"development"}))]


def lits_sides(data: Path) -> tuple[list[Case], list[Case]]:
    """Return the cases of a folder in LiTS layout to learn from, and those held out.

    Raises
    ------
    DataError
        As of `radnet.datasets.lits.lits_volumes`; or if a segmentation does not lie in its volume.
    """
    volumes = lits_volumes(data)
    return (
        [lits_case(one) for one in volumes if one.side == "train"],
        [lits_case(one) for one in volumes if one.side == "test"],
    )


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
    case = make_case(row.series_instance_uid, image, liver, phantom=False)
    return replace(case, patient=row.patient)


def lits_case(volume: LitsVolume) -> Case:
    """Return a volume of a folder in LiTS layout with the mask beside it.

    Raises
    ------
    UnusableVolumeError
        If they cannot be read.
    DataError
        If the segmentation does not lie in its volume.
    """
    case = case_of_files(volume.ct.name, volume.ct, volume.mask)
    return replace(case, patient=volume.named and patient_key(volume.named))

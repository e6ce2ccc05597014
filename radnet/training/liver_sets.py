"""Livers to train on, in whichever form they lie: MANIFEST.csv, LiTS layout or a manifest."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from radnet.data.manifest import Row, Split, read_table
from radnet.errors import UnusableVolumeError
from radnet.inference.preparation import Stack, sample
from radnet.network.build import liver_network
from radnet.network.decoder import LiverNet
from radnet.network.layout2020 import LiverNet2020
from radnet.network.medicalnet import MEDICALNET_SUFFIXES, fill_encoder
from radnet.training import transfer
from radnet.training.liver_cases import Case, make_case, phantom_cases, real_cases
from radnet.training.liver_patches import Patches, patches
from radnet.training.loading import ahead
from radnet.training.prepared import read_row
from radnet.training.ranks import here
from radnet.training.scans import read_nifti

PARQUET: Final = ".parquet"
MOST_LOST: Final = 0.1  # of a mask's volume, on the grid of its series
HELD_OUT: Final = 4  # every fourth patient
NAME: Final = re.compile(r"volume-(\d+)\.nii(\.gz)?")


def start(
    plan: transfer.Plan, data: Sequence[Path], weights: Path | None
) -> tuple[LiverNet | LiverNet2020, transfer.Batches]:
    """Return the network, begun from `weights`, and its endless batches.

    Parameters
    ----------
    data
        Each a folder with MANIFEST.csv, a folder in LiTS layout, or the Parquet file of a
        manifest with masks. Of the latter two the held-out patients are learned from only where
        ``plan.roles`` says so.
    weights
        A classifier, a liver network, or MedicalNet's encoder (``.pth``).
    """
    torch.manual_seed(plan.seed)
    net = liver_network(plan.preset)
    if weights and weights.suffix in MEDICALNET_SUFFIXES:
        fill_encoder(net.encoder, weights)
    elif weights:
        transfer.transfer(net, weights)
    seed = here().seed(plan.seed)
    phantoms = phantom_cases(plan.phantoms, seed=2_000_000 * (seed + 1))
    real = [case for one in data for case in cases_to_learn(one, plan.roles)]

    def following(first: int) -> Iterator[Patches]:
        return ahead(patches(real, phantoms, plan.batch, seed, first=first))

    return net, following


def cases_to_learn(data: Path, roles: frozenset[str]) -> list[Case]:
    """Return the cases of a set that stand on one of the sides `roles`."""
    if data.suffix == PARQUET:
        sides: tuple[Split, ...] = ("train", "test") if "test" in roles else ("train",)
        return table_cases(data, *sides)
    if (data / "MANIFEST.csv").is_file():
        return real_cases(data, roles)
    cases = lits_cases(data)
    return cases if "test" in roles else split(cases)[0]


def table_cases(manifest: Path, *sides: Split) -> list[Case]:
    """Return the CTs of a manifest that have a mask.

    Raises
    ------
    UnusableVolumeError
        If there are none, or a mask does not lie on the grid of its scan.
    """
    rows = [row for row in read_table(manifest, *sides) if row.mask and row.modality == "CT"]
    if not rows:
        raise UnusableVolumeError(
            f"{manifest}: no CT with a mask on the side {' or '.join(sides)}; "
            "`radnet labels manifest --masks FOLDER` takes SERIES_UID.nii.gz"
        )
    return [_case(row, row.mask) for row in rows if row.mask]


def _case(row: Row, mask: Path) -> Case:
    image = read_row(row)
    liver = mask_on(image, mask).astype(np.float32)
    return make_case(row.series_instance_uid, image, liver, phantom=False)


def mask_on(image: Stack, mask: Path) -> NDArray[np.bool_]:
    """Return the mask in a NIfTI file on the grid of its series, whatever its own axes.

    Raises
    ------
    UnusableVolumeError
        If a part of it lies elsewhere: then it is not the mask of this scan.
    """
    liver = read_nifti(mask)
    liver = Stack((liver.array > 0).astype(np.float32), liver.affine)
    inside = np.asarray(sample(liver, image.affine, _shape(image), 0.0) > 0.5)
    before = float(liver.array.sum()) * _voxel_ml(liver)
    after = float(inside.sum()) * _voxel_ml(image)
    if abs(after - before) > MOST_LOST * before:
        raise UnusableVolumeError(
            f"{mask.name}: {before:.0f} mL of liver, of which {after:.0f} mL lie in its series; "
            "expected a mask of this very scan"
        )
    return inside


def _shape(stack: Stack) -> tuple[int, int, int]:
    slices, rows, columns = stack.array.shape
    return slices, rows, columns


def _voxel_ml(stack: Stack) -> float:
    return abs(float(np.linalg.det(stack.affine[:3, :3]))) / 1000


def lits_cases(data: Path) -> list[Case]:
    """Return the cases of a folder in LiTS layout; 1 is liver, 2 a tumour, which lies in it.

    Raises
    ------
    UnusableVolumeError
        If the folder holds no such file, or a volume without its segmentation.
    """
    found = sorted(path for path in data.rglob("volume-*") if NAME.fullmatch(path.name))
    if not found:
        raise UnusableVolumeError(
            f"{data}: neither volume-N.nii[.gz] with segmentation-N.nii[.gz] nor a MANIFEST.csv"
        )
    return [_lits_case(path) for path in found]


def _lits_case(path: Path) -> Case:
    twin = path.with_name(path.name.replace("volume-", "segmentation-"))
    if not twin.is_file():
        raise UnusableVolumeError(f"{path.name}: no {twin.name} beside it")
    mask = read_nifti(twin).array > 0
    return make_case(path.name, read_nifti(path), mask.astype(np.float32), phantom=False)


def split(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Return cases to train on and cases held out: every fourth, one for each patient.

    Raises
    ------
    UnusableVolumeError
        If there are fewer than two.
    """
    if len(cases) < 2:
        raise UnusableVolumeError(f"{len(cases)} cases; expected two at the least")
    held_out = [case for index, case in enumerate(cases) if index % HELD_OUT == HELD_OUT - 1]
    held_out = held_out or [cases[-1]]
    return [case for case in cases if case not in held_out], held_out

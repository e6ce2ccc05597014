"""What the liver network is trained on: whole cases on the liver grid."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radnet.data.phantom import take
from radnet.data.protocols import random_scan
from radnet.inference.preparation import LIVER_SPACING_MM, Stack, axial
from radnet.labels.vocabulary import Plane
from radnet.training.scans import read_manifest, read_nifti, read_scan

# Scans without a mask in whose upper part there is no liver: share of the slices that counts.
NEGATIVES: Final = {"ct_chest_acrin013": 0.5, "ct_head_ge": 1.0}
TOO_THIN: Final = frozenset({"dcmqi3"})  # 3 mm in all


@dataclass(frozen=True)
class Case:
    """One scan, LPS-axial at 4 x 2.5 x 2.5 mm."""

    name: str
    hounsfield: NDArray[np.float32]  # (Z, 192, 192)
    liver: NDArray[np.float32]  # 0 to 1, partial at the border
    scanned: NDArray[np.bool_]  # False outside the scan: nothing is known there
    enhanced: float  # median HU of the liver; nan without one
    phantom: bool


def make_case(name: str, image: Stack, mask: NDArray[np.float32], phantom: bool) -> Case:
    """Return `image` and its `mask` on the liver grid."""
    grid = axial(image)
    liver = np.clip(axial(Stack(mask, image.affine)).array, 0, 1)
    scanned = axial(Stack(np.ones(image.array.shape, np.float32), image.affine)).array > 0.5
    sure = grid.array[liver > 0.9]
    median = float(np.median(sure)) if sure.size else float("nan")
    return Case(name, grid.array, liver, scanned, median, phantom)


def phantom_case(seed: int) -> Case:
    """Return the axial CT phantom of `seed`; most have a liver in view."""
    rng = np.random.default_rng(seed)
    while True:
        body, wanted = random_scan(rng, LIVER_SPACING_MM, ct=True)
        if wanted.plane is Plane.AXIAL and wanted.shape[0] <= 120:
            phantom = take(body, wanted, seed)
            if phantom.liver.any() or rng.random() < 0.25:
                break
    image = Stack(phantom.image, phantom.affine)
    return make_case(f"phantom-{seed}", image, phantom.liver.astype(np.float32), phantom=True)


def phantom_cases(count: int, seed: int, workers: int = 2) -> list[Case]:
    """Return `count` phantom cases, drawn by `workers` processes."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(phantom_case, range(seed, seed + count), chunksize=4))


def real_cases(folder: Path, roles: frozenset[str]) -> list[Case]:
    """Return the liver pairs of `roles`, and for training the scans without liver."""
    cases = []
    for scan in read_manifest(folder):
        if scan.role not in roles:
            continue
        if scan.kind == "liver pair" and scan.name not in TOO_THIN:
            mask = read_nifti(folder / "liver" / f"{scan.name}_liver.nii.gz").array > 0
            image = read_scan(folder, scan)
            cases.append(make_case(scan.name, image, mask.astype(np.float32), phantom=False))
        elif scan.name in NEGATIVES:
            image = read_scan(folder, scan)
            keep = round(image.array.shape[0] * NEGATIVES[scan.name])
            affine = image.affine.copy()
            affine[:3, 3] += affine[:3, 0] * (image.array.shape[0] - keep)
            top = Stack(image.array[-keep:], affine)
            cases.append(make_case(scan.name, top, np.zeros_like(top.array), phantom=False))
    return cases

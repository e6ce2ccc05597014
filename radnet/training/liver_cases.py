"""What the liver network is trained on: whole cases on the liver grid, and patches of them."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from radnet.data.phantom import take
from radnet.data.protocols import random_scan
from radnet.inference.preparation import AIR_HU, LIVER_SPACING_MM, Stack, axial
from radnet.labels.vocabulary import Plane
from radnet.training.scans import read_manifest, read_nifti, read_scan

PHANTOM_SHARE: Final = 0.2  # of the patches, where there are real cases
PATCH: Final = (48, 96, 96)
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


@dataclass(frozen=True)
class Patches:
    """A batch of patches."""

    stack: Tensor  # (B, 1, 48, 96, 96), the liver window as [0, 1]
    liver: Tensor
    scanned: Tensor


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


def patch(case: Case, rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
    """Return a patch of `case`, turned, scaled and shifted in HU: image, liver, scanned."""
    middle = _middle(case, rng)
    turn = rng.uniform(-0.25, 0.25)
    scale = rng.uniform(0.8, 1.25) * np.exp(rng.normal(0, 0.05, 3))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ np.diag(scale)
    offset = middle - matrix @ ((np.array(PATCH) - 1) / 2)

    def draw(array: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        return np.asarray(
            ndimage.affine_transform(
                array, matrix, offset, output_shape=PATCH, order=1, cval=outside, output=np.float32
            )
        )

    image = draw(case.hounsfield, AIR_HU)
    liver = draw(case.liver, 0.0)
    scanned = draw(case.scanned.astype(np.float32), 0.0) > 0.99
    image = _rescanned(image, liver, case, rng)
    low, high = rng.uniform(-200, -120), rng.uniform(200, 280)
    image = (np.clip(image, low, high) - low) / (high - low)
    image[~scanned] = 0
    return image, (liver > 0.5).astype(np.float32), scanned.astype(np.float32)


def _middle(case: Case, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where the patch is centred: mostly near liver."""
    if rng.random() < 0.7 and case.liver.max() > 0.5:
        voxel = int(rng.choice(np.flatnonzero(case.liver.ravel()[::97] > 0.5))) * 97
        near = np.array(np.unravel_index(voxel, case.liver.shape), float)
        return np.asarray(near + rng.normal(0, (10, 18, 18)))
    inside = case.hounsfield.ravel()[::997] > -300
    voxel = int(rng.choice(np.flatnonzero(inside))) * 997 if inside.any() else 0
    return np.array(np.unravel_index(voxel, case.liver.shape), float)


def _rescanned(
    image: NDArray[np.float32], liver: NDArray[np.float32], case: Case, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return `image` as another scanner, phase or liver might have given it, in HU."""
    if case.enhanced > 75 and rng.random() < 0.35:  # as if without an agent
        ratio = (rng.uniform(45, 65) - 20) / (case.enhanced - 20)
        image = np.where((image > 20) & (image < 300), 20 + (image - 20) * ratio, image)
    if rng.random() < 0.3:  # a fatty, or a brighter, liver
        image = image + liver * np.float32(rng.uniform(-30, 20))
    image = image + np.float32(rng.uniform(-30, 30) if not case.phantom else rng.uniform(-10, 10))
    if rng.random() < 0.25:
        image = ndimage.gaussian_filter(image, (rng.uniform(0.3, 1.0), 0, 0))
    if rng.random() < 0.25:
        image = ndimage.gaussian_filter(image, (0, *([rng.uniform(0.3, 0.8)] * 2)))
    noise = rng.standard_normal(image.shape).astype(np.float32) * np.float32(rng.uniform(0, 20))
    return np.asarray(image + noise, np.float32)


def patches(
    real: list[Case], phantoms: list[Case], size: int, seed: int, *, first: int = 0
) -> Iterator[Patches]:
    """Yield batches for ever; real patients equally often, negatives a third as often.

    Batch number i depends on `seed` and i alone; `first` is the number to begin with.
    """
    weights = np.array([0.35 if np.isnan(case.enhanced) else 1.0 for case in real])
    for number in count(first):
        rng = np.random.default_rng([seed, number])
        drawn = []
        for _ in range(size):
            if phantoms and (not real or rng.random() < PHANTOM_SHARE):
                case = phantoms[int(rng.integers(len(phantoms)))]
            else:
                case = real[int(rng.choice(len(real), p=weights / weights.sum()))]
            drawn.append(patch(case, rng))
        image, liver, scanned = (np.stack(part)[:, None] for part in zip(*drawn, strict=True))
        yield Patches(*(torch.from_numpy(part) for part in (image, liver, scanned)))

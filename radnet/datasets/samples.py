"""What the classifier is trained on: phantoms and real scans with their truths."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radnet.datasets.learned import voxel_digest
from radnet.datasets.masks import mask_beside
from radnet.datasets.patients import patient_of
from radnet.datasets.scans import Role, Scan, files, read_manifest, read_scan
from radnet.datasets.seen_by_eye import UNKNOWN, Seen, covered, read_seen
from radnet.inference.preparation import (
    CELL_SLICES,
    CLASSIFIER_SPACING_MM,
    classifier_input,
    empty_value,
    padded_slices,
)
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence
from radnet.phantom.acquisition import take
from radnet.phantom.protocols import random_scan

LONGEST: Final = 64  # slices of a stack that may be cut
WHOLE: Final = 256  # slices, a metre: a longer stack is cut, whatever is lost of its truth
FEW: Final = 16  # phantoms that are drawn before another process has started
CHUNK: Final = 16  # phantoms that a process draws at a time
COVERED, NOT_COVERED = 0.5, 0.2  # shares of a region's height; between them: unknown


@dataclass(frozen=True)
class Sample:
    """One stack and what is true of it; UNKNOWN where nobody knows."""

    image: NDArray[np.float16]  # (slice, row, column) on the classifier's grid, scaled
    empty: float
    sequence: int  # of an MR, in the order of `MR_SEQUENCES`; see `sequence_of`
    plane: int
    contrast: int
    spacing_mm: float
    scan: NDArray[np.float32]  # (9,)
    slices: NDArray[np.float32]  # (slice, 9)
    patient: str = ""  # a digest; '': the only sample of its patient
    content: str = ""  # a digest of the voxels; '' of a phantom

    @property
    def longest(self) -> int:
        """Return how many slices of it are shown at a time.

        Its series covers a region, and nobody knows in which slices: then a part of it may not
        show the region, and all of it does.
        """
        return LONGEST if located(self.scan, self.slices) else WHOLE


def located(scan: NDArray[np.float32], slices: NDArray[np.float32]) -> bool:
    """Tell whether the slices say where every region lies that the scan covers.

    Parameters
    ----------
    scan
        (9,) what is true of the scan: 1, 0 or UNKNOWN.
    slices
        (slice, 9) the same of each slice.
    """
    of_covered = slices[:, scan == 1]
    return bool(((of_covered == 1).any(axis=0) | (of_covered != UNKNOWN).all(axis=0)).all())


@dataclass(frozen=True)
class SampleBatch:
    """Tensors of several samples of one length."""

    stack: Tensor  # (B, 1, Z, 96, 96)
    sequence: Tensor
    plane: Tensor
    contrast: Tensor
    log_spacing: Tensor
    scan: Tensor  # (B, 9)
    cells: Tensor  # (B, Z / 8, 9)
    shown: Tensor  # (B,) cells that show the scan; what follows is padding


def sequence_of(modality: str, sequence: Sequence | None) -> int:
    """Return the number of the sequence of an MR, UNKNOWN where nobody knows and of all else.

    A CT is not learned as such: its voxels are scaled by its Modality, which would be read back.
    """
    if modality != "MR" or sequence not in MR_SEQUENCES:
        return UNKNOWN
    return MR_SEQUENCES.index(sequence)


def phantom_sample(seed: int) -> Sample:
    """Return the phantom of `seed` on the classifier's grid."""
    rng = np.random.default_rng(seed)
    body, wanted = random_scan(rng, CLASSIFIER_SPACING_MM)
    phantom = take(body, wanted, seed)
    modality = "CT" if wanted.sequence is Sequence.CT else "MR"
    seen = classifier_input(phantom.volume, modality)
    share = np.array([phantom.coverage[region] for region in Region])
    scan = np.where(share > COVERED, 1.0, np.where(share < NOT_COVERED, 0.0, UNKNOWN))
    slices = np.stack([phantom.rows_of[region] for region in Region], axis=1)
    return Sample(
        seen.array[: seen.depth].astype(np.float16),
        empty_value(modality),
        sequence_of(modality, wanted.sequence),
        list(Plane).index(wanted.plane),
        list(Contrast).index(wanted.contrast),
        wanted.thickness_mm,
        scan.astype(np.float32),
        slices.astype(np.float32),
    )


def phantom_samples(count: int, seed: int, workers: int = 2) -> list[Sample]:
    """Return `count` phantoms, a few drawn in this process, more by `workers` others."""
    if count <= FEW:
        return [phantom_sample(one) for one in range(seed, seed + count)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(phantom_sample, range(seed, seed + count), chunksize=CHUNK))


def real_sample(folder: Path, scan: Scan, seen: Seen | None = None) -> Sample:
    """Return a real scan on the classifier's grid; `seen` is what a person saw in its slices.

    Without that, slices are known only where the manifest or a mask says so.
    """
    volume = read_scan(folder, scan)
    prepared = classifier_input(volume, scan.modality)
    depth, count, spacing_mm = prepared.depth, volume.shape[0], volume.spacing[0]
    middles = (np.arange(depth) + 0.5) * CLASSIFIER_SPACING_MM[0]  # of the prepared slices, in mm
    where = np.minimum((middles / spacing_mm).astype(int), count - 1)
    labels = np.full(len(Region), UNKNOWN, np.float32)
    slices = np.full((depth, len(Region)), UNKNOWN, np.float32)
    for index, region in enumerate(Region):
        if seen:
            rows = seen.rows(region, count)
            labels[index], slices[:, index] = covered(region, rows, spacing_mm), rows[where]
        elif scan.coverage_whole or region in (Region.BRAIN, Region.UPPER_HEAD_NECK):
            labels[index] = slices[:, index] = 0
        if region in scan.coverage:
            labels[index] = 1
            if not seen:
                slices[:, index] = 1 if len(scan.coverage) == 1 else UNKNOWN
    if scan.kind == "liver pair":
        mask = mask_beside(volume, *files(folder, scan))
        mask = mask[::-1] if prepared.reverse else mask
        slices[:, list(Region).index(Region.LIVER)] = mask[where].any(axis=(1, 2))
    contrast = (seen and seen.contrast) or scan.contrast
    return Sample(
        prepared.array[:depth].astype(np.float16),
        empty_value(scan.modality),
        sequence_of(scan.modality, scan.sequence),
        list(Plane).index(scan.plane) if scan.plane else UNKNOWN,
        list(Contrast).index(contrast) if contrast else UNKNOWN,
        spacing_mm,
        labels,
        slices,
        patient_of(scan, files(folder, scan)),
        voxel_digest(volume),
    )


def real_samples(folders: Iterable[Path], role: Role = "train") -> list[Sample]:
    """Return every real scan that may be trained on, or those of another role.

    Those that were stored as grey levels of one window are too, where a person looked at them:
    augmentation shows other CTs through such a window, so that it tells nothing.
    """
    seen = read_seen()
    return [
        real_sample(folder, scan, seen.get(scan.name))
        for folder in folders
        for scan in read_manifest(folder)
        if scan.role == role and (not scan.windowed or scan.name in seen)
    ]


def known(loss: Tensor, target: Tensor) -> Tensor:
    """Return the mean of `loss` where `target` is known; zero when nothing is."""
    mask = (target >= 0).to(loss.dtype)
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def collate(samples: list[Sample]) -> SampleBatch:
    """Return `samples` padded to the longest of them."""
    length = max(padded_slices(sample.image.shape[0]) for sample in samples)
    stack = np.empty((len(samples), 1, length, *samples[0].image.shape[1:]), np.float32)
    slices = np.full((len(samples), length, len(Region)), np.nan, np.float32)
    for row, sample in enumerate(samples):
        depth = sample.image.shape[0]
        stack[row], stack[row, 0, :depth] = sample.empty, sample.image
        slices[row, :depth] = sample.slices
        slices[row, depth : padded_slices(depth)] = 0
        slices[row, padded_slices(depth) :] = UNKNOWN
    cells = slices.reshape(len(samples), length // CELL_SLICES, CELL_SLICES, len(Region))
    unknown = (cells == UNKNOWN).any(axis=2)
    share = np.where(cells == UNKNOWN, 0, cells).mean(axis=2)
    verdict = np.where(share >= 0.375, 1.0, np.where(share <= 0.05, 0.0, UNKNOWN))

    def whole(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64)

    return SampleBatch(
        torch.from_numpy(stack),
        whole([sample.sequence for sample in samples]),
        whole([sample.plane for sample in samples]),
        whole([sample.contrast for sample in samples]),
        torch.tensor([float(np.log(max(sample.spacing_mm, 0.5))) for sample in samples]),
        torch.from_numpy(np.stack([sample.scan for sample in samples])),
        torch.from_numpy(np.where(unknown, UNKNOWN, verdict).astype(np.float32)),
        whole([-(-sample.image.shape[0] // CELL_SLICES) for sample in samples]),
    )

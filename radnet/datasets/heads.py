"""Heads as training samples: MR computed of tissue maps, labelled by its own parameters."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radnet.datasets.samples import COVERED, NOT_COVERED, Sample, sequence_of
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.inference.preparation import (
    CLASSIFIER_SPACING_MM,
    classifier_input,
    empty_value,
)
from radnet.labels.vocabulary import Contrast, Plane, Region
from radnet.synthesis.matter import Matter
from radnet.synthesis.scan import HeadScan, random_order, take_head
from radnet.synthesis.tissue_map import TissueMap, read_maps
from radnet.synthesis.weighting import random_weighting

FEW: Final = 16  # heads that are made before another process has started
CHUNK: Final = 16
STRIPPED: Final = 0.15  # of the heads are brains without one
BRAIN: Final = (Matter.GREY, Matter.WHITE, Matter.OEDEMA, Matter.LESION, Matter.CORE)
SHOWS: Final = 0.15  # of the largest section of the brain, from which on a slice shows it
FACE_MM: Final = -30.0  # z of the atlas where the upper head and neck begin
LITTLE_MM: Final = 19.0  # of it (a fifth) that a scan may show without covering it


def head_scan(maps: Sequence[TissueMap], seed: int) -> HeadScan:
    """Return the scan of `seed` of one of the heads, whole ones more often than stripped ones."""
    rng = np.random.default_rng(seed)
    whole = [head for head in maps if head.whole]
    stripped = [head for head in maps if not head.whole]
    among = stripped if stripped and (not whole or rng.random() < STRIPPED) else whole
    asked = random_weighting(rng)
    order = random_order(rng, asked)
    return take_head(among[int(rng.integers(len(among)))], asked, order, rng)


def head_sample(maps: Sequence[TissueMap], seed: int) -> Sample:
    """Return the scan of `seed` on the classifier's grid, by the preparation of every scan."""
    return sample_of(head_scan(maps, seed), maps)


def sample_of(scan: HeadScan, maps: Sequence[TissueMap]) -> Sample:
    """Return a scan of a head with its truth: what it was asked for and what of it is in view.

    Of the upper head and neck nothing is claimed where the face is in view: the heads end there.
    """
    prepared = classifier_input(scan.volume, "MR")
    depth, step = prepared.depth, scan.order.spacing_mm[0]
    middles = (np.arange(depth) + 0.5) * CLASSIFIER_SPACING_MM[0]
    where = np.minimum((middles / step).astype(int), scan.order.shape[0] - 1)
    rows, share = _brain_seen(scan, maps)
    labels = np.zeros(len(Region), np.float32)
    slices = np.zeros((depth, len(Region)), np.float32)
    brain, face = list(Region).index(Region.BRAIN), list(Region).index(Region.UPPER_HEAD_NECK)
    labels[brain] = 1 if share > COVERED else 0 if share < NOT_COVERED else UNKNOWN
    shown = (rows[::-1] if prepared.reverse else rows)[where]
    slices[:, brain] = shown
    heights = _heights(scan)
    low = (heights[::-1] if prepared.reverse else heights)[where]
    slices[low < FACE_MM, face] = UNKNOWN
    labels[face] = UNKNOWN if (low < FACE_MM - LITTLE_MM).any() else 0
    asked = scan.asked
    return Sample(
        prepared.array[:depth].astype(np.float16),
        empty_value("MR"),
        sequence_of("MR", asked.sequence),
        list(Plane).index(scan.order.plane),
        list(Contrast).index(asked.contrast),
        step,
        labels,
        slices,
    )


def _brain_seen(scan: HeadScan, maps: Sequence[TissueMap]) -> tuple[NDArray[np.bool_], float]:
    """Return whether each slice shows the brain, and the share of its height in view."""
    brain = np.isin(scan.matter, BRAIN)
    counts = brain.sum(axis=(1, 2))
    rows = counts > SHOWS * max(int(counts.max()), 1)
    if not brain.any():
        return rows, 0.0
    z = _atlas_z(scan)[brain]
    low, high = maps[0].brain_z()
    return rows, float((z.max() - z.min()) / (high - low))


def _heights(scan: HeadScan) -> NDArray[np.float32]:
    """Return the lowest z of the atlas that each slice shows something at."""
    z = np.where(scan.matter > 0, _atlas_z(scan), np.inf)
    return np.asarray(z.min(axis=(1, 2)), np.float32)


def _atlas_z(scan: HeadScan) -> NDArray[np.float32]:
    """Return how high in the atlas each voxel lies, mm, but for the bending."""
    matrix = scan.to_atlas @ scan.affine
    parts = np.ogrid[tuple(slice(size) for size in scan.image.shape)]
    height = sum(matrix[2, axis] * part for axis, part in enumerate(parts)) + matrix[2, 3]
    return np.asarray(height, np.float32)


def head_samples(folder: Path, count: int, seed: int, workers: int = 2) -> list[Sample]:
    """Return `count` heads made of the tissue maps of `folder`; see `radnet.synthesis`.

    A few are made in this process, more by `workers` others.

    Raises
    ------
    DataError
        If the folder holds no tissue maps.
    """
    maps = read_maps(folder)
    seeds = range(seed, seed + count)
    if count <= FEW:
        return [head_sample(maps, one) for one in seeds]
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_hold, initargs=(maps,)
    ) as pool:
        return list(pool.map(_held_sample, seeds, chunksize=CHUNK))


_held: list[TissueMap] = []  # of this process, so that they are not sent with every seed


def _hold(maps: Sequence[TissueMap]) -> None:
    _held[:] = maps


def _held_sample(seed: int) -> Sample:
    return head_sample(_held, seed)

"""Series of a manifest, prepared once for training and kept on disk.

An archive does not fit into memory. Each series is read, resampled and scaled as the node does
it, and written as one small array; training maps these files. A preparation that was cut off
goes on where it was; a series that makes no volume is told with its reason and left out.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.datasets.batches import batch_length
from radnet.datasets.learned import voxel_digest
from radnet.datasets.manifest import Row
from radnet.datasets.reading import read_files
from radnet.datasets.samples import LONGEST, WHOLE, Sample, sequence_of
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.errors import DataError, UnusableVolumeError
from radnet.harvest.durable import publish
from radnet.inference.preparation import (
    CLASSIFIER_SPACING_MM,
    PREPARATION,
    classifier_input,
    empty_value,
)
from radnet.labels.vocabulary import Contrast, Plane, Region

WORKERS: Final = 2
FEW: Final = 8  # series that are prepared faster here than by other processes

Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """One prepared series: its array (slices, 96, 96) on disk, and what is true of it."""

    row: Row
    path: Path
    depth: int
    spacing_mm: float
    content: str = ""  # digest of its voxels

    @property
    def patient(self) -> str:
        """Return the digest of who it is of."""
        return self.row.patient


@dataclass(frozen=True)
class Unusable:
    """A series that makes no volume, and why."""

    row: Row
    reason: str


def read_row(row: Row) -> hd.Volume:
    """Return the voxels of a series as the node reads it to recognise it.

    Raises
    ------
    DataError
        If it has no files.
    UnusableVolumeError
        If they make no volume.
    """
    return read_files(row.files, row.modality, row.series_instance_uid)


def prepare(
    rows: Sequence[Row], cache: Path, tick: Tick, share: tuple[int, int] = (0, 1)
) -> tuple[list[Prepared], list[Unusable]]:
    """Return the series of `rows`, each prepared in the folder `cache`.

    Parameters
    ----------
    tick
        Called with how many are done, of how many.
    share
        This process prepares every n-th series from the i-th on, ``(i, n)``.
    """
    cache.mkdir(parents=True, exist_ok=True)
    mine = rows[share[0] :: share[1]]
    good: list[Prepared] = []
    bad: list[Unusable] = []
    one = partial(_prepared, cache)
    if len(mine) <= FEW:
        results: Iterator[Prepared | Unusable] = map(one, mine)
    else:
        pool = ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"))
        results = pool.map(one, mine, chunksize=4)
    for number, result in enumerate(results, start=1):
        if isinstance(result, Prepared):
            good.append(result)
        else:
            bad.append(result)
        tick(number, len(mine))
    if len(mine) > FEW:
        pool.shutdown()
    return good, bad


def _prepared(cache: Path, row: Row) -> Prepared | Unusable:
    path = cache / f"{_key(row)}.npy"
    told = path.with_suffix(".json")
    if told.is_file():
        found = json.loads(told.read_text(encoding="utf-8"))
        if "reason" in found:
            return Unusable(row, str(found["reason"]))
        if path.is_file() and "content" in found:
            return _of(row, path, found)
    try:
        volume = read_row(row)
        seen = classifier_input(volume, row.modality)
    except (DataError, UnusableVolumeError) as error:
        _write(told, json.dumps({"reason": str(error)}).encode())
        return Unusable(row, str(error))
    with path.with_suffix(".partial").open("wb") as file:
        np.save(file, seen.array[: seen.depth].astype(np.float16))
    publish(path.with_suffix(".partial"), path)
    found = {
        "depth": seen.depth,
        "spacing_mm": volume.spacing[0],
        "content": voxel_digest(volume),
    }
    _write(told, json.dumps(found).encode())
    return _of(row, path, found)


def _of(row: Row, path: Path, found: Mapping[str, Any]) -> Prepared:
    depth, spacing_mm = int(found["depth"]), float(found["spacing_mm"])
    return Prepared(row, path, depth, spacing_mm, str(found["content"]))


def _key(row: Row) -> str:
    """Return a name that changes when the series' files or its preparation do."""
    sizes = [path.stat().st_size if path.is_file() else -1 for path in row.files]
    told = (PREPARATION, CLASSIFIER_SPACING_MM, row.series_instance_uid, row.modality, sizes)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)


class Archive:
    """Prepared series as a pool of batches: mapped from disk, no collection dominates."""

    def __init__(self, series: Sequence[Prepared]) -> None:
        self.series = series
        self.lengths = np.array(
            [batch_length(one.depth, _longest(one.row)) for one in series], np.int64
        )
        sizes = Counter(one.row.collection for one in series)
        self.weights = np.array([sizes[one.row.collection] ** -0.5 for one in series])

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self.series)

    def __getitem__(self, index: int) -> Sample:
        """Return one series with its labels; slices are known only to miss a region."""
        one = self.series[index]
        image = np.load(one.path, mmap_mode="r")
        row = one.row
        scan = np.array(_regions(row.coverage), np.float32)
        slices = np.full((one.depth, len(Region)), UNKNOWN, np.float32)
        slices[:, scan == 0] = 0
        return Sample(
            image,
            empty_value(row.modality),
            sequence_of(row.modality, row.sequence),
            _index(Plane, row.plane),
            _index(Contrast, row.contrast),
            one.spacing_mm,
            scan,
            slices,
            row.patient,
            one.content,
        )

    def truths(self) -> dict[str, NDArray[np.float32]]:
        """Return the labels of every series as `Sample` numbers them, without their arrays."""
        rows = [one.row for one in self.series]
        regions = [_regions(row.coverage) for row in rows]
        return {
            "sequence": np.array(
                [sequence_of(row.modality, row.sequence) for row in rows], np.float32
            ),
            "plane": np.array([_index(Plane, row.plane) for row in rows], np.float32),
            "contrast": np.array([_index(Contrast, row.contrast) for row in rows], np.float32),
            "scan": np.array(regions, np.float32).reshape(-1, len(Region)),
        }


def _longest(row: Row) -> int:
    """Return what `Sample.longest` of the series is; a table does not say where a region lies."""
    return WHOLE if row.coverage else LONGEST


def _regions(coverage: frozenset[Region] | None) -> list[float]:
    if coverage is None:
        return [float(UNKNOWN)] * len(Region)
    return [float(region in coverage) for region in Region]


def _index(labels: type[StrEnum], value: StrEnum | None) -> int:
    return UNKNOWN if value is None else list(labels).index(value)

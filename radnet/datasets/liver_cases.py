"""What the liver network is trained on: whole cases on the liver grid."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.datasets.bowel import gas_pockets
from radnet.datasets.learned import voxel_digest
from radnet.datasets.masks import mask_beside
from radnet.datasets.patients import patient_of
from radnet.datasets.reading import read_placed
from radnet.datasets.scans import Scan, files, read_manifest, read_scan
from radnet.errors import DataError
from radnet.inference.frame import liver_view
from radnet.inference.preparation import (
    AIR_HU,
    LIVER_SPACING_MM,
    axial_grid,
    on_grid,
)
from radnet.labels.vocabulary import Plane
from radnet.phantom.acquisition import take
from radnet.phantom.protocols import random_scan
from radnet.volume.axes import turn_to

DRAWN: Final = resources.files("radnet.datasets") / "drawn"
UNKNOWN: Final = 2  # in a drawn mask
VOXEL_ML: Final = float(np.prod(LIVER_SPACING_MM)) / 1000
LEAST_ML: Final = 200.0  # of liver in a phantom to measure on
SAME_PLACE_MM: Final = 0.1
LIVER_GRID: Final = "HPL"  # where slices, rows and columns of the liver grid run
FEW: Final = 2  # phantoms that are drawn before another process has started

Place = tuple[NDArray[np.float64], tuple[int, int, int]]  # affine and shape of a grid


@dataclass(frozen=True)
class Case:
    """One scan, LPS-axial at 4 x 2.5 x 2.5 mm."""

    name: str
    hounsfield: NDArray[np.float32]  # (Z, 192, 192); beyond the scan what is nearest in it
    liver: NDArray[np.float32]  # 0 to 1, partial at the border
    known: NDArray[np.bool_]  # False outside the scan and where its mask leaves it open
    gas: NDArray[np.int32]  # number of the pocket of bowel gas; 0: none
    enhanced: float  # median HU of the liver; nan without one
    phantom: bool
    patient: str = ""  # a digest; '': the only case of its patient
    content: str = ""  # a digest of the voxels; '' of a phantom


def make_case(
    name: str,
    image: hd.Volume,
    mask: NDArray[np.float32],
    phantom: bool,
    drawn_on: Place | None = None,
) -> Case:
    """Return `image` and its `mask`, which lies on the same grid, as the segmenter sees them.

    Parameters
    ----------
    drawn_on
        A liver grid over the whole field of view; None: that of the segmenter.
    """
    view = liver_view(image)
    there = view.turn.there if drawn_on else view.there
    place = drawn_on or axial_grid(there(image))
    grid = on_grid(there(image), *place, outside=None)
    liver = np.clip(on_grid(there(image.with_array(mask)), *place, outside=0.0).array, 0, 1)
    ones = image.with_array(np.ones(image.shape, np.float32))
    scanned = on_grid(there(ones), *place, outside=0.0).array > 0.5
    sure = grid.array[liver > 0.9]
    median = float(np.median(sure)) if sure.size else float("nan")
    gas = np.zeros(scanned.shape, np.int32)
    if not phantom:  # whose bowels hold none
        gas = gas_pockets(np.where(scanned, grid.array, np.float32(AIR_HU)))
    content = "" if phantom else voxel_digest(image)
    return Case(name, grid.array, liver, scanned, gas, median, phantom, content=content)


def drawn_case(name: str, image: hd.Volume, drawn: Path) -> Case:
    """Return `image` with a mask that was drawn on the liver grid (`drawn/README.md`).

    Raises
    ------
    DataError
        If the mask was drawn on another scan's grid.
    """
    place = axial_grid(image)
    label = read_placed(drawn)
    label = turn_to(label.affine, LIVER_GRID).there(label)
    drawn_on = (label.affine, label.spatial_shape)
    if not _same_place(drawn_on, place):
        raise DataError(
            f"{drawn.name}: drawn on a grid of {label.shape}; {name} has "
            f"{place[1]} elsewhere; expected the scan it was drawn on"
        )
    none = np.zeros(image.shape, np.float32)
    case = make_case(name, image, none, False, drawn_on)
    liver = (label.array == 1).astype(np.float32)
    median = float(np.median(case.hounsfield[liver > 0]))
    known = case.known & (label.array != UNKNOWN)
    return replace(case, liver=liver, known=known, enhanced=median)


def _same_place(one: Place, other: Place) -> bool:
    """Tell whether two liver grids lie over one scan.

    Of a scan that is a whole number of slices long rounding decides whether there is one more.
    """
    if one[1][1:] != other[1][1:] or abs(one[1][0] - other[1][0]) > 1:
        return False
    middles = [affine @ [*((np.array(shape) - 1) / 2), 1] for affine, shape in (one, other)]
    apart = np.abs(middles[0] - middles[1]).max()
    turned = np.abs(one[0][:3, :3] - other[0][:3, :3]).max()
    return bool(max(apart, turned) <= SAME_PLACE_MM)


Drawing = Callable[[Callable[[int], Case], range], Iterable[Case]]


def phantom_case(seed: int) -> Case:
    """Return the axial CT phantom of `seed`; most have a liver in view."""
    rng = np.random.default_rng(seed)
    while True:
        body, wanted = random_scan(rng, LIVER_SPACING_MM, ct=True)
        if wanted.plane is Plane.AXIAL and wanted.shape[0] <= 120:
            phantom = take(body, wanted, seed)
            if phantom.liver.any() or rng.random() < 0.25:
                break
    mask = phantom.liver.astype(np.float32)
    return make_case(f"phantom-{seed}", phantom.volume, mask, phantom=True)


def phantom_cases(count: int, seed: int, workers: int = 2) -> list[Case]:
    """Return `count` phantom cases, drawn by `workers` processes."""
    with _drawing(workers, count) as draw:
        return list(draw(phantom_case, range(seed, seed + count)))


def liver_phantoms(count: int, seed: int, workers: int = 2) -> list[Case]:
    """Return phantoms that show enough of a liver to measure on, drawn by `workers` processes."""
    found: list[Case] = []
    with _drawing(workers, count) as draw:
        while len(found) < count:
            drawn = draw(phantom_case, range(seed, seed + count))
            found += [case for case in drawn if float(case.liver.sum()) * VOXEL_ML >= LEAST_ML]
            seed += count
    return found[:count]


@contextmanager
def _drawing(workers: int, count: int) -> Iterator[Drawing]:
    """Give a `map` over processes: never forked, for BLAS and OpenVINO run threads here.

    A few are drawn in this process: another one takes longer to start than they to be drawn.
    """
    if count <= FEW:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.map


def pair_case(folder: Path, scan: Scan) -> Case:
    """Return a CT of a manifest with the mask beside it.

    Raises
    ------
    UnusableVolumeError
        If they cannot be read, or the mask does not lie in the CT.
    """
    paths = files(folder, scan)
    return replace(case_of_files(scan.name, *paths), patient=patient_of(scan, paths))


def case_of_files(name: str, ct: Path, mask: Path) -> Case:
    """Return a CT and its mask, both NIfTI.

    Raises
    ------
    UnusableVolumeError
        If they cannot be read, or the mask does not lie in the CT.
    """
    image = read_placed(ct)
    liver = mask_beside(image, ct, mask).astype(np.float32)
    return make_case(name, image, liver, phantom=False)


def real_cases(folder: Path, roles: frozenset[str]) -> list[Case]:
    """Return the CTs of `roles` whose liver is known: pairs, drawn masks, scans without any.

    What is `test only` is never among them, and nothing is judged by a mask that we drew.
    """
    cases = []
    for scan in read_manifest(folder):
        if scan.role not in roles or scan.test_only or scan.liver == "unfit":
            continue
        drawn = DRAWN / f"{scan.name}.nii.gz"
        if scan.kind == "liver pair":
            cases.append(pair_case(folder, scan))
        elif drawn.is_file() and scan.role == "train":
            with resources.as_file(drawn) as path:
                case = drawn_case(scan.name, read_scan(folder, scan), path)
            cases.append(replace(case, patient=patient_of(scan, files(folder, scan))))
        elif scan.liver == "none":
            image = read_scan(folder, scan)
            none = np.zeros(image.shape, np.float32)
            case = make_case(scan.name, image, none, phantom=False)
            cases.append(replace(case, patient=patient_of(scan, files(folder, scan))))
    return cases

"""Real scans of a data folder: its manifest, who may be learned from, and their voxels.

The folder holds ``MANIFEST.csv``, ``dicom/<id>/*.dcm`` and ``liver/<id>_{ct,liver}.nii.gz``.
"""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray

from radnet.errors import UnusableVolumeError
from radnet.inference.preparation import Stack
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.volume.forms import placed
from radnet.volume.nifti import UNREADABLE

# One patient must not stand on both sides: ct_abdomen_ts and ts_dicom are the same person.
CLASSIFIER_TEST: Final = frozenset(
    {"ct_abdomen_ts", "ts_dicom", "ct_headneck_acrin001", "ts_example", "amos0013", "lits06_8bit"}
)
LIVER_TEST: Final = frozenset({"ts_dicom", "ts_example", "amos0013", "lits06_8bit"})
HEAD_TO_FOOT: Final = tuple(Region)
NOTED: Final = {
    "portal venous": Contrast.CONTRAST,
    "no contrast": Contrast.NONCONTRAST,
}  # what the manifest's note tells of a scan whose column `contrast` is empty


@dataclass(frozen=True)
class Scan:
    """One row of the manifest; None where a person could not tell."""

    name: str
    kind: Literal["dicom", "liver pair"]
    modality: str
    sequence: Sequence | None
    plane: Plane | None
    contrast: Contrast | None
    coverage: frozenset[Region]
    coverage_whole: bool  # False: the regions named are seen, of the others little is known
    source: str
    licence: str
    role: Literal["train", "test"]
    test_only: bool = False  # never to be learned from, whatever is asked for


def read_manifest(folder: Path) -> list[Scan]:
    """Return the scans of `folder` in the manifest's order, each with its role."""
    with (folder / "MANIFEST.csv").open(newline="", encoding="utf-8") as file:
        return [_scan(row) for row in csv.DictReader(file)]


def _scan(row: dict[str, str]) -> Scan:
    name = row["id"]
    kept_out = row["use"] != "train" or name in CLASSIFIER_TEST | LIVER_TEST
    regions = frozenset(Region(part) for part in row["coverage"].split(";") if part)
    pair = row["kind"] == "liver pair"
    return Scan(
        name,
        "liver pair" if pair else "dicom",
        row["modality"],
        Sequence(row["sequence"]) if row["sequence"] else None,
        Plane(row["plane"]) if row["plane"] else None,
        _contrast(row),
        regions,
        not pair and (bool(regions) or "none of the nine" in row["note"] or "knee" in name),
        row["source"],
        row["licence"],
        "test" if kept_out else "train",
        row["use"] == "test only",
    )


def _contrast(row: dict[str, str]) -> Contrast | None:
    if row["contrast"]:
        return Contrast(row["contrast"])
    return next((value for words, value in NOTED.items() if words in row["note"]), None)


def files(folder: Path, scan: Scan) -> list[Path]:
    """Return the files of `scan` in a fixed order."""
    if scan.kind == "dicom":
        return sorted((folder / "dicom" / scan.name).glob("*.dcm"))
    return [folder / "liver" / f"{scan.name}_{part}.nii.gz" for part in ("ct", "liver")]


def digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the bytes of all files of a scan, in their order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


def read_nifti(path: Path) -> Stack:
    """Return a NIfTI volume as (slice, row, column) with its affine in LPS mm.

    Raises
    ------
    UnusableVolumeError
        If it is missing, damaged, no volume of numbers, or says of two places that it lies there.
    """
    try:
        image = nib.load(path)
        array = np.asarray(image.dataobj, np.float32)  # type: ignore[attr-defined]
        conflict = placed(image).conflict
    except UNREADABLE as error:
        raise UnusableVolumeError(f"{path.name}: not a NIfTI volume: {error}") from error
    if array.ndim != 3 or not array.size or not np.isfinite([array.min(), array.max()]).all():
        raise UnusableVolumeError(
            f"{path.name}: {' x '.join(map(str, array.shape))} voxels; expected three axes of "
            "finite numbers"
        )
    if conflict:
        raise UnusableVolumeError(f"{path.name}: {conflict}; expected one place of the voxels")
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine  # type: ignore[attr-defined]
    return Stack(np.ascontiguousarray(array.transpose(2, 1, 0)), lps[:, [2, 1, 0, 3]])


def read_dicom(paths: list[Path]) -> Stack:
    """Return single-frame images as one stack, sorted along the slice normal.

    Meant for training: uneven gaps are taken as even and a tilted gantry as upright, which
    costs a network nothing. The node reads series by `radnet.volume`, which refuses them.
    """
    images = [pydicom.dcmread(path) for path in paths]
    images = [ds for ds in images if "PixelData" in ds and "ImagePositionPatient" in ds]
    cosines = np.array(images[0].ImageOrientationPatient, float)
    row, column = cosines[:3], cosines[3:]
    normal = np.cross(row, column)
    images = [ds for ds in images if np.allclose(ds.ImageOrientationPatient, cosines, atol=0.05)]
    images.sort(key=lambda ds: float(np.dot(normal, np.array(ds.ImagePositionPatient, float))))
    places = [float(np.dot(normal, np.array(ds.ImagePositionPatient, float))) for ds in images]
    gap = float(np.median(np.diff(places))) if len(places) > 1 else 5.0
    rows, columns = (float(value) for value in images[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        normal * max(gap, 0.1),
        column * rows,
        row * columns,
    )
    affine[:3, 3] = np.array(images[0].ImagePositionPatient, float)
    return Stack(np.stack([_values(ds) for ds in images]), affine)


def _values(ds: pydicom.Dataset) -> NDArray[np.float32]:
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    return np.asarray(ds.pixel_array, np.float32) * np.float32(slope) + np.float32(intercept)


def read_scan(folder: Path, scan: Scan) -> Stack:
    """Return the voxels of `scan`."""
    paths = files(folder, scan)
    return read_dicom(paths) if scan.kind == "dicom" else read_nifti(paths[0])

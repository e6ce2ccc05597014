"""One scan on disk, DICOM or NIfTI: what header, geometry and pixels say of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from radnet.errors import UnusableVolumeError
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.fusion import CLASS_HEADS, Fused, fuse_witnesses
from radnet.labels.evidence import SeriesLabels
from radnet.labels.header import own_rules, read_header
from radnet.labels.judge import Facts, judge
from radnet.labels.vocabulary import Region
from radnet.volume.series import read_headers, read_volume
from radnet.volume.size import refuse_too_large

NIFTI: Final = (".nii", ".nii.gz")
SAID: Final = 0.5  # probability from which the pixels name a region


@dataclass(frozen=True)
class ScanFile:
    """A scan on disk: its modality, what its header says, and its voxels on demand."""

    modality: str
    labels: SeriesLabels
    volume: Callable[[], hd.Volume]


@dataclass(frozen=True)
class Recognised:
    """What is known of one scan; `unusable` says why its pixels could not speak."""

    labels: SeriesLabels
    prediction: Prediction | None
    fused: Fused
    unusable: str = ""


def read_scan_file(path: Path, modality: str) -> ScanFile:
    """Return the scan in a NIfTI file, a DICOM file or a folder of one DICOM series.

    Parameters
    ----------
    modality
        That of a NIfTI file, which does not tell.

    Raises
    ------
    UnusableVolumeError
        If there is no scan in it.
    """
    if path.name.endswith(NIFTI):
        volume = _nifti(path)
        return ScanFile(modality.upper(), _geometry(volume, modality.upper()), lambda: volume)
    paths = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    headers = read_headers(paths)
    if not headers:
        raise UnusableVolumeError(f"{path}: no DICOM images in it")
    return ScanFile(
        str(headers[0].get("Modality", modality)), read_header(headers), lambda: read_volume(paths)
    )


def _nifti(path: Path) -> hd.Volume:
    """Return a NIfTI volume as (slice, row, column) in LPS mm."""
    try:
        image = nib.load(path)
        _refuse_voxels(path.name, image)
        array = _voxels(image)
        affine = np.asarray(image.affine, np.float64)  # type: ignore[attr-defined]
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise UnusableVolumeError(f"{path.name}: not a NIfTI volume: {error}") from error
    array = array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array
    if array.ndim != 3:
        raise UnusableVolumeError(f"{path.name}: {array.ndim} dimensions; expected 3")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise UnusableVolumeError(f"{path.name}: its affine is singular; expected mm")
    lps = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)[:, [2, 1, 0, 3]]
    try:
        return hd.Volume(array.transpose(2, 1, 0), affine=lps, coordinate_system="PATIENT")
    except ValueError as error:
        raise UnusableVolumeError(
            f"{path.name}: its axes are not perpendicular (gantry tilt?); expected a volume that "
            "was resampled upright"
        ) from error


def _refuse_voxels(name: str, image: nib.filebasedimages.FileBasedImage) -> None:
    """Refuse by the header what must not be read into memory, or holds no single numbers."""
    refuse_too_large(name, image.shape)  # type: ignore[attr-defined]
    kind = image.get_data_dtype()  # type: ignore[attr-defined]
    if kind.kind not in "iufb":
        raise UnusableVolumeError(f"{name}: voxels of type {kind}; expected one number in each")


def _voxels(image: nib.filebasedimages.FileBasedImage) -> NDArray[np.float32]:
    """Return scaled voxels, slices last in memory order: one pass, no float64 copy."""
    data = image.dataobj  # type: ignore[attr-defined]
    slope, intercept = getattr(data, "slope", 1.0), getattr(data, "inter", 0.0)
    raw = data.get_unscaled() if hasattr(data, "get_unscaled") else np.asarray(data)
    array = np.asarray(raw, np.float32, order="F")
    if (slope, intercept) != (1.0, 0.0):
        array *= np.float32(slope)
        array += np.float32(intercept)
    return array


def _geometry(volume: hd.Volume, modality: str) -> SeriesLabels:
    """Return what modality and affine alone say: sequence of a CT, plane, spacing."""
    axes = np.asarray(volume.affine)[:3, :3]
    step = float(np.linalg.norm(axes[:, 0]))
    normal = np.cross(axes[:, 1], axes[:, 2])
    normal = normal / np.linalg.norm(normal)
    facts = Facts(
        modality,
        {},
        normals=[(float(normal[0]), float(normal[1]), float(normal[2]))],
        slice_spacing_mm=round(step, 3),
        extent_mm=step * (volume.shape[0] - 1),
    )
    return judge(facts, own_rules())


def recognise_scan(
    path: Path, modality: str, unknown_below: float, classifier: Classifier | None = None
) -> Recognised:
    """Return what header and pixels of one scan say, apart and together.

    Raises
    ------
    UnusableVolumeError
        If there is no scan at `path`.
    """
    scan = read_scan_file(path, modality)
    prediction, unusable = None, ""
    try:
        prediction = (classifier or Classifier.load()).classify(scan.volume(), scan.modality)
    except UnusableVolumeError as error:
        unusable = str(error)
    fused = fuse_witnesses(scan.labels, prediction, unknown_below)
    return Recognised(scan.labels, prediction, fused, unusable)


def told(found: Recognised) -> dict[str, Any]:
    """Return a recognition as plain data.

    ``labels`` are the fused answers (None is unknown); ``sequence``, ``plane``, ``contrast`` and
    ``coverage`` their probabilities; ``header`` and ``pixels`` what each witness says by itself.
    """
    fused, prediction = found.fused, found.prediction
    answers: dict[str, Any] = {
        "labels": {head: fused.classes[head].value for head in CLASS_HEADS}
        | {"coverage": fused.covered},
        "coverage": {region: round(p, 4) for region, p in fused.regions.items()},
        "header": {head: _said(found.labels, head) for head in (*CLASS_HEADS, "coverage")},
        "pixels": _seen(prediction) if prediction else {},
        "localizer": found.labels.localizer.value == "1",
        "derived": found.labels.derived.value == "1",
        "disagreements": list(fused.disagreements),
        "unusable": found.unusable,
    }
    for head in CLASS_HEADS:
        spread = fused.classes[head].spread
        answers[head] = {name: round(p, 4) for name, p in spread.items()}
    if prediction:
        answers["strange"] = prediction.strange
        answers["spacing_mm"] = round(prediction.spacing_mm, 2)
    return answers


def _said(labels: SeriesLabels, head: str) -> str | None:
    return str(getattr(labels, head).value) or None


def _seen(prediction: Prediction) -> dict[str, Any]:
    top: dict[str, Any] = {}
    for head in CLASS_HEADS:
        spread = getattr(prediction, head)
        top[head] = str(max(spread, key=lambda name: spread[name]))
    top["coverage"] = [str(r) for r in Region if prediction.coverage[r] >= SAID]
    return top

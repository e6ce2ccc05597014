"""One scan on disk, DICOM or another format: what its header says, and its voxels on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.inference.refusals import not_hounsfield
from radnet.labels.evidence import SeriesLabels
from radnet.labels.facts import HeaderFacts
from radnet.labels.header import own_rules, read_header, text_of
from radnet.labels.judge import judge
from radnet.volume.file_axes import as_taken
from radnet.volume.folder import choose_series
from radnet.volume.headers import CT_CLASSES
from radnet.volume.itk_file import is_itk_file, read_itk_file
from radnet.volume.nifti import Nifti, is_nifti, read_nifti_file, refuse_uncertain, write_mask
from radnet.volume.selection import pick_recognisable
from radnet.volume.series import read_headers, read_volume


@dataclass(frozen=True)
class ScanFile:
    """A scan on disk: its modality, what its header says, and its voxels on demand.

    Attributes
    ----------
    volume
        Reads it, or refuses what cannot be measured in.
    seen
        Reads it, uneven gaps and a tilted gantry notwithstanding: to recognise it, no more.
    write_mask
        Writes a mask on the grid of `volume` as NIfTI.
    remarks
        What was taken for granted or left out, in words.
    doubt
        Why its voxels are not what `modality` says, or of no known size; empty: they may be.
    """

    modality: str
    labels: SeriesLabels
    volume: Callable[[], hd.Volume]
    seen: Callable[[], hd.Volume]
    write_mask: Callable[[hd.Volume, NDArray[np.bool_], Path], None]
    remarks: tuple[str, ...] = ()
    doubt: str = ""


def read_scan_file(
    path: Path,
    modality: str | None = None,
    series: str | None = None,
    orientation: str | None = None,
) -> ScanFile:
    """Return the scan in a NIfTI, NRRD, MetaImage or DICOM file, or of a folder's DICOM series.

    Parameters
    ----------
    path : Path
        A file or a folder.
    modality
        That of a file other than DICOM, which does not tell; None: as its voxels look.
    series
        Series Instance UID, where a folder holds several.
    orientation
        Where the axes of a NIfTI file point that does not tell, such as ``RAS``; or which of its
        two forms counts: ``qform`` or ``sform``.

    Returns
    -------
    ScanFile

    Raises
    ------
    UnusableVolumeError
        If there is no scan in it.
    """
    if is_nifti(path):
        return _of_nifti(path, read_nifti_file(path, orientation), modality)
    if is_itk_file(path) and path.is_file():
        return _of_itk_file(read_itk_file(path), modality)
    chosen = choose_series(path, series)
    headers = read_headers(chosen.paths)
    picked = pick_recognisable(chosen.paths, headers)
    by_class = "CT" if headers[0].get("SOPClassUID") in CT_CLASSES else ""
    return ScanFile(
        text_of(picked.headers[0], "Modality") or by_class,
        read_header(picked.headers),
        lambda: read_volume(chosen.paths),
        lambda: read_volume(chosen.paths, tolerant=True),
        write_mask,
        (*chosen.left_out, *picked.remarks),
    )


def _of_nifti(path: Path, scan: Nifti, modality: str | None) -> ScanFile:
    kind, remarks, doubt = _taken_for(scan.volume, modality)
    if scan.conflict:
        remarks.append(
            f"{scan.conflict}; taken as its sform says, --orientation qform says otherwise"
        )
    elif not scan.oriented:
        remarks.append("the file does not say how the patient lies in it; its plane is not known")

    def volume() -> hd.Volume:
        refuse_uncertain(scan, path.name)
        return scan.volume

    return ScanFile(
        kind,
        _geometry(scan.volume, _sure(kind, modality, doubt), oriented=scan.oriented),
        volume,
        lambda: scan.volume,
        lambda _, mask, out: scan.write_mask(mask, out),
        tuple(remarks),
        (doubt if kind == "CT" else "") or ("" if scan.sized else scan.conflict),
    )


def _of_itk_file(stored: hd.Volume, modality: str | None) -> ScanFile:
    turn = as_taken(stored)
    volume = turn.there(stored)
    kind, remarks, doubt = _taken_for(volume, modality)
    return ScanFile(
        kind,
        _geometry(volume, _sure(kind, modality, doubt), oriented=True),
        lambda: volume,
        lambda: volume,
        lambda _, mask, out: write_mask(stored, turn.back(mask), out),
        tuple(remarks),
        doubt if kind == "CT" else "",
    )


def _taken_for(volume: hd.Volume, modality: str | None) -> tuple[str, list[str], str]:
    """Return the modality of a file that tells none, remarks, and why it can be no CT."""
    doubt = not_hounsfield(volume.array)
    if modality is not None:
        return modality.upper(), [], doubt
    kind = "MR" if doubt else "CT"
    like = "not those of a CT" if doubt else "those of a CT"
    return kind, [f"taken for {kind}, for its values are {like}; --modality says otherwise"], doubt


def _sure(kind: str, modality: str | None, doubt: str) -> str:
    return "" if modality is None and doubt else kind  # what is no CT may be anything


def _geometry(volume: hd.Volume, modality: str, *, oriented: bool) -> SeriesLabels:
    """Return what modality and affine alone say: sequence of a CT, plane, spacing."""
    axes = np.asarray(volume.affine)[:3, :3]
    step = float(np.linalg.norm(axes[:, 0]))
    normal = np.cross(axes[:, 1], axes[:, 2])
    normal = normal / np.linalg.norm(normal)
    facts = HeaderFacts(
        modality,
        {},
        normals=[(float(normal[0]), float(normal[1]), float(normal[2]))] if oriented else [],
        slice_spacing_mm=round(step, 3),
        extent_mm=step * (volume.shape[0] - 1),
    )
    return judge(facts, own_rules())

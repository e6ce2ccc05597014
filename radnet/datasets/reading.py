"""The voxels of a scan to learn from or to be judged on, read as the node reads what it serves."""

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np

from radnet.errors import DataError, UnusableVolumeError
from radnet.inference.scan_file import read_scan_file
from radnet.volume.file_axes import as_taken
from radnet.volume.itk_file import is_itk_file, read_itk_file
from radnet.volume.nifti import Nifti, is_nifti, read_nifti_file
from radnet.volume.series import read_volume


def read_files(paths: Sequence[Path], modality: str, name: str) -> hd.Volume:
    """Return the voxels of one scan as the node reads it to recognise it.

    Uneven gaps and a tilted gantry are accepted, as there.

    Parameters
    ----------
    paths
        The instances of one DICOM series in any order, or one NIfTI, NRRD or MetaImage file.
    modality
        As in (0008,0060); a file other than DICOM does not tell.
    name
        How messages call the scan.

    Raises
    ------
    DataError
        If it has no files.
    UnusableVolumeError
        If they make no volume, or a file other than DICOM cannot be what `modality` says.
    """
    if not paths:
        raise DataError(f"{name}: the manifest names no files")
    if not (is_nifti(paths[0]) or is_itk_file(paths[0])):
        return read_volume(paths, tolerant=True)
    scan = read_scan_file(paths[0], modality)
    if scan.doubt:
        raise UnusableVolumeError(f"{paths[0].name}: {scan.doubt}")
    return scan.seen()


def read_placed(path: Path) -> hd.Volume:
    """Return the voxels of a file that says in one way how the patient lies in it: no DICOM.

    A liver and its mask are learned with their sides: no guess will do.

    Raises
    ------
    UnusableVolumeError
        If it is no volume, or does not say where its voxels lie, or says it in two ways.
    """
    if is_itk_file(path):
        stored = read_itk_file(path)
        volume = as_taken(stored).there(stored)
    else:
        scan = read_nifti_file(path)
        _refuse_unplaced(scan, path.name)
        volume = scan.volume
    if not np.isfinite([volume.array.min(), volume.array.max()]).all():
        raise UnusableVolumeError(f"{path.name}: voxels that are no numbers; expected finite ones")
    return volume


def _refuse_unplaced(scan: Nifti, name: str) -> None:
    if scan.conflict:
        raise UnusableVolumeError(f"{name}: {scan.conflict}; expected one place of the voxels")
    if not scan.oriented:
        raise UnusableVolumeError(
            f"{name}: does not say how the patient lies in it (qform_code and sform_code are 0); "
            "expected it, or right would be learned as left"
        )

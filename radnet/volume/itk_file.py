"""NRRD and MetaImage files, read by SimpleITK: voxels with their place in the patient, in LPS.

SimpleITK orders indices (column, row, slice) where a `highdicom.Volume` has [slice, row, column],
and gives every format in LPS mm, as DICOM is (NIfTI is RAS). It is imported when such a file is
read, and never for anything else.
"""

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.errors import GeometryError, UnusableVolumeError
from radnet.volume.file_axes import refuse_no_place, stored_volume
from radnet.volume.geometry import SIDEWAYS_MM
from radnet.volume.itk_header import META, NRRD, WHOLE, read_itk_header
from radnet.volume.size import refuse_too_large


def is_itk_file(path: Path) -> bool:
    """Tell whether `path` is called as NRRD and MetaImage files are.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
    """
    return path.name.lower().endswith(NRRD + META)


def read_itk_file(path: Path) -> hd.Volume:
    """Read one NRRD or MetaImage file.

    Parameters
    ----------
    path
        ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``: one volume, compressed or not, its voxels in
        the file or beside it.

    Returns
    -------
    highdicom.Volume
        [slice, row, column] as the file has them, float32, in LPS mm, exact to `SIDEWAYS_MM`;
        `radnet.volume.file_axes.as_taken` turns it into the axes of its scan.

    Raises
    ------
    GeometryError
        If it does not say where in the patient its voxels lie, or its axes are not perpendicular.
    UnusableVolumeError
        If it is damaged, no volume of single numbers, or larger than is taken.
    """
    read_itk_header(path)
    import SimpleITK

    sitk: Any = SimpleITK  # it marks itself as typed, and its calls are not
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if path.name.lower().endswith(NRRD) else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _refuse_voxels(path.name, sitk, reader)
        affine = _affine(reader)
        refuse_no_place(path.name, affine)
        image = reader.Execute()  # holds the memory that the view shows
        array = np.array(sitk.GetArrayViewFromImage(image), np.float32)
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1].strip()
        raise UnusableVolumeError(f"{path.name}: cannot be read ({why}); {WHOLE}") from error
    volume, sideways = stored_volume(array.transpose(2, 1, 0), affine)
    if sideways > SIDEWAYS_MM:
        raise GeometryError(
            f"{path.name}: its axes are not perpendicular (gantry tilt?), by {sideways:.1f} mm at "
            "its edge; expected a volume that was resampled upright"
        )
    return volume


def _refuse_voxels(name: str, sitk: Any, reader: Any) -> None:
    """Refuse as ITK reads the header what must not be read, or holds no single numbers."""
    refuse_too_large(name, reader.GetSize())
    single = {
        sitk.sitkUInt8, sitk.sitkInt8, sitk.sitkUInt16, sitk.sitkInt16, sitk.sitkUInt32,
        sitk.sitkInt32, sitk.sitkUInt64, sitk.sitkInt64, sitk.sitkFloat32, sitk.sitkFloat64,
    }  # fmt: skip
    dimensions, kind = reader.GetDimension(), reader.GetPixelID()
    if dimensions != 3 or kind not in single:  # a vector of one, too, is a kind of its own
        raise UnusableVolumeError(
            f"{name}: {dimensions} dimensions of {sitk.GetPixelIDValueAsString(kind)}; expected 3 "
            "with one number in each voxel. Save one volume of it"
        )


def _affine(reader: Any) -> NDArray[np.float64]:
    """Return what leads from (column, row, slice) to LPS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    return affine

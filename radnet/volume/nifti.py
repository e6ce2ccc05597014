"""NIfTI files: voxels with their place in the patient, and masks on exactly the same grid."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from radnet.errors import GeometryError, UnusableVolumeError, UsageError
from radnet.volume.axes import DIRECTIONS, Turn
from radnet.volume.file_axes import as_taken, refuse_no_place, stored_volume
from radnet.volume.formats import NIFTI, is_pair
from radnet.volume.forms import FORMS, Placed, placed
from radnet.volume.geometry import SIDEWAYS_MM
from radnet.volume.size import refuse_too_large

RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
CHUNK: Final = 1 << 24
# everything of a header that says where the voxels lie
PLACE: Final = (
    "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
    "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units", "dim_info",
)  # fmt: skip

# what nibabel and zlib raise on files that are no NIfTI, damaged or cut short
UNREADABLE: Final = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    zlib.error,
)


@dataclass(frozen=True)
class Nifti:
    """One NIfTI volume.

    Attributes
    ----------
    volume
        [slice, row, column] as the scan was taken, in LPS mm, exact to `SIDEWAYS_MM`.
    oriented
        Whether the file says how its axes lie in the patient; False: `volume` is a guess.
    sideways_mm
        How far the axes, which are not perpendicular, were set right at the most.
    conflict
        How qform and sform disagree, in words; `volume` lies as the sform says then. Empty: they
        do not, or somebody said which one counts.
    sized
        Whether the size of the voxels is sure.
    """

    volume: hd.Volume
    oriented: bool
    sideways_mm: float
    _image: Any
    _turn: Turn
    conflict: str = ""
    sized: bool = True

    def write_mask(self, mask: NDArray[np.bool_], path: Path) -> None:
        """Write `mask`, on the grid of `volume`, as uint8 on the file's own grid.

        What places the voxels is copied as it stands. Descriptions and extensions, which may
        name a patient, are not.

        Parameters
        ----------
        mask : ndarray of bool
            [slice, row, column] of `volume`.
        path : Path
            The NIfTI file to write.
        """
        shape, kind = self._image.shape, _single_file(self._image)
        array = np.asarray(self._turn.back(mask).transpose(2, 1, 0), np.uint8).reshape(shape)
        header = kind.header_class()
        header.set_data_dtype(np.uint8)
        header.set_data_shape(shape)
        for name in PLACE:
            header[name] = self._image.header[name]
        nib.save(kind(array, None, header), path)


def _single_file(image: Any) -> Any:
    """Return the class of one-file images with the header of `image`, which may be of a pair."""
    longer = isinstance(image, (nib.Nifti2Pair, nib.Nifti2Image))
    return nib.Nifti2Image if longer else nib.Nifti1Image


def write_mask(volume: hd.Volume, mask: NDArray[np.bool_], path: Path) -> None:
    """Write `mask`, on the grid of a DICOM `volume`, as uint8 [column, row, slice].

    Parameters
    ----------
    volume : hd.Volume
        Its affine leads from [slice, row, column] to LPS millimetres.
    mask : ndarray of bool
        [slice, row, column].
    path : Path
        The NIfTI file to write; its affine leads to RAS millimetres.
    """
    affine = RAS_TO_LPS @ np.asarray(volume.affine)[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), None)
    image.set_sform(affine, "scanner")
    image.set_qform(affine, "scanner")
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def is_nifti(path: Path) -> bool:
    """Tell whether `path` is a NIfTI file: by its name, of a pair by its header.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
    """
    return path.name.lower().endswith(NIFTI) or is_pair(path)


def read_nifti_file(path: Path, orientation: str | None = None) -> Nifti:
    """Read one NIfTI file.

    Parameters
    ----------
    path
        NIfTI-1 or NIfTI-2, one volume, compressed or not; of a pair either file.
    orientation
        Where its axes point, such as ``RAS``, for a file that does not say or says two things;
        or which of these counts: ``qform`` or ``sform``.

    Returns
    -------
    Nifti

    Raises
    ------
    UnusableVolumeError
        If it is damaged, or no volume of single numbers.
    """
    name = path.name
    try:
        _refuse_altered(path)
        image: Any = nib.load(path)
        _refuse_voxels(name, image)
        array = _voxels(image)
        place = placed(image, orientation and orientation.lower())
        slices = image.header.get_dim_info()[2]
    except UNREADABLE as error:
        raise UnusableVolumeError(f"{name}: not a NIfTI volume: {error}") from error
    except UnusableVolumeError as error:
        raise UnusableVolumeError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from error
    array = array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array
    if not array.size:
        raise UnusableVolumeError(f"{name}: {' x '.join(map(str, array.shape))} voxels")
    if array.ndim != 3:
        raise UnusableVolumeError(f"{name}: {array.ndim} dimensions; expected 3")
    place = _told(place, name, orientation)
    refuse_no_place(name, place.affine)
    stored, sideways = stored_volume(array, RAS_TO_LPS @ place.affine)
    turn = as_taken(stored, slices)
    oriented = place.told and place.directions
    return Nifti(turn.there(stored), oriented, sideways, image, turn, place.conflict, place.sizes)


def _told(place: Placed, name: str, orientation: str | None) -> Placed:
    """Return a place as somebody says it is, where the file does not say, or says two things."""
    if not orientation or orientation.lower() in FORMS or (place.told and not place.conflict):
        return place
    if not place.sizes:
        raise UnusableVolumeError(
            f"{name}: {place.conflict}, and their voxels differ in size; --orientation "
            f"{orientation} does not say which of them counts: say qform or sform"
        )
    return Placed(_placed(place.affine, orientation), told=True)


def refuse_uncertain(scan: Nifti, name: str) -> None:
    """Refuse what is good enough to recognise a scan and too uncertain to draw in it.

    Parameters
    ----------
    scan : Nifti
        As it was read.
    name : str
        How messages call it.

    Raises
    ------
    GeometryError
        If the file does not say how the patient lies, or says two things, or the slices are
        shifted sideways.
    """
    if scan.conflict:
        raise GeometryError(
            f"{name}: {scan.conflict}; programs differ in which of them counts, and a mask would "
            "be a guess. Say --orientation qform or sform, or where its axes point: RAS, LPS …"
        )
    if not scan.oriented:
        raise GeometryError(
            f"{name}: does not say how the patient lies in it (qform_code and sform_code are 0); "
            "a mask would be a guess. If you know where its axes point, say --orientation RAS, "
            "LPS or the like"
        )
    if scan.sideways_mm > SIDEWAYS_MM:
        raise GeometryError(
            f"{name}: its axes are not perpendicular (gantry tilt?), by {scan.sideways_mm:.1f} mm "
            "at its edge; expected a volume that was resampled upright"
        )


def _placed(affine: NDArray[np.float64], orientation: str) -> NDArray[np.float64]:
    """Return a RAS affine with the steps of `affine` and axes that point to `orientation`."""
    letters = orientation.upper().replace("S", "H").replace("I", "F")
    ways = [DIRECTIONS.get(letter, (-1, 0)) for letter in letters]
    if sorted(axis for axis, _ in ways) != [0, 1, 2]:
        raise UsageError(
            f"orientation {orientation}: expected one of R or L, of A or P, and of S or I, "
            "in the order of the file's axes"
        )
    placed = np.zeros((4, 4))
    placed[3, 3] = 1
    for column, (axis, sign) in enumerate(ways):
        placed[axis, column] = sign * np.linalg.norm(affine[:3, column])
    return np.asarray(RAS_TO_LPS @ placed)


def _refuse_altered(path: Path) -> None:
    """Read a compressed file to its end, where its checksum stands: nibabel stops before it."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as file:
            while file.read(CHUNK):
                pass


def _refuse_voxels(name: str, image: Any) -> None:
    """Refuse by the header what must not be read into memory, or holds no single numbers."""
    refuse_too_large(name, image.shape)
    kind = image.get_data_dtype()
    if kind.kind not in "iufb":
        raise UnusableVolumeError(f"{name}: voxels of type {kind}; expected one number in each")


def _voxels(image: Any) -> NDArray[np.float32]:
    """Return scaled voxels, slices last in memory order: one pass, no float64 copy."""
    data = image.dataobj
    slope, intercept = getattr(data, "slope", 1.0), getattr(data, "inter", 0.0)
    raw = data.get_unscaled() if hasattr(data, "get_unscaled") else np.asarray(data)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite: told when voxels are judged
        array = np.asarray(raw, np.float32, order="F")
    if (slope, intercept) != (1.0, 0.0):
        array *= np.float32(slope)
        array += np.float32(intercept)
    return array

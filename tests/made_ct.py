"""A small CT made by the test that needs it, with pixels or without, whole or broken."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from node.derived.edition import Edition

SERIES = "1.2.826.0.1.3680043.8.498.1.2"
STUDY = "1.2.826.0.1.3680043.8.498.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SHAPE = (6, 32, 40)  # slices, rows, columns: all different, an exchange of axes is seen
SPACING = (4.0, 1.5, 1.25)

MADE = datetime(2026, 11, 30, 9, 8, 7, tzinfo=timezone(timedelta(hours=2)))

Edit = Callable[[Dataset, int], None]
Find = Callable[[tuple[int, ...]], NDArray[np.bool_]]


def rotation(degrees: float, axis: int) -> NDArray[np.float64]:
    """Return the matrix that turns LPS vectors by `degrees` about one axis."""
    angle = np.radians(degrees)
    matrix = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def made_slice(
    index: int, orientation: tuple[float, ...] = AXIAL, upwards: bool = True
) -> Dataset:
    """Return one CT slice; the HU of pixel (r, c) of slice k are ``100 k + r - c``."""
    _, rows, columns = SHAPE
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    step = index if upwards else SHAPE[0] - 1 - index
    position = np.array([-30.0, -40.0, 100.0]) + step * SPACING[0] * np.cross(row, column)
    hu = 100 * index + np.arange(rows)[:, None] - np.arange(columns)[None, :]
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = UID(f"{SERIES}.{index + 1}")
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = SERIES
    ds.FrameOfReferenceUID = f"{STUDY}.9"
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientID, ds.PatientName = "MADE", "Made^Up"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260102", "030405", "1", ""
    ds.ContentDate, ds.ContentTime = "20260102", "030406"
    ds.ReferringPhysicianName, ds.PositionReferenceIndicator = "", ""
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 4, index + 1, 1
    ds.Manufacturer, ds.KVP = "made", "120"
    ds.ImageOrientationPatient = [f"{value:.9g}" for value in orientation]
    ds.ImagePositionPatient = [f"{value:.9g}" for value in position]
    ds.PixelSpacing = list(SPACING[1:])
    ds.SliceThickness = SPACING[0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope = "-1024", "1"
    ds.PixelData = (hu + 1024).astype("<u2").tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def made_headers(count: int, spacing: float = 2.5) -> list[Dataset]:
    """Return the headers of `count` axial CT slices of one patient."""
    made = []
    for index in range(count):
        ds = Dataset()
        ds.SOPClassUID, ds.Modality = CTImageStorage, "CT"
        ds.PatientID, ds.PatientName = "A", "Made^Up"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2", "1.2.3", "1.9"
        ds.SOPInstanceUID = f"1.2.3.{index + 1}"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImageOrientationPatient = list(AXIAL)
        ds.ImagePositionPatient = [-100, -120, spacing * index]
        ds.Rows = ds.Columns = 512
        ds.PixelSpacing = [0.7, 0.7]
        made.append(ds)
    return made


def reformat(like: Dataset) -> Dataset:
    """Return the header of a sagittal image that was made of the slices."""
    ds = Dataset()
    ds.update(like)
    ds.SOPInstanceUID = "1.2.3.999"
    ds.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]
    ds.ImageOrientationPatient, ds.ImagePositionPatient = list(SAGITTAL), [3, -120, 90]
    return ds


def edition(revision: int, number: int = 0, made: datetime = MADE) -> Edition:
    """Return an edition of a result, its series begun with it."""
    return Edition(revision, made, made, number)


def write_ct(
    folder: Path,
    edit: Edit | None = None,
    *,
    orientation: tuple[float, ...] = AXIAL,
    upwards: bool = True,
) -> list[Path]:
    """Write a series of `SHAPE`, each slice changed by ``edit(dataset, index)`` first."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(SHAPE[0]):
        ds = made_slice(index, orientation, upwards)
        if edit is not None:
            edit(ds, index)
        path = folder / f"{index}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def of_no_size(ds: Dataset, _index: int) -> None:
    """Take the pixels away, and say so: an `Edit`."""
    ds.Rows = ds.Columns = 0
    ds.PixelData = b""


def localizer(ds: Dataset, _index: int) -> None:
    """Call it a localizer: an `Edit`."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def lopsided(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask with no symmetry: any flip or exchange of axes moves its centroid."""
    slices, rows, columns = shape
    mask = np.zeros(shape, dtype=np.bool_)
    mask[slices // 4 : slices // 2 + 1, rows // 8 : rows // 2, columns // 8 : columns // 3] = True
    mask[slices // 4, rows // 2 : rows * 3 // 4, columns // 8 : columns // 5] = True
    return mask


def nothing(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask of a scan without liver."""
    return np.zeros(shape, dtype=np.bool_)


class MadeMask:
    """What a model found."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.mask = mask
        self.mean_probability = 0.9


class MadeModel:
    """A liver model that finds what it was told to find."""

    name = "radnet10-tiny"
    version = "0.1.0"

    def __init__(self, find: Find = lopsided) -> None:
        self.digest = "ab" * 32
        self._find = find

    def segment(
        self, volume: hd.Volume, progress: Callable[[float], None] | None = None
    ) -> MadeMask:
        """Return the mask for a volume of this shape."""
        if progress is not None:
            progress(1.0)
        return MadeMask(self._find(volume.shape))

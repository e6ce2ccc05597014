"""Headers of a series of slices, without pixels, whole or odd on purpose."""

from pydicom import Dataset
from pydicom.uid import CTImageStorage

AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]


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
        ds.ImageOrientationPatient = AXIAL
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
    ds.ImageOrientationPatient, ds.ImagePositionPatient = SAGITTAL, [3, -120, 90]
    return ds

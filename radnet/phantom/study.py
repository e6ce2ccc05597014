"""A made-up study as files: abdominal CT with contrast, brain MR, and a localizer.

It is what the node is shown with when there is no other study: nobody's images, and every header
attribute that a scanner would write.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from radnet.labels.vocabulary import Contrast, Plane, Sequence
from radnet.phantom.acquisition import Acquisition, take
from radnet.phantom.body import Body

NAMESPACE: Final = UUID("0b1f6f0e-52cf-5c51-8d07-6b2a4f4f2f10")
PATIENT_ID: Final = "PHANTOM"
DATE: Final = "20260105"
STORED_AIR: Final = -1024  # Rescale Intercept of the CT: stored 0 is -1024 HU

ABDOMEN: Final = Acquisition(
    sequence=Sequence.CT,
    contrast=Contrast.CONTRAST,
    plane=Plane.AXIAL,
    shape=(60, 256, 256),
    spacing_mm=(5.0, 1.6, 1.6),
    centre_mm=(0.0, 8.0, -585.0),
    phase=2,
    thickness_mm=5.0,
)
BRAIN: Final = Acquisition(
    sequence=Sequence.T2_FLAIR,
    contrast=Contrast.NONCONTRAST,
    plane=Plane.AXIAL,
    shape=(28, 192, 192),
    spacing_mm=(5.0, 1.25, 1.25),
    centre_mm=(0.0, 0.0, -72.0),
    thickness_mm=5.0,
)
SCOUT: Final = Acquisition(
    sequence=Sequence.T1,
    contrast=Contrast.NONCONTRAST,
    plane=Plane.AXIAL,
    shape=(1, 128, 128),
    spacing_mm=(8.0, 2.2, 2.2),
    centre_mm=(0.0, 0.0, -90.0),
    thickness_mm=8.0,
)


@dataclass(frozen=True)
class _Series:
    """What all images of one series have in common."""

    number: int
    modality: str
    description: str
    body_part: str
    image_type: tuple[str, ...]
    acquisitions: tuple[Acquisition, ...]
    fill: Callable[[Dataset], None]


def write_phantom_study(folder: Path, seed: int) -> list[Path]:
    """Write one study of three series into `folder`.

    Parameters
    ----------
    folder
        Made if it is not there. Files are named by series and instance number.
    seed
        Draws the body, the noise and the UIDs: the same seed writes the same bytes.

    Returns
    -------
    list of Path
        The DICOM Part 10 files: 60 CT slices, 28 MR slices, 3 localizer images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body = Body.random(np.random.default_rng(seed))
    written = []
    for series in _plan():
        for number, dataset in enumerate(_images(series, body, seed), start=1):
            path = folder / f"{series.number}_{number:03d}.dcm"
            dataset.InstanceNumber = number
            dataset.save_as(path, enforce_file_format=True)
            written.append(path)
    return written


def _plan() -> tuple[_Series, ...]:
    scouts = tuple(replace(SCOUT, plane=plane) for plane in Plane)
    abdomen, flair, scout = "Abdomen portal venous 5.0", "AX T2 FLAIR", "3-plane localizer"
    return (
        _Series(
            1,
            "MR",
            scout,
            "BRAIN",
            ("ORIGINAL", "PRIMARY", "OTHER", "LOCALIZER"),
            scouts,
            _fill_scout,
        ),
        _Series(
            2, "CT", abdomen, "ABDOMEN", ("ORIGINAL", "PRIMARY", "AXIAL"), (ABDOMEN,), _fill_ct
        ),
        _Series(3, "MR", flair, "BRAIN", ("ORIGINAL", "PRIMARY", "OTHER"), (BRAIN,), _fill_flair),
    )


def _images(series: _Series, body: Body, seed: int) -> Iterator[Dataset]:
    """Yield the images of one series, without their instance numbers."""
    for stack, acquisition in enumerate(series.acquisitions):
        phantom = take(body, acquisition, seed)
        for index in range(acquisition.shape[0]):
            dataset = _header(series, seed, f"{stack}.{index}")
            _place(dataset, acquisition, index)
            series.fill(dataset)
            _pixels(dataset, phantom.image[index])
            yield dataset


def _uid(*parts: str | int) -> UID:
    return UID(f"2.25.{uuid5(NAMESPACE, '/'.join(str(part) for part in parts)).int}")


def _header(series: _Series, seed: int, image: str) -> Dataset:
    """Return patient, study, series and equipment of one image."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = list(series.image_type)
    dataset.SOPClassUID = CTImageStorage if series.modality == "CT" else MRImageStorage
    dataset.SOPInstanceUID = _uid(seed, series.number, image)
    for event in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{event}Date", DATE)
        setattr(dataset, f"{event}Time", f"09{series.number:02d}00")
    dataset.StudyTime = "090000"
    dataset.AccessionNumber = f"PH{seed % 10**8}"
    dataset.Modality = series.modality
    dataset.Manufacturer = "radnet phantom"
    dataset.ManufacturerModelName = "procedural body"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Phantom: abdomen and brain"
    dataset.SeriesDescription = series.description
    dataset.PatientName = "Phantom^Made Up"
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.PatientAge = "056Y"
    dataset.BodyPartExamined = series.body_part
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = _uid(seed, "study")
    dataset.SeriesInstanceUID = _uid(seed, "series", series.number)
    dataset.StudyID = str(seed % 10**8)
    dataset.SeriesNumber = series.number
    dataset.AcquisitionNumber = 1
    dataset.FrameOfReferenceUID = _uid(seed, "frame", series.modality)
    dataset.PositionReferenceIndicator = ""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _place(dataset: Dataset, acquisition: Acquisition, index: int) -> None:
    """Write where slice `index` of the acquisition lies."""
    affine = acquisition.affine
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    position = (affine @ [index, 0, 0, 1])[:3]
    dataset.ImagePositionPatient = [f"{value + 0.0:.6g}" for value in position]
    dataset.ImageOrientationPatient = [
        f"{value + 0.0:.6g}" for value in (*axes[:, 2], *axes[:, 1])
    ]
    dataset.PixelSpacing = [f"{step:.6g}" for step in acquisition.spacing_mm[1:]]
    dataset.SliceThickness = f"{acquisition.thickness_mm:g}"
    dataset.SliceLocation = f"{position @ axes[:, 0]:.6g}"


def _pixels(dataset: Dataset, image: NDArray[np.float32]) -> None:
    """Write one slice as unsigned 16-bit pixels; the CT with its intercept taken off."""
    lowest = STORED_AIR if dataset.Modality == "CT" else 0
    stored = np.clip(np.rint(image) - lowest, 0, 4095).astype("<u2")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.tobytes()


def _fill_ct(dataset: Dataset) -> None:
    dataset.ContrastBolusAgent = "Iomeprol 350 mg/mL"
    dataset.ContrastBolusRoute = "IV"
    dataset.ScanOptions = "HELICAL MODE"
    dataset.KVP = "120"
    dataset.XRayTubeCurrent = 240
    dataset.ExposureTime = 500
    dataset.GantryDetectorTilt = "0"
    dataset.ConvolutionKernel = "STANDARD"
    dataset.ProtocolName = "Abdomen portal venous"
    dataset.RescaleIntercept = str(STORED_AIR)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter = "40"
    dataset.WindowWidth = "400"


def _fill_flair(dataset: Dataset) -> None:
    dataset.ScanningSequence = ["SE", "IR"]
    dataset.SequenceVariant = "SK"
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "2D"
    dataset.SequenceName = "tirfl2d"
    dataset.RepetitionTime = "9000"
    dataset.EchoTime = "120"
    dataset.InversionTime = "2350"
    dataset.EchoTrainLength = 16
    dataset.MagneticFieldStrength = "1.5"
    dataset.FlipAngle = "150"
    dataset.ProtocolName = "AX T2 FLAIR"
    dataset.SpacingBetweenSlices = "5"


def _fill_scout(dataset: Dataset) -> None:
    dataset.ScanningSequence = "GR"
    dataset.SequenceVariant = "SP"
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = "8.6"
    dataset.EchoTime = "4"
    dataset.EchoTrainLength = 1
    dataset.MagneticFieldStrength = "1.5"
    dataset.FlipAngle = "20"
    dataset.ProtocolName = "3-plane localizer"

"""Made-up instances on their way out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from node.deliver.destination import OutboundInstance, Outcome

STUDY = generate_uid(entropy_srcs=["radnet-node tests", "study"])
SERIES = generate_uid(entropy_srcs=["radnet-node tests", "series"])


def ct_slice(
    number: int, series_uid: str = SERIES, study_uid: str = STUDY, side: int = 16
) -> Dataset:
    """Return one slice of a made-up CT, `side` x `side` pixels of noise."""
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[series_uid, str(number)])
    ds.StudyInstanceUID = study_uid
    ds.SeriesInstanceUID = series_uid
    ds.PatientID = "MADE-UP"
    ds.PatientName = "Made^Up"
    ds.StudyID = "1"
    ds.Modality = "CT"
    ds.SeriesNumber = 1
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [0, 0, float(number)]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [1, 1]
    ds.Rows = ds.Columns = side
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    pixels = np.random.default_rng(number).integers(0, 4096, (side, side), dtype=np.uint16)
    ds.PixelData = pixels.tobytes()
    return ds


def written(ds: Dataset, folder: Path, syntax: UID = ExplicitVRLittleEndian) -> OutboundInstance:
    """Write a data set as a Part 10 file in `syntax` and return it as the pipeline would."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return OutboundInstance(str(ds.SOPInstanceUID), str(ds.SOPClassUID), str(syntax), path)


def series(
    folder: Path, count: int, syntax: UID = ExplicitVRLittleEndian, side: int = 16
) -> list[OutboundInstance]:
    """Write `count` slices of the made-up CT."""
    folder.mkdir(parents=True, exist_ok=True)
    return [written(ct_slice(number, side=side), folder, syntax) for number in range(count)]


def states(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what became of each instance."""
    return [outcome.state for outcome in outcomes]

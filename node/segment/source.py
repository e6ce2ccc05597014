"""The series a result is made from."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from node.derived.belonging import PATIENT_AND_STUDY, is_valid
from node.errors import UnusableSeriesError
from node.identity import derived_uid
from radnet.volume.geometry import slice_order
from radnet.volume.headers import MULTI_FRAME, read_file, series_name
from radnet.volume.selection import pick
from radnet.volume.series import read_headers, read_volume

# acquisition, relationship, image and functional groups: where slices lie and what they hold
NEEDED_GROUPS: Final = frozenset({0x0018, 0x0020, 0x0028, 0x5200})
NEEDED_KEYWORDS: Final = frozenset({"SOPClassUID", "SOPInstanceUID", "Modality", "ImageType"})
PLACEHOLDER_NAME: Final = "SOURCE^"  # highdicom quotes the name in a warning: give it no name


@dataclass(frozen=True)
class SourceSeries:
    """One series, ready to be segmented and referred to.

    Parameters
    ----------
    volume
        CT in HU, [slice, row, column].
    headers
        Headers in the order of the volume's slices (one for a multi-frame instance), of no other
        image, complete enough for highdicom, with a placeholder in place of the patient.
    original
        The first header as it came.
    """

    volume: hd.Volume
    headers: tuple[Dataset, ...]
    original: Dataset

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID of the source."""
        return str(self.original.SeriesInstanceUID)

    @property
    def names(self) -> tuple[str, str]:
        """What the UIDs of results are made of: two studies may have series of one UID."""
        return str(self.original.StudyInstanceUID), self.series_instance_uid


def read_source(paths: Sequence[Path]) -> SourceSeries:
    """Read a CT series to be segmented.

    Raises
    ------
    UnusableSeriesError
        If it is no CT, or lacks a UID that a result must refer to.
    radnet.errors.UnusableVolumeError
        If the files are not one regular volume.
    radnet.errors.MixedSeriesError
        If they are not of one patient, study, modality, SOP class or frame of reference.
    """
    picked = pick(paths, read_headers(paths))
    paths, headers = picked.paths, picked.headers
    first = headers[0]
    if first.get("Modality") != "CT":
        raise UnusableSeriesError(
            f"{series_name(first)}: modality {first.get('Modality')} found; expected CT."
        )
    for header in headers:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if not header.get(keyword):
                raise UnusableSeriesError(
                    f"{series_name(first)}: an image has no {keyword}; expected one, a result "
                    "must refer to it."
                )
    volume = read_volume(paths)
    if first.SOPClassUID in MULTI_FRAME:
        ordered = [read_file(paths[0], pixels=False)]
    else:
        ordered = [headers[index] for index in slice_order(headers).order]
    frame = str(
        volume.frame_of_reference_uid
        or derived_uid(first.StudyInstanceUID, first.SeriesInstanceUID, "frame")
    )
    source_headers = [_for_highdicom(header, frame) for header in ordered]
    if first.SOPClassUID not in MULTI_FRAME:
        _share_geometry(source_headers, float(volume.spacing[0]))
    return SourceSeries(volume, tuple(source_headers), ordered[0])


def _share_geometry(headers: Sequence[Dataset], spacing: float) -> None:
    """Write orientation and spacings alike into every header, as they were found to be.

    highdicom compares them to the last digit, which archives write differently.
    """
    thickness = str(headers[0].get("SliceThickness") or "")
    for header in headers:
        header.ImageOrientationPatient = list(headers[0].ImageOrientationPatient)
        header.PixelSpacing = list(headers[0].PixelSpacing)
        header.SliceThickness = thickness if is_valid("DS", thickness) else f"{spacing:.6g}"
        header.SpacingBetweenSlices = f"{spacing:.6g}"


def _for_highdicom(header: Dataset, frame: str) -> Dataset:
    """Return the part of `header` that highdicom needs; it names nobody.

    highdicom copies whole modules of patient and study, errors of the source included; here it
    finds none, and `finish` writes them.
    """
    part = Dataset()
    part.update(
        {
            element.tag: copy(element)
            for element in header
            if element.tag.group in NEEDED_GROUPS or element.keyword in NEEDED_KEYWORDS
        }
    )
    part.file_meta = header.file_meta
    for keyword in PATIENT_AND_STUDY:
        setattr(part, keyword, None)
    part.PatientName = PLACEHOLDER_NAME
    part.FrameOfReferenceUID = frame
    return part


def mask_ml(mask: NDArray[np.bool_], volume: hd.Volume) -> float:
    """Return how much a mask on the grid of a volume holds, in mL."""
    return float(mask.sum()) * float(np.prod(volume.spacing)) / 1000.0

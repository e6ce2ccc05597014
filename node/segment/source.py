"""The series a result is made from, and what a result inherits from it."""

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from node.errors import UnusableSeriesError
from node.identity import (
    DEVICE_SERIAL_NUMBER,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    MODEL_NAME,
    SOFTWARE_VERSION,
    contributing_equipment,
    derived_uid,
)
from node.segment.edition import Edition, date_result
from radnet.volume.geometry import slice_order
from radnet.volume.headers import MULTI_FRAME, quiet_headers, read_file, series_name
from radnet.volume.selection import pick
from radnet.volume.series import read_headers, read_volume

UTF8: Final = "ISO_IR 192"
SEXES: Final = ("M", "F", "O")
# PS3.3 C.7.1.1, C.7.2.1 and C.7.2.2: type 2, always written, as they came where they came well
PATIENT_AND_STUDY: Final = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# type 3 of the same modules, copied where the source has a value
INHERITED: Final = (
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
)
DEIDENTIFIED: Final = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
# acquisition, relationship, image and functional groups: where slices lie and what they hold
NEEDED_GROUPS: Final = frozenset({0x0018, 0x0020, 0x0028, 0x5200})
NEEDED_KEYWORDS: Final = frozenset({"SOPClassUID", "SOPInstanceUID", "Modality", "ImageType"})
CHECKED_VRS: Final = frozenset({"AS", "CS", "DA", "DS", "TM"})
PLACEHOLDER_NAME: Final = "SOURCE^"  # highdicom quotes the name in a warning: give it no name


class Maker(TypedDict):
    """Who made an object, by the names of highdicom's arguments."""

    manufacturer: str
    manufacturer_model_name: str
    software_versions: str
    device_serial_number: str


MAKER: Final = Maker(
    manufacturer=MANUFACTURER,
    manufacturer_model_name=MODEL_NAME,
    software_versions=SOFTWARE_VERSION,
    device_serial_number=DEVICE_SERIAL_NUMBER,
)


@dataclass(frozen=True)
class SourceSeries:
    """One series, ready to be segmented and referred to.

    Parameters
    ----------
    volume
        CT in HU, [slice, row, column].
    headers
        Headers in the order of the volume's slices (one for a multi-frame instance), of no other
        image, complete
        enough for highdicom, with a placeholder in place of the patient.
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
        header.SliceThickness = thickness if _valid("DS", thickness) else f"{spacing:.6g}"
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


def finish(result: Dataset, source: SourceSeries, edition: Edition) -> None:
    """Give a result its patient, study, dates and maker; in place.

    Parameters
    ----------
    result
        A dataset built by highdicom from `source.headers`.
    source
        Whose patient and study it belongs to.
    edition
        When it was made.
    """
    result.SpecificCharacterSet = UTF8
    with quiet_headers():
        _belong(result, source.original)
        date_result(result, edition, source.original)
    result.ContributingEquipmentSequence = [contributing_equipment()]
    result.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    result.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME


def _belong(result: Dataset, original: Dataset) -> None:
    """Write the patient and study of `original` into `result`, leaving odd values out."""
    for keyword in PATIENT_AND_STUDY:
        if keyword in result:
            del result[keyword]  # highdicom shares the element with the header it came from
        setattr(result, keyword, _plain(original, keyword))
    if result.PatientSex not in SEXES:
        result.PatientSex = None
    for keyword in filter(original.get, INHERITED):
        setattr(result, keyword, _plain(original, keyword))
    if original.get("PatientIdentityRemoved") == "YES":
        for element in (original[keyword] for keyword in DEIDENTIFIED if original.get(keyword)):
            result[element.tag] = deepcopy(element)


def _plain(header: Dataset, keyword: str) -> str | None:
    """Return an attribute as text, so that it is encoded anew in our character set.

    A date, number or code that its VR forbids is left out: it says nothing. A name or an
    identifier is carried as it is: without it the result would belong to someone else.
    """
    value = header.get(keyword)
    if value is None:
        return None
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    vr = dictionary_VR(keyword)
    return None if vr in CHECKED_VRS and not _valid(vr, text) else text or None


def _valid(vr: str, text: str) -> bool:
    """Tell whether `text` is a value that this VR allows (PS3.5 Section 6.2)."""
    try:
        validate_value(vr, text, RAISE)
    except ValueError:
        return False
    return True


def series_number(source: SourceSeries, offset: int) -> int:
    """Return a Series Number beside the source's own: 4 gives 401, 402, ...

    A number that is missing or odd counts as 0.
    """
    number = str(source.original.get("SeriesNumber"))
    return (int(number) if number.isdecimal() and len(number) <= 7 else 0) * 100 + offset


def voxel_ml(volume: hd.Volume) -> float:
    """Return the volume of one voxel in mL."""
    return float(np.prod(volume.spacing)) / 1000.0

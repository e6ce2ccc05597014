"""Whose a made object is, when it was made and by what: written into what highdicom built."""

from copy import deepcopy
from typing import Final, TypedDict

from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from node.derived.edition import Edition, date_result
from node.identity import (
    DEVICE_SERIAL_NUMBER,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    MODEL_NAME,
    SOFTWARE_VERSION,
    contributing_equipment,
)
from radnet.volume.headers import quiet_headers

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
CHECKED_VRS: Final = frozenset({"AS", "CS", "DA", "DS", "TM"})


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


def finish(result: Dataset, original: Dataset, edition: Edition) -> None:
    """Give a result its patient, study, dates and maker; in place.

    Parameters
    ----------
    result
        A dataset built by highdicom.
    original
        The header of an image as it came: of the patient and study that the result belongs to.
    edition
        When it was made.
    """
    result.SpecificCharacterSet = UTF8
    with quiet_headers():
        _belong(result, original)
        date_result(result, edition, original)
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
    return None if vr in CHECKED_VRS and not is_valid(vr, text) else text or None


def is_valid(vr: str, text: str) -> bool:
    """Tell whether a text is a value that a VR allows (PS3.5 Section 6.2).

    Parameters
    ----------
    vr : str
        Such as "DS".
    text : str
        As it would be written.

    Returns
    -------
    bool
    """
    try:
        validate_value(vr, text, RAISE)
    except ValueError:
        return False
    return True


def series_number(original: Dataset, offset: int) -> int:
    """Return a Series Number beside the source's own: 4 gives 401, 402, ...

    A number that is missing or odd counts as 0.

    Parameters
    ----------
    original : Dataset
        The header of an image of the source series.
    offset : int
        Of the kind of object, 1 to 99.

    Returns
    -------
    int
    """
    number = str(original.get("SeriesNumber"))
    return (int(number) if number.isdecimal() and len(number) <= 7 else 0) * 100 + offset

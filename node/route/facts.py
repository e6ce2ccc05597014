"""What a rule may look at: findings, a fixed set of header values, and the sender."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

HEADER_TEXTS: Final = (
    "AcquisitionContrast",
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "ImageType",
    "InstitutionalDepartmentName",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "PatientPosition",
    "ProtocolName",
    "SOPClassUID",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SequenceVariant",
    "SeriesDescription",
    "StationName",
    "StudyDescription",
)
HEADER_NUMBERS: Final = (
    "Columns",
    "EchoTime",
    "InversionTime",
    "KVP",
    "MagneticFieldStrength",
    "NumberOfFrames",
    "RepetitionTime",
    "Rows",
    "SeriesNumber",
    "SliceThickness",
    "SpacingBetweenSlices",
)
HEADER_KEYWORDS: Final = frozenset(HEADER_TEXTS) | frozenset(HEADER_NUMBERS)
"""Keywords a rule may name: what describes the images, nothing that names the patient."""

HeaderValue = str | float | list[str]


@dataclass(frozen=True)
class Facts:
    """One series as the rules see it.

    Attributes
    ----------
    findings : Mapping[str, Mapping[str, Any]]
        Finding name to ``{"value": ..., "probability": ...}``; a value of None is unknown.
    header : Mapping[str, HeaderValue]
        Keywords of `HEADER_KEYWORDS` that are present; lengths in mm, times in ms.
    source : Mapping[str, str]
        ``{"calling_ae": ...}``.
    """

    findings: Mapping[str, Mapping[str, Any]]
    header: Mapping[str, HeaderValue] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)


def header_facts(header: Dataset) -> dict[str, HeaderValue]:
    """Return what rules may see of one instance's header.

    Absent and empty elements, and numbers that are not numbers, are left out. ImageType,
    ScanningSequence, SequenceVariant and ScanOptions are always lists; another text is a list
    where this header holds several values.

    Parameters
    ----------
    header : Dataset
        Any instance of the series, pixels not needed.
    """
    values: dict[str, HeaderValue] = {}
    for keyword in HEADER_TEXTS:
        text = header.get(keyword)
        if text is not None and text != "":
            values[keyword] = _text(keyword, text)
    for keyword in HEADER_NUMBERS:
        number = _number(header.get(keyword))
        if number is not None:
            values[keyword] = number
    return values


_LISTS: Final = frozenset({"ImageType", "ScanningSequence", "SequenceVariant", "ScanOptions"})


def _text(keyword: str, value: object) -> str | list[str]:
    many = [str(item) for item in value] if isinstance(value, MultiValue) else [str(value)]
    return many if keyword in _LISTS or len(many) > 1 else many[0]


def _number(value: object) -> float | None:
    if value is None or isinstance(value, MultiValue):
        return None
    try:
        return float(str(value))
    except ValueError:
        return None

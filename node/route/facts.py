"""What a rule may look at: findings, a fixed set of header values, and the sender."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

HEADER_TEXTS: Final = (
    "AccessionNumber",
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
    "RequestedProcedurePriority",
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
    "PatientAge",
    "RepetitionTime",
    "Rows",
    "SeriesNumber",
    "SliceThickness",
    "SpacingBetweenSlices",
)
HEADER_KEYWORDS: Final = frozenset(HEADER_TEXTS) | frozenset(HEADER_NUMBERS)
"""Keywords a rule may name: what describes images and request, nothing that names the patient."""

HEADER_LISTS: Final = frozenset(
    {"ImageType", "ScanningSequence", "SequenceVariant", "ScanOptions"}
)
"""Those whose value is always a list."""

SOURCE_TITLES: Final = ("calling_ae", "called_ae")

_REQUESTED: Final = frozenset({"AccessionNumber", "RequestedProcedurePriority"})
_AGE: Final = re.compile(r"([0-9]{1,3})([DWMY])")
_YEARS: Final = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}

HeaderValue = str | float | list[str]


@dataclass(frozen=True)
class Facts:
    """One series as the rules see it.

    Attributes
    ----------
    findings : Mapping[str, Mapping[str, Any]]
        Finding name to ``{"value": ..., "probability": ...}``; a value of None is unknown.
    header : Mapping[str, HeaderValue]
        Keywords of `HEADER_KEYWORDS` that are present; lengths in mm, times in ms, ages in years.
    source : Mapping[str, str]
        ``{"calling_ae": ..., "called_ae": ...}``; the latter is absent for what did not come over
        an association.
    """

    findings: Mapping[str, Mapping[str, Any]]
    header: Mapping[str, HeaderValue] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)


def header_facts(header: Dataset) -> dict[str, HeaderValue]:
    """Return what rules may see of one instance's header.

    Absent and empty elements, and numbers that are not numbers, are left out. ImageType,
    ScanningSequence, SequenceVariant and ScanOptions are always lists; another text is a list
    where this header holds several values. What was requested stands in the header itself, or
    else in the first item of Request Attributes Sequence (PS3.3 Table 10-9). PatientAge (VR AS,
    PS3.5 Section 6.2) is told in years.

    Parameters
    ----------
    header : Dataset
        Any instance of the series, pixels not needed.

    Returns
    -------
    dict of str to str, float or list of str
        By DICOM keyword, those of `HEADER_KEYWORDS` only.
    """
    values: dict[str, HeaderValue] = {}
    for keyword in HEADER_TEXTS:
        text = _requested(header, keyword) if keyword in _REQUESTED else header.get(keyword)
        if text is not None and text != "":
            values[keyword] = _text(keyword, text)
    for keyword in HEADER_NUMBERS:
        value = header.get(keyword)
        number = _years(value) if keyword == "PatientAge" else _number(value)
        if number is not None:
            values[keyword] = number
    return values


def _requested(header: Dataset, keyword: str) -> object:
    own = header.get(keyword)
    if own is None or own == "":
        items = header.get("RequestAttributesSequence")
        return items[0].get(keyword) if isinstance(items, Sequence) and items else None
    return own


def _years(value: object) -> float | None:
    found = _AGE.fullmatch(str(value).strip())
    return None if found is None else int(found[1]) * _YEARS[found[2]]


def _text(keyword: str, value: object) -> str | list[str]:
    many = [str(item) for item in value] if isinstance(value, MultiValue) else [str(value)]
    return many if keyword in HEADER_LISTS or len(many) > 1 else many[0]


def _number(value: object) -> float | None:
    """Return a number, None where there is none, or several."""
    try:
        return float(str(value))
    except ValueError:
        return None

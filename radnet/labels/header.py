"""Labels that the headers of a series give: single-frame, Enhanced and legacy converted.

Attributes of any shape are tolerated: what cannot be read is as if it were missing.
"""

import struct
from collections.abc import Iterator
from collections.abc import Sequence as Listing
from functools import cache
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from radnet.labels.evidence import SeriesLabels
from radnet.labels.facts import HeaderFacts
from radnet.labels.judge import judge
from radnet.labels.rules import Rules, load_rules

LONGEST: Final = 1024  # characters read of an attribute
MOST_FRAMES: Final = 5000
TEXTS: Final = (
    "SeriesDescription", "ProtocolName", "StudyDescription", "RequestedProcedureDescription",
    "PerformedProcedureStepDescription", "BodyPartExamined", "ImageType", "AcquisitionContrast",
    "ScanningSequence", "SequenceVariant", "SequenceName", "AngioFlag", "ContrastBolusAgentPhase",
    "ContrastBolusAgentAdministered",
)  # fmt: skip
CODES: Final = ("AnatomicRegionSequence", "ProcedureCodeSequence")
NUMBERS: Final = {
    "TR": ("RepetitionTime",),
    "TE": ("EffectiveEchoTime", "EchoTime"),
    "TI": ("InversionTime", "InversionTimes"),
    "FA": ("FlipAngle",),
    "ETL": ("EchoTrainLength",),
    "b": ("DiffusionBValue",),
}
UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    OSError,  # of pydicom, where a sequence ends amid an item
    EOFError,
    struct.error,
    BytesLengthException,
)
GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
SAME_DIRECTION: Final = 1e-3  # difference of unit normals below which they are one


def text_of(header: Dataset, keyword: str) -> str:
    """Return an attribute as one line of text, '' where missing or unreadable.

    Parameters
    ----------
    header : Dataset
        Of one instance; it may be damaged.
    keyword : str
        DICOM keyword (PS3.6).

    Returns
    -------
    str
        Several values with a space between them; at most `LONGEST` characters.
    """
    try:
        value = header.get(keyword)
        if value is None or isinstance(value, (bytes, Items)):
            return ""
        if isinstance(value, (list, tuple, MultiValue)):
            return " ".join(str(part) for part in value)[:LONGEST]
        return str(value)[:LONGEST]
    except UNREADABLE:
        return ""


def number_of(header: Dataset, keyword: str) -> float | None:
    """Return the first number of an attribute, None where there is none.

    Parameters
    ----------
    header : Dataset
        Of one instance; it may be damaged.
    keyword : str
        DICOM keyword (PS3.6).

    Returns
    -------
    float or None
        In the unit that PS3.3 gives the attribute; never infinite or NaN.
    """
    try:
        number = float(text_of(header, keyword).split()[0])
    except (ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    try:
        value = header.get(keyword)
    except UNREADABLE:
        return []
    return list(value[:MOST_FRAMES]) if isinstance(value, Items) else []


def _nested(header: Dataset) -> Iterator[Dataset]:
    """Yield the header, the shared groups and those of the first frame, and what they hold.

    References
    ----------
    DICOM PS3.3 Section C.7.6.16
    """
    yield header
    for keyword in GROUPS:
        for group in _items(header, keyword)[:1]:
            for element in _elements(group):
                if isinstance(element, Items):
                    yield from element[:1]
    for keyword in ("ContrastBolusAgentSequence",):
        yield from (agent for agent in _items(header, keyword)[:1])


def _elements(group: Dataset) -> Iterator[object]:
    for tag in list(group.keys()):
        try:
            yield group[tag].value
        except UNREADABLE:
            continue


def _first_text(parts: Listing[Dataset], keyword: str) -> str:
    return next((text for part in parts if (text := text_of(part, keyword).strip())), "")


def _agent(parts: Listing[Dataset]) -> str:
    """Return agent, route and ingredient in one text, so that an oral agent is seen as such."""
    told = [_first_text(parts, "ContrastBolusAgent")]
    for part in parts:
        for item in _items(part, "ContrastBolusAgentSequence"):
            told.append(text_of(item, "CodeMeaning"))
            routes = _items(item, "ContrastBolusAdministrationRouteSequence")
            told += [text_of(route, "CodeMeaning") for route in routes]
    told += [_first_text(parts, f"ContrastBolus{name}") for name in ("Route", "Ingredient")]
    if not any(told):  # an injector fills in the volume; scanners write 0 by default
        volumes = (number_of(part, "ContrastBolusVolume") or 0.0 for part in parts)
        told += [f"{volume:g} ml" for volume in volumes if volume > 0][:1]
    return " / ".join(text for text in told if text)


@cache
def _meaning(value: str, scheme: str) -> str:
    """Return the English meaning of a code of CID 4 or 4030; SRT codes are SCT codes of old."""
    code = Code(value, scheme, "")
    for group in (codes.CID4030, codes.CID4):
        for name in group.dir():
            known: Code = getattr(group, name)
            if known == code:
                return known.meaning
    return ""


def _coded(parts: Listing[Dataset], keyword: str) -> str:
    """Return what codes mean: in the words of the file, which may be of any language, and ours."""
    found: dict[str, None] = {}
    for item in (item for part in parts for item in _items(part, keyword)):
        found[text_of(item, "CodeMeaning")] = None
        found[_meaning(text_of(item, "CodeValue"), text_of(item, "CodingSchemeDesignator"))] = None
    return " ".join(text for text in found if text)


def _frames(header: Dataset) -> Iterator[tuple[str, str]]:
    """Yield orientation and position of every frame as text."""
    shared = [item for group in _items(header, GROUPS[0]) for item in [group]]
    frames = _items(header, GROUPS[1])
    if not frames:
        yield text_of(header, "ImageOrientationPatient"), text_of(header, "ImagePositionPatient")
    for frame in frames:
        yield (
            _grouped([frame, *shared], "PlaneOrientationSequence", "ImageOrientationPatient"),
            _grouped([frame, *shared], "PlanePositionSequence", "ImagePositionPatient"),
        )


def _grouped(groups: Listing[Dataset], macro: str, keyword: str) -> str:
    for group in groups:
        for item in _items(group, macro)[:1]:
            if text := text_of(item, keyword):
                return text
    return ""


def _vector(text: str, length: int) -> np.ndarray | None:
    try:
        values = np.array([float(part) for part in text.split()[:length]])
    except ValueError:
        return None
    return values if len(values) == length and np.isfinite(values).all() else None


def _geometry(
    headers: Listing[Dataset],
) -> tuple[list[tuple[float, float, float]], float | None, float | None]:
    """Return the normals of the slices (LPS), their median gap and their extent along it (mm).

    References
    ----------
    DICOM PS3.3 Section C.7.6.2.1.1
    """
    normals: list[np.ndarray] = []
    along: list[float] = []
    for orientation, position in (frame for header in headers for frame in _frames(header)):
        cosines = _vector(orientation, 6)
        if cosines is None:
            continue
        normal = np.cross(cosines[:3], cosines[3:])
        length = float(np.linalg.norm(normal))
        if not 0.5 < length < 2:  # rows and columns are no unit vectors at right angles
            continue
        normal /= length
        if not any(np.abs(normal - known).max() < SAME_DIRECTION for known in normals):
            normals.append(normal)
        where = _vector(position, 3)
        if where is not None:
            along.append(float(normals[0] @ where))
    gaps = np.diff(np.unique(np.round(along, 2)))
    spacing = round(float(np.median(gaps)), 3) if len(gaps) and len(normals) == 1 else None
    extent = max(along) - min(along) if spacing else None
    return [(float(n[0]), float(n[1]), float(n[2])) for n in normals], spacing, extent


def _seconds(text: str) -> float | None:
    """Return a DICOM time (``HHMMSS.F``, also with colons) as seconds of the day."""
    digits = text.replace(":", "").strip()
    if not digits[:6].isdigit() or len(digits) < 6:
        return None
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:6])


def _injected(headers: Listing[Dataset]) -> bool | None:
    """Tell whether the bolus came before the first or after the last image; None if unknown."""
    start = _seconds(text_of(headers[0], "ContrastBolusStartTime"))
    times = [
        seconds
        for header in headers
        if (seconds := _seconds(text_of(header, "AcquisitionTime"))) is not None
    ]
    if start is None or not times:
        return None
    if start > max(times):
        return False
    return True if start < min(times) else None


def facts_of(headers: Listing[Dataset]) -> HeaderFacts:
    """Return what the headers of one series say, in the order the images were read."""
    parts = list(_nested(headers[0]))
    texts = {keyword: _first_text(parts, keyword) for keyword in TEXTS}
    texts["ContrastBolusAgent"] = _agent(parts)
    for keyword in CODES:
        texts[keyword] = _coded(parts, keyword)
    numbers: dict[str, float] = {}
    for name, keywords in NUMBERS.items():
        found = [number_of(part, keyword) for keyword in keywords for part in parts]
        known = [number for number in found if number is not None]
        if known and (known[0] > 0 or name == "b"):
            numbers[name] = known[0]
    values = [number_of(header, "DiffusionBValue") for header in headers]
    if weighted := max((value for value in values if value is not None), default=0.0):
        numbers["b"] = weighted  # the first image of a series is often the one of b 0
    normals, spacing, extent = _geometry(headers)
    modality = text_of(headers[0], "Modality").strip().upper()
    return HeaderFacts(modality, texts, numbers, normals, spacing, extent, _injected(headers))


@cache
def own_rules() -> Rules:
    """Return radnet's own rules, read once."""
    return load_rules()


def read_header(headers: Listing[Dataset], rules: Rules | None = None) -> SeriesLabels:
    """Return the labels that the headers of one series give; nothing raises.

    Parameters
    ----------
    headers
        Of one series, in any order; none means that nothing is known.
    rules
        Those of `own_rules` if left out.

    Returns
    -------
    SeriesLabels
        Every head with value, confidence, evidence and conflicts.
    """
    if not headers:
        return SeriesLabels()
    return judge(facts_of(headers), rules or own_rules())

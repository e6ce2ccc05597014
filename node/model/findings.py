"""The one registry of findings: what each is called, which values it has, and who uses it.

Whatever speaks of findings reads it: fusion, the rules with their reference, labels and metadata
of an Orthanc, the status lines, the structured report. A finding that is not here does not exist.

References
----------
DICOM PS3.16 TID 1602 (Target Region), CID 230 (Yes-No), CID 6312 (Cross-sectional Scan Plane
Orientation); UCUM for the unit
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from radnet.labels.vocabulary import (
    CONTRAST_CODES,
    LOCAL_SCHEME,
    PLANE_CODES,
    REGION_CODES,
    SEQUENCE_CODES,
    Contrast,
    Plane,
    Region,
    Sequence,
)

FindingValue = str | bool | float | list[str] | None
"""As `ValueType` says; None means unknown."""


class FindingName(StrEnum):
    """The keyword of each finding, as rules, labels and rows have it."""

    SEQUENCE = "sequence"
    PLANE = "plane"
    CONTRAST = "contrast"
    COVERAGE = "coverage"
    COVERAGE_UNKNOWN = "coverage_unknown"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    STRANGE = "strange"
    DISAGREEMENT = "disagreement"
    OWN_OUTPUT = "own_output"
    REMARKS = "remarks"
    LIVER = "liver"
    LIVER_VOLUME_ML = "liver_volume_ml"


class ValueType(StrEnum):
    """What the value of a finding is in Python, and in its row as JSON."""

    CLASS = "class"  # str, one of the permitted values
    CLASSES = "list of classes"  # list of str, each one of the permitted values
    YES_NO = "yes or no"  # bool
    NUMBER = "number"  # float, in the unit of the finding
    TEXTS = "texts"  # list of str, sentences for people


class Use(StrEnum):
    """Who is given a finding."""

    LABEL = "label"  # what people look for: labels and numbered metadata of an Orthanc
    METADATA = "metadata text"  # the summary that an Orthanc keeps with a series
    RULES = "fact of a rule"
    STATUS = "status line"
    REPORT = "structured report"
    RECOGNITION = "recognition report"  # the structured report of a study's series


class Presence(StrEnum):
    """Whether an organ was seen in a scan."""

    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True)
class FindingKind:
    """What is known of a finding before any series comes.

    Attributes
    ----------
    type
        What its value is.
    meaning
        One sentence; that of a yes or no says what "yes" means.
    uses
        Who is given it.
    permitted
        All values of a class, or of a member of a list of classes.
    unit
        Of a number, UCUM.
    concept
        What is asked, coded, where a standard has a code for it.
    value_codes
        Permitted values as codes, where there are any.
    """

    type: ValueType
    meaning: str
    uses: frozenset[Use]
    permitted: tuple[str, ...] = ()
    unit: Code | None = None
    concept: Code | None = None
    value_codes: Mapping[Any, Code] = field(default_factory=dict)


MILLILITRE: Final = Code("ml", "UCUM", "milliliter")
VOLUME: Final = codes.SCT.Volume
PRESENCE: Final = Code("705057003", "SCT", "Presence")
PRESENCE_CODES: Final[Mapping[Presence, Code]] = {  # CID 240 "Present-Absent"
    Presence.PRESENT: codes.cid240.Present,
    Presence.ABSENT: codes.cid240.Absent,
}
YES_NO_CODES: Final[Mapping[bool, Code]] = {False: codes.SCT.No, True: codes.SCT.Yes}  # CID 230

UNKNOWN: Final = Code("261665006", "SCT", "Unknown")
"""The value of a finding of which nobody can tell, coded."""

YES_NO_TEXTS: Final[Mapping[bool, str]] = {False: "0", True: "1"}
"""What rules, labels and people are told of a yes or no."""

SOME_INSTANCES: Final = "instances"
"""Key of the evidence of a yes that holds for these SOP Instance UIDs of the series only."""

_PEOPLE: Final = frozenset({Use.LABEL, Use.METADATA, Use.RULES})
_SHOWN: Final = frozenset({Use.STATUS, Use.RECOGNITION})
_MEASURED: Final = frozenset({Use.STATUS, Use.REPORT})
_ASKED: Final = (
    FindingName.SEQUENCE, FindingName.PLANE, FindingName.CONTRAST, FindingName.COVERAGE,
)  # fmt: skip

FINDINGS: Final[Mapping[str, FindingKind]] = {
    # Modality and MR weighting in one answer: no standard has a concept for both together, nor for
    # a region that may be covered, nor for reformats and projections in one.
    FindingName.SEQUENCE: FindingKind(
        ValueType.CLASS,
        "CT, by its Modality, or the weighting of an MR series",
        _PEOPLE | _SHOWN,
        permitted=tuple(map(str, Sequence)),
        concept=Code("SEQUENCE", LOCAL_SCHEME, "Modality or MR weighting"),
        value_codes=SEQUENCE_CODES,
    ),
    FindingName.PLANE: FindingKind(
        ValueType.CLASS,
        "of the slices",
        _PEOPLE | _SHOWN,
        permitted=tuple(map(str, Plane)),
        concept=codes.DCM.CrossSectionalScanPlaneOrientation,
        value_codes=PLANE_CODES,
    ),
    FindingName.CONTRAST: FindingKind(
        ValueType.CLASS,
        "whether an intravenous agent was at work",
        _PEOPLE | _SHOWN,
        permitted=tuple(map(str, Contrast)),
        concept=codes.DCM.ContrastAdministered,
        value_codes=CONTRAST_CODES,
    ),
    FindingName.COVERAGE: FindingKind(
        ValueType.CLASSES,
        "the regions that the series covers",
        _PEOPLE | _SHOWN,
        permitted=tuple(map(str, Region)),
        concept=codes.DCM.TargetRegion,
        value_codes=REGION_CODES,
    ),
    FindingName.COVERAGE_UNKNOWN: FindingKind(
        ValueType.CLASSES,
        "regions that may be covered: nobody can tell",
        frozenset({Use.RULES}) | _SHOWN,
        permitted=tuple(map(str, Region)),
        concept=Code("REGION_UNKNOWN", LOCAL_SCHEME, "Target Region that may be covered"),
        value_codes=REGION_CODES,
    ),
    FindingName.LOCALIZER: FindingKind(
        ValueType.YES_NO,
        "a scout, no volume",
        _PEOPLE | _SHOWN,
        concept=codes.DCM.Localizer,
        value_codes=YES_NO_CODES,
    ),
    FindingName.DERIVED: FindingKind(
        ValueType.YES_NO,
        "reformatted, projected or computed of other images",
        _PEOPLE | {Use.RECOGNITION},
        concept=Code("DERIVED", LOCAL_SCHEME, "Reformatted, projected or computed"),
        value_codes=YES_NO_CODES,
    ),
    FindingName.STRANGE: FindingKind(
        ValueType.YES_NO,
        "pixels of a kind that the network does not know",
        frozenset({Use.METADATA, Use.RULES, Use.STATUS}),
        value_codes=YES_NO_CODES,
    ),
    FindingName.DISAGREEMENT: FindingKind(
        ValueType.CLASSES,
        "heads about which header and pixels say different things",
        frozenset({Use.METADATA, Use.RULES}),
        permitted=tuple(map(str, _ASKED)),
    ),
    FindingName.OWN_OUTPUT: FindingKind(
        ValueType.YES_NO,
        "made by a radnet-node; of it nothing else is known",
        frozenset({Use.RULES, Use.STATUS}),
        value_codes=YES_NO_CODES,
    ),
    FindingName.REMARKS: FindingKind(
        ValueType.TEXTS,
        "what was left out of the volume, or taken for granted",
        frozenset({Use.STATUS}),
    ),
    FindingName.LIVER: FindingKind(
        ValueType.CLASS,
        "whether a liver was seen in this field of view",
        _MEASURED,
        permitted=tuple(map(str, Presence)),
        concept=PRESENCE,
        value_codes=PRESENCE_CODES,
    ),
    FindingName.LIVER_VOLUME_ML: FindingKind(
        ValueType.NUMBER,
        "volume of the liver that was segmented, in mL",
        _MEASURED,
        unit=MILLILITRE,
        concept=VOLUME,
    ),
}


def is_for(name: str, use: Use) -> bool:
    """Tell whether somebody is given a finding; nobody is given one that is not registered.

    Parameters
    ----------
    name : str
        Of a finding; a `FindingName`, or one of an older version.
    use : Use
        Rules, labels, status and so on.

    Returns
    -------
    bool
    """
    kind = FINDINGS.get(name)
    return kind is not None and use in kind.uses


def is_of(name: str, value_type: ValueType) -> bool:
    """Tell whether a finding has values of this type.

    Parameters
    ----------
    name : str
        Of a finding.
    value_type : ValueType
        Such as a yes or no.

    Returns
    -------
    bool
        False of one that is not registered.
    """
    kind = FINDINGS.get(name)
    return kind is not None and kind.type is value_type


def typed(name: str, kept: Any) -> FindingValue:
    """Return the value of a finding as its type says, from what a row or a label holds.

    A node of an older version wrote yes and no as "1" and "0" ("some" where it held for some
    instances only, which the evidence names) and numbers as text: its rows stay as they are, for
    the ledger has their digest. A text that is neither is unknown. So is nothing of a finding
    that is not registered: it is returned as it is.

    Parameters
    ----------
    name
        Of the finding.
    kept
        What JSON gave.

    Returns
    -------
    FindingValue
        In the type that `FINDINGS` gives it.
    """
    if kept is None or is_of(name, ValueType.TEXTS):
        return kept  # type: ignore[no-any-return]
    if is_of(name, ValueType.YES_NO) and not isinstance(kept, bool):
        return _YES_NO_KEPT.get(str(kept))
    if is_of(name, ValueType.NUMBER) and not isinstance(kept, float):
        return _number(kept)
    return kept  # type: ignore[no-any-return]


def texts_of(value: FindingValue) -> list[str]:
    """Return a value as the texts that rules, labels and people are told; [] where unknown.

    Parameters
    ----------
    value : FindingValue
        As a row has it, of this version or an older one.

    Returns
    -------
    list of str
        A yes or no is "1" or "0", a volume has one decimal (mL).
    """
    if value is None:
        return []
    if isinstance(value, bool):
        return [YES_NO_TEXTS[value]]
    if isinstance(value, float):
        return [f"{value:.1f}"]
    return list(value) if isinstance(value, list) else [value]


def fact_of(name: str, value: FindingValue) -> str | float | list[str] | None:
    """Return a value as rules see it.

    A yes or no is the text that rules have always compared it with. An unknown list is an empty
    one, so that `in` works.

    Parameters
    ----------
    name : str
        Of the finding.
    value : FindingValue
        As a row has it.

    Returns
    -------
    str, float, list of str or None
        None: unknown.
    """
    if isinstance(value, bool):
        return YES_NO_TEXTS[value]
    return [] if value is None and is_of(name, ValueType.CLASSES) else value


_YES_NO_KEPT: Final[Mapping[str, bool]] = {"0": False, "1": True, "some": True}


def _number(kept: Any) -> float | None:
    try:
        number = float(kept)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None

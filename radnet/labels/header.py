"""Labels that the header of a series gives, each with its confidence and its reason.

Everything here is silent (None) where the header does not tell: a missing Contrast/Bolus
Agent is unknown, not "no". Attributes of any shape are tolerated; nothing raises.
"""

from collections.abc import Sequence as Listing
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from radnet.labels import words
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence

OBLIQUE_DEGREES: Final = 20.0


@dataclass(frozen=True)
class Evidence:
    """One label, how sure the header makes it (0 to 1), and where it stands."""

    value: str
    confidence: float
    because: str


@dataclass(frozen=True)
class HeaderLabels:
    """What a header says of a series; None or empty where it is silent."""

    sequence: Evidence | None
    plane: Evidence | None
    contrast: Evidence | None
    coverage: dict[Region, Evidence]
    localizer: Evidence | None
    derived: Evidence | None


def text_of(header: Dataset, keyword: str) -> str:
    """Return an attribute as one line of text, '' where missing or unreadable."""
    try:
        value = header.get(keyword)
    except (ValueError, TypeError, NotImplementedError, KeyError):
        return ""
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, (list, tuple, MultiValue)):
        return " ".join(str(part) for part in value)
    return str(value)[:1024]


def number_of(header: Dataset, keyword: str) -> float | None:
    """Return the first number of an attribute, None where there is none."""
    try:
        return float(text_of(header, keyword).split()[0])
    except (ValueError, IndexError):
        return None


def _description(header: Dataset) -> str:
    parts = (text_of(header, name) for name in ("SeriesDescription", "ProtocolName"))
    return words.plain(" | ".join(part for part in parts if part))


def _found(word: words.Word, text: str) -> str:
    match = word.pattern.search(text)
    return match.group(0).strip() if match else ""


def _physics(header: Dataset) -> Evidence | None:
    """Read the weighting from TR, TE and TI in ms (spin echo and inversion recovery)."""
    kind = text_of(header, "ScanningSequence").upper().split()
    tr, te = number_of(header, "RepetitionTime"), number_of(header, "EchoTime")
    ti = number_of(header, "InversionTime") or 0.0
    if "EP" in kind:
        return Evidence(Sequence.OTHER, 0.85, "ScanningSequence EP")
    if tr is None or te is None:
        return None
    told = f"TR {tr:g} ms, TE {te:g} ms, TI {ti:g} ms"
    if ti > 1500 and te > 60:
        return Evidence(Sequence.T2_FLAIR, 0.9, told)
    if "IR" in kind and 80 <= ti <= 300:
        return Evidence(Sequence.STIR, 0.8, told)
    if "SE" in kind and te < 30 and tr < 1200:
        return Evidence(Sequence.T1, 0.85, told)
    if "SE" in kind and te > 60 and tr > 1800:
        return Evidence(Sequence.T2, 0.85, told)
    return None


def sequence_of(header: Dataset) -> Evidence | None:
    """Return modality and weighting; text beats physics where the two disagree."""
    modality = text_of(header, "Modality").upper()
    if modality == "CT":
        return Evidence(Sequence.CT, 0.99, "Modality CT")
    if modality != "MR":
        return Evidence(Sequence.OTHER, 0.9, f"Modality {modality or 'missing'}")
    names = ("ScanningSequence", "SequenceName")
    text = f"{_description(header)} {words.plain(' '.join(text_of(header, n) for n in names))}"
    word = words.first(words.SEQUENCES, text)
    physics = _physics(header)
    if word is None:
        return physics
    told = f"the word '{_found(word, text)}'"
    if physics and word.value == physics.value:
        told = f"{told} and {physics.because}"
    return Evidence(word.value, word.confidence, told)


def plane_of(header: Dataset) -> Evidence | None:
    """Return the plane from Image Orientation (Patient), else from words.

    References
    ----------
    DICOM PS3.3 Section C.7.6.2.1.1
    """
    try:
        cosines = np.array([float(c) for c in text_of(header, "ImageOrientationPatient").split()])
        normal = np.abs(np.cross(cosines[:3], cosines[3:6]))
    except ValueError:
        normal = np.zeros(3)
    if np.isfinite(normal).all() and normal.max() > 0.5:
        angle = float(np.degrees(np.arccos(min(1.0, normal.max() / np.linalg.norm(normal)))))
        plane = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[int(normal.argmax())]
        trust = 0.99 if angle <= OBLIQUE_DEGREES else 0.8
        return Evidence(plane, trust, f"ImageOrientationPatient, {angle:.0f} degrees oblique")
    found = words.all_of(words.PLANES, _description(header))
    if len(found) != 1:
        return None
    return Evidence(found[0].value, found[0].confidence, "description")


def contrast_of(header: Dataset) -> Evidence | None:
    """Return whether an intravenous agent was given; None where the header is silent."""
    word = words.first(words.CONTRASTS, _description(header))
    if word is not None and word.value:
        return Evidence(word.value, word.confidence, "description")
    agent = words.plain(text_of(header, "ContrastBolusAgent"))
    if agent and not words.NO_AGENT.match(agent):
        return Evidence(Contrast.CONTRAST, 0.85, "ContrastBolusAgent")
    if agent:
        return Evidence(Contrast.NONCONTRAST, 0.7, "ContrastBolusAgent says none")
    study = words.first(words.CONTRASTS, words.plain(text_of(header, "StudyDescription")))
    if study is not None and study.value:
        return Evidence(study.value, 0.6, "StudyDescription")
    return None


def coverage_of(header: Dataset) -> dict[Region, Evidence]:
    """Return the regions named by series text, else body part, else study text.

    A region that is not named where others are is evidence against it; an empty mapping
    means that the header is silent.
    """
    sources = (
        ("SeriesDescription", _description(header), 1.0),
        ("BodyPartExamined", words.plain(text_of(header, "BodyPartExamined")), 0.95),
        ("StudyDescription", words.plain(text_of(header, "StudyDescription")), 0.9),
    )
    for source, text, trust in sources:
        word = words.first(words.REGIONS, text) if text else None
        if word is None:
            continue
        sure = word.confidence * trust
        named = words.regions_of(word)
        return {
            region: Evidence(
                region if region in named else "", sure if region in named else 1 - sure, source
            )
            for region in Region
        }
    return {}


def _image_type(header: Dataset) -> list[str]:
    return text_of(header, "ImageType").upper().split()


def localizer_of(headers: Listing[Dataset]) -> Evidence | None:
    """Return whether a series is a localizer: Image Type, words, or crossing planes."""
    header = headers[0]
    if "LOCALIZER" in _image_type(header):
        return Evidence("1", 0.99, "ImageType LOCALIZER")
    if words.LOCALIZER.search(_description(header)):
        return Evidence("1", 0.9, "description")
    planes = {plane.value for plane in map(plane_of, headers) if plane}
    if len(planes) > 1:
        return Evidence("1", 0.9, "slices in several planes")
    return Evidence("0", 0.9, "nothing says so")


def derived_of(header: Dataset) -> Evidence | None:
    """Return whether the images were computed from others."""
    if _image_type(header)[:1] == ["DERIVED"]:
        return Evidence("1", 0.9, "ImageType DERIVED")
    if words.DERIVED.search(_description(header)):
        return Evidence("1", 0.8, "description")
    return Evidence("0", 0.8, "nothing says so")


def read_header(headers: Listing[Dataset]) -> HeaderLabels:
    """Return what the headers of one series say of it.

    Parameters
    ----------
    headers : sequence of Dataset
        One or more instances of the series, without pixels.
    """
    first = headers[0]
    planes = {plane.value for plane in map(plane_of, headers) if plane}
    return HeaderLabels(
        sequence=sequence_of(first),
        plane=plane_of(first) if len(planes) == 1 else None,
        contrast=contrast_of(first),
        coverage=coverage_of(first),
        localizer=localizer_of(headers),
        derived=derived_of(first),
    )

"""What the images of one series, and of one study, must have in common. Pure: headers come in.

Images of two patients in one series make a body that nobody has. What is said here names nobody:
counts only, for it goes into logs, reports and error messages.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

from radnet.errors import MixedSeriesError
from radnet.volume.headers import MULTI_FRAME, SINGLE_FRAME, series_name, value_of

ONE_EACH: Final = 3  # from so many images on, a frame of reference for each of them tells nothing
PAD: Final = (
    " \0\t\r\n"  # PS3.5 Section 6.2: spaces around a value do not count; archives pad with NUL
)
UNTOLD: Final = (
    "no Frame of Reference UID: the positions were taken to be of one frame of reference"
)
EACH_ITS_OWN: Final = (
    "every image has a Frame of Reference UID of its own, which tells no more than none would: "
    "the positions were taken to be of one frame of reference"
)


@dataclass(frozen=True)
class Patient:
    """Whom a header names: Patient ID with its issuer, trimmed (PS3.3 Section C.2.2).

    A name may be spelt in many ways and is looked at only where nobody has an identifier.
    """

    identifier: str = ""
    issuer: str = ""
    entity: str = ""  # Universal Entity ID of the issuer
    name: str = ""


def patient_of(header: Dataset) -> Patient:
    """Return whom a header names; what cannot be read counts as missing.

    Parameters
    ----------
    header : Dataset
        Of one instance.

    Returns
    -------
    Patient
        Identifier with its issuer, trimmed; the name counts where nobody has an identifier.
    """
    qualifiers = _items(header, "IssuerOfPatientIDQualifiersSequence")
    return Patient(
        _text(header, "PatientID"),
        _text(header, "IssuerOfPatientID"),
        _text(qualifiers[0], "UniversalEntityID") if qualifiers else "",
        _spelt(_text(header, "PatientName")),
    )


def images_of_patients(named: Iterable[Patient]) -> tuple[list[int], int]:
    """Count the images of each patient, the most first, and those that name none.

    One Patient ID of two issuers is two patients; an issuer that is missing may be either.

    Parameters
    ----------
    named : iterable of Patient
        Of every image one.

    Returns
    -------
    tuple of list of int and int
        Counts of the patients, and of the images that name none.
    """
    groups: Counter[tuple[str, str]] = Counter()
    of_identifier: dict[str, list[Patient]] = {}
    counts = Counter(named)
    for patient in counts:
        of_identifier.setdefault(patient.identifier, []).append(patient)
    nameless = of_identifier.pop("", [])
    if not of_identifier:  # nobody has an identifier
        of_name = Counter[str]()
        for patient in nameless:
            of_name[patient.name] += counts[patient]
        unnamed = of_name.pop("", 0)
        return sorted(of_name.values(), reverse=True), unnamed
    for identifier, patients in of_identifier.items():
        issued = {one.issuer for one in patients} - {""}
        # an entity is one the world over, and the issuer beside it but its local name
        # (PS3.3 Table 10-18), which each device spells as it was set up
        by_entity = len(issued) < 2 or all(one.entity for one in patients)
        for one in patients:
            issuer = _issuer(patients, one, by_entity=by_entity)
            groups[identifier, issuer] += counts[one]
    return sorted(groups.values(), reverse=True), sum(counts[one] for one in nameless)


def _issuer(patients: Sequence[Patient], one: Patient, *, by_entity: bool) -> str:
    """Return who issued an identifier; of an image that does not tell, the first who did."""
    known = sorted({p.entity if by_entity else p.issuer for p in patients} - {""})
    return (one.entity if by_entity else one.issuer) or (known[0] if known else "")


def refuse_mixed(headers: Sequence[Dataset]) -> None:
    """Check that images are of one patient, study, modality and kind.

    The frame of reference is checked by `frame_of_reference`, of the images that lie in it.

    Raises
    ------
    MixedSeriesError
        With what differs, and how many images there are of each.
    """
    total = len(headers)
    found = []
    patients, unnamed = images_of_patients(map(patient_of, headers))
    if len(patients) > 1 or (patients and unnamed):
        nobody = f", {unnamed} that name none" if unnamed else ""
        found.append(f"{_patients(len(patients))} ({listed(patients)} of {total} images{nobody})")
    keywords = ["StudyInstanceUID", "Modality"]
    if any(makes_volumes(header) for header in headers):
        keywords.append("SOPClassUID")  # of others, ultrasound for one, a series may hold several
    for keyword in keywords:
        values = Counter(text for header in headers if (text := _text(header, keyword)))
        if len(values) > 1:
            found.append(_differs(keyword, values, total))
    if found:
        raise MixedSeriesError(f"{series_name(headers[0])}: {'; '.join(found)}; expected one.")


def makes_volumes(header: Dataset) -> bool:
    """Tell whether an image is of a SOP class whose images make volumes."""
    return value_of(header, "SOPClassUID") in SINGLE_FRAME | MULTI_FRAME


def frame_of_reference(headers: Sequence[Dataset]) -> tuple[str | None, str]:
    """Return the Frame of Reference UID that images share, and a remark where none does.

    Where none is told, by no UID or by one for each image (a de-identifier makes such), the
    images may still be of one frame, as most are; where several images share one and others
    another, they are of two.

    Raises
    ------
    MixedSeriesError
        If there are several frames of reference.

    References
    ----------
    DICOM PS3.3 Section C.7.4.1
    """
    values = Counter(_text(header, "FrameOfReferenceUID") for header in headers)
    if len(values) == 1:
        (uid,) = values
        return (uid, "") if uid else (None, UNTOLD)
    if "" not in values and ONE_EACH <= len(values) == len(headers):
        return None, EACH_ITS_OWN
    raise MixedSeriesError(
        f"{series_name(headers[0])}: {_differs('FrameOfReferenceUID', values, len(headers))}; "
        "expected one."
    )


def _differs(keyword: str, values: Counter[str], total: int) -> str:
    counts = sorted(values.values(), reverse=True)
    return f"{len(counts)} different values of {keyword} ({listed(counts)} of {total} images)"


def _patients(count: int) -> str:
    return "1 patient" if count == 1 else f"{count} patients"


def listed(counts: Sequence[int]) -> str:
    """Return counts as a person lists them: 26, 20 and 3.

    Parameters
    ----------
    counts : sequence of int
        At least one.

    Returns
    -------
    str
    """
    *most, last = map(str, counts)
    return f"{', '.join(most)} and {last}" if most else last


def _text(header: Dataset, keyword: str) -> str:
    value = value_of(header, keyword)
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return "" if value is None else str(value).strip(PAD)


def _items(header: Dataset, keyword: str) -> Items | tuple[()]:
    value = value_of(header, keyword)
    return value if isinstance(value, Items) else ()


def _spelt(name: str) -> str:
    """Return family and given name as they are alike in every spelling (PS3.5 Section 6.2.1)."""
    bare = unicodedata.normalize("NFKD", name.split("=")[0].casefold().replace(",", "^"))
    alphabetic = "".join(sign for sign in bare if not unicodedata.combining(sign)).split("^")
    return "^".join(" ".join(part.split()) for part in alphabetic[:2]).strip("^")

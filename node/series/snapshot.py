"""What the headers of one series agree on. Pure: headers come in, plain values go out.

Header values are made by whoever sends them: odd ones are left out or cut, never an error.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

from node.identity import is_own_output
from node.model.headers import PATIENT_COLUMNS, HeaderSnapshot
from radnet.volume.headers import quiet_headers, value_of

KEYWORDS: Final = {
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "accession_number": "AccessionNumber",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "modality": "Modality",
    "series_number": "SeriesNumber",
    "series_date": "SeriesDate",
    "series_time": "SeriesTime",
    "series_description": "SeriesDescription",
    "body_part_examined": "BodyPartExamined",
    "protocol_name": "ProtocolName",
    "station_name": "StationName",
    "manufacturer": "Manufacturer",
    "manufacturer_model_name": "ManufacturerModelName",
}
"""Column to DICOM keyword: what searching, listing, rules and hanging protocols ask for.

Names of physicians and operators are not among them: nothing here needs them.
"""

NEEDED: Final = (
    "SpecificCharacterSet",
    "ContributingEquipmentSequence",
    "RequestAttributesSequence",
    *KEYWORDS.values(),
)
"""What has to be read of a file."""

LONGEST: Final = {"CS": 16, "SH": 64, "LO": 256, "PN": 256}
"""Characters that are kept, by VR. Archives write more than PS3.5 Section 6.2 allows (16 in SH, 64
in LO and in a group of PN): an accession number that is cut would not be found."""

_DATE: Final = re.compile(r"([0-9]{4})([.]?)([0-9]{2})\2([0-9]{2})")  # with dots before 1993
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9]|60)?)?([.][0-9]{1,6})?")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}")
_LARGEST: Final = 2**31 - 1  # PS3.5 Section 6.2, VR IS
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Value = str | int | None


def snapshot_of(headers: Sequence[Dataset]) -> HeaderSnapshot:
    """Return what headers agree on.

    What a radnet-node made says nothing of the images beside it, unless there are none. Where
    several values are found the column is None, and named in `differing`. A header that does not
    have the value does not contradict one that has, except about the patient: then somebody else
    may be meant.

    Parameters
    ----------
    headers : sequence of Dataset
        Of one series, those that can be read; pixels are not needed.

    Returns
    -------
    HeaderSnapshot
    """
    with quiet_headers():
        images = [image for image in headers if not is_own_output(image)]
        looked_at = images or headers
        values: dict[str, Any] = {}
        differing = []
        for column in KEYWORDS:
            texts = {_text_of(header, column) for header in looked_at}
            found = {_value(text, column) for text in texts}
            if column not in PATIENT_COLUMNS or column in _DESCRIPTIONS:
                found -= {None}
            if len(found) > 1:
                differing.append(column)
            values[column] = found.pop() if len(found) == 1 else None
    return HeaderSnapshot(
        **values,
        header_count=len(headers),
        own_output=bool(headers) and not images,
        differing=tuple(differing),
    )


_DESCRIPTIONS: Final = frozenset({"study_description", "series_description", "protocol_name"})
"""Of the columns that may name a patient, those that are not meant to."""


def _text_of(header: Dataset, column: str) -> str:
    value = value_of(header, KEYWORDS[column])
    if column == "accession_number" and not value:  # as the rules see it: PS3.3 Table 10-9
        items = value_of(header, "RequestAttributesSequence")
        value = value_of(items[0], "AccessionNumber") if isinstance(items, Items) and items else ""
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return str(value) if value is not None else ""


def _value(text: str, column: str) -> Value:
    plain = _clean(text)
    return _READ_COLUMN[column](plain) if plain else None


def _clean(text: str) -> str:
    """Return text for one line of a table: no control characters, which move a terminal's cursor.

    Lone surrogates go, too: no database stores them.
    """
    kept = (
        "\ufffd" if unicodedata.category(character) == "Cs" else character
        for character in text
        if character not in _DIRECTIONS
        and (character.isspace() or unicodedata.category(character) != "Cc")
    )
    return " ".join("".join(kept).split())


def _date(text: str) -> Value:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = found[1], found[3], found[4]
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    return year + month + day


def _time(text: str) -> Value:
    plain = text.replace(":", "")  # ACR-NEMA
    return plain if _TIME.fullmatch(plain) else None


def _number(text: str) -> Value:
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if -_LARGEST <= int(text) <= _LARGEST else None


def _name(text: str) -> Value:
    groups = [group.rstrip("^ ") for group in text.split("=")]
    return "=".join(groups).rstrip("=")[: LONGEST["PN"]] or None


def _text(vr: str) -> Callable[[str], Value]:
    return lambda text: text[: LONGEST[vr]]


_READ: Final[dict[str, Callable[[str], Value]]] = {
    "DA": _date,
    "TM": _time,
    "IS": _number,
    "PN": _name,
    "CS": _text("CS"),
    "SH": _text("SH"),
    "LO": _text("LO"),
}
_READ_COLUMN: Final = {
    column: _READ[dictionary_VR(keyword)] for column, keyword in KEYWORDS.items()
}

"""What is broken in a DICOM file, and what in it is odd, in words and without any value of it.

pydicom forgives: it reads a file that ends amid an element, and hands on values that are no
values of their VR. Who has to mend the file must be told both.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset, config, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag
from pydicom.valuerep import validate_value

from radnet.volume.elements import UNDECODABLE
from radnet.volume.headers import quiet_headers

UNDEFINED: Final = 0xFFFFFFFF  # length of what ends by a delimiter (PS3.5 Section 7.1.1)
DELIMITER: Final = struct.pack(
    "<HHL", 0xFFFE, 0xE0DD, 0
)  # PS3.5 Section A.4, always little endian
TAIL: Final = 65536  # bytes before the end in which the delimiter must stand; padding may follow
PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)
class Condition:
    """What is wrong with one file.

    Attributes
    ----------
    broken
        Sentences: the file cannot be whole.
    odd
        Sentences: the file is whole, an element holds what the standard forbids.
    """

    broken: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


def condition_of(path: Path) -> Condition:
    """Return what is broken and what is odd in a file; nothing raises.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    Condition
        What is broken, and what is odd, in sentences without values that name a patient.
    """
    try:
        with quiet_headers(), path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True)
            broken = [*_cut_off(header), *_pixels(file, header, path.stat().st_size)]
            return Condition((*broken, *_nameless(header)), tuple(_odd(header)))
    except (InvalidDicomError, EOFError, OSError, struct.error, *UNDECODABLE) as error:
        return Condition((f"not readable as DICOM ({type(error).__name__})",))


def _named(tag: BaseTag) -> str:
    return f"{keyword_for_tag(tag) or 'the element'} {tag}"


def _cut_off(header: Dataset) -> list[str]:
    """Find elements with fewer bytes than their length says: the file ends there."""
    found: list[str] = []
    for tag in header.keys():  # noqa: SIM118 (iterating a Dataset parses its elements)
        raw: object = header.get_item(tag)  # typed as parsed, yet raw until first asked for
        if not isinstance(raw, RawDataElement) or raw.length == UNDEFINED:
            continue
        size = len(raw.value) if raw.value is not None else 0
        if size < raw.length:
            found.append(f"the file ends within {_named(tag)}: {size} of {raw.length} bytes")
    return found


def _pixels(file: BinaryIO, header: Dataset, size: int) -> list[str]:
    """Compare the length of Pixel Data with what is left of the file."""
    implicit, little = header.original_encoding
    order = "<" if little else ">"
    start = file.read(12)
    if len(start) < 8:
        return []
    group, element = struct.unpack(f"{order}HH", start[:4])
    if keyword_for_tag(BaseTag(group << 16 | element)) not in PIXELS:
        return []
    at, skip = (4, 8) if implicit else (8, 12)
    (length,) = struct.unpack(f"{order}L", start[at : at + 4])
    left = size - (file.tell() - len(start) + skip)
    if length != UNDEFINED:
        short = f"the file ends within Pixel Data: {left} of {length} bytes"
        return [short] if left < length else []
    file.seek(max(0, size - TAIL), os.SEEK_SET)
    return [] if DELIMITER in file.read() else ["the file ends before the frames of Pixel Data do"]


def _nameless(header: Dataset) -> list[str]:
    """Find a header without kind and series, both of type 1 (PS3.3 C.7.3.1)."""
    if "Modality" in header or "SeriesInstanceUID" in header:
        return []
    return [
        f"neither Modality nor SeriesInstanceUID stands in its {len(header)} elements; "
        "expected the header of an image"
    ]


def _odd(header: Dataset) -> list[str]:
    found: list[str] = []
    for tag in list(header.keys()):
        try:
            element = header[tag]
        except (*UNDECODABLE, OSError, struct.error) as error:
            found.append(f"{_named(tag)} cannot be read ({type(error).__name__})")
            continue
        values = element.value if element.VM > 1 and element.VR != "SQ" else [element.value]
        try:
            for value in values:
                if isinstance(value, str):  # numbers were parsed above
                    validate_value(element.VR, str(value), config.RAISE)
        except UNDECODABLE:
            found.append(f"{_named(tag)} is no value of VR {element.VR}")
    return found

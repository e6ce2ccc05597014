"""Every element of a header parsed once, by a loop: how deep and how wide it is, is bounded.

pydicom parses an element when it is first asked for, and walks sequences by recursion. Near the
interpreter's limit it writes the traceback of each level into the error of the next one: a few
kilobytes of sequences in sequences take all memory there is.
"""

import mmap
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag

from radnet.errors import UnusableVolumeError

# what pydicom, its decoders and highdicom raise on pixels or frames that are short or damaged;
# RecursionError is a RuntimeError
UNDECODABLE: Final = (
    AttributeError,
    BytesLengthException,
    KeyError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)

DEEPEST: Final = 64
"""Sequences in sequences; an SR of a whole examination has ten."""

MOST_ITEMS: Final = 500_000
"""Items of all sequences; 20,000 frames of an enhanced image have 200,000. pydicom makes a data
set of about a kilobyte of each, of which a file needs to hold eight octets."""

LONGEST: Final = 64 << 20
"""Octets of one sequence: the functional groups of 20,000 frames have 40 MB."""

SMALL: Final = 4 * MOST_ITEMS
"""Octets of a file that cannot hold so many items that it matters."""

_ITEMS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # PS3.5 Section 7.5, both byte orders


def refuse_flood(path: Path) -> None:
    """Raise if a file holds more items than are read.

    Pixel data are looked through as well: that they hold the four octets of an item half a
    million times is as odd.

    Raises
    ------
    UnusableVolumeError
        With how many are taken.
    OSError
        If the file cannot be read.
    """
    if path.stat().st_size <= SMALL:
        return
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets,
    ):
        if any(_more_than(octets, item, MOST_ITEMS) for item in _ITEMS):
            raise UnusableVolumeError(
                f"Instance file {path.name}: more than {MOST_ITEMS:,} items in its sequences; "
                "expected the header of an image."
            )


def _more_than(octets: mmap.mmap, item: bytes, most: int) -> bool:
    at = -1
    for _ in range(most + 1):
        at = octets.find(item, at + 1)
        if at < 0:
            return False
    return True


def drop_unreadable(dataset: Dataset) -> None:
    """Delete the elements whose values are no values of their VR, a weight of ``12,5`` say.

    Asked for here, one bad value costs the element that stands at the top of the data set, with
    all that is in it; what needs it will find it missing and say so. So does one nested more than
    `DEEPEST` deep, or with more than `MOST_ITEMS` items.
    """
    for tag in list(dataset.keys()):
        try:
            _parse(dataset, tag)
        except UNDECODABLE:
            del dataset[tag]


def _parse(dataset: Dataset, tag: BaseTag) -> None:
    """Parse one element and all that is nested in it; raise one of `UNDECODABLE` if one cannot."""
    raw: object = dataset.get_item(tag)  # typed as parsed, yet raw until first asked for
    if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
        if raw.VR in ("SQ", "UN") and len(raw.value) > LONGEST:
            raise ValueError("a sequence too long to be parsed")
        _refuse_items(sum(raw.value.count(item) for item in _ITEMS))
    waiting = [(dataset[tag], 1)]
    items = 0
    while waiting:
        element, depth = waiting.pop()
        if element.VR != "SQ":
            continue
        if depth > DEEPEST:
            raise ValueError(f"sequences nested more than {DEEPEST} deep")
        items += len(element.value)
        _refuse_items(items)
        waiting += [(item[key], depth + 1) for item in element.value for key in list(item.keys())]


def _refuse_items(count: int) -> None:
    if count > MOST_ITEMS:
        raise ValueError(f"{count} items in one sequence")

"""The stored values of an image: decoded, cut to the bits that hold them, with their sign.

Runs a decoder in the process it is called in. Files from outside are decoded by
`radnet.volume.decoding`, which calls this in a process of its own.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    RLELossless,
)

from radnet.errors import UndecodableError

MOST_BYTES: Final = 2 << 30
"""Octets of one decoded image with all its frames; half of what Pixel Data can hold at the most
(PS3.5 Section 8.1.1)."""

_SIZES: Final = ("Rows", "Columns")
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), 0xF7})
"""Second octets of the markers SOF0 to SOF7 of JPEG, and SOF55 of JPEG-LS."""


def is_native(syntax: UID) -> bool:
    """Tell whether pixels lie in the file as they are: no decoder, no inflating."""
    return (
        syntax.is_transfer_syntax
        and not syntax.is_compressed
        and syntax != DeflatedExplicitVRLittleEndian
    )


def promised_bytes(header: Dataset) -> int:
    """Return how many octets the decoded frames of an image have by its header.

    Raises
    ------
    UndecodableError
        If the header does not tell, or tells of more than `MOST_BYTES`.
    """
    rows, columns = (_count(header, keyword, None) for keyword in _SIZES)
    samples, frames = (_count(header, key, 1) for key in ("SamplesPerPixel", "NumberOfFrames"))
    octets = -(-_count(header, "BitsAllocated", None) // 8)
    promised = rows * columns * samples * frames * octets
    if promised > MOST_BYTES:
        raise UndecodableError(
            f"{frames} frame(s) of {rows} x {columns} pixels are {promised / 2**30:.1f} GiB; at "
            f"most {MOST_BYTES >> 30} GiB are decoded"
        )
    return promised


def _count(header: Dataset, keyword: str, otherwise: int | None) -> int:
    value: Any = header.get(keyword)
    if value in (None, "") and otherwise is not None:
        return otherwise
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise UndecodableError(f"no usable {keyword} in the header")
    return count


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """Return the frames of a data set as its Bits Stored and Pixel Representation say.

    Nothing may be assumed of the other bits of a pixel cell: old overlays lie there, and what
    the encoder left. Where Bits Stored ends below Bits Allocated, values are cut to it and their
    sign is extended, whatever the transfer syntax.

    Returns
    -------
    numpy.ndarray
        [row, column], [frame, row, column], and samples last where there are several.

    Raises
    ------
    UndecodableError
        If there is no Pixel Data.
    One of `radnet.volume.elements.UNDECODABLE`.

    References
    ----------
    DICOM PS3.5 Section 8.1.1
    """
    if "PixelData" not in dataset:
        raise UndecodableError("there is no Pixel Data")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    array: NDArray[Any]
    array, _ = get_decoder(syntax).as_array(dataset, correct_unused_bits=False)  # type: ignore[arg-type]
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or 0)
    if array.dtype.kind not in "iu" or not 0 < stored < allocated:
        return array
    size = 8 * array.dtype.itemsize
    unused = _unused_below(dataset, syntax, stored)
    np.left_shift(array, size - stored - unused, out=array)
    np.right_shift(array, size - stored, out=array)
    return array


def _unused_below(dataset: Dataset, syntax: UID, stored: int) -> int:
    """Return how many bits of a decoded word lie below the stored value.

    Older images may have it at the top of the cell: 12 bits with High Bit 15. A code stream holds
    either the whole cell or, with fewer bits, the value alone.
    """
    high = int(dataset.get("HighBit") or 0)
    if not stored <= high < int(dataset.BitsAllocated):
        return 0
    whole = is_native(syntax) or syntax in (RLELossless, DeflatedExplicitVRLittleEndian)
    return high - stored + 1 if whole or _precision(dataset, syntax) > high else 0


def _precision(dataset: Dataset, syntax: UID) -> int:
    """Return the bits of a sample in the code stream of the first frame."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    stream = get_frame(dataset.PixelData, 0, number_of_frames=frames)
    if syntax in JPEG2000TransferSyntaxes:
        return int(get_j2k_parameters(stream).get("precision") or 0)
    return jpeg_precision(stream)


def jpeg_precision(stream: bytes) -> int:
    """Return the bits of a sample in a JPEG or JPEG-LS code stream; 0 where it does not tell."""
    at = 2
    while at + 5 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] in _FRAME_HEADERS:
            return stream[at + 4]
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return 0

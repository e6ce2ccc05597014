"""The elements in front of Pixel Data, read within bounds: of a deflated file, too.

pydicom inflates a deflated file whole before it looks at the first element, and reads as many
elements as there are.
"""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

MOST_ELEMENTS: Final = 100_000
"""At the top of a data set; the whole dictionary of the standard has five thousand."""

MOST_INFLATED: Final = 64 << 20
"""Octets of a deflated data set in which Pixel Data must begin."""

_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_META: Final = 144  # preamble, prefix and group length (PS3.10 Section 7.1)
_PIECE: Final = 1 << 16


class _UntilPixels:
    """Tell pydicom where to stop reading; raise where it would not."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, tag: BaseTag, _vr: str | None, _length: int) -> bool:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise ValueError(f"more than {MOST_ELEMENTS} elements")
        return tag in _PIXELS


def read_header_file(path: Path, only: Sequence[str] | None = None) -> Dataset:
    """Return what stands in front of the Pixel Data of a Part 10 file, as pydicom reads it.

    Parameters
    ----------
    only
        Keywords of the elements that are wanted, None for all.

    Raises
    ------
    pydicom.errors.InvalidDicomError, ValueError, OSError and what else pydicom raises.
    """
    wanted: list[BaseTag | int] | None = None if only is None else [Tag(one) for one in only]
    with path.open("rb") as file:
        if DeflatedExplicitVRLittleEndian.encode() in file.read(4 * _META):
            meta = read_file_meta_info(path)
            if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                file.seek(0)
                dataset = read_dataset(
                    BytesIO(_inflated(file)),
                    is_implicit_VR=False,
                    is_little_endian=True,
                    stop_when=_UntilPixels(),
                    specific_tags=wanted,
                )
                dataset.file_meta = meta
                return dataset
        file.seek(0)
        return read_partial(file, stop_when=_UntilPixels(), specific_tags=wanted)


def _inflated(file: BinaryIO) -> bytes:
    """Return the beginning of the data set of a deflated file (PS3.5 Section A.5)."""
    head = file.read(_META)
    if len(head) < _META:
        raise InvalidDicomError("no group length of the File Meta Information")
    file.seek(_META + struct.unpack_from("<I", head, _META - 4)[0])
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    found = bytearray()
    while len(found) < MOST_INFLATED and not inflate.eof:
        octets = inflate.unconsumed_tail or file.read(_PIECE)
        if not octets:
            break
        try:
            found += inflate.decompress(octets, MOST_INFLATED - len(found))
        except zlib.error as error:
            raise ValueError("the deflated data set cannot be inflated") from error
    return bytes(found)

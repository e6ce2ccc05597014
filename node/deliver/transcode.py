"""A stored file in a plain transfer syntax, for a peer that refuses the one it is in.

Only decoding, never encoding: no pixel value is changed, nothing is compressed anew, colour
stays in the space it was decoded in, and UIDs stay because the image is the same one.

What was compressed with loss may be decompressed as well. The loss is then no longer told by the
transfer syntax but only by Lossy Image Compression (0028,2110), which shall stay "01" (PS3.3
C.7.6.1.1.5). A file that does not have it is refused rather than sent as if it were the original;
the standard does not ask for a plain syntax where only a lossy one exists (PS3.5 Section 10.1).
"""

from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from node.errors import PermanentDeliveryError

LOSSLESS: Final = frozenset(
    {
        RLELossless,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
        HTJ2KLossless,
        HTJ2KLosslessRPCL,
    }
)
ALWAYS_LOSSY: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})


def uncompressed(path: Path, stored: UID) -> Dataset:
    """Return a stored file in a plain transfer syntax.

    Raises
    ------
    PermanentDeliveryError
        If the pixels cannot be decoded, or the data set would no longer tell of a loss.
    OSError
        If the file cannot be read.
    """
    try:
        ds = dcmread(path)
        if stored == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        elif stored.is_compressed:
            _require_told(ds, stored)
            ds.decompress(as_rgb=False, generate_instance_uid=False)
            _name_colour(ds)
    except (
        InvalidDicomError,
        AttributeError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise PermanentDeliveryError(
            f"transfer syntax not accepted: {stored.name}, and the pixels cannot be decoded "
            f"({type(error).__name__})"
        ) from error
    return ds


def _name_colour(ds: Dataset) -> None:
    """Name chrominance as it is now: the decoder brought it to the full number of samples.

    Native YBR_FULL_422 has half as many (PS3.3 C.7.6.3.1.2), and would be read as garbage.
    """
    if ds.PhotometricInterpretation == "YBR_FULL_422":
        samples = ds.Rows * ds.Columns * 3 * int(ds.get("NumberOfFrames") or 1)
        if len(ds.PixelData) >= samples * ds.BitsAllocated // 8:
            ds.PhotometricInterpretation = "YBR_FULL"


def _require_told(ds: Dataset, stored: UID) -> None:
    """Refuse where decompressing would hide that the image was compressed with loss.

    Syntaxes that may be either are believed where the data set says which; "00" beside one that
    always loses is not.
    """
    if stored in LOSSLESS:
        return
    told = str(ds.get("LossyImageCompression") or "")
    if told == "01" or (told == "00" and stored not in ALWAYS_LOSSY):
        return
    raise PermanentDeliveryError(
        f"transfer syntax not accepted: {stored.name}, and Lossy Image Compression (0028,2110) is "
        f"{told!r}, not '01': decompressed, the image would no longer tell of its loss"
    )

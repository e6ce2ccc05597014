"""A stored file in a plain transfer syntax, for a peer that refuses the one it is in.

Only decoding, never encoding: no pixel value is changed, nothing is compressed anew, colour
stays in the space it was decoded in, and UIDs stay because the image is the same one.

What was compressed with loss may be decompressed as well. The loss is then no longer told by the
transfer syntax but only by Lossy Image Compression (0028,2110), which shall stay "01" (PS3.3
C.7.6.1.1.5). A file that does not have it is refused rather than sent as if it were the original;
the standard does not ask for a plain syntax where only a lossy one exists (PS3.5 Section 10.1).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
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

from node.deliver.stored import SEARCHED, misplaced, pieces
from node.errors import PermanentDeliveryError
from radnet.errors import UndecodableError, UnusableVolumeError
from radnet.volume.decoding import plain_file
from radnet.volume.headers import read_file

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


@contextmanager
def plain_copy(path: Path, stored: UID, syntax: UID = ExplicitVRLittleEndian) -> Iterator[Path]:
    """Lend a copy of a stored file in a plain transfer syntax, for as long as it takes to send it.

    The data set is read, decoded and written in a process of its own, within limits of time and
    memory (`radnet.volume.decoding.plain_file`): a file that crashes its decoder, or never ends,
    is an outcome of this one instance. Without Pixel Data only the transfer syntax changes.

    Parameters
    ----------
    stored
        The transfer syntax it is stored in.
    syntax
        Implicit or Explicit VR Little Endian.

    Raises
    ------
    PermanentDeliveryError
        If the pixels cannot be decoded, or the data set would no longer tell of a loss.
    OSError
        If the file cannot be read, or there is no memory or disk for the copy now.
    """
    with ExitStack() as lent:
        try:
            readable = lent.enter_context(_readable(path, stored))
            header = read_file(readable, pixels=False)
            copy = lent.enter_context(plain_file(readable, header, syntax))
        except (UnusableVolumeError, UndecodableError) as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None
            raise PermanentDeliveryError(
                f"transfer syntax not accepted: {stored.name}, and the instance cannot be decoded "
                f"({error})"
            ) from error
        if copy.decoded:
            _require_told(header, stored)
        yield copy.path


@contextmanager
def _readable(path: Path, stored: UID) -> Iterator[Path]:
    """Lend the file as others read it; see `node.deliver.stored`."""
    with path.open("rb") as file:
        left_out = misplaced(file.read(SEARCHED), stored)
    if not left_out:
        yield path
        return
    with NamedTemporaryFile(prefix="radnode") as copy:
        copy.writelines(pieces(path, stored))
        copy.flush()
        yield Path(copy.name)


def _require_told(ds: Dataset, stored: UID) -> None:
    """Refuse where decompressing would hide that the image was compressed with loss.

    Syntaxes that may be either are believed where the data set says which; "00" beside one that
    always loses is not.
    """
    if stored in LOSSLESS:
        return
    lossy = str(ds.get("LossyImageCompression") or "")
    if lossy == "01" or (lossy == "00" and stored not in ALWAYS_LOSSY):
        return
    raise PermanentDeliveryError(
        f"transfer syntax not accepted: {stored.name}, and Lossy Image Compression (0028,2110) is "
        f"{lossy!r}, not '01': decompressed, the image would no longer tell of its loss"
    )

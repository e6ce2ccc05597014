"""A Part 10 file written anew in a plain transfer syntax; no value of it changes.

Runs a decoder in the process it is called in; see `radnet.volume.decoding`.
"""

from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

from radnet.volume.headers import quiet_headers


def write_plain(path: Path, out: BinaryIO, syntax: UID) -> bool:
    """Write the data set of `path`, decoded where it is compressed, as a Part 10 file.

    Words are written as they were decoded, bits outside Bits Stored included: an old overlay may
    lie there. Colour stays in the space it was stored in, and UIDs stay.

    Parameters
    ----------
    syntax
        Implicit or Explicit VR Little Endian.

    Returns
    -------
    bool
        Whether pixels were decoded: without Pixel Data only the transfer syntax changes.

    Raises
    ------
    One of `radnet.volume.elements.UNDECODABLE`; OSError.
    """
    with quiet_headers():
        ds = dcmread(path)
        stored = UID(ds.file_meta.TransferSyntaxUID)
        decoded = stored.is_encapsulated and bool(ds.get("PixelData"))
        if stored.is_encapsulated:
            _decode_icons(ds, stored)
        if decoded:
            ds.decompress(as_rgb=False, generate_instance_uid=False, correct_unused_bits=False)
            _name_colour(ds)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(
            out,
            implicit_vr=syntax.is_implicit_VR,
            little_endian=True,
            enforce_file_format=True,
        )
    return decoded


def _decode_icons(ds: Dataset, stored: UID) -> None:
    """Decode the only pixels besides those of the image itself (PS3.3 Section C.7.6.1.1.6).

    Encapsulated ones in a plain transfer syntax would be no readable file.
    """
    for icon in ds.get("IconImageSequence") or ():
        if "PixelData" in icon and icon["PixelData"].is_undefined_length:
            icon.file_meta = FileMetaDataset()
            icon.file_meta.TransferSyntaxUID = stored
            icon.decompress(as_rgb=False, generate_instance_uid=False, correct_unused_bits=False)
            _name_colour(icon)
            del icon.file_meta


def _name_colour(ds: Dataset) -> None:
    """Name chrominance as it is now: the decoder brought it to the full number of samples.

    Native YBR_FULL_422 has half as many (PS3.3 C.7.6.3.1.2), and would be read as garbage.
    """
    if ds.PhotometricInterpretation == "YBR_FULL_422":
        samples = ds.Rows * ds.Columns * 3 * int(ds.get("NumberOfFrames") or 1)
        if len(ds.PixelData) >= samples * ds.BitsAllocated // 8:
            ds.PhotometricInterpretation = "YBR_FULL"

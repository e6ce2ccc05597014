"""What a file is that is no DICOM, by its content before its name, and what to do with it."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HEAD: Final = 352  # bytes: the header of NIfTI-1 and of Analyze 7.5, and the magic of the rest
PREAMBLE: Final = 128  # bytes before the letters DICM (PS3.10 Section 7.1)
ANALYZE: Final = (348).to_bytes(4, "little"), (348).to_bytes(4, "big")
PAIR: Final = (".hdr", ".img", ".hdr.gz", ".img.gz")
NIFTI: Final = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Format:
    """A kind of file: what messages call it, and what its owner can do."""

    name: str
    advice: str = ""


EMPTY: Final = Format("empty file (0 bytes)", "it was not copied whole: copy it again")
MAC: Final = Format("note of a Mac's Finder", "it holds no image; the file without ._ does")
TO_NIFTI: Final = "save it as NIfTI (.nii.gz), with 3D Slicer or SimpleITK, and give that"
ALONE: Final = "give the file itself, not its folder"
NRRD_FILE: Final = Format("NRRD file", f"{ALONE}, by a name that ends with .nrrd or .nhdr")
META_IMAGE: Final = Format("MetaImage file", f"{ALONE}, by a name that ends with .mha or .mhd")
IMAGE_PAIR: Final = Format("NIfTI pair (.hdr and .img)", ALONE)
ONE_NIFTI: Final = Format("NIfTI file", ALONE)
ANALYZE_75: Final = Format(
    "Analyze 7.5 file",
    "it does not say how the patient lies; save it as NIfTI with the orientation that you know",
)
UNKNOWN: Final = Format("file that is no DICOM")

# magic at the start of a file, lower case, to what it is
MAGIC: Final[dict[bytes, Format]] = {
    b"\x00\x05\x16\x07": MAC,
    b"nrrd0": NRRD_FILE,
    b"objecttype": META_IMAGE,
    b"ndims": META_IMAGE,
    b"pk\x03\x04": Format("ZIP archive", "unpack it and give the folder"),
    b"7z\xbc\xaf": Format("7z archive", "unpack it and give the folder"),
    b"%pdf": Format("PDF", "it is no image series"),
    b"\x89png": Format("PNG picture", "a picture has no place in the patient; export DICOM"),
    b"\xff\xd8\xff": Format("JPEG picture", "a picture has no place in the patient; export DICOM"),
    b"\x89hdf": Format("HDF5 file", TO_NIFTI),
    b"\x00\x00\x00\x01\x00\x00": Format(
        "FreeSurfer volume (MGH)", "convert it: mri_convert FILE FILE.nii.gz"
    ),
}
# where the content does not tell
ENDINGS: Final[dict[str, Format]] = {
    ".mgz": Format("FreeSurfer volume (MGH)", "convert it: mri_convert FILE FILE.nii.gz"),
    ".mgh": Format("FreeSurfer volume (MGH)", "convert it: mri_convert FILE FILE.nii.gz"),
    ".nhdr": NRRD_FILE,
    ".mhd": META_IMAGE,
    ".mha": META_IMAGE,
    ".mnc": Format("MINC file", "convert it: mnc2nii FILE FILE.nii"),
    ".tar": Format("TAR archive", "unpack it and give the folder"),
    ".gz": Format("compressed file", "unpack it first"),
    ".rar": Format("RAR archive", "unpack it and give the folder"),
    ".nii": ONE_NIFTI,
}


def format_of(path: Path) -> Format | None:
    """Return what a file is that is no DICOM; None where it starts as DICOM does."""
    head = _head(path)
    if not head:
        return EMPTY
    if head[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return None
    name = path.name.lower()
    if name.endswith(NIFTI):
        return ONE_NIFTI
    if is_pair(path):
        return IMAGE_PAIR
    if name.endswith(PAIR) and _head(_header_of(path))[:4] in ANALYZE:
        return ANALYZE_75
    known = next((kind for magic, kind in MAGIC.items() if head.lower().startswith(magic)), None)
    return known or ENDINGS.get(path.suffix.lower(), UNKNOWN)


def is_pair(path: Path) -> bool:
    """Tell whether `path` is one file of a NIfTI pair, header and voxels apart."""
    if not path.name.lower().endswith(PAIR):
        return False
    head = _head(_header_of(path))
    return head[344:347] == b"ni1" or head[4:7] == b"ni2"


def _header_of(path: Path) -> Path:
    """Return the header beside the voxels of a pair; cases of letters follow the file's own."""
    for image, header in ((".img", ".hdr"), (".IMG", ".HDR")):
        if image in path.name:
            return path.with_name(path.name.replace(image, header))
    return path


def _head(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                head = file.read(HEAD) or head
    except (OSError, EOFError, zlib.error):
        return b"?" if path.is_file() else b""
    return head

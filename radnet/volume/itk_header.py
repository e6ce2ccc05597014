"""The text at the head of a NRRD or MetaImage file: what is refused before ITK opens anything.

ITK takes a file that does not say how the patient lies for one in LPS, one without spacing for
1 mm, ignores units, opens whatever data file a header names, and of compressed MetaImage voxels
that are damaged gives what it could unpack, with a line on stderr and no error. A patient deserves
better: the header is read here first, in few forms, and whatever is in none of them is refused.

References
----------
https://teem.sourceforge.net/nrrd/format.html
https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Final

from radnet.errors import GeometryError, UnusableVolumeError
from radnet.volume.size import refuse_too_large

NRRD: Final = (".nrrd", ".nhdr")
META: Final = (".mha", ".mhd")
LONGEST: Final = 1 << 20  # bytes of a header
CHUNK: Final = 1 << 24
SPACES: Final = frozenset(
    {
        "left-posterior-superior", "lps", "right-anterior-superior", "ras",
        "left-anterior-superior", "las",
    }
)  # fmt: skip
ELEMENT_BYTES: Final = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4,
    "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
LARGEST: Final = 8  # bytes of one number
MATRIX: Final = ("transformmatrix", "rotation", "orientation")  # MetaIO reads each of them
OFFSET: Final = ("offset", "position", "origin")
VECTOR: Final = re.compile(r"\(([^()]*)\)")
META_LINE: Final = re.compile(r"([^\s=:]+)\s*=\s*(.*)")  # such as 0008|0060 = CT, of a converter
SAVE: Final = "Save it again with 3D Slicer or SimpleITK"
WHOLE: Final = "it was not copied whole, or is damaged: copy it again"


@dataclass(frozen=True)
class ItkHeader:
    """Where the voxels of a file lie: after `offset` bytes of `data`, which may be the file."""

    name: str
    fields: Mapping[str, str]
    data: Path
    offset: int


def read_itk_header(path: Path) -> ItkHeader:
    """Return the header of a NRRD or MetaImage file that says all that must be said.

    Parameters
    ----------
    path
        ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.

    Returns
    -------
    ItkHeader

    Raises
    ------
    GeometryError
        If it does not say where in the patient its voxels lie, in mm.
    UnusableVolumeError
        If it is damaged, no single volume of single numbers, larger than is taken, or names
        voxels outside its folder.
    """
    is_nrrd = path.name.lower().endswith(NRRD)
    try:
        with path.open("rb") as file:
            head = file.read(LONGEST)
        header = _nrrd(path, head) if is_nrrd else _meta(path, head)
        (_judge_nrrd if is_nrrd else _judge_meta)(header)
    except OSError as error:
        raise UnusableVolumeError(f"{path.name}: cannot be read ({error.strerror})") from error
    except UnusableVolumeError as error:
        why = str(error).removeprefix(f"{path.name}: ")
        raise type(error)(f"{path.name}: {why}") from error
    return header


def _nrrd(path: Path, head: bytes) -> ItkHeader:
    """Return the fields of a NRRD header, their names in lower case without blanks."""
    if not re.match(rb"NRRD000[1-5]\r?\n", head):
        raise UnusableVolumeError(f"no NRRD file: does not start with NRRD0004; {WHOLE}")
    fields: dict[str, str] = {}
    end = re.search(rb"\n\r?\n", head)
    lines = _lines(head[: end.start() if end else len(head)].rstrip(b"\r\n"))
    for number, line in enumerate(lines[1:], start=2):
        if line.startswith("#") or re.match(r"[^:]*:=", line):
            continue
        name, colon, value = line.partition(":")
        _add(fields, number, "".join(name.split()).lower() if colon else None, value)
        if fields.get("datafile", "").upper().startswith("LIST"):
            break  # names of files follow
    detached = fields.get("datafile")
    if detached is not None:
        return ItkHeader(path.name, fields, _named(path, detached), 0)
    if end is None:
        raise UnusableVolumeError(f"a NRRD header without an end and without voxels; {WHOLE}")
    return ItkHeader(path.name, fields, path, end.end())


def _meta(path: Path, head: bytes) -> ItkHeader:
    """Return the fields of a MetaImage header, their names in lower case."""
    end = re.search(rb"(?:^|\n)ElementDataFile[ \t]*=[^\n]*(?:\n|$)", head)
    if end is None:
        raise UnusableVolumeError(f"a MetaImage header without ElementDataFile; {WHOLE}")
    fields: dict[str, str] = {}
    for number, line in enumerate(_lines(head[: end.end()]), start=1):
        if line:
            found = META_LINE.fullmatch(line)
            _add(fields, number, found[1].lower() if found else None, found[2] if found else "")
    name = fields["elementdatafile"]
    if name.upper() == "LOCAL":
        return ItkHeader(path.name, fields, path, end.end())
    return ItkHeader(path.name, fields, _named(path, name), 0)


def _lines(head: bytes) -> list[str]:
    lines = [line.strip() for line in head.decode("latin-1").split("\n")]
    if any(letter < " " and letter != "\t" for line in lines for letter in line):
        raise UnusableVolumeError(f"its header is no text; {WHOLE}")
    return lines


def _add(fields: dict[str, str], number: int, name: str | None, value: str) -> None:
    """Keep a field; messages do not quote a line, which may name a patient."""
    if name is None or name in fields:
        what = "is no field" if name is None else "gives a field for the second time"
        raise UnusableVolumeError(f"line {number} of its header {what}; {WHOLE}")
    fields[name] = value.strip()


def _named(path: Path, name: str) -> Path:
    """Return the one data file that a header names; whoever sends it must not choose another."""
    if not name or name.upper().split()[0] == "LIST" or "%" in name:
        raise UnusableVolumeError(
            f"its voxels are in several files ({name or 'no name'}); expected one. {SAVE}, as one"
        )
    data, home = path.parent / name, path.parent.resolve()
    strange = re.match(r"/|[A-Za-z]:", name) or "\\" in name or ".." in name.split("/")
    if strange or not data.resolve().is_relative_to(home):
        raise UnusableVolumeError(
            f"its header names voxels outside its folder ({name}); expected a file beside it. "
            "Put both into one folder, and its bare name into the header"
        )
    if not data.is_file():
        raise UnusableVolumeError(
            f"its voxels are not there: no file {name}; expected it beside the header. Copy both"
        )
    return data


def _judge_nrrd(header: ItkHeader) -> None:
    fields = header.fields
    _three_dimensions(fields.get("dimension"))
    shape = _shape(fields.get("sizes"))
    refuse_too_large(header.name, shape)
    space = fields.get("space", "")
    if space.lower() not in SPACES:
        _unplaced("space", space, "LPS, RAS or LAS")
    for name, field, count in (
        ("space directions", "spacedirections", 3),
        ("space origin", "spaceorigin", 1),
    ):
        vectors = [_numbers(found) for found in VECTOR.findall(fields.get(field, ""))]
        if len(vectors) != count or any(len(vector) != 3 for vector in vectors):
            _unplaced(name, fields.get(field), f"{count} x (x,y,z)")
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", ""))
    _millimetres("space units", units)
    _as_usual(fields, {"lineskip": 0, "byteskip": 0})
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise UnusableVolumeError(
            f"encoding {encoding or 'unknown'}; expected raw or gzip. {SAVE}"
        )
    if encoding != "raw":
        _unpacked(header, prod(shape) * LARGEST)


def _judge_meta(header: ItkHeader) -> None:
    fields = header.fields
    _three_dimensions(fields.get("ndims"))
    shape = _shape(fields.get("dimsize"))
    refuse_too_large(header.name, shape)
    letters = fields.get("anatomicalorientation", "")
    if not re.fullmatch(r"[RLAPISrlapis]{3}", letters):
        _unplaced("AnatomicalOrientation", letters, "three letters such as RAI")
    for names, count in ((MATRIX, 9), (OFFSET, 3)):
        found = [fields[name] for name in names if name in fields]
        if len(found) != 1 or len(_numbers(found[0])) != count:
            title = "TransformMatrix" if names is MATRIX else "Offset"
            _unplaced(title, " and ".join(found), f"{count} numbers")
    spacing = _numbers(fields.get("elementspacing", ""))
    if len(spacing) != 3 or min(spacing) <= 0:
        _unplaced("ElementSpacing", fields.get("elementspacing"), "three lengths in mm")
    _millimetres("DistanceUnits", [fields.get("distanceunits", "")])
    _judge_elements(header, prod(shape))


def _judge_elements(header: ItkHeader, count: int) -> None:
    """Refuse voxels that are no single numbers as they stand, or not as many as promised."""
    fields = header.fields
    kind = fields.get("elementtype", "")
    if kind not in ELEMENT_BYTES or fields.get("elementnumberofchannels", "1") != "1":
        raise UnusableVolumeError(
            f"voxels of type {kind or 'unknown'} x {fields.get('elementnumberofchannels', '1')}; "
            f"expected one number in each: {', '.join(ELEMENT_BYTES)}"
        )
    _as_usual(
        fields,
        {
            "elementtointensityfunctionslope": 1,
            "elementtointensityfunctionoffset": 0,
            "headersize": 0,
        },
    )
    if not _true(fields.get("binarydata", "True")):
        raise UnusableVolumeError(f"its voxels are text; expected BinaryData = True. {SAVE}")
    expected = count * ELEMENT_BYTES[kind]
    found = header.data.stat().st_size - header.offset
    if _true(fields.get("compresseddata", "False")):
        found = _unpacked(header, expected)
    if found != expected:
        raise UnusableVolumeError(
            f"{max(found, 0):,} bytes of voxels in {header.data.name}; its header promises "
            f"{expected:,}; {WHOLE}"
        )


def _as_usual(fields: Mapping[str, str], usual: Mapping[str, int]) -> None:
    for name, value in usual.items():
        if _numbers(fields.get(name, str(value))) != [value]:
            raise UnusableVolumeError(
                f"its header says {name} {fields[name]}, which programs read differently; "
                f"expected {value}. {SAVE}"
            )


def _unpacked(header: ItkHeader, expected: int) -> int:
    """Return how many bytes compressed voxels are, read to their checksum, which ITK ignores."""
    unpack, found = zlib.decompressobj(47), 0  # 47: zlib or gzip, as MetaIO takes both
    try:
        with header.data.open("rb") as file:
            file.seek(header.offset)
            while not unpack.eof and found <= expected and (packed := file.read(CHUNK)):
                while packed and found <= expected:
                    found += len(unpack.decompress(packed, CHUNK))
                    packed = unpack.unconsumed_tail
    except zlib.error as error:
        raise UnusableVolumeError(f"its voxels cannot be unpacked: {error}; {WHOLE}") from error
    if not unpack.eof and found <= expected:
        raise UnusableVolumeError(f"its voxels end before their checksum; {WHOLE}")
    return found


def _true(word: str) -> bool:
    return word[:1] in ("T", "t", "1")


def _three_dimensions(found: str | None) -> None:
    if found != "3":
        raise UnusableVolumeError(
            f"{found or 'unknown'} dimensions; expected 3. Save one volume of it"
        )


def _shape(found: str | None) -> list[int]:
    words = (found or "").split()
    if len(words) != 3 or not all(re.fullmatch(r"[1-9]\d{0,8}", word) for word in words):
        raise UnusableVolumeError(f"{found or 'unknown'} voxels; expected three numbers; {WHOLE}")
    return [int(word) for word in words]


def _numbers(found: str) -> list[float]:
    """Return the finite numbers in a field; none where one of them is not."""
    try:
        numbers = [float(word) for word in found.replace(",", " ").split()]
    except ValueError:
        return []
    return numbers if all(isfinite(number) for number in numbers) else []


def _millimetres(name: str, units: list[str]) -> None:
    if strange := [unit for unit in units if unit not in ("", "?", "mm", "millimeter")]:
        raise GeometryError(f"{name} {strange[0]}; expected mm. {SAVE} in mm")


def _unplaced(name: str, found: str | None, expected: str) -> None:
    raise GeometryError(
        f"does not say how the patient lies in it: {name} {(found or 'is not there')[:60]}; "
        f"expected {expected}. {SAVE}, from a file that says it"
    )

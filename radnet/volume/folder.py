"""Which files of a folder are the one series in it: others lie beside, and are told of."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from radnet.errors import UnusableVolumeError
from radnet.volume.headers import MULTI_FRAME, SINGLE_FRAME, read_file

PREAMBLE: Final = 128  # bytes before the letters DICM (PS3.10 Section 7.1)
MOST_NAMED: Final = 8

Instance = tuple[Path, Dataset]


@dataclass(frozen=True)
class Chosen:
    """The files of one series, and what was left out beside them, in words."""

    paths: tuple[Path, ...]
    left_out: tuple[str, ...]


def choose_series(path: Path, series: str | None = None) -> Chosen:
    """Return the files of the one series of images at `path`.

    Files that are no DICOM, a DICOMDIR, objects that are no CT, MR or PET images, and localizers
    beside other images are left out, and told of. A file that starts as DICOM, or is called so,
    must be readable: a lost slice is no small thing.

    Parameters
    ----------
    path
        A folder, or a file.
    series
        Series Instance UID of the series that is meant.

    Raises
    ------
    UnusableVolumeError
        If there are no images, or those of several series.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    dicom = [file for file in files if path.is_file() or _called_dicom(file)]
    left: list[str] = _told(len(files) - len(dicom), "file that is no DICOM")
    found = [(file, read_file(file, pixels=False)) for file in dicom]
    listed = [one for one in found if one[1].get("SOPClassUID") != MediaStorageDirectoryStorage]
    if not listed:
        raise UnusableVolumeError(f"{path.name}: no DICOM images among {len(files)} files")
    if series is not None:
        there = [one for one in listed if one[1].get("SeriesInstanceUID") == series]
        if not there:
            raise UnusableVolumeError(
                f"{path.name}: no series {series} in it; found {_names(h for _, h in listed)}"
            )
        left += _told(len(listed) - len(there), "instance of other series")
        listed = there
    images = _without(listed, left, _is_no_image)
    images = _without(images, left, _is_localizer)
    images = _once(images, left)
    if len({header.get("SeriesInstanceUID", "") for _, header in images}) > 1:
        raise UnusableVolumeError(
            f"{path.name}: several series in it; say which one with --series: "
            f"{_names(header for _, header in images)}"
        )
    return Chosen(tuple(file for file, _ in images), tuple(left))


def _called_dicom(path: Path) -> bool:
    """Tell whether a file starts as DICOM or bears its name."""
    if path.suffix.lower() == ".dcm":
        return True
    with path.open("rb") as file:
        return file.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


def _is_no_image(header: Dataset) -> str:
    uid = UID(str(header.get("SOPClassUID", "")))
    return "" if not uid or uid in SINGLE_FRAME | MULTI_FRAME else uid.name


def _is_localizer(header: Dataset) -> str:
    return "localizer" if "LOCALIZER" in (header.get("ImageType") or ()) else ""


def _without(
    instances: list[Instance], left: list[str], what: Callable[[Dataset], str]
) -> list[Instance]:
    """Return `instances` but those that `what` names, unless none would be left."""
    names = [what(header) for _, header in instances]
    if all(names):
        return instances
    for name, count in Counter(name for name in names if name).items():
        left += _told(count, name)
    return [one for one, name in zip(instances, names, strict=True) if not name]


def _once(instances: list[Instance], left: list[str]) -> list[Instance]:
    """Return `instances` without exact copies; two files of one UID that differ both stay."""
    first: dict[str, list[Path]] = defaultdict(list)
    kept: list[Instance] = []
    for path, header in instances:
        same = first[str(header.get("SOPInstanceUID") or path)]
        if any(path.read_bytes() == other.read_bytes() for other in same):
            continue
        same.append(path)
        kept.append((path, header))
    left += _told(len(instances) - len(kept), "copy of an instance that is there")
    return kept


def _told(count: int, what: str) -> list[str]:
    return [f"left out: {count} x {what}"] if count else []


def _names(headers: Iterable[Dataset]) -> str:
    """Return the series by UID, kind and number of instances, which name no patient."""
    counts = Counter(
        (str(h.get("SeriesInstanceUID") or "without UID"), str(h.get("Modality", "?")))
        for h in headers
    )
    named = [f"{uid} ({kind}, {n} instances)" for (uid, kind), n in counts.most_common(MOST_NAMED)]
    more = len(counts) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")

"""Which files of a folder are the one series in it: others lie beside, and are told of."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from radnet.errors import UnusableVolumeError
from radnet.volume.formats import EMPTY, MAC, UNKNOWN, Format, format_of
from radnet.volume.headers import MULTI_FRAME, SINGLE_FRAME, read_file

MOST_NAMED: Final = 8

Instance = tuple[Path, Dataset]


@dataclass(frozen=True)
class Chosen:
    """The files of one series, and what was left out beside them, in words."""

    paths: tuple[Path, ...]
    left_out: tuple[str, ...]


def choose_series(path: Path, series: str | None = None) -> Chosen:
    """Return the files of the one series of images at `path`.

    Files that are no DICOM or are empty, a DICOMDIR, objects that are no CT, MR or PET images, and
    localizers beside other images are left out, and told of. A file that starts as DICOM, or is
    called so, must be readable: a lost slice is no small thing.

    Parameters
    ----------
    path
        A folder, or a file.
    series
        Series Instance UID of the series that is meant.

    Returns
    -------
    Chosen

    Raises
    ------
    UnusableVolumeError
        If there are no images, or those of several series; it says what else is there.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    kinds = {file: kind for file in files if (kind := format_of(file)) is not None}
    dicom = [file for file in files if _is_dicom(file, kinds.get(file), alone=path.is_file())]
    others = Counter(kinds[file] for file in files if file not in dicom)
    left: list[str] = [
        told for kind, count in others.items() for told in _told(count, _words(kind))
    ]
    found = [(file, read_file(file, pixels=False)) for file in dicom]
    listed = [one for one in found if one[1].get("SOPClassUID") != MediaStorageDirectoryStorage]
    if not listed:
        raise UnusableVolumeError(_nothing(path, len(files), others, found))
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


def _is_dicom(path: Path, kind: Format | None, *, alone: bool) -> bool:
    """Tell whether a file starts as DICOM, or bears its name; or is all there is to read."""
    if kind is None:
        return True
    if kind in (EMPTY, MAC):
        return False
    return path.suffix.lower() == ".dcm" or (alone and kind is UNKNOWN)


def _words(kind: Format) -> str:
    return f"{kind.name}; if it was a slice, that is missing" if kind is EMPTY else kind.name


def _nothing(path: Path, count: int, others: Counter[Format], found: list[Instance]) -> str:
    """Return that there are no images, what there is instead, and what to do about it."""
    if path.is_file() and found:
        return f"{path.name}: a DICOMDIR, which lists images and holds none; give their folder"
    if path.is_file():
        kind = next(iter(others))
        return f"{path.name}: no DICOM: {kind.name}; {kind.advice or 'expected an image'}"
    there = ", ".join(f"{n} x {kind.name}" for kind, n in others.most_common(MOST_NAMED))
    advice = next((kind.advice for kind, _ in others.most_common() if kind.advice), "")
    told = f"{path.name}: no DICOM images among {count} files"
    return "; ".join(part for part in (told, there, advice) if part)


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

"""Reading DICOM files, and refusing with a reason what cannot be part of a volume."""

import logging
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from radnet.errors import UnusableVolumeError
from radnet.volume.elements import UNDECODABLE, drop_unreadable, refuse_flood
from radnet.volume.header_file import read_header_file

SINGLE_FRAME: Final = frozenset(
    {CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage}
)
MULTI_FRAME: Final = frozenset(
    {
        EnhancedCTImageStorage,
        EnhancedMRImageStorage,
        EnhancedPETImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        LegacyConvertedEnhancedPETImageStorage,
    }
)
CT_CLASSES: Final = frozenset(
    {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}
)


@contextmanager
def quiet_headers() -> Iterator[None]:
    """Silence pydicom's remarks about odd values for the time of a ``with`` block.

    Scanners and archives write values that the standard forbids. pydicom warns of each and logs
    it too, and quotes the value, which may be a patient's name: it must not reach a log.
    """
    silence = _Silence()
    logger = logging.getLogger("pydicom")
    logger.addFilter(silence)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\b.*")
            yield
    finally:
        logger.removeFilter(silence)


class _Silence(logging.Filter):
    """Let errors through and nothing below; one object for each ``with``, they may nest."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR


def read_file(path: Path, *, pixels: bool, only: Sequence[str] | None = None) -> Dataset:
    """Read one DICOM Part 10 file.

    Parameters
    ----------
    path
        The file.
    pixels
        Whether Pixel Data is read, or everything in front of it only.
    only
        Keywords of the elements that are wanted, None for all.

    Returns
    -------
    Dataset

    Raises
    ------
    UnusableVolumeError
        If the file is not DICOM, ends before its end, or cannot be read within bounds: what
        pydicom cannot follow, or has no memory for, is no header.
    """
    try:
        refuse_flood(path)
        with quiet_headers():
            if pixels:
                tags: list[Any] | None = None if only is None else list(only)
                dataset: Dataset = dcmread(path, specific_tags=tags)
            else:
                dataset = read_header_file(path, only)
            drop_unreadable(dataset)
            _named_by_meta(dataset)
            return dataset
    except UnusableVolumeError:
        raise
    except (InvalidDicomError, EOFError, OSError, struct.error, *UNDECODABLE) as error:
        raise UnusableVolumeError(
            f"Instance file {path.name}: cannot be read as DICOM ({type(error).__name__}); "
            "expected a whole Part 10 file."
        ) from error


def _named_by_meta(dataset: Dataset) -> None:
    """Take class and instance from the file's meta group where de-identification emptied them."""
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        uid = dataset.file_meta.get(f"MediaStorage{keyword}")
        if not dataset.get(keyword) and uid:
            setattr(dataset, keyword, uid)


def read_headers(paths: Sequence[Path]) -> list[Dataset]:
    """Read the headers of one series, in the order of `paths`, without Pixel Data.

    Parameters
    ----------
    paths : sequence of Path
        The files of one series.

    Returns
    -------
    list of Dataset

    Raises
    ------
    UnusableVolumeError
        If there is no file, one is not DICOM, or they belong to several series.
    """
    headers, unreadable = readable_headers(paths)
    if unreadable:
        raise unreadable[0]
    return headers


def readable_headers(
    paths: Sequence[Path],
) -> tuple[list[Dataset], list[UnusableVolumeError]]:
    """Read the headers of one series that can be read, and why the others cannot.

    Parameters
    ----------
    paths : sequence of Path
        The files of one series.

    Returns
    -------
    tuple of list of Dataset and list of UnusableVolumeError
        Headers without pixels, in the order of the files.

    Raises
    ------
    UnusableVolumeError
        If there is no file, or they belong to several series.
    """
    if not paths:
        raise UnusableVolumeError("Found no instance; expected the instances of one series.")
    headers: list[Dataset] = []
    unreadable: list[UnusableVolumeError] = []
    for path in paths:
        try:
            headers.append(read_file(path, pixels=False))
        except UnusableVolumeError as error:
            unreadable.append(error)
    series = {str(header.get("SeriesInstanceUID", "")) for header in headers}
    if len(series) > 1:
        raise UnusableVolumeError(
            f"Found the instances of {len(series)} series ({', '.join(sorted(series)[:3])}); "
            "expected one Series Instance UID."
        )
    return headers, unreadable


def first_readable(paths: Iterable[Path]) -> Dataset | None:
    """Return the first header of `paths` that can be read; None where none can.

    Parameters
    ----------
    paths : iterable of Path
        DICOM files.

    Returns
    -------
    Dataset or None
        Without pixels.
    """
    for path in paths:
        with suppress(UnusableVolumeError):
            return read_file(path, pixels=False)
    return None


def series_name(header: Dataset) -> str:
    """Return how messages call the series of `header`: by its UID, the only name without PHI.

    Parameters
    ----------
    header : Dataset
        Of any instance of it.

    Returns
    -------
    str
    """
    return f"Series {header.get('SeriesInstanceUID', 'without UID')}"


def refuse_unusable(headers: Sequence[Dataset]) -> None:
    """Check that the images of a series can be slices of one volume, their positions apart.

    Raises
    ------
    UnusableVolumeError
        With the first reason found: class, size, samples, localizer, differing grids.
    """
    name = series_name(headers[0])
    for header in headers:
        _refuse_class(name, header)
        _refuse_grid(name, header)
    localizers = sum("LOCALIZER" in header.get("ImageType", ()) for header in headers)
    if localizers:
        raise UnusableVolumeError(
            f"{name}: {localizers} of {len(headers)} images are localizers by their Image Type; "
            "expected slices of one volume."
        )
    for keyword in ("Rows", "Columns", "PixelSpacing"):
        found = {_as_text(header.get(keyword)) for header in headers}
        if len(found) > 1:
            raise UnusableVolumeError(
                f"{name}: the images have {len(found)} different values of {keyword} "
                f"({', '.join(sorted(found)[:3])}); expected one."
            )


def _refuse_class(name: str, header: Dataset) -> None:
    uid = header.get("SOPClassUID", "")
    if uid not in SINGLE_FRAME | MULTI_FRAME:
        raise UnusableVolumeError(
            f"{name}: SOP class {getattr(uid, 'name', uid) or 'missing'} found; "
            "expected CT, MR or PET images."
        )


def _refuse_grid(name: str, header: Dataset) -> None:
    rows, columns = header.get("Rows"), header.get("Columns")
    if not rows or not columns:
        raise UnusableVolumeError(
            f"{name}: an image of {rows} rows and {columns} columns found; expected pixels."
        )
    if header.get("SamplesPerPixel", 1) != 1:
        raise UnusableVolumeError(
            f"{name}: {header.SamplesPerPixel} samples per pixel found; expected grey images."
        )
    if header.SOPClassUID in MULTI_FRAME:
        return
    if str(header.get("NumberOfFrames") or 1) != "1":
        raise UnusableVolumeError(
            f"{name}: instance {header.get('SOPInstanceUID')} has {header.NumberOfFrames} frames; "
            "expected one in an image of this SOP class."
        )
    for keyword, count in (
        ("ImagePositionPatient", 3),
        ("ImageOrientationPatient", 6),
        ("PixelSpacing", 2),
    ):
        value = header.get(keyword)
        if not _numbers(value, count):
            raise UnusableVolumeError(
                f"{name}: an image has no usable {keyword}; expected {count} numbers."
            )
    if min(float(value) for value in header.PixelSpacing) <= 0:
        raise UnusableVolumeError(
            f"{name}: Pixel Spacing {list(header.PixelSpacing)} found; expected positive mm."
        )


def value_of(header: Dataset, keyword: str) -> Any:
    """Return an attribute, or None where it is missing or no value of its VR.

    Parameters
    ----------
    header : Dataset
        It may be damaged.
    keyword : str
        DICOM keyword (PS3.6).

    Returns
    -------
    Any
        As pydicom converts it.
    """
    try:
        return header.get(keyword)
    except (*UNDECODABLE, OverflowError):
        return None


def _numbers(value: Any, count: int) -> bool:
    """Tell whether `value` is `count` numbers; pydicom leaves text it cannot parse as text."""
    try:
        return value is not None and len([float(one) for one in value]) == count
    except (TypeError, ValueError):
        return False


def _as_text(value: Any) -> str:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    return "\\".join(f"{float(number):.5g}" for number in value)

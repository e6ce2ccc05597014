"""Which images of a series are the slices of its volume, and what is said of the others.

A series may hold an image of another plane among its slices, or several stacks of slices. Pure:
headers come in. Chosen out of what was chosen, all is chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from radnet.errors import MixedSeriesError
from radnet.volume.agreement import frame_of_reference, makes_volumes, refuse_mixed
from radnet.volume.headers import MULTI_FRAME, value_of
from radnet.volume.stacks import OTHER_PLANE, one_stack, strangers_between

FEW: Final = 8  # slices for each image that is left out: of fewer, nobody knows which are odd


@dataclass(frozen=True)
class Selection:
    """Indices of the images that make the volume, and remarks on the choice, in words."""

    kept: tuple[int, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picked:
    """The files and headers of the images that make the volume, and remarks on the choice."""

    paths: tuple[Path, ...]
    headers: tuple[Dataset, ...]
    remarks: tuple[str, ...] = ()


def pick(paths: Sequence[Path], headers: Sequence[Dataset]) -> Picked:
    """Return what `select` chooses, with the files.

    Parameters
    ----------
    paths : sequence of Path
        The files of one series.
    headers : sequence of Dataset
        Of each file, in the same order.

    Returns
    -------
    Picked
        Those that make the volume, and remarks about what was left out.

    Raises
    ------
    MixedSeriesError
        If the images do not belong together.
    """
    chosen = select(headers)
    return Picked(
        tuple(paths[index] for index in chosen.kept),
        tuple(headers[index] for index in chosen.kept),
        chosen.remarks,
    )


def pick_recognisable(paths: Sequence[Path], headers: Sequence[Dataset]) -> Picked:
    """Return what `pick` does, and all of it where the images do not belong together.

    Their headers may still be read; no volume is made of them.

    Parameters
    ----------
    paths : sequence of Path
        The files of one series.
    headers : sequence of Dataset
        Of each file, in the same order.

    Returns
    -------
    Picked
    """
    try:
        return pick(paths, headers)
    except MixedSeriesError:
        return Picked(tuple(paths), tuple(headers))


def select(headers: Sequence[Dataset]) -> Selection:
    """Choose the images of one series that can be the slices of one volume.

    Left out is a lone image of another plane or size, a localizer, one without a position; and
    of several stacks (echoes, phases, acquisitions) all but the largest. Whether the others are
    a volume is not judged here.

    Parameters
    ----------
    headers
        Of one series, in any order.

    Raises
    ------
    MixedSeriesError
        If the images are not of one patient, study, modality, SOP class, frame of reference.
    """
    refuse_mixed(headers)
    everything = tuple(range(len(headers)))
    if not any(makes_volumes(header) for header in headers):
        return Selection(everything)
    kept = slices_of(headers)
    slices = [headers[index] for index in kept]
    if all(_is_localizer(header) for header in slices):
        return Selection(everything)
    remarks = [_left_out(headers, kept)] if len(kept) < len(headers) else []
    _, untold = frame_of_reference(slices)
    remarks += [untold] if untold else []
    chosen, told = one_stack(slices)
    return Selection(tuple(kept[index] for index in chosen), (*remarks, *told))


def slices_of(headers: Sequence[Dataset]) -> tuple[int, ...]:
    """Return the indices of the images that are not odd; of all, where nobody can tell.

    Parameters
    ----------
    headers : sequence of Dataset
        Of one series.

    Returns
    -------
    tuple of int
        In their order.
    """
    kinds: list[tuple[object, NDArray[np.float64] | None, list[int]]] = []
    for index, header in enumerate(headers):
        form, cosines = _form(header), _cosines(header)
        for known, direction, members in kinds:
            if known == form and _alike(direction, cosines):
                members.append(index)
                break
        else:
            kinds.append((form, cosines, [index]))
    _, direction, most = max(kinds, key=lambda kind: len(kind[2]))
    odd = len(headers) - len(most)
    if direction is None or len(most) < FEW * odd:
        return tuple(range(len(headers)))
    strangers = strangers_between([headers[index] for index in most])
    if len(most) - len(strangers) < FEW * (odd + len(strangers)):
        return tuple(most)
    return tuple(index for at, index in enumerate(most) if at not in strangers)


def _left_out(headers: Sequence[Dataset], kept: Sequence[int]) -> str:
    slices = headers[kept[0]]
    reasons = {_odd(header, slices) for i, header in enumerate(headers) if i not in set(kept)}
    count = len(headers) - len(kept)
    return f"left out {count} of {len(headers)} images: {', '.join(sorted(reasons))}"


def _odd(header: Dataset, slices: Dataset) -> str:
    """Return how one image differs from a slice."""
    if _cosines(header) is None:
        return "without a position"
    if not _alike(_cosines(header), _cosines(slices)):
        return "of another plane than the slices"
    if _form(header) == _form(slices):
        return "of another Image Type than the slices, and between them"
    return "of another size or kind than the slices"


def _form(header: Dataset) -> object:
    """Return what slices of one volume have alike, their plane apart."""
    spacing = _numbers(header, "PixelSpacing", 2)
    return (
        value_of(header, "Rows"),
        value_of(header, "Columns"),
        None if spacing is None else tuple(f"{value:.5g}" for value in spacing),
        _is_localizer(header),
        value_of(header, "PhotometricInterpretation"),
    )


def _is_localizer(header: Dataset) -> bool:
    return "LOCALIZER" in (value_of(header, "ImageType") or ())


def _cosines(header: Dataset) -> NDArray[np.float64] | None:
    """Return the direction cosines of an image that has a place, too."""
    if value_of(header, "SOPClassUID") in MULTI_FRAME:
        return np.zeros(6)  # its frames have
    cosines = _numbers(header, "ImageOrientationPatient", 6)
    return None if _numbers(header, "ImagePositionPatient", 3) is None else cosines


def _alike(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.abs(one - other).max() <= OTHER_PLANE)


def _numbers(header: Dataset, keyword: str, count: int) -> NDArray[np.float64] | None:
    """Return an attribute as finite numbers, or None where it is something else."""
    try:
        values = np.array([float(value) for value in value_of(header, keyword) or ()])
    except (ValueError, TypeError, OverflowError):
        return None
    return values if len(values) == count and np.isfinite(values).all() else None

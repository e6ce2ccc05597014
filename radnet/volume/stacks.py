"""Several stacks of slices in one series: echoes, phases, time points, acquisitions.

They lie at the same places, or between each other, so that positions alone look like one stack.
Attributes alone do not tell either: in an ordinary series each slice may have a time and a
number of its own, and two ranges of the table have two numbers. So both must speak: an
attribute parts the images into groups, and these share places or alternate along the stack.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.multival import MultiValue

from radnet.volume.headers import value_of

SAME_PLACE_MM: Final = 0.01  # positions nearer than this are one place, written twice
OTHER_PLANE: Final = 0.1  # of a direction cosine; what is turned less may be a slice that is off
NUMBERS: Final = (
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "EchoTime",
    "TriggerTime",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "KVP",
    "FrameReferenceTime",
    "TemporalPositionIndex",
    "EffectiveEchoTime",
    "RepetitionTime",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "SliceThickness",
    "ReconstructionDiameter",
    "SeriesNumber",
)
TEXTS: Final = (
    "ImageType",
    "ConvolutionKernel",
    "SequenceName",
    "ContrastBolusAgent",
    "ContrastBolusStartTime",
    "ComplexImageComponent",
    "DiffusionGradientOrientation",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "FilterType",
    "PatientPosition",
    "ProtocolName",
    "SeriesDescription",
    "SeriesTime",
)  # the last ones where a de-identifier or an archive put two series into one
WHEN: Final = (
    "AcquisitionNumber",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "AcquisitionUID",
    "AcquisitionDate",
    "IrradiationEventUID",
    "ContentTime",
    "ContentDate",
)
LEAST: Final = 3  # slices of a group that may be a stack
MOSTLY: Final = 0.8  # of the images stand in such groups
ALTERNATE: Final = 1 / 3  # of the neighbours along the stack are of two groups
RETURNS: Final = 2  # runs along the stack at least of a group that lies in blocks
UNEVEN: Final = 0.05  # of the mean gap: what the gaps of an even stack differ by
BESIDE: Final = 1.5  # of the mean gap: what another stack may reach further

Label = tuple[int, float, str]
NONE: Final[Label] = (-1, 0.0, "")


@dataclass(frozen=True)
class _Part:
    """The images to which an attribute gives one label, out of several."""

    keyword: str
    label: Label
    indices: tuple[int, ...]
    of: int  # how many groups there are


def one_stack(headers: Sequence[Dataset]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the indices of the largest of several stacks, and a remark for each choice.

    Parameters
    ----------
    headers
        Single-frame images of one plane. Where one lacks a place, all of them are one stack.
    """
    kept = tuple(range(len(headers)))
    remarks: list[str] = []
    while (part := _part([headers[index] for index in kept])) is not None:
        remarks.append(_told(part, len(kept)))
        kept = tuple(kept[index] for index in part.indices)
    return kept, tuple(remarks)


def _told(part: _Part, total: int) -> str:
    which = f"that of {part.label[1]:g}" if part.label[0] == 0 else "the largest"
    return (
        f"{part.of} stacks of slices, told apart by {part.keyword}: {which} was used, with "
        f"{len(part.indices)} of {total} images"
    )


def _part(headers: Sequence[Dataset]) -> _Part | None:
    """Return the best of the groups that the first attribute makes which tells stacks apart."""
    along = _along(headers)
    if along is None or len(headers) < 2 * LEAST:
        return None
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    places = np.empty(len(headers), dtype=np.int64)
    places[order] = np.concatenate([[0], np.cumsum(gaps >= SAME_PLACE_MM)])
    shared = bool((gaps < SAME_PLACE_MM).any())
    # an MR volume is often acquired in two passes, the odd slices and then the even ones
    passes = not shared and all(value_of(header, "Modality") == "MR" for header in headers)
    for keyword in (*NUMBERS, *TEXTS) if passes else (*WHEN, *NUMBERS, *TEXTS):
        labels = [_label(header, keyword) for header in headers]
        if len(set(labels)) < 2:
            continue
        if _separates(places, labels) if shared else _alternates([labels[i] for i in order]):
            groups = _grouped(labels)
            for label in sorted(groups, key=lambda one: _rank(places, one, groups[one])):
                if _reaches_all(along, along[groups[label]]):
                    return _Part(keyword, label, tuple(groups[label]), len(groups))
    return None


def _grouped(labels: Sequence[Label]) -> dict[Label, list[int]]:
    groups: dict[Label, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        groups[label].append(index)
    return groups


def _rank(places: NDArray[np.int64], label: Label, indices: list[int]) -> tuple[bool, int, Label]:
    """Prefer one image at each place, then most images, then the first label."""
    again = len(np.unique(places[indices])) < len(indices)
    return again, -len(indices), label


def _separates(places: NDArray[np.int64], labels: Sequence[Label]) -> bool:
    """Tell whether wherever several images share a place, the labels there differ."""
    there: dict[int, set[Label]] = defaultdict(set)
    counts = Counter(int(place) for place in places)
    for place, label in zip(places, labels, strict=True):
        there[int(place)].add(label)
    return all(len(there[place]) > 1 for place, count in counts.items() if count > 1)


def _alternates(labels: Sequence[Label]) -> bool:
    """Tell whether the slices of several groups lie between each other, alone or in blocks.

    Two ranges of the table follow one another, and of the slices of a rotation each has its
    number once; a group that is left and comes back is another stack.
    """
    counts = Counter(labels)
    ranks = [label for label in labels if counts[label] >= LEAST]
    if len(set(ranks)) < 2 or len(ranks) < MOSTLY * len(labels):
        return False
    changes = sum(one != other for one, other in pairwise(ranks))
    if changes > ALTERNATE * (len(ranks) - 1):
        return True
    runs = Counter(label for label, _ in groupby(ranks))
    back = [label for label, count in runs.items() if count >= RETURNS]
    return len(back) > 1 and sum(counts[label] for label in back) >= MOSTLY * len(ranks)


def _reaches_all(along: NDArray[np.float64], chosen: NDArray[np.float64]) -> bool:
    """Tell whether one stack covers what all of them do: else leaving out would lose a part."""
    gaps = np.diff(np.unique(np.round(chosen / SAME_PLACE_MM))) * SAME_PLACE_MM
    if len(chosen) < 2 or not gaps.size:
        return False
    beside = max(BESIDE * float(gaps.mean()), float(gaps.max()))  # blocks lie apart
    return bool(along.min() >= chosen.min() - beside and along.max() <= chosen.max() + beside)


def strangers_between(headers: Sequence[Dataset]) -> frozenset[int]:
    """Return the indices of images of another Image Type that lie off the grid of the others.

    Nothing where the others are not evenly spaced without them, or are with them: then such an
    image may be the slice that is missing there.

    Parameters
    ----------
    headers : sequence of Dataset
        Images of one plane.

    Returns
    -------
    frozenset of int
    """
    kinds = [_label(header, "ImageType") for header in headers]
    usual, count = Counter(kinds).most_common(1)[0]
    along = _along(headers)
    if along is None or count == len(headers) or _even(along) or _shared(along):
        return frozenset()
    of_usual = np.array([kind == usual for kind in kinds])
    return frozenset(np.flatnonzero(~of_usual).tolist() if _even(along[of_usual]) else ())


def _shared(along: NDArray[np.float64]) -> bool:
    """Tell whether two images lie at one place; which of them counts is chosen by `one_stack`."""
    return bool((np.diff(np.sort(along)) < SAME_PLACE_MM).any())


def _even(along: NDArray[np.float64]) -> bool:
    gaps = np.diff(np.sort(along))
    return bool(len(gaps) >= LEAST and np.ptp(gaps) <= UNEVEN * gaps.mean())


def _along(headers: Sequence[Dataset]) -> NDArray[np.float64] | None:
    """Return places in mm along the normal of images of one plane; None where they are not.

    References
    ----------
    DICOM PS3.3 Section C.7.6.2.1.1
    """
    try:
        planes = np.array([[float(v) for v in h.ImageOrientationPatient] for h in headers])
        places = np.array([[float(v) for v in h.ImagePositionPatient] for h in headers])
        along: NDArray[np.float64] = places @ np.cross(planes[0, :3], planes[0, 3:])
    except (AttributeError, TypeError, ValueError, OverflowError, IndexError):
        return None
    alike = np.abs(planes - planes[0]).max() <= OTHER_PLANE
    return along if alike and np.isfinite(along).all() else None


def _label(header: Dataset, keyword: str) -> Label:
    """Return a value that may be compared; of an agent, only whether there is one."""
    value = value_of(header, keyword)
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    text = "" if value is None else text.strip(" \0")
    if keyword == "ContrastBolusAgent":
        return (1, 0.0, "agent") if text else NONE
    if keyword in NUMBERS or keyword == "AcquisitionNumber":
        return _number(text)
    return (1, 0.0, text) if text else NONE


def _number(text: str) -> Label:
    try:
        number = float(text)
    except (ValueError, OverflowError):
        return NONE
    return (0, round(number, 2), "") if np.isfinite(number) else NONE

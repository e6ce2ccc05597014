"""The poster's first table for any scans: per class, with intervals, calibration and confusion."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

import numpy as np
import torch
from monai.metrics.rocauc import compute_roc_auc
from numpy.typing import NDArray

from radnet.evaluation.intervals import Patients, Right, auc_interval, interval, patients_of
from radnet.evaluation.scoring import ScanReport
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region

BINS: Final = 10
POSTER: Final[dict[str, tuple[int | None, float | None, float | None]]] = {
    "T1": (None, 97.8, None),
    "T2-FLAIR": (20, 97.5, 96.5),
    "sequence": (316, 95.9, None),
    "axial": (267, 99.4, 100.0),
    "coronal": (32, 100.0, 100.0),
    "sagittal": (17, 99.4, 100.0),
    "plane": (316, 99.4, None),
    "contrast": (100, 84.8, 91.7),
    "brain": (200, 98.4, 99.9),
    "upper_head_neck": (42, 98.7, 99.7),
    "lower_head_neck": (38, 98.7, 98.7),
    "breast": (82, 98.7, 99.6),
    "liver": (52, 99.1, 99.7),
    "kidney": (None, 98.7, 99.8),
    "intestine": (16, 98.1, 100.0),
    "pelvis": (None, 98.1, None),
    "coverage exact": (316, 91.5, None),
}  # samples, accuracy %, AUC %, as far as they could be read (field/model.md A3)
ALONE: Final = (
    "Pixels alone: Modality (0008,0060) and the size of the voxels are given with them, nothing "
    "else of the header. So sequence is answered, and counted, of MR alone; the poster counts CT, "
    "too. Telling CT from MR would be reading back how the voxels were scaled."
)
"""What a reader must know of every figure of pixels without a header."""


@dataclass(frozen=True)
class Line:
    """One class or head: how many scans, how often right, how well ranked.

    Attributes
    ----------
    samples
        Scans of the class; of a head, scans judged.
    accuracy, low, high
        Share judged rightly (one class against the rest) and its 95 % interval, over patients.
    auc, auc_low, auc_high
        Area under the ROC curve and its interval; nan where only one kind of scan was judged.
    """

    name: str
    samples: int
    judged: int
    accuracy: float
    low: float
    high: float
    auc: float = float("nan")
    auc_low: float = float("nan")
    auc_high: float = float("nan")


@dataclass(frozen=True)
class _Judged:
    """The scans whose truth in one head is known, and whose they are."""

    scans: Sequence[ScanReport]
    patients: Patients

    @classmethod
    def of(cls, scans: Sequence[ScanReport]) -> Self:
        return cls(scans, patients_of([one.patient for one in scans]))


def _line(
    name: str, judged: _Judged, truth: Right, said: Right, scores: NDArray[np.float64]
) -> Line:
    right = truth == said
    low, high = interval(right, judged.patients)
    line = Line(name, int(truth.sum()), len(truth), float(right.mean()), low, high)
    if truth.all() or not truth.any():
        return line
    pair = torch.from_numpy(scores), torch.from_numpy(truth.astype(np.int64))
    auc = float(compute_roc_auc(*pair))  # type: ignore[arg-type]
    auc_low, auc_high = auc_interval(truth, scores, judged.patients)
    return replace(line, auc=auc, auc_low=auc_low, auc_high=auc_high)


def scorecard(found: Sequence[ScanReport]) -> list[Line]:
    """Return the lines of the poster's first table, as far as the truth of the scans reaches."""
    lines: list[Line] = []
    asked: dict[str, Iterable[StrEnum]] = {"sequence": MR_SEQUENCES, "plane": Plane}
    for head, classes in asked.items():
        judged = _Judged.of(
            [
                one
                for one in found
                if getattr(one.scan, head) is not None and getattr(one.prediction, head)
            ]
        )
        if not judged.scans:
            continue
        truth = [str(getattr(one.scan, head)) for one in judged.scans]
        said = [_top(getattr(one.prediction, head)) for one in judged.scans]
        for label in classes:
            scores = np.array([getattr(one.prediction, head)[label] for one in judged.scans])
            is_it, was_said = _are(truth, label), _are(said, label)
            if is_it.any() or was_said.any():
                lines.append(_line(str(label), judged, is_it, was_said, scores))
        lines.append(_total(head, judged, np.array(truth) == np.array(said)))
    lines += _contrast(found)
    lines += _coverage(_Judged.of([one for one in found if one.scan.coverage_whole]))
    return lines


def _top(spread: dict[str, float]) -> str:
    return str(max(spread, key=lambda name: spread[name]))


def _are(names: list[str], label: str) -> Right:
    return np.array([name == label for name in names], bool)


def _total(name: str, judged: _Judged, right: Right) -> Line:
    low, high = interval(right, judged.patients)
    return Line(name, len(right), len(right), float(right.mean()), low, high)


def _contrast(found: Sequence[ScanReport]) -> list[Line]:
    judged = _Judged.of([one for one in found if one.scan.contrast is not None])
    if not judged.scans:
        return []
    scores = np.array([one.prediction.contrast[Contrast.CONTRAST] for one in judged.scans])
    truth = _are([str(one.scan.contrast) for one in judged.scans], Contrast.CONTRAST)
    return [_line("contrast", judged, truth, scores > 0.5, scores)]


def _coverage(judged: _Judged) -> list[Line]:
    if not judged.scans:
        return []
    lines, exact = [], np.ones(len(judged.scans), bool)
    for region in Region:
        scores = np.array([one.prediction.coverage[region] for one in judged.scans])
        truth = np.array([region in one.scan.coverage for one in judged.scans], bool)
        exact &= truth == (scores > 0.5)
        lines.append(_line(str(region), judged, truth, scores > 0.5, scores))
    return [*lines, _total("coverage exact", judged, exact)]


def calibration(found: Sequence[ScanReport]) -> tuple[float, list[tuple[float, float, int]]]:
    """Return the expected calibration error of the class heads and its bins.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.

    Returns
    -------
    tuple
        The error, NaN where nothing was answered, and (mean probability, share right, count) of
        each bin that is not empty.
    """
    verdicts = [v for one in found for v in one.verdicts if v.head not in set(Region)]
    sure = np.array([verdict.probability for verdict in verdicts])
    right = np.array([verdict.right for verdict in verdicts], bool)
    bins: list[tuple[float, float, int]] = []
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        inside = (sure > low) & (sure <= high)
        if inside.any():
            mean, share = float(sure[inside].mean()), float(right[inside].mean())
            bins.append((mean, share, int(inside.sum())))
    total = sum(count for _, _, count in bins)
    if not total:
        return float("nan"), bins
    return sum(abs(p - share) * count for p, share, count in bins) / total, bins


def confusion(found: Sequence[ScanReport], head: str) -> Counter[tuple[str, str]]:
    """Return how often each (truth, said) of a head occurred."""
    verdicts = (verdict for one in found for verdict in one.verdicts)
    return Counter((one.truth, one.said) for one in verdicts if one.head == head)

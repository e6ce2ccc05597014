"""The poster's first table for any scans: per class, with intervals, calibration and confusion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from monai.metrics.rocauc import compute_roc_auc
from numpy.typing import NDArray

from radnet.evaluation.scoring import ScanReport
from radnet.labels.vocabulary import Contrast, Plane, Region
from radnet.labels.vocabulary import Sequence as Weighting

DRAWS: Final = 1000
LOW, HIGH = 2.5, 97.5  # percentiles of the bootstrap: a 95 % interval
BINS: Final = 10
POSTER: Final[dict[str, tuple[int | None, float | None, float | None]]] = {
    "CT": (None, 100.0, 100.0),
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

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """One class or head: how many scans, how often right, how well ranked.

    Attributes
    ----------
    samples
        Scans of the class; of a head, scans judged.
    accuracy, low, high
        Share judged rightly (one class against the rest) and its 95 % bootstrap interval.
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


def interval(right: Right, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a share, by bootstrap over scans.

    Where all are right, or all wrong, a bootstrap knows no doubt: there the exact binomial bound
    (Clopper and Pearson) stands, 54 to 100 % for six right of six.
    """
    if right.all() or not right.any():
        bound = (1 - HIGH / 100) ** (1 / len(right))
        return (bound, 1.0) if right.all() else (0.0, 1 - bound)
    draws = np.random.default_rng(seed).integers(0, len(right), (DRAWS, len(right)))
    shares = right[draws].mean(axis=1)
    return float(np.percentile(shares, LOW)), float(np.percentile(shares, HIGH))


def auc_interval(truth: Right, scores: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of an area under the ROC curve, by bootstrap over scans.

    Where the ranking is perfect, or perfectly wrong, a bootstrap knows no doubt: there the exact
    bound of as many independent pairs as there are scans of the rarer kind stands.
    """
    rarer = int(min(truth.sum(), (~truth).sum()))
    _, place = np.unique(scores, return_inverse=True)
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, len(truth), len(truth))
        if truth[drawn].any() and not truth[drawn].all():
            areas.append(_area(place[drawn], truth[drawn]))
    low, high = float(np.percentile(areas, LOW)), float(np.percentile(areas, HIGH))
    if low == high:
        bound = (1 - HIGH / 100) ** (1 / rarer)
        return (bound, 1.0) if high == 1 else (0.0, 1 - bound)
    return low, high


def _area(place: NDArray[np.int64], truth: Right) -> float:
    """Return the share of pairs ranked rightly, ties counted half; `place` counts from 0."""
    size = int(place.max()) + 1
    yes = np.bincount(place[truth], minlength=size)
    no = np.bincount(place[~truth], minlength=size)
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))


def _line(name: str, truth: Right, said: Right, scores: NDArray[np.float64] | None) -> Line:
    right = truth == said
    low, high = interval(right)
    line = Line(name, int(truth.sum()), len(truth), float(right.mean()), low, high)
    if scores is None or truth.all() or not truth.any():
        return line
    pair = torch.from_numpy(scores), torch.from_numpy(truth.astype(np.int64))
    auc = float(compute_roc_auc(*pair))  # type: ignore[arg-type]
    auc_low, auc_high = auc_interval(truth, scores)
    return replace(line, auc=auc, auc_low=auc_low, auc_high=auc_high)


def scorecard(found: Sequence[ScanReport]) -> list[Line]:
    """Return the lines of the poster's first table, as far as the truth of the scans reaches."""
    lines: list[Line] = []
    for head, classes in (("sequence", Weighting), ("plane", Plane)):
        judged = [one for one in found if getattr(one.scan, head) is not None]
        if not judged:
            continue
        truth = [str(getattr(one.scan, head)) for one in judged]
        said = [_top(getattr(one.prediction, head)) for one in judged]
        for label in classes:
            scores = np.array([getattr(one.prediction, head)[label] for one in judged])
            is_it, was_said = _are(truth, label), _are(said, label)
            if is_it.any() or was_said.any():
                lines.append(_line(str(label), is_it, was_said, scores))
        lines.append(_total(head, np.array(truth) == np.array(said)))
    lines += _contrast(found)
    lines += _coverage([one for one in found if one.scan.coverage_whole])
    return lines


def _top(spread: dict[str, float]) -> str:
    return str(max(spread, key=lambda name: spread[name]))


def _are(names: list[str], label: str) -> Right:
    return np.array([name == label for name in names], bool)


def _total(name: str, right: Right) -> Line:
    low, high = interval(right)
    return Line(name, len(right), len(right), float(right.mean()), low, high)


def _contrast(found: Sequence[ScanReport]) -> list[Line]:
    judged = [one for one in found if one.scan.contrast is not None]
    if not judged:
        return []
    scores = np.array([one.prediction.contrast[Contrast.CONTRAST] for one in judged])
    truth = _are([str(one.scan.contrast) for one in judged], Contrast.CONTRAST)
    return [_line("contrast", truth, scores > 0.5, scores)]


def _coverage(judged: Sequence[ScanReport]) -> list[Line]:
    if not judged:
        return []
    lines, exact = [], np.ones(len(judged), bool)
    for region in Region:
        scores = np.array([one.prediction.coverage[region] for one in judged])
        truth = np.array([region in one.scan.coverage for one in judged], bool)
        exact &= truth == (scores > 0.5)
        lines.append(_line(str(region), truth, scores > 0.5, scores))
    return [*lines, _total("coverage exact", exact)]


def calibration(found: Sequence[ScanReport]) -> tuple[float, list[tuple[float, float, int]]]:
    """Return the expected calibration error of the class heads and its bins.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.

    Returns
    -------
    tuple
        The error, and (mean probability, share right, count) of each bin that is not empty.
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
    total = max(1, sum(count for _, _, count in bins))
    return sum(abs(p - share) * count for p, share, count in bins) / total, bins


def confusion(found: Sequence[ScanReport], head: str) -> dict[tuple[str, str], int]:
    """Return how often each (truth, said) of a head occurred."""
    counts: dict[tuple[str, str], int] = {}
    for one in found:
        for verdict in one.verdicts:
            if verdict.head == head:
                key = (verdict.truth, verdict.said)
                counts[key] = counts.get(key, 0) + 1
    return counts

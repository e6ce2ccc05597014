"""How sure a figure is: 95 % intervals by bootstrap over patients.

Series of one patient are alike: whoever is right on one of them is right on the next. Drawn one by
one they promise more than they know, so that whole patients are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

DRAWS: Final = 1000
LOW, HIGH = 2.5, 97.5  # percentiles of the bootstrap: a 95 % interval

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Patients:
    """Whose each of the scans is.

    Attributes
    ----------
    of
        (N,) number of the patient of each scan, from 0.
    count
        How many patients there are.
    """

    of: NDArray[np.int64]
    count: int


def patients_of(names: Sequence[str]) -> Patients:
    """Return whose each scan is, numbered in the order of their first scans.

    Parameters
    ----------
    names
        The patient of each scan; one that is called '' has no other scan.

    Returns
    -------
    Patients
    """
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(name or f"\0{at}", len(numbers)) for at, name in enumerate(names)]
    return Patients(np.array(found, np.int64), len(numbers))


def patient_mean(values: Sequence[float], names: Sequence[str]) -> float:
    """Return the mean over patients of the mean over each one's scans.

    Parameters
    ----------
    values
        One of each scan; at least one.
    names
        The patient of each scan, as of `patients_of`.

    Returns
    -------
    float
    """
    whose = patients_of(names)
    scans = np.bincount(whose.of, minlength=whose.count)
    sums = np.bincount(whose.of, np.asarray(values, np.float64), minlength=whose.count)
    return float((sums / scans).mean())


def interval(right: Right, patients: Patients, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a share, by bootstrap over patients.

    Where a bootstrap knows no doubt, because all are right or all patients alike, the exact
    binomial bound (Clopper and Pearson) of as many answers as there are patients stands: 54 to
    100 % for six right of six.
    """
    count = np.bincount(patients.of, minlength=patients.count)
    good = np.bincount(patients.of[right], minlength=patients.count)
    shape = (DRAWS, patients.count)
    draws = np.random.default_rng(seed).integers(0, patients.count, shape)
    shares = good[draws].sum(axis=1) / count[draws].sum(axis=1)
    low, high = float(np.percentile(shares, LOW)), float(np.percentile(shares, HIGH))
    return exact(float(right.mean()), patients.count) if low == high else (low, high)


def exact(share: float, count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share of `count` independent answers."""
    right = share * count
    low = float(beta.ppf(LOW / 100, right, count - right + 1)) if right > 0 else 0.0
    high = float(beta.ppf(HIGH / 100, right + 1, count - right)) if right < count else 1.0
    return low, high


def auc_interval(
    truth: Right, scores: NDArray[np.float64], patients: Patients, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of an area under the ROC curve, by bootstrap over patients.

    Where a bootstrap knows no doubt, as of a perfect ranking, the exact bound of as many
    independent pairs as there are patients of the rarer kind stands.
    """
    rarer = min(len(set(patients.of[truth])), len(set(patients.of[~truth])))
    _, place = np.unique(scores, return_inverse=True)
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, patients.count, patients.count)
        weight = np.bincount(drawn, minlength=patients.count)[patients.of]
        if weight[truth].any() and weight[~truth].any():
            areas.append(_area(place, truth, weight))
    low, high = float(np.percentile(areas, LOW)), float(np.percentile(areas, HIGH))
    return exact(areas[0], rarer) if low == high else (low, high)


def _area(place: NDArray[np.int64], truth: Right, weight: NDArray[np.int64]) -> float:
    """Return the share of pairs ranked rightly, ties counted half; `place` counts from 0."""
    size = int(place.max()) + 1
    yes = np.bincount(place[truth], weight[truth], minlength=size)
    no = np.bincount(place[~truth], weight[~truth], minlength=size)
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))

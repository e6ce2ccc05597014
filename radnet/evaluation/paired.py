"""Differences of two ways to train, over the same seeds and the same held-out patients.

Both seeds and patients are drawn from many: the interval is about other seeds and other patients.
Their variances add up, each over its own number (Owen 2007, on crossed random effects; what seeds
and patients share is counted in both, which errs on the wide side), with Student's t for the few
that there are (Satterthwaite).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

WRONG: Final = 0.05  # in all comparisons of a table together
MOST: Final = 10_000  # patients, or seeds, that are thought of


@dataclass(frozen=True)
class PairedDifference:
    """What one row differs from the reference by.

    Attributes
    ----------
    mean, low, high
        Of the differences, and the interval; nan bounds where there is one patient alone.
    seeds, patients
        How many there were.
    needed
        The size of a mean difference that would tell the rows apart, of as many seeds and
        patients; nan as above.
    patients_needed, seeds_needed
        How many patients, or else seeds, would tell them apart if the mean stayed; None: no
        number would, or nothing is known of it.
    """

    mean: float
    low: float
    high: float
    seeds: int
    patients: int
    needed: float
    patients_needed: int | None
    seeds_needed: int | None

    @property
    def significant(self) -> bool:
        """Return whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def difference(
    one: NDArray[np.float64], reference: NDArray[np.float64], comparisons: int = 1
) -> PairedDifference:
    """Return the mean difference of two rows with its interval.

    Parameters
    ----------
    one, reference
        (seeds, patients) the same figure of both.
    comparisons
        Rows that are compared with the reference: the intervals hold together with 95 %
        (Bonferroni).

    Returns
    -------
    PairedDifference
    """
    apart = one - reference
    seeds, patients = apart.shape
    mean = float(apart.mean())
    if patients < 2:
        nan = float("nan")
        return PairedDifference(mean, nan, nan, seeds, patients, nan, None, None)
    spread = _Spread(
        float(apart.mean(axis=0).var(ddof=1)),
        float(apart.mean(axis=1).var(ddof=1)) if seeds > 1 else 0.0,
        WRONG / max(1, comparisons),
    )
    half = spread.half(patients, seeds)
    more_patients = (n for n in _numbers(patients) if abs(mean) > spread.half(n, seeds))
    more_seeds = (n for n in _numbers(seeds) if abs(mean) > spread.half(patients, n))
    return PairedDifference(
        mean,
        mean - half,
        mean + half,
        seeds,
        patients,
        half,
        next(more_patients, None),
        next(more_seeds, None) if seeds > 1 else None,
    )


@dataclass(frozen=True)
class _Spread:
    """Variances of the mean difference among patients and among seeds."""

    of_patients: float
    of_seeds: float
    wrong: float

    def half(self, patients: int, seeds: int) -> float:
        """Return half the width of the interval with so many of both."""
        parts = self.of_patients / patients, self.of_seeds / seeds
        total = sum(parts)
        if not total:
            return 0.0
        freedom = total**2 / (parts[0] ** 2 / (patients - 1) + parts[1] ** 2 / max(1, seeds - 1))
        return float(student.ppf(1 - self.wrong / 2, freedom) * np.sqrt(total))


def _numbers(least: int) -> list[int]:
    """Return numbers to try, each a little larger than the one before."""
    steps = np.geomspace(least, max(MOST, least), 200).round().astype(int)
    return sorted({least, *steps.tolist()})


def sentence(found: PairedDifference, unit: float = 100.0) -> str:
    """Return what a row would need to be told from the reference.

    Parameters
    ----------
    found : PairedDifference
        Of that row.
    unit
        Figures are multiplied by it.

    Returns
    -------
    str
        Half a sentence, without a full stop.
    """
    if np.isnan(found.needed):
        return "one held-out patient tells nothing of others"
    alone = " (of one seed: nothing is known of others)" if found.seeds < 2 else ""
    have = f"{found.patients} patients and {found.seeds} seed{'s' if found.seeds > 1 else ''}"
    if found.significant:
        return f"told apart by {have}{alone}"
    least = f"needs {unit * found.needed:.1f} points with {have}{alone}"
    would = [
        f"about {count:,} {what}"
        for count, what in ((found.patients_needed, "patients"), (found.seeds_needed, "seeds"))
        if count is not None
    ]
    return f"{least}; as found, {' or '.join(would) or 'neither more patients nor more seeds'}"

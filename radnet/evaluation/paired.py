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
    more_patients, more_seeds = _numbers(patients), _numbers(seeds)
    enough_patients = abs(mean) > spread.halves(more_patients, seeds)
    enough_seeds = abs(mean) > spread.halves(patients, more_seeds)
    return PairedDifference(
        mean,
        mean - half,
        mean + half,
        seeds,
        patients,
        half,
        _first(more_patients, enough_patients),
        _first(more_seeds, enough_seeds) if seeds > 1 else None,
    )


@dataclass(frozen=True)
class _Spread:
    """Variances of the mean difference among patients and among seeds."""

    of_patients: float
    of_seeds: float
    wrong: float

    def half(self, patients: int, seeds: int) -> float:
        """Return half the width of the interval with so many of both."""
        return float(self.halves(patients, np.array([seeds]))[0])

    def halves(
        self, patients: int | NDArray[np.int64], seeds: int | NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return half the widths with so many of one and each number of the other.

        One call for all: a quantile alone costs a fifth of a millisecond, nearly all of it in
        what scipy does around it.
        """
        of_patients, of_seeds = self.of_patients / patients, self.of_seeds / seeds
        total = np.asarray(of_patients + of_seeds)
        if not total.all():
            return np.zeros(total.shape)
        freedom = total**2 / (
            of_patients**2 / (patients - 1) + of_seeds**2 / np.maximum(1, seeds - 1)
        )
        found: NDArray[np.float64] = student.ppf(1 - self.wrong / 2, freedom) * np.sqrt(total)
        return found


def _numbers(least: int) -> NDArray[np.int64]:
    """Return numbers to try, each a little larger than the one before."""
    steps = np.geomspace(least, max(MOST, least), 200).round().astype(np.int64)
    return np.union1d(steps, [least])


def _first(numbers: NDArray[np.int64], enough: NDArray[np.bool_]) -> int | None:
    """Return the least number that is enough, None where none is."""
    return int(numbers[enough][0]) if enough.any() else None


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

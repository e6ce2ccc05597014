"""The rows of the poster's Tables 2 and 3, and what was measured in each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from radnet.evaluation.liver_score import Score
from radnet.inference.preparation import Array


@dataclass(frozen=True)
class Arm:
    """One row of a table: what is frozen, whether the encoder is transferred, share of data."""

    name: str
    freeze: str = "none"
    transferred: bool = True
    share: float = 1.0


@dataclass(frozen=True)
class Poster:
    """What the poster prints for a row, in %."""

    mean_dice: float
    mean_iou: float
    median_dice: float
    median_iou: float


FREEZE: Final = (
    Arm("all", "all"),
    Arm("block 3", "block3"),
    Arm("block 2", "block2"),
    Arm("block 1", "block1"),
    Arm("weights only"),
    Arm("none (no transfer)", transferred=False),
)  # the poster's Table 2
FRACTION: Final = tuple(
    Arm(f"{share:.0%}", "all", share=share) for share in (1.0, 0.8, 0.6, 0.4, 0.2)
)  # the poster's Table 3
POSTER: Final = {
    "all": Poster(90.0, 80.7, 90.0, 81.8),
    "block 3": Poster(72.1, 59.7, 81.0, 68.1),
    "block 2": Poster(84.3, 76.8, 90.3, 82.3),
    "block 1": Poster(77.6, 65.1, 81.8, 69.3),
    "weights only": Poster(44.8, 38.1, 43.0, 27.4),
    "none (no transfer)": Poster(41.8, 38.0, 43.0, 27.3),
    "100%": Poster(90.0, 81.6, 90.1, 82.0),
    "80%": Poster(84.7, 75.0, 89.0, 80.0),
    "60%": Poster(84.2, 73.9, 87.2, 77.3),
    "40%": Poster(87.0, 77.9, 90.9, 83.4),
    "20%": Poster(80.0, 69.3, 86.5, 76.1),
}  # field/poster-ocr.txt; 60 % and 20 % by their place, for the words are lost


@dataclass(frozen=True)
class Trial:
    """One training of one arm, and its scores on the held-out cases.

    Attributes
    ----------
    cases, patients
        Of the scores, in their order; a case whose patient nobody tells stands for itself.
    told
        Of the training: steps, skipped, losses, seconds.
    """

    arm: str
    seed: int
    trained_on: int
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    scores: tuple[Score, ...]
    told: dict[str, Any]


@dataclass(frozen=True)
class ArmScores:
    """All trials of one arm, seed by seed, each on the same held-out cases."""

    arm: Arm
    trials: tuple[Trial, ...]

    @property
    def scores(self) -> tuple[Score, ...]:
        """Return the scores of all cases, seed by seed."""
        return tuple(score for trial in self.trials for score in trial.scores)

    @property
    def trained_on(self) -> int:
        """Return from how many cases each trial learned."""
        return self.trials[0].trained_on

    @property
    def livers(self) -> int:
        """Return how many cases have a liver."""
        return sum(score.liver for score in self.scores)

    @property
    def missed(self) -> int:
        """Return of how many livers nothing was found: they have no surface distance."""
        return sum(score.liver and not np.isfinite(score.hd95_mm) for score in self.scores)

    def over_seeds(self, name: str) -> tuple[float, float]:
        """Return the least and the largest mean of one figure among the seeds."""
        each = np.array([getattr(score, name) for score in self.scores], np.float32)
        means = each.reshape(len(self.trials), -1).mean(axis=1)
        return float(means.min()), float(means.max())

    def of(self, name: str, statistic: Callable[[Array], np.floating]) -> float:
        """Return a statistic of one figure over the cases, nan left out."""
        values = np.array([getattr(score, name) for score in self.scores], np.float32)
        values = values[np.isfinite(values)]
        return float(statistic(values)) if values.size else float("nan")

    def by_patient(self, name: str) -> NDArray[np.float64]:
        """Return (seeds, patients) one figure, the mean over the cases of each patient."""
        whose = self.trials[0].patients
        each = np.array([getattr(score, name) for score in self.scores], np.float64)
        table = each.reshape(len(self.trials), -1)
        mine = [[at for at, who in enumerate(whose) if who == one] for one in dict.fromkeys(whose)]
        return np.stack([table[:, places].mean(axis=1) for places in mine], axis=1)

"""What a training reports while it runs: plain events, whoever shows or keeps them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What a training is about to do, before its steps and after them."""

    READING = "Drawing phantoms and reading scans"
    CALIBRATING = "Calibrating"
    SCORING = "Scoring held-out scans"


@dataclass(frozen=True)
class Began:
    """A stage that takes a while; it ends with the next event."""

    stage: Stage


@dataclass(frozen=True)
class Preparing:
    """How many series of a manifest are prepared, of how many."""

    done: int
    total: int


@dataclass(frozen=True)
class SeriesCounted:
    """The series of a manifest: to learn from, to validate on, and why others are left out."""

    learn: int
    validate: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Stepped:
    """A step was made: the share of the steps or of the time, and the mean of the last losses."""

    share: float
    loss: float | None  # None: no loss was a number


@dataclass(frozen=True)
class Unheard:
    """How many calls MLflow did not hear, and what the last of them met."""

    calls: int
    reason: str


@dataclass(frozen=True)
class LearnedBefore:
    """How many scans to judge by the weights to begin with learned from, of how many."""

    known: int
    scans: int


TrainingEvent = Began | Preparing | SeriesCounted | LearnedBefore | Stepped | Unheard
Report = Callable[[TrainingEvent], None]


def silent(_event: TrainingEvent) -> None:
    """Report to nobody."""

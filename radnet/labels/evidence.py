"""What a label is made of: evidence, and the verdict that weighs it.

A weight is a log-odds contribution in nats: evidence of weight 3 makes a value about twenty
times as likely. Weights for one value add up; `weigh` turns them into probabilities by a
softmax in which "unknown" has weight 0, so that weak evidence alone never passes.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

HEADS: Final = ("sequence", "plane", "contrast", "coverage", "localizer", "derived")
THRESHOLD: Final = 0.8  # a label less probable than this is unknown
WORTH_SAYING: Final = 1.0  # weaker evidence for another value is no conflict


@dataclass(frozen=True)
class Evidence:
    """One reason for a value: the rule, the attribute it read and what stood there."""

    value: str
    weight: float
    rule: str
    attribute: str
    found: str


@dataclass(frozen=True)
class Label:
    """One label of a series: its value, '' where unknown, and everything that was weighed.

    Attributes
    ----------
    value
        A term of `radnet.labels.vocabulary`; regions are joined by ``;``, head to foot;
        localizer and derived are ``0`` or ``1``. '' is unknown.
    confidence
        Probability of `value`, or of the best candidate where that is below the threshold.
    evidence
        For `value` first, then against it.
    conflicts
        One sentence for each value that other evidence spoke for.
    """

    value: str = ""
    confidence: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    conflicts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the label is known."""
        return bool(self.value)


@dataclass(frozen=True)
class SeriesLabels:
    """All labels of one series, and the two figures that geometry gives.

    Attributes
    ----------
    regions
        Probability of every region that any source spoke of; empty where all were silent.
    oblique_degrees
        Angle between the slice normal and the nearest axis of the patient.
    slice_spacing_mm
        Median distance of neighbouring slices along their normal.
    """

    sequence: Label = Label()
    plane: Label = Label()
    contrast: Label = Label()
    coverage: Label = Label()
    localizer: Label = Label()
    derived: Label = Label()
    regions: Mapping[str, float] = field(default_factory=dict)
    oblique_degrees: float | None = None
    slice_spacing_mm: float | None = None


def weigh(evidence: Iterable[Evidence], threshold: float = THRESHOLD) -> Label:
    """Return the label that `evidence` speaks for; unknown where it is weak or divided."""
    told = tuple(evidence)
    scores: dict[str, float] = defaultdict(float)
    for item in told:
        scores[item.value] += item.weight
    if not scores:
        return Label()
    best = max(scores, key=lambda value: scores[value])
    top = max(0.0, *scores.values())
    total = math.exp(-top) + sum(math.exp(score - top) for score in scores.values())
    confidence = math.exp(scores[best] - top) / total
    ordered = tuple(sorted(told, key=lambda item: (item.value != best, -item.weight)))
    conflicts = tuple(
        f"{item.attribute} says {item.value or 'none'} ('{item.found}', rule {item.rule})"
        for item in ordered
        if item.value != best and item.weight >= WORTH_SAYING
    )
    value = best if confidence >= threshold else ""
    return Label(value, confidence, ordered, conflicts)

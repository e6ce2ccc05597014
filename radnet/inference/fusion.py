"""Two witnesses of one scan, header and pixels, weighed into one answer. Pure.

Witnesses that err independently multiply: for one class of several the product of their
probabilities, normalised; for one region yes or no, the sum of their log-odds. Where one is
silent the other stands alone; where neither is sure enough the answer is unknown. Pixels that are
strange to the network are no witness; that they contradict the header is still told.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from radnet.inference.classifier import Prediction
from radnet.labels.evidence import Label, SeriesLabels
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence

FLOOR: Final = 1e-4  # no witness is ever certain
SURE_PIXELS: Final = 0.8  # pixels less sure than this do not contradict a header
CLASS_HEADS: Final[dict[str, type[StrEnum]]] = {
    "sequence": Sequence,
    "plane": Plane,
    "contrast": Contrast,
}


@dataclass(frozen=True)
class Answer:
    """The fused answer of one head of classes; `value` None means unknown."""

    value: str | None
    probability: float  # of the most probable class, also where that is not sure enough
    spread: dict[str, float]


@dataclass(frozen=True)
class Fused:
    """Everything both witnesses say together.

    Attributes
    ----------
    classes
        Head to answer.
    regions
        Probability of each region; empty where both are silent.
    covered
        Regions that are probable enough; None where both are silent.
    regions_unknown
        Regions of which nobody can tell whether they are covered; the rest is not.
    disagreements
        Heads in which a header that speaks and pixels that are sure say different things.
    """

    classes: dict[str, Answer]
    regions: dict[str, float]
    covered: list[str] | None
    regions_unknown: list[str]
    disagreements: tuple[str, ...]


def spread_of(label: Label, classes: list[str]) -> dict[str, float]:
    """Return a header's word as a distribution: the rest shares what confidence is left."""
    if label.value not in classes:
        return dict.fromkeys(classes, 1 / len(classes))
    rest = (1 - label.confidence) / (len(classes) - 1)
    return {name: label.confidence if name == label.value else rest for name in classes}


def fuse_classes(header: Mapping[str, float], pixels: Mapping[str, float]) -> dict[str, float]:
    """Return the normalised product of two distributions over the same classes."""
    product = {name: max(header[name], FLOOR) * max(pixels[name], FLOOR) for name in header}
    total = sum(product.values())
    return {name: value / total for name, value in product.items()}


def fuse_odds(header: float | None, pixels: float | None) -> float:
    """Return the probability that two independent witnesses of one yes/no question give."""
    odds = 0.0
    for probability in (header, pixels):
        if probability is not None:
            bounded = min(max(probability, FLOOR), 1 - FLOOR)
            odds += math.log(bounded / (1 - bounded))
    return 1 / (1 + math.exp(-odds))


def fuse_witnesses(header: SeriesLabels, pixels: Prediction | None, unknown_below: float) -> Fused:
    """Return what header and pixels say together.

    Parameters
    ----------
    header
        What the header says; empty labels where there is none.
    pixels
        What the network says; None where the images make no volume.
    unknown_below
        An answer less probable than this is unknown.
    """
    classes: dict[str, Answer] = {}
    against = _disagreements(header, pixels)
    if pixels is not None and pixels.strange:
        pixels = None
    for head, labels in CLASS_HEADS.items():
        names = [str(label) for label in labels]
        said: Label = getattr(header, head)
        seen = _pixels(pixels, head) or dict.fromkeys(names, 1 / len(names))
        fused = fuse_classes(spread_of(said, names), seen)
        best = max(fused, key=lambda name: fused[name])
        needed = unknown_below
        if pixels is not None and not said:  # pixels alone: only where they are right often enough
            needed = max(needed, pixels.answer_above.get(head, 0.0))
        value = best if fused[best] >= needed else None
        classes[head] = Answer(value, fused[best], fused)
    if not header.regions and pixels is None:
        return Fused(classes, {}, None, [str(region) for region in Region], against)
    regions = {
        str(region): fuse_odds(
            header.regions.get(region), pixels.coverage[region] if pixels else None
        )
        for region in Region
    }
    covered, unknown = _answered(regions, header, pixels, unknown_below)
    return Fused(classes, regions, covered, unknown, against)


def _answered(
    regions: Mapping[str, float],
    header: SeriesLabels,
    pixels: Prediction | None,
    unknown_below: float,
) -> tuple[list[str], list[str]]:
    """Return the regions that are covered, and those of which it is unknown.

    Where pixels speak alone, only where they are right often enough, of either answer.
    """
    covered, unknown = [], []
    for name, p in regions.items():
        above, below = unknown_below, 1 - unknown_below
        if pixels is not None and name not in header.regions:
            above = max(above, pixels.covered_above.get(name, 0.0))
            below = min(below, pixels.covered_below.get(name, 1.0))
        if p >= above:
            covered.append(name)
        elif p > below:
            unknown.append(name)
    return covered, unknown


def _pixels(prediction: Prediction | None, head: str) -> dict[str, float] | None:
    if prediction is None:
        return None
    return {str(name): float(p) for name, p in getattr(prediction, head).items()}


def _disagreements(header: SeriesLabels, pixels: Prediction | None) -> tuple[str, ...]:
    """Return the heads in which a header that speaks and pixels that are sure differ."""
    against = []
    for head in CLASS_HEADS:
        said: Label = getattr(header, head)
        seen = _pixels(pixels, head)
        if said and seen:
            top = max(seen, key=lambda name: seen[name])
            if top != said.value and seen[top] >= SURE_PIXELS:
                against.append(head)
    if _regions_disagree(header, pixels):
        against.append("coverage")
    return tuple(against)


def _regions_disagree(header: SeriesLabels, pixels: Prediction | None) -> bool:
    """Tell whether pixels are sure of a region that the header excludes, or the reverse."""
    if pixels is None or not header.coverage:
        return False
    return any(
        (header.regions[region] > 0.5) != (p > 0.5) and max(p, 1 - p) >= SURE_PIXELS
        for region, p in pixels.coverage.items()
    )

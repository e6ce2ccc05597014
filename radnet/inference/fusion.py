"""Two witnesses of one scan, header and pixels, weighed into one answer. Pure.

A header that speaks is never reversed by pixels: they make it surer or less sure, by so much as
real scans support (`support.py`), and may leave it unknown. The orientation of the slices decides
the plane, an agent that is named the contrast. Where the header is silent the pixels stand alone;
where neither is sure enough the answer is unknown. Pixels that are strange to the network are no
witness; that they contradict the header is told in any case.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from radnet.inference.classifier import Prediction
from radnet.inference.support import Word
from radnet.labels.evidence import Label, SeriesLabels
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence

FLOOR: Final = 1e-4  # no witness is ever certain
SURE_PIXELS: Final = 0.8  # pixels less sure than this do not contradict a header
# a header surer than this stands against sure pixels: a series description or two attributes, not
# Body Part Examined alone (0.953), which is wrong in every sixth header (Gueld 2002)
STANDS: Final = 0.97
DECISIVE: Final = {
    "plane": ("ImageOrientationPatient",),
    "contrast": ("ContrastBolusAgent", "ContrastBolusAgentAdministered"),
}  # attributes that decide a head where nothing else in the header speaks against them
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
        Regions that are probable enough; None where nothing is known of any.
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


def bounded(seen: Mapping[str, float], word: Word) -> dict[str, float]:
    """Return a distribution with as much of its log-odds as `word` lets count, and no more.

    No class is more than `word.most_nats` less probable than the first.
    """
    scaled = {name: max(p, FLOOR) ** word.weight for name, p in seen.items()}
    floor = max(scaled.values()) * math.exp(-word.most_nats)
    raised = {name: max(p, floor) for name, p in scaled.items()}
    total = sum(raised.values()) or 1.0
    return {name: p / total for name, p in raised.items()}


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

    Returns
    -------
    Fused
        Answers of every head with their probabilities, and where the two disagree.
    """
    against = _disagreements(header, pixels)
    if pixels is not None and pixels.strange:
        pixels = None
    classes = {
        head: _class_answer(head, getattr(header, head), pixels, unknown_below)
        for head in CLASS_HEADS
    }
    if not header.regions and pixels is None:
        return Fused(classes, {}, None, [str(region) for region in Region], against)
    if pixels is None:
        regions = {str(region): fuse_odds(header.regions.get(region), None) for region in Region}
    else:
        regions = fuse_regions(header.regions, pixels)
    covered, unknown = _answered(regions, header, pixels, unknown_below)
    return Fused(classes, regions, covered, unknown, against)


def modality_of(pixels: Prediction) -> str:
    """Return how the pixels were read: as a CT, or as an MR, which is everything else.

    Parameters
    ----------
    pixels : Prediction
        Of one scan.

    Returns
    -------
    str
        ``CT`` or ``MR``.
    """
    return "CT" if pixels.modality == "CT" else "MR"


def _class_answer(
    head: str, said: Label, pixels: Prediction | None, unknown_below: float
) -> Answer:
    """Return the answer of one head of classes.

    A header that speaks ends as it says or unknown: also where pixels outweigh it.
    """
    names = [str(name) for name in CLASS_HEADS[head]]
    alone = spread_of(said, names)
    word = pixels.support.word(head, modality_of(pixels)) if pixels is not None else Word()
    seen = _pixels(pixels, head)
    asked = seen and (not said or said.value in seen)
    if pixels is None or not asked or word.most_nats == 0 or _decided(head, said):
        return _answer(alone, unknown_below, said)
    alone = spread_of(said, list(seen))
    if not said:  # pixels alone: only where they are right often enough
        needed = max(unknown_below, pixels.answer_above.get(head, 0.0))
        return _answer(fuse_classes(alone, seen), needed, said)
    answer = _answer(fuse_classes(alone, bounded(seen, word)), unknown_below, said)
    if _contradicts(said, seen) and said.confidence < STANDS:
        return replace(answer, value=None)
    return answer


def _answer(spread: dict[str, float], needed: float, said: Label) -> Answer:
    best = max(spread, key=lambda name: spread[name])
    sure = spread[best] >= needed and (not said or best == said.value)
    return Answer(best if sure else None, spread[best], spread)


def _decided(head: str, said: Label) -> bool:
    """Tell whether an attribute that decides this head says so, and no other says less."""
    weights = [
        one.weight
        for one in said.evidence
        if one.attribute in DECISIVE.get(head, ()) and one.value == said.value
    ]
    return bool(said and weights) and said.confidence >= 1 / (1 + math.exp(-max(weights))) - 1e-6


def fuse_regions(header: Mapping[str, float], pixels: Prediction) -> dict[str, float]:
    """Return the probability of each region: pixels alone, or a header that they add little to."""
    modality = modality_of(pixels)
    return {
        str(region): fuse_odds(header[region], _weighed(p, pixels.support.word(region, modality)))
        if region in header
        else fuse_odds(None, p)
        for region, p in pixels.coverage.items()
    }


def _weighed(p: float, word: Word) -> float:
    """Return the probability of a region with as much of its log-odds as counts."""
    p = min(max(p, FLOOR), 1 - FLOOR)
    odds = word.weight * math.log(p / (1 - p))
    return 1 / (1 + math.exp(-min(max(odds, -word.most_nats), word.most_nats)))


def _answered(
    regions: Mapping[str, float],
    header: SeriesLabels,
    pixels: Prediction | None,
    unknown_below: float,
) -> tuple[list[str] | None, list[str]]:
    """Return the regions that are covered, and those of which it is unknown.

    None, where it is unknown of all: that is not "none of them". Pixels alone that see none of the
    nine have not recognised the scan: on real scans that was wrong of 3 patients in 4.
    """
    every = [str(region) for region in Region]
    if pixels is not None and not header.regions and max(regions.values()) < 0.5:
        return None, every
    contested = pixels is not None and _regions_disagree(header, pixels)
    covered, unknown = [], []
    for name, p in regions.items():
        above, below = unknown_below, 1 - unknown_below
        if pixels is not None and name not in header.regions:
            above = max(above, pixels.covered_above.get(name, 0.0))
            below = min(below, pixels.covered_below.get(name, 1.0))
        if not (p >= above or p <= below) or (
            pixels is not None and _doubted(name, p >= above, header, pixels, contested=contested)
        ):
            unknown.append(name)
        elif p >= above:
            covered.append(name)
    return (None if len(unknown) == len(every) else covered), unknown


def _doubted(
    region: str, covered: bool, header: SeriesLabels, pixels: Prediction, *, contested: bool
) -> bool:
    """Tell whether an answer on one region must not be given, probable as it is.

    Pixels alone: where real scans have shown such answers wrong. Beside a header that they
    contradict somewhere: where they contradict it and it is not sure, and, if it is not, wherever
    not both witnesses are.
    """
    modality, p = modality_of(pixels), pixels.coverage[Region(region)]
    told = header.regions.get(region)
    if told is None:
        return pixels.support.refuted(region, modality, covered=covered)
    if covered != (told > 0.5):  # a header that leans one way is not turned round, divided or not
        return True
    if not contested or header.coverage.confidence >= STANDS:
        return False
    both = min(told, p) >= SURE_PIXELS or max(told, p) <= 1 - SURE_PIXELS
    return not both or not pixels.support.confirms(region, modality, covered=covered)


def _pixels(prediction: Prediction | None, head: str) -> dict[str, float]:
    """Return what the pixels say of a head; nothing where they are not asked: a CT's sequence."""
    if prediction is None:
        return {}
    return {str(name): float(p) for name, p in getattr(prediction, head).items()}


def _disagreements(header: SeriesLabels, pixels: Prediction | None) -> tuple[str, ...]:
    """Return the heads in which a header that speaks and pixels that are sure differ."""
    against = []
    for head in CLASS_HEADS:
        said: Label = getattr(header, head)
        seen = _pixels(pixels, head)
        if said and seen and _contradicts(said, seen):
            against.append(head)
    if _regions_disagree(header, pixels):
        against.append("coverage")
    return tuple(against)


def _contradicts(said: Label, seen: Mapping[str, float]) -> bool:
    """Tell whether pixels are sure of another class than the header names."""
    top = max(seen, key=lambda name: seen[name])
    return top != said.value and seen[top] >= SURE_PIXELS


def _regions_disagree(header: SeriesLabels, pixels: Prediction | None) -> bool:
    """Tell whether pixels are sure of a region that the header excludes, or the reverse.

    A divided header speaks too: it leans to one side.
    """
    if pixels is None:
        return False
    return any(
        (header.regions[region] > 0.5) != (p > 0.5) and max(p, 1 - p) >= SURE_PIXELS
        for region, p in pixels.coverage.items()
        if region in header.regions
    )

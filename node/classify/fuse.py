"""Weigh header and pixel evidence into findings. Pure: no files, no network, no clock.

Two witnesses that err independently multiply: for one class of several the product of their
probabilities, normalised; for one region yes or no, the sum of their log-odds. Where one is
silent the other stands alone; where neither is sure enough the finding is unknown.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from node.store.records import Finding
from radnet.inference.classifier import Prediction
from radnet.labels.evidence import Label, SeriesLabels
from radnet.labels.vocabulary import ELSEWHERE, Contrast, Plane, Region, Sequence

_FLOOR: Final = 1e-4  # no witness is ever certain

_HEADS: Final[tuple[tuple[str, type[StrEnum]], ...]] = (
    ("sequence", Sequence),
    ("plane", Plane),
    ("contrast", Contrast),
)


def _spread(label: Label, classes: list[str]) -> dict[str, float]:
    """Return the header's word as a distribution: the rest shares what confidence is left."""
    if label.value not in classes:
        return dict.fromkeys(classes, 1 / len(classes))
    rest = (1 - label.confidence) / (len(classes) - 1)
    return {name: label.confidence if name == label.value else rest for name in classes}


def _told(label: Label) -> dict[str, Any]:
    """Return why the header says so: attributes and rules, never the text itself (no PHI)."""
    told: dict[str, Any] = {
        "because": [f"{one.attribute}, rule {one.rule}: {one.value}" for one in label.evidence]
    }
    if label.conflicts:
        told["conflicts"] = len(label.conflicts)
    return told


def fuse_classes(header: Mapping[str, float], pixels: Mapping[str, float]) -> dict[str, float]:
    """Return the normalised product of two distributions over the same classes."""
    product = {name: max(header[name], _FLOOR) * max(pixels[name], _FLOOR) for name in header}
    total = sum(product.values())
    return {name: value / total for name, value in product.items()}


def fuse_odds(header: float | None, pixels: float | None) -> float:
    """Return the probability that two independent witnesses of one yes/no question give."""
    odds = 0.0
    for probability in (header, pixels):
        if probability is not None:
            bounded = min(max(probability, _FLOOR), 1 - _FLOOR)
            odds += math.log(bounded / (1 - bounded))
    return 1 / (1 + math.exp(-odds))


def _class_finding(
    name: str,
    classes: list[str],
    label: Label,
    pixels: Mapping[str, float] | None,
    unknown_below: float,
) -> list[Finding]:
    uniform = dict.fromkeys(classes, 1 / len(classes))
    fused = fuse_classes(_spread(label, classes), pixels or uniform)
    best = max(fused, key=lambda key: fused[key])
    sure = fused[best] >= unknown_below
    told: dict[str, Any] = {"header": "silent"} if not label.evidence else _told(label)
    found = [Finding(name, best if sure else None, fused[best], "fused", told)]
    if label:
        value = str(label.value)
        found.append(Finding(name, value, label.confidence, "header", _told(label)))
    if pixels is not None:
        top = max(pixels, key=lambda key: pixels[key])
        spread = {key: round(value, 4) for key, value in pixels.items()}
        found.append(Finding(name, top, pixels[top], "pixels", spread))
    return found


def _coverage_findings(
    header: SeriesLabels,
    pixels: Mapping[Region, float] | None,
    unknown_below: float,
) -> list[Finding]:
    fused = {
        region: fuse_odds(header.regions.get(region), pixels[region] if pixels else None)
        for region in Region
    }
    covered = [str(region) for region in Region if fused[region] >= unknown_below]
    silent = not header.regions and pixels is None
    sure = min(max(p, 1 - p) for p in fused.values())
    spread = {str(region): round(value, 4) for region, value in fused.items()}
    found = [Finding("coverage", None if silent else covered, sure, "fused", spread)]
    label = header.coverage
    if label:
        named = [part for part in label.value.split(";") if part != ELSEWHERE]
        found.append(Finding("coverage", named, label.confidence, "header", _told(label)))
    if pixels is not None:
        seen = [str(region) for region, p in pixels.items() if p >= 0.5]
        shares = {str(region): round(p, 4) for region, p in pixels.items()}
        sure_pixels = min(max(p, 1 - p) for p in pixels.values())
        found.append(Finding("coverage", seen, sure_pixels, "pixels", shares))
    return found


def fuse(header: SeriesLabels, pixels: Prediction | None, unknown_below: float) -> list[Finding]:
    """Return every finding of a series: fused first, then each witness by itself.

    Parameters
    ----------
    header : SeriesLabels
        What the header says.
    pixels : Prediction or None
        What the network says; None where the images make no volume.
    unknown_below : float
        A fused finding less probable than this has no value ("unknown").
    """
    found: list[Finding] = []
    for name, classes in _HEADS:
        names = [str(label) for label in classes]
        seen = getattr(pixels, name) if pixels is not None else None
        spread = {str(key): float(value) for key, value in seen.items()} if seen else None
        found += _class_finding(name, names, getattr(header, name), spread, unknown_below)
    found += _coverage_findings(header, pixels.coverage if pixels else None, unknown_below)
    for name in ("localizer", "derived"):
        said: Label = getattr(header, name)
        if said:
            found.append(Finding(name, said.value, said.confidence, "fused", _told(said)))
    return found

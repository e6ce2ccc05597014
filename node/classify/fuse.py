"""Findings of a series from what header and pixels say. Pure: no files, no network, no clock."""

from typing import Any

from node.model.findings import FindingName, typed
from node.model.records import Finding
from radnet.inference.classifier import Prediction
from radnet.inference.fusion import CLASS_HEADS, Fused, fuse_witnesses
from radnet.labels.evidence import Label, SeriesLabels
from radnet.labels.vocabulary import ELSEWHERE


def _evidence(label: Label) -> dict[str, Any]:
    """Return why the header says so: attributes and rules, never the text itself (no PHI)."""
    grounds: dict[str, Any] = {
        "because": [
            f"{match.attribute}, rule {match.rule}: {match.value}" for match in label.evidence
        ]
    }
    if label.conflicts:
        grounds["conflicts"] = len(label.conflicts)
    return grounds


def _class_findings(
    name: str, label: Label, pixels: Prediction | None, fused: Fused
) -> list[Finding]:
    answer = fused.classes[name]
    evidence: dict[str, Any] = _evidence(label) if label.evidence else {"header": "silent"}
    found = [Finding(name, answer.value, answer.probability, "fused", evidence)]
    if label:
        found.append(Finding(name, str(label.value), label.confidence, "header", _evidence(label)))
    odds = getattr(pixels, name) if pixels is not None else {}
    if odds:  # a CT's pixels are not asked for a sequence
        seen = {str(key): round(float(p), 4) for key, p in odds.items()}
        top = max(seen, key=lambda key: seen[key])
        found.append(Finding(name, top, seen[top], "pixels", seen))
    return found


def _coverage_findings(
    header: SeriesLabels, pixels: Prediction | None, fused: Fused
) -> list[Finding]:
    sure = min((max(p, 1 - p) for p in fused.regions.values()), default=0.5)
    spread = {region: round(p, 4) for region, p in fused.regions.items()}
    found = [
        Finding(FindingName.COVERAGE, fused.covered, sure, "fused", spread),
        Finding(FindingName.COVERAGE_UNKNOWN, fused.regions_unknown, sure, "fused", {}),
    ]
    label = header.coverage
    if label:
        named = [part for part in label.value.split(";") if part != ELSEWHERE]
        found.append(
            Finding(FindingName.COVERAGE, named, label.confidence, "header", _evidence(label))
        )
    if pixels is not None:
        seen = [str(region) for region, p in pixels.coverage.items() if p >= 0.5]
        shares = {str(region): round(p, 4) for region, p in pixels.coverage.items()}
        sure_pixels = min(max(p, 1 - p) for p in pixels.coverage.values())
        found.append(Finding(FindingName.COVERAGE, seen, sure_pixels, "pixels", shares))
    return found


def _strange_findings(pixels: Prediction | None) -> list[Finding]:
    if pixels is None or (pixels.strangeness is None and not pixels.noise):
        return []
    evidence = {
        "above": pixels.strange_above,
        "share of known scans below": pixels.strange_share,
        "noise": pixels.noise,
    }
    how = 1.0 if pixels.noise else pixels.strangeness or 0.0
    return [Finding(FindingName.STRANGE, bool(pixels.strange), how, "fused", evidence)]


def fuse(header: SeriesLabels, pixels: Prediction | None, unknown_below: float) -> list[Finding]:
    """Return every finding of a series: fused first, then each witness by itself.

    Where a header that speaks and pixels that are sure say different things, the heads are named
    in a finding called ``disagreement``. ``coverage_unknown`` names the regions that are neither
    covered nor not; ``strange`` is true where the pixels are not of a kind that the network knows,
    and its probability is their strangeness, 1 where they are noise.

    Parameters
    ----------
    header : SeriesLabels
        What the header says.
    pixels : Prediction or None
        What the network says; None where the images make no volume.
    unknown_below : float
        A fused finding less probable than this has no value ("unknown").
    """
    fused = fuse_witnesses(header, pixels, unknown_below)
    found: list[Finding] = []
    for name in CLASS_HEADS:
        found += _class_findings(name, getattr(header, name), pixels, fused)
    found += _coverage_findings(header, pixels, fused)
    for name in (FindingName.LOCALIZER, FindingName.DERIVED):
        label: Label = getattr(header, name)
        if label:
            value = typed(name, label.value)
            found.append(Finding(name, value, label.confidence, "fused", _evidence(label)))
    found += _strange_findings(pixels)
    if fused.disagreements:
        heads = list(fused.disagreements)
        found.append(Finding(FindingName.DISAGREEMENT, heads, 1.0, "fused", {}))
    return found

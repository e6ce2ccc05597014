"""Which of the nine regions a series covers: what its attributes claim, weighed. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from radnet.labels.evidence import THRESHOLD, Evidence, Label
from radnet.labels.facts import HeaderFacts
from radnet.labels.rules import Rules
from radnet.labels.vocabulary import ELSEWHERE, UNTOLD, Region

DISAGREEMENT: Final = 2.0  # log-odds lost where another attribute names wholly other regions
DISAGREEMENT_BESIDE_TEXT: Final = 0.5  # share of it that a series description feels
TOO_SHORT: Final = 4.0  # log-odds lost where the slices cannot reach over what is named
SMALL_PATIENT: Final = 0.7  # height of a child against the adult of the next table
REGION_FROM_VERTEX_MM: Final[dict[Region, tuple[float, float]]] = {
    Region.BRAIN: (0, 150),
    Region.UPPER_HEAD_NECK: (80, 220),
    Region.LOWER_HEAD_NECK: (200, 290),
    Region.LUNG: (270, 540),
    Region.BREAST: (340, 480),
    Region.LIVER: (480, 660),
    Region.KIDNEY: (540, 680),
    Region.INTESTINE: (560, 820),
    Region.PELVIS: (700, 900),
}  # top and bottom of each region below the vertex, in mm, in an adult of 1.70 m

DESCRIBED: Final = ("SeriesDescription", "ProtocolName")
ABDOMEN: Final = frozenset({Region.LIVER, Region.KIDNEY, Region.INTESTINE})


@dataclass(frozen=True)
class _Claim:
    """The regions one attribute names; none of them where it names another body part."""

    regions: frozenset[str]
    evidence: Evidence


def _claims(facts: HeaderFacts, rules: Rules, context: str) -> list[_Claim]:
    claims: list[_Claim] = []
    for attribute, trust in rules.trust["coverage"].items():
        text = facts.texts.get(attribute, "")
        if attribute == "implied" and not claims:  # asked only where nothing names a region
            text = " ".join(facts.texts.get(name, "") for name in DESCRIBED)
        found = rules.read("coverage", attribute, text, facts.modality, context)
        if not found:
            continue
        named = {region for one in found for region in one.value.split(";")}
        untold = named <= {UNTOLD, ELSEWHERE} and UNTOLD in named
        named -= {UNTOLD, ELSEWHERE}
        words = ", ".join(one.found for one in found)
        which = " + ".join(one.rule for one in found)
        value = UNTOLD if untold else in_order(named)
        claims.append(_Claim(frozenset(named), Evidence(value, trust, which, attribute, words)))
    return claims


def in_order(regions: Iterable[str]) -> str:
    """Return regions head to foot, joined by ``;``; `ELSEWHERE` where there are none."""
    named = set(regions)
    return ";".join(region for region in Region if region in named) or ELSEWHERE


def covered(facts: HeaderFacts, rules: Rules, context: str) -> tuple[Label, dict[str, float]]:
    """Let the first attribute that names a region decide, the less surely the more others differ.

    BodyPartExamined is wrong in every sixth header (Gueld 2002), so it never beats the
    description of the series; a collection is asked last and never doubts the header.
    """
    claims = _claims(facts, rules, context)
    if not claims or claims[0].evidence.value == UNTOLD:  # nor is another attribute believed then
        return Label(evidence=tuple(claim.evidence for claim in claims)), {}
    first = _foremost(claims, facts)
    others = [claim for claim in claims if claim is not first]
    weight = first.evidence.weight
    conflicts: list[str] = []
    for other in others:
        shared = _jaccard(first.regions, other.regions)
        if shared < 1:
            conflicts.append(_said(other))
        if other.evidence.attribute != "collection":
            weight += _change(shared, first.evidence.attribute)
    if _too_short(first.regions, facts):
        weight -= TOO_SHORT
        conflicts.append(
            f"the slices reach over {facts.extent_mm:.0f} mm only, too little for "
            f"{first.evidence.value} ({first.evidence.attribute})"
        )
    confidence = 1 / (1 + math.exp(-weight))
    value = first.evidence.value if confidence >= THRESHOLD else ""
    if conflicts and not value:
        conflicts.insert(0, _said(first))
    evidence = tuple(claim.evidence for claim in (first, *others))
    label = Label(value, confidence, evidence, tuple(conflicts))
    regions = {
        str(region): confidence if region in first.regions else 1 - confidence for region in Region
    }
    if value:
        return label, regions
    return label, {} if _too_short(first.regions, facts) else _shared(claims)


def _said(claim: _Claim) -> str:
    told = claim.evidence
    return f"{told.attribute} says {told.value} ('{told.found}', rule {told.rule})"


def _foremost(claims: list[_Claim], facts: HeaderFacts) -> _Claim:
    """Return the first claim; where the slices are too few for it, the next that is part of it.

    "LIVER 3 PHASE (A/P)" names the examination; its reconstruction of the liver alone says so
    in Body Part Examined.
    """
    first = claims[0]
    if not _too_short(first.regions, facts):
        return first
    parts = [claim for claim in claims if claim.regions and claim.regions < first.regions]
    return next((part for part in parts if not _too_short(part.regions, facts)), first)


def _too_short(regions: frozenset[str], facts: HeaderFacts) -> bool:
    """Tell whether axial slices cannot reach from amid the first region to amid the last.

    One organ of the abdomen names them all, and may be scanned alone.
    """
    if facts.extent_mm is None or not facts.normals or abs(facts.normals[0][2]) < 0.7:
        return False
    if regions <= ABDOMEN:
        return False
    middles = [sum(REGION_FROM_VERTEX_MM[Region(region)]) / 2 for region in regions]
    return facts.extent_mm < (max(middles) - min(middles)) * SMALL_PATIENT


def _change(shared: float, attribute: str) -> float:
    if shared == 1:
        return 0.5
    share = DISAGREEMENT_BESIDE_TEXT if attribute == "SeriesDescription" else 1.0
    return -DISAGREEMENT * (1 - shared) * share


def _shared(claims: list[_Claim]) -> dict[str, float]:
    """Return the regions of a divided header: the mean of what its attributes say."""
    total = sum(claim.evidence.weight for claim in claims)
    return {
        str(region): sum(c.evidence.weight for c in claims if region in c.regions) / total
        for region in Region
    }


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = one | other
    return len(one & other) / len(union) if union else 1.0

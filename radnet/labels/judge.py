"""From what stands in a header to labels. Pure: no files, no clock, no DICOM."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from radnet.labels.evidence import THRESHOLD, Evidence, Label, SeriesLabels, weigh
from radnet.labels.rules import Rules
from radnet.labels.text import plain
from radnet.labels.vocabulary import ELSEWHERE, Contrast, Plane, Region

OBLIQUE_DEGREES: Final = 20.0  # beyond this the nearest plane is named with less confidence
ONE_PLANE_DEGREES: Final = 15.0  # slices that differ by more lie in several planes
NOT_SAID: Final = 2.0  # log-odds that a series nobody calls a localizer is none; so for derived
DISAGREEMENT: Final = 2.0  # log-odds lost where another attribute names wholly other regions
DISAGREEMENT_BESIDE_TEXT: Final = 0.5  # share of it that a series description feels
TOO_SHORT: Final = 4.0  # log-odds lost where the slices cannot reach over what is named
SMALL_FLIP_DEGREES: Final = 30.0  # no spin echo excites by less
SHORT_ECHO_MS: Final = 5.0  # no spin echo comes sooner
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

ABDOMEN: Final = frozenset({Region.LIVER, Region.KIDNEY, Region.INTESTINE})


@dataclass(frozen=True)
class Facts:
    """What a series says of itself, of whatever source.

    Attributes
    ----------
    modality
        Modality (0008,0060), upper case.
    texts
        Attribute keyword to what stands there.
    numbers
        TR, TE, TI in ms, FA in degrees, ETL, b in s/mm2; those that are known.
    normals
        Unit normals of the slices in patient coordinates (LPS), one for each orientation.
    slice_spacing_mm
        Median distance of neighbouring slices.
    extent_mm
        From the first to the last slice.
    injected
        Whether the agent was given before (True) or after (False) the images were made.
    """

    modality: str
    texts: Mapping[str, str]
    numbers: Mapping[str, float] = field(default_factory=dict)
    normals: Sequence[tuple[float, float, float]] = ()
    slice_spacing_mm: float | None = None
    extent_mm: float | None = None
    injected: bool | None = None


def judge(facts: Facts, rules: Rules) -> SeriesLabels:
    """Return all labels that `facts` give under `rules`."""
    context = plain(" ".join(facts.texts.values()))
    told = {
        head: _read_all(head, facts, rules, context)
        for head in ("sequence", "plane", "contrast", "localizer", "derived")
    }
    several = _several_planes(facts.normals)
    plane, oblique = _plane(facts, told["plane"], several=several)
    coverage, regions = _coverage(facts, rules, context)
    return SeriesLabels(
        sequence=weigh([*told["sequence"], *_physics(facts, rules)]),
        plane=plane,
        contrast=weigh([*told["contrast"], *_timing(facts)]),
        coverage=coverage,
        localizer=_yes_or_no([*told["localizer"], *several]),
        derived=_yes_or_no(told["derived"]),
        regions=regions,
        oblique_degrees=oblique,
        slice_spacing_mm=facts.slice_spacing_mm,
    )


def _read_all(head: str, facts: Facts, rules: Rules, context: str) -> list[Evidence]:
    found: list[Evidence] = []
    for attribute in rules.sources(head):
        text = facts.modality if attribute == "Modality" else facts.texts.get(attribute, "")
        factor = rules.trust[head].get(attribute, 1.0)
        found += (
            one if factor == 1.0 else replace(one, weight=one.weight * factor)
            for one in rules.read(head, attribute, text, facts.modality, context)
        )
    return found


def _physics(facts: Facts, rules: Rules) -> list[Evidence]:
    """Read the MR weighting from the timing; of rows for one value the strongest counts."""
    if facts.modality != "MR":
        return []
    scanning = _scanning(facts)
    variant = set(facts.texts.get("SequenceVariant", "").upper().split())
    told = ", ".join(f"{name} {value:g}" for name, value in facts.numbers.items())
    found = f"{' '.join(sorted(scanning))} {told}".strip()
    best: dict[str, Evidence] = {}
    for row in rules.physics:
        fits = row.fires(facts.numbers, scanning, variant)
        if fits and (row.value not in best or best[row.value].weight < row.weight):
            best[row.value] = Evidence(row.value, row.weight, row.id, "MR timing", found)
    return list(best.values())


def _scanning(facts: Facts) -> set[str]:
    """Return Scanning Sequence, with GR where the timing shows that no spin echo was made.

    GE writes RM (research mode) for GR, others IR alone: an MPRAGE is then told from a T1-FLAIR
    by its flip angle, or by an echo that comes too soon.

    References
    ----------
    DICOM PS3.3 Section C.8.3.1
    """
    said = set(facts.texts.get("ScanningSequence", "").upper().split())
    if said & {"SE", "EP", "GR"} or not (said or "TI" in facts.numbers):
        return said
    flip, echo = facts.numbers.get("FA"), facts.numbers.get("TE", SHORT_ECHO_MS)
    small = flip is not None and flip <= SMALL_FLIP_DEGREES
    return said | {"GR"} if small or echo < SHORT_ECHO_MS else said


def _timing(facts: Facts) -> list[Evidence]:
    if facts.injected is None:
        return []
    value = Contrast.CONTRAST if facts.injected else Contrast.NONCONTRAST
    when = "before" if facts.injected else "after"
    weight = 1.5 if facts.injected else 4.0
    return [Evidence(value, weight, "bolus-time", "ContrastBolusStartTime", f"{when} the images")]


def _several_planes(normals: Sequence[tuple[float, float, float]]) -> list[Evidence]:
    for normal in normals[1:]:
        angle = _degrees(sum(a * b for a, b in zip(normal, normals[0], strict=True)))
        if angle > ONE_PLANE_DEGREES:
            found = f"slices {angle:.0f} degrees apart"
            return [Evidence("1", 4.0, "several-planes", "ImageOrientationPatient", found)]
    return []


def _degrees(cosine: float) -> float:
    return math.degrees(math.acos(min(1.0, abs(cosine))))


def _plane(
    facts: Facts, words: list[Evidence], *, several: list[Evidence]
) -> tuple[Label, float | None]:
    """Return the plane and how oblique it is: from the orientation, else from words.

    References
    ----------
    DICOM PS3.3 Section C.7.6.2.1.1
    """
    if several:
        return Label(), None
    if not facts.normals:
        return weigh(words), None
    normal = facts.normals[0]
    axis = max(range(3), key=lambda i: abs(normal[i]))
    value = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[axis]
    angle = _degrees(normal[axis])
    weight = 8.0 if angle <= OBLIQUE_DEGREES else 3.0
    found = f"{angle:.0f} degrees from {value}"
    geometry = Evidence(value, weight, "orientation", "ImageOrientationPatient", found)
    label = weigh([geometry])
    against = [
        f"{one.attribute} says {one.value} ('{one.found}', rule {one.rule})"
        for one in words
        if one.value != value
    ]
    return replace(label, evidence=(geometry, *words), conflicts=tuple(against)), angle


def _yes_or_no(evidence: list[Evidence]) -> Label:
    """Weigh what was said against nothing being said, which is no conflict by itself."""
    silence = Evidence("0", NOT_SAID, "nothing-said", "all attributes", "-")
    label = weigh([*evidence, silence])
    quarrels = tuple(told for told in label.conflicts if silence.rule not in told)
    return replace(label, conflicts=quarrels)


@dataclass(frozen=True)
class _Claim:
    """The regions one attribute names; none of them where it names another body part."""

    regions: frozenset[str]
    evidence: Evidence


def _claims(facts: Facts, rules: Rules, context: str) -> list[_Claim]:
    claims: list[_Claim] = []
    for attribute, trust in rules.trust["coverage"].items():
        text = facts.texts.get(attribute, "")
        found = rules.read("coverage", attribute, text, facts.modality, context)
        if not found:
            continue
        named = {region for one in found for region in one.value.split(";")} - {ELSEWHERE}
        words = ", ".join(one.found for one in found)
        which = " + ".join(one.rule for one in found)
        value = in_order(named)
        claims.append(_Claim(frozenset(named), Evidence(value, trust, which, attribute, words)))
    return claims


def in_order(regions: Iterable[str]) -> str:
    """Return regions head to foot, joined by ``;``; `ELSEWHERE` where there are none."""
    named = set(regions)
    return ";".join(region for region in Region if region in named) or ELSEWHERE


def _coverage(facts: Facts, rules: Rules, context: str) -> tuple[Label, dict[str, float]]:
    """Let the first attribute that names a region decide, the less surely the more others differ.

    BodyPartExamined is wrong in every sixth header (Gueld 2002), so it never beats the
    description of the series; a collection is asked last and never doubts the header.
    """
    claims = _claims(facts, rules, context)
    if not claims:
        return Label(), {}
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


def _foremost(claims: list[_Claim], facts: Facts) -> _Claim:
    """Return the first claim; where the slices are too few for it, the next that is part of it.

    "LIVER 3 PHASE (A/P)" names the examination; its reconstruction of the liver alone says so
    in Body Part Examined.
    """
    first = claims[0]
    if not _too_short(first.regions, facts):
        return first
    parts = [claim for claim in claims if claim.regions and claim.regions < first.regions]
    return next((part for part in parts if not _too_short(part.regions, facts)), first)


def _too_short(regions: frozenset[str], facts: Facts) -> bool:
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

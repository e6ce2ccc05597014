"""From what stands in a header to labels. Pure: no files, no clock, no DICOM."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from radnet.labels.evidence import Evidence, Label, SeriesLabels, weigh
from radnet.labels.extent import covered
from radnet.labels.facts import HeaderFacts
from radnet.labels.rules import Rules
from radnet.labels.text import plain
from radnet.labels.vocabulary import Contrast, Plane

OBLIQUE_DEGREES: Final = 20.0  # beyond this the nearest plane is named with less confidence
ONE_PLANE_DEGREES: Final = 15.0  # slices that differ by more lie in several planes
NOT_SAID: Final = 2.0  # log-odds that a series nobody calls a localizer is none; so for derived
SMALL_FLIP_DEGREES: Final = 30.0  # no spin echo excites by less
SHORT_ECHO_MS: Final = 5.0  # no spin echo comes sooner


def judge(facts: HeaderFacts, rules: Rules) -> SeriesLabels:
    """Return all labels that `facts` give under `rules`.

    Parameters
    ----------
    facts : HeaderFacts
        What the headers of one series say: texts, numbers, normals of the slices (LPS).
    rules : Rules
        As `radnet.labels.rules.load_rules` returns them.

    Returns
    -------
    SeriesLabels
        Of every head the value, its confidence (0 to 1, a probability), who spoke for it and who
        against it. Below the bound of confidence the value is unknown.
    """
    context = plain(" ".join(facts.texts.values()))
    told = {
        head: _read_all(head, facts, rules, context)
        for head in ("sequence", "plane", "contrast", "localizer", "derived")
    }
    several = _several_planes(facts.normals)
    plane, oblique = _plane(facts, told["plane"], several=several)
    coverage, regions = covered(facts, rules, context)
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


def _read_all(head: str, facts: HeaderFacts, rules: Rules, context: str) -> list[Evidence]:
    found: list[Evidence] = []
    for attribute in rules.sources(head):
        text = facts.modality if attribute == "Modality" else facts.texts.get(attribute, "")
        factor = rules.trust[head].get(attribute, 1.0)
        found += (
            one if factor == 1.0 else replace(one, weight=one.weight * factor)
            for one in rules.read(head, attribute, text, facts.modality, context)
        )
    return found


def _physics(facts: HeaderFacts, rules: Rules) -> list[Evidence]:
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


def _scanning(facts: HeaderFacts) -> set[str]:
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


def _timing(facts: HeaderFacts) -> list[Evidence]:
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
    facts: HeaderFacts, words: list[Evidence], *, several: list[Evidence]
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

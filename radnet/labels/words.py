"""What words in descriptions say: tables of patterns, read top to bottom.

A first, honest set in English with the commonest abbreviations. Every pattern is matched
against text that `plain` has lowered and cut into words, so that word boundaries
hold and "unilateral" never contains "i-".
"""

import re
from dataclasses import dataclass
from typing import Final

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence


@dataclass(frozen=True)
class Word:
    """A pattern, what it says, and how far it is to be trusted (0 to 1)."""

    pattern: re.Pattern[str]
    value: str
    confidence: float


def _words(*rows: tuple[str, str, float]) -> tuple[Word, ...]:
    return tuple(Word(re.compile(pattern), value, trust) for pattern, value, trust in rows)


def plain(text: str) -> str:
    """Return `text` lowered, with ``_ , ; / - .`` as spaces and CamelCase cut apart."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = re.sub(r"\bw\s*/\s*o\b", " without ", text.lower())
    text = re.sub(r"\bw\s*/", " with ", text)
    text = re.sub(r"\b([ci])\s*([-+])(?=\s|$)", r" \1\2 ", f"{text} ")
    return " ".join(re.sub(r"[_,;:/\\.()\[\]]|(?<=\w)-(?=\w)", " ", text).split())


# MR weighting: the words that name something else come first.
SEQUENCES: Final = _words(
    (r"\b(dwi|adc|dti|trace\w*|diff\w*|ep2d\w*|epi|bval\w*|dwibs|tensor)\b", Sequence.OTHER, 0.95),
    (
        r"\b(swi|swan|t2star|t2s|bold|fmri|asl|dsc|perf\w*|pwi|tof|mra|mrv|pc3d)\b",
        Sequence.OTHER,
        0.95,
    ),
    (
        r"\b(loc|localizer|localiser|scout|survey|plane loc|field ?map|b0 map)\b",
        Sequence.OTHER,
        0.9,
    ),
    (r"\bt2 ?\*|\bt2 (ffe|gre|fl2d|me2d|medic)\b|\b(medic|gre t2)\b", Sequence.OTHER, 0.9),
    (r"\bt1\w*\b.*\b(flair|dark fluid)\b|\bflair\b.*\bt1\w*\b", Sequence.T1_FLAIR, 0.95),
    (r"\b(t2)?flair\b|\bdark fluid\b", Sequence.T2_FLAIR, 0.95),
    (r"\b(stir|tirm|fseir|fse ir|tse ir)\b", Sequence.STIR, 0.95),
    (r"\bt2\w*\b|\b(haste|ssfse|mrcp|cube t2|space t2)\b", Sequence.T2, 0.95),
    (r"\b(pd|pdw|proton density|trufi\w*|fiesta|ciss|b ?ffe)\b", Sequence.OTHER, 0.9),
    (
        r"\bt1\w*\b|\b(mp ?rage|mp2rage|bravo|f?spgr|vibe|lava|thrive|vibrant|flash|tfl)\b",
        Sequence.T1,
        0.95,
    ),
)

PLANES: Final = _words(
    (r"\b(ax|axl|axial|axiale|tra|transv\w*|transaxial)\b", Plane.AXIAL, 0.9),
    (r"\b(cor|coronal|coronale)\b", Plane.CORONAL, 0.9),
    (r"\b(sag|sagittal|sagittale)\b", Plane.SAGITTAL, 0.9),
)

# Negations stand before what they negate: "without contrast" also holds "contrast".
CONTRASTS: Final = _words(
    (r"\b(without and with|w and without|with and without|pre and post|wo and w)\b", "", 0.0),
    (
        r"\b(without|no|non|sans|ohne|senza|sin) ?(iv|i v)? ?(contrast\w*|con|cm|km)\b"
        r"|\bnoncon\w*\b",
        Contrast.NONCONTRAST,
        0.95,
    ),
    (
        r"\b(unenhanced|plain|nativ\w*|precontrast|pre(?! (bx|biopsy|op|and))|nc|vnc)\b"
        r"|(?<!\w)[ci]-(?!\w)",
        Contrast.NONCONTRAST,
        0.9,
    ),
    (
        r"\b(portal|venous|arterial|nephrographic|delayed|p ?v|equilibrium|excretory) ?(phase)?\b",
        Contrast.CONTRAST,
        0.85,
    ),
    (
        r"(?<!\w)(c\+|\+c)(?!\w)|\b(post contrast|with contrast|enhanced|contrast|gad\w*|gd|ce|cm|"
        r"km|angio|cta|ctpa|post ?gd|dce|avec)\b",
        Contrast.CONTRAST,
        0.85,
    ),
)

NO_AGENT: Final = re.compile(
    r"^(none|no|n|n a|na|no entry|without|unknown|non?e? contrast|noncontrast|0|-+|oral\w*|po)$"
)

_ABDOMEN: Final = "liver kidney intestine"
REGIONS: Final = _words(
    (
        r"\b(whole ?body|wb|skull to thigh|eyes to thigh|ganzkoerper|gk)\b",
        f"upper_head_neck lower_head_neck lung {_ABDOMEN} pelvis",
        0.85,
    ),
    (
        r"\b(chest abd\w* pel\w*|chestabdpelvis|cap|thorax abd\w*( pel\w*)?|tap)\b",
        f"lung {_ABDOMEN} pelvis",
        0.9,
    ),
    (r"\b(chest ?abd\w*)\b", f"lung {_ABDOMEN}", 0.9),
    (
        r"\b(abd\w* ?(and|with|pel\w*) ?pel\w*|abd\w* pel\w*|abdomenpelvis|abdpelvis)\b",
        f"{_ABDOMEN} pelvis",
        0.9,
    ),
    (r"\b(head ?neck|head and neck|hnscc)\b", "brain upper_head_neck lower_head_neck", 0.7),
    (
        r"\b(\wspine|spine|lumbar|cervical spine|knee|thigh|leg|foot|ankle|hand|wrist|elbow|"
        r"shoulder|hip|extremity|femur)\b",
        "",
        0.9,
    ),
    (r"\b(brain|head(?! (first|in))|skull|cerebral|cranial|crane|schaedel|neuro)\b", "brain", 0.9),
    (r"\b(neck|larynx|thyroid|soft tissue neck)\b", "upper_head_neck lower_head_neck", 0.9),
    (r"\b(breast|mamma|mammo\w*)(?! shield\w*)\b", "breast", 0.85),
    (r"\b(chest|thorax|lung|lungs|pulmonary|heart|cardiac)\b", "lung", 0.85),
    (
        r"\b(abd|abdomen|abdominal|liver|hepat\w*|kidney|kidneys|renal|pancreas|adrenal|stomach|"
        r"spleen|mrcp|urogram)\b",
        _ABDOMEN,
        0.85,
    ),
    (r"\b(pelvis|pelvic|prostate|bladder|uterus|cervix|rectum|ovary)\b", "pelvis", 0.85),
    (r"\bcolon\b", f"{_ABDOMEN} pelvis", 0.85),
)

LOCALIZER: Final = re.compile(
    r"\b(loc|localizer|localiser|scout|topogram|survey|surview|plane loc|scanogram|localizador)\b"
)
DERIVED: Final = re.compile(
    r"\b(mip|minip|mpr|reformat\w*|vr|volume render\w*|sub|subtract\w*|adc|trace\w*|vnc|mono ?e)\b"
)


def first(words: tuple[Word, ...], text: str) -> Word | None:
    """Return the first row of a table that the text holds, or None."""
    return next((word for word in words if word.pattern.search(text)), None)


def all_of(words: tuple[Word, ...], text: str) -> list[Word]:
    """Return every row of a table that the text holds."""
    return [word for word in words if word.pattern.search(text)]


def regions_of(word: Word) -> tuple[Region, ...]:
    """Return the regions that a row of `REGIONS` names, head to foot."""
    return tuple(Region(name) for name in word.value.split())

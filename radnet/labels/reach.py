"""Ranges: "neck to symphysis" covers what lies between two landmarks, both ends in.

Landmarks and the words that join them are in ``tables/range.toml``. A range from the head to the
pelvis or beyond is a whole body: all regions but brain and breast, as by name.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from radnet.labels.vocabulary import Region

ORDER: Final = (
    Region.BRAIN,
    Region.UPPER_HEAD_NECK,
    Region.LOWER_HEAD_NECK,
    Region.LUNG,
    Region.LIVER,
    Region.KIDNEY,
    Region.INTESTINE,
    Region.PELVIS,
)  # as the table counts them; the breast is named, never passed through
NECK: Final = ORDER.index(Region.LOWER_HEAD_NECK)
PELVIS: Final = ORDER.index(Region.PELVIS)
LEGS: Final = len(ORDER)
UNJOINED: Final = frozenset(
    {"vertex", "skull", "skullbase", "eye", "eyes", "orbit", "orbits", "crest", "crests"}
    | {"neck", "hals", "chest", "thorax", "torax", "torace"}
)  # that may stand beside the other end: "skull thigh", "diaph crest", "neck pelvis"
LONGEST: Final = 200  # characters of a line that can hold a range


class Landmark(NamedTuple):
    """Where a range that begins or ends here begins or ends, by the places of `ORDER`."""

    first: int
    last: int
    words: re.Pattern[str]


@cache
def landmarks() -> tuple[tuple[Landmark, ...], re.Pattern[str], frozenset[str]]:
    """Return the landmarks, the expression that finds two of them joined, and its quick test.

    A line that holds none of the words of the quick test holds no range.
    """
    table = tomllib.loads((files("radnet.labels") / "tables" / "range.toml").read_text("utf-8"))
    rows = table["landmark"]
    known = tuple(Landmark(row["from"], row["to"], re.compile(row["words"])) for row in rows)
    any_of = "|".join(row["words"] for row in rows)
    legs = "|".join(row["words"] for row in rows if row["from"] == LEGS)
    heads = "vertex|skull(?: ?base)?|eyes?|orbits?"
    trunk, pelvis = "necks?|hals|chest|thorax|torax|torace", "pelvis|pelv|pel|becken|bassin|bekken"
    article = r"(?:the |le |la |les |el |il |lo |den |het |o |od |du |mid )?"
    pattern = (
        rf"\b(?:(?P<a>{any_of}) (?:{table['joints']}) {article}(?P<b>{any_of})"
        rf"|(?P<c>{heads}) (?P<d>{legs})|(?P<e>dia(?:ph|gr)\w*) (?P<f>(?:iliac )?crests?)"
        rf"|(?P<g>{trunk}) (?P<h>{pelvis}))\b"
    )
    joints = {joint.split("(")[0].split()[0] for joint in table["joints"].split("|")}
    return known, re.compile(re.sub(r"\((?!\?)", "(?:", pattern)), frozenset(joints) | UNJOINED


def ranged(line: str) -> tuple[str, str, str]:
    """Return the rest of a `plain` line, the regions of a range in it, and its words.

    Both are empty where there is none; then the line comes back as it was.
    """
    known, pattern, quick = landmarks()
    if quick.isdisjoint(line.split()):
        return line, "", ""
    for match in pattern.finditer(line[:LONGEST]):
        ends = [text for text in match.groups() if text]
        regions = _between(*(_landmark(known, text) for text in ends))
        if regions:
            rest = f"{line[: match.start()]} {line[match.end() :]}"
            return " ".join(rest.split()), regions, match.group(0)
    return line, "", ""


def _landmark(known: tuple[Landmark, ...], text: str) -> Landmark:
    return next(one for one in known if one.words.fullmatch(text))


def _between(one: Landmark, other: Landmark) -> str:
    upper, lower = sorted((one, other), key=lambda landmark: (landmark.first, landmark.last))
    if upper.first == 0 and 0 < lower.last <= NECK:  # head and neck: a region by name
        return ""
    first = max(upper.first, 1) if lower.last >= PELVIS else upper.first
    return ";".join(ORDER[first : lower.last + 1])

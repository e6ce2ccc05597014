"""What a rule may name, and its values: one list for the rules, their check and reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from node.route.facts import HEADER_KEYWORDS, HEADER_LISTS, HEADER_NUMBERS, SOURCE_TITLES
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence

Shape = Literal["text", "texts", "number", "truth", "nothing", "table", "anything"]


@dataclass(frozen=True)
class Kind:
    """Which values an expression can have.

    Attributes
    ----------
    name
        As a rule writes it; '' for what is made of others.
    permitted
        All values that a text, or a member of a list of texts, can have; () for any.
    range
        Least and greatest value of a number; () for any.
    members
        Of a table: what it holds. Nothing else may be taken from it.
    several
        A text that is a list where the header holds several values.
    """

    shape: Shape
    name: str = ""
    permitted: tuple[str, ...] = ()
    range: tuple[float, float] | tuple[()] = ()
    members: Mapping[str, "Kind"] = field(default_factory=dict)
    several: bool = False


ANYTHING: Final = Kind("anything")
TRUTH: Final = Kind("truth")
NUMBER: Final = Kind("number")
TEXT: Final = Kind("text")
NOTHING: Final = Kind("nothing")

_YES_NO: Final = ("0", "1")
_HEADS: Final = ("sequence", "plane", "contrast", "coverage")
_FINDINGS: Final[Mapping[str, tuple[Shape, tuple[str, ...]]]] = {
    "sequence": ("text", tuple(Sequence)),
    "plane": ("text", tuple(Plane)),
    "contrast": ("text", tuple(Contrast)),
    "coverage": ("texts", tuple(Region)),
    "coverage_unknown": ("texts", tuple(Region)),
    "localizer": ("text", _YES_NO),
    "derived": ("text", _YES_NO),
    "strange": ("text", _YES_NO),
    "disagreement": ("texts", _HEADS),
    "own_output": ("text", _YES_NO),
}


def _finding(name: str, shape: Shape, permitted: tuple[str, ...]) -> Kind:
    said = f"findings.{name}"
    return Kind(
        "table",
        said,
        members={
            "value": Kind(shape, f"{said}.value", tuple(str(one) for one in permitted)),
            "probability": Kind("number", f"{said}.probability", range=(0.0, 1.0)),
        },
    )


def _header(keyword: str) -> Kind:
    name = f"header.{keyword}"
    if keyword in HEADER_NUMBERS:
        return Kind("number", name)
    many = keyword in HEADER_LISTS
    return Kind("texts" if many else "text", name, several=not many)


FACTS: Final[Mapping[str, Kind]] = {
    "findings": Kind(
        "table",
        "findings",
        members={name: _finding(name, *told) for name, told in sorted(_FINDINGS.items())},
    ),
    "header": Kind(
        "table",
        "header",
        members={keyword: _header(keyword) for keyword in sorted(HEADER_KEYWORDS)},
    ),
    "source": Kind(
        "table",
        "source",
        members={title: Kind("text", f"source.{title}") for title in SOURCE_TITLES},
    ),
}
"""Everything a rule can look at."""

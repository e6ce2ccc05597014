"""What a rule may name, and its values: one list for the rules, their check and reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from node.model.findings import FINDINGS, YES_NO_TEXTS, FindingKind, Use, ValueType
from node.route.facts import HEADER_KEYWORDS, HEADER_LISTS, HEADER_NUMBERS, SOURCE_TITLES

Shape = Literal["text", "texts", "number", "truth", "nothing", "table", "anything"]


@dataclass(frozen=True)
class ValueKind:
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
    members: Mapping[str, "ValueKind"] = field(default_factory=dict)
    several: bool = False


ANYTHING: Final = ValueKind("anything")
TRUTH: Final = ValueKind("truth")
NUMBER: Final = ValueKind("number")
TEXT: Final = ValueKind("text")
NOTHING: Final = ValueKind("nothing")

_SHAPES: Final[Mapping[ValueType, Shape]] = {
    ValueType.CLASS: "text",
    ValueType.CLASSES: "texts",
    ValueType.YES_NO: "text",
    ValueType.NUMBER: "number",
    ValueType.TEXTS: "texts",
}
"""How a rule sees the values of a finding; see `node.model.findings.fact_of`."""


def _finding(name: str, kind: FindingKind) -> ValueKind:
    written = f"findings.{name}"
    yes_no = kind.type is ValueType.YES_NO
    permitted = tuple(YES_NO_TEXTS.values()) if yes_no else kind.permitted
    return ValueKind(
        "table",
        written,
        members={
            "value": ValueKind(_SHAPES[kind.type], f"{written}.value", permitted),
            "probability": ValueKind("number", f"{written}.probability", range=(0.0, 1.0)),
        },
    )


def _header(keyword: str) -> ValueKind:
    name = f"header.{keyword}"
    if keyword in HEADER_NUMBERS:
        return ValueKind("number", name)
    many = keyword in HEADER_LISTS
    return ValueKind("texts" if many else "text", name, several=not many)


FACTS: Final[Mapping[str, ValueKind]] = {
    "findings": ValueKind(
        "table",
        "findings",
        members={
            str(name): _finding(name, kind)
            for name, kind in sorted(FINDINGS.items())
            if Use.RULES in kind.uses
        },
    ),
    "header": ValueKind(
        "table",
        "header",
        members={keyword: _header(keyword) for keyword in sorted(HEADER_KEYWORDS)},
    ),
    "source": ValueKind(
        "table",
        "source",
        members={title: ValueKind("text", f"source.{title}") for title in SOURCE_TITLES},
    ),
}
"""Everything a rule can look at."""

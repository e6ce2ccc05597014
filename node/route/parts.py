"""Parts of a CEL condition: their kinds, and what is written out in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from celpy.evaluation import celstr
from lark import Token, Tree

from node.route.vocabulary import ANYTHING, NOTHING, NUMBER, TEXT, TRUTH, ValueKind

SHAPES: Final = {
    "text": "a text", "texts": "a list of texts", "number": "a number", "truth": "true or false",
    "table": "a table", "nothing": "null", "anything": "anything",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A part of a condition: its kind, and the literals it is written as, where it is.

    A list has the literals of its members, None for one that is no literal.

    Attributes
    ----------
    fixed
        What has a certain value wherever a condition holds: pairs of a name and that value.
    """

    kind: ValueKind
    literals: tuple[Any, ...] | None = None
    fixed: frozenset[tuple[str, Any]] = frozenset()

    @property
    def literal(self) -> Any:
        """The one literal it is, or None."""
        return self.literals[0] if self.literals and self.kind.shape != "texts" else None


def literal_part(token: Token) -> Part:
    """Return the part that a token of CEL's grammar stands for."""
    text = str(token)
    match token.type:
        case "STRING_LIT" | "MLSTRING_LIT":
            return Part(TEXT, (str(celstr(token)),))
        case "INT_LIT" | "UINT_LIT" | "FLOAT_LIT":
            return Part(NUMBER, (_number(text),))
        case "BOOL_LIT":
            return Part(TRUTH, (text == "true",))
        case "NULL_LIT":
            return Part(NOTHING)
    return Part(ANYTHING)


def list_part(members: Sequence[Part]) -> Part:
    """Return the part that a list of others is."""
    return Part(
        ValueKind("texts"),
        tuple(member.literals[0] if member.literals else None for member in members),
    )


def arguments(node: Tree[Any]) -> list[Any]:
    """Return the expressions between the brackets of a call or a list."""
    lists = [
        child for child in node.children if isinstance(child, Tree) and child.data == "exprlist"
    ]
    return list(lists[0].children) if lists else []


def variable(node: Any) -> str:
    """Return the name that a macro binds, '' where there is none."""
    found = next(iter(node.find_data("ident")), None) if isinstance(node, Tree) else None
    return str(found.children[0]) if found is not None else ""


def named(kind: ValueKind) -> str:
    """Return how a sentence calls a part."""
    return kind.name or f"{SHAPES[kind.shape]} that is written out"


def _number(text: str) -> float:
    plain = text.rstrip("uU")
    return float(int(plain, 16)) if "x" in plain.lower() else float(plain)

"""What is wrong with a comparison: no series fulfils it, or each, or CEL refuses it.

Every function yields sentences with what was found and what was expected; what cannot be told
from the kinds of the parts is left alone.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from node.route.parts import SHAPES, Part, named
from node.route.vocabulary import ValueKind

AE_LENGTH: Final = 16  # VR AE, PS3.5 Section 6.2
METHODS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
}
ORDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "relation_lt": lambda left, right: left < right,
    "relation_le": lambda left, right: left <= right,
    "relation_gt": lambda left, right: left > right,
    "relation_ge": lambda left, right: left >= right,
}
_MIRRORED: Final = {
    "relation_lt": "relation_gt", "relation_le": "relation_ge",
    "relation_gt": "relation_lt", "relation_ge": "relation_le",
}  # fmt: skip
_PLAIN: Final = ("text", "texts", "number", "truth")


def asked(method: str, owner: ValueKind, argument: Part) -> Iterator[str]:
    """Look at `contains`, `startsWith`, `endsWith`, `matches`."""
    if owner.shape in ("number", "truth") or (owner.shape == "texts" and method != "contains"):
        yield f"{named(owner)} is {SHAPES[owner.shape]}: it has no {method}"
        return
    if argument.kind.shape not in ("text", "anything"):
        yield f"{method} of {named(owner)} expects a text, found {SHAPES[argument.kind.shape]}"
    text = argument.literal
    if not isinstance(text, str):
        return
    if method == "matches" and (wrong := _pattern_error(text)):
        yield f"{text!r} is no regular expression: {wrong}"
    elif owner.shape == "texts":
        yield from _permitted(owner, text)
    elif owner.permitted and not any(METHODS[method](value, text) for value in owner.permitted):
        yield f"{owner.name} never {method} {text!r}; expected {choice(text, owner.permitted)}"


def among(item: Part, container: Part) -> Iterator[str]:
    """Look at `in`."""
    shape = container.kind.shape
    if shape == "text" and container.kind.name:
        yield (
            f"{container.kind.name} is a text, no list; write {container.kind.name} == ... or "
            f"{container.kind.name}.contains(...)"
        )
    elif shape in ("text", "number", "truth"):
        yield f"in {named(container.kind)}, which is no list; write [...]"
    elif item.kind.shape == "texts":
        yield f"{named(item.kind)} is a list; write: value in {item.kind.name or 'the list'}"
    elif container.literals is not None:
        for literal in container.literals:
            yield from _value(item.kind, literal)
    elif shape == "texts":
        if item.kind.shape in ("number", "truth"):
            yield f"{named(container.kind)} holds texts, never {SHAPES[item.kind.shape]}"
        yield from _permitted(container.kind, item.literal)


def equal(left: Part, right: Part) -> Iterator[str]:
    """Look at ``==`` and ``!=``."""
    if left.literals is None:
        left, right = right, left
    if left.literals is None:  # neither is written out
        if _differ(left.kind, right.kind):
            yield _not_compared(left.kind, right.kind)
    elif left.kind.shape == "texts":
        if right.kind.shape in _PLAIN and right.kind.shape != "texts" and not right.kind.several:
            yield f"{named(right.kind)} is {SHAPES[right.kind.shape]}, no list; write: in [...]"
        for literal in left.literals:
            member = (
                replace(right.kind, shape="text") if right.kind.shape == "texts" else right.kind
            )
            yield from _value(member, literal)
    else:
        yield from _value(right.kind, left.literals[0])


def ordered(operator: str, left: Part, right: Part) -> Iterator[str]:
    """Look at ``<``, ``<=``, ``>``, ``>=``."""
    if left.literal is not None:
        operator, left, right = _MIRRORED[operator], right, left
    for part in (left, right):
        if part.kind.shape in ("texts", "truth", "table", "nothing"):
            yield f"{named(part.kind)} is {SHAPES[part.kind.shape]}: it has no order"
            return
    if _differ(left.kind, right.kind):
        yield _not_compared(left.kind, right.kind)
        return
    limits, value = left.kind.range, right.literal
    if limits and isinstance(value, float) and _never(operator, limits, value):
        yield f"{left.kind.name} is between {limits[0]:g} and {limits[1]:g}; found {value:g}"


def choice(found: str, expected: Iterable[str]) -> str:
    """Return what was expected, and what of it was probably meant."""
    listed = list(expected)
    folded = {value.casefold(): value for value in listed}
    near = difflib.get_close_matches(found.casefold(), folded, n=1, cutoff=0.5)
    hint = f" (perhaps {folded[near[0]]!r})" if near else ""
    return ", ".join(repr(value) for value in listed) + hint


def _value(kind: ValueKind, value: Any) -> Iterator[str]:
    """Look at a literal that something of a kind is compared with."""
    if kind.shape == "table":
        yield f"{kind.name} is a table; write one of its members: {choice('', kind.members)}"
    if value is None or kind.shape not in _PLAIN:
        return
    if kind.shape == "texts":
        hint = f"; write {value!r} in {kind.name}" if kind.name else ""
        yield f"{named(kind)} is a list and never equals {value!r}{hint}"
    elif _shape_of(value) != kind.shape:
        expected = f"; expected {choice('', kind.permitted)}" if kind.permitted else ""
        yield f"{named(kind)} is {SHAPES[kind.shape]} and never {value!r}{expected}"
    elif isinstance(value, str):
        yield from _permitted(kind, value)
    elif kind.range and not kind.range[0] <= value <= kind.range[1]:
        yield f"{kind.name} is between {kind.range[0]:g} and {kind.range[1]:g}; found {value:g}"


def _permitted(kind: ValueKind, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        return
    if kind.permitted and value not in kind.permitted:
        yield f"{kind.name} is never {value!r}; expected {choice(value, kind.permitted)}"
    if kind.name == "header.Modality" and value != value.strip().upper():
        yield f"{kind.name} is a code in capitals (PS3.3 Section C.7.3.1.1.1); found {value!r}"
    if kind.name.startswith("source.") and not 1 <= len(value.strip()) <= AE_LENGTH:
        yield f"{kind.name} is an AE title of 1 to {AE_LENGTH} characters; found {value!r}"


def _never(operator: str, limits: tuple[float, float], value: float) -> bool:
    return not any(ORDER[operator](end, value) for end in limits)


def _differ(left: ValueKind, right: ValueKind) -> bool:
    several = left.several or right.several
    known = left.shape in _PLAIN and right.shape in _PLAIN and left.shape != right.shape
    return known and not (several and {left.shape, right.shape} == {"text", "texts"})


def _not_compared(left: ValueKind, right: ValueKind) -> str:
    return (
        f"{named(left)} is {SHAPES[left.shape]}, {named(right)} is {SHAPES[right.shape]}: "
        "they are not compared"
    )


def _pattern_error(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return ""


def _shape_of(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"

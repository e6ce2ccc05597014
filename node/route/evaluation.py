"""Evaluating a CEL condition against facts: what is absent or unknown makes nothing true.

CEL answers with an error where a member is absent, so that a rule would fail on every series
without that attribute. Here an absent or unknown value equals nothing and contains nothing;
`has(header.X)` tells whether it is there. So ``==``, ``<``, ``in``, `contains` and their like are
false, and ``!=``, which is the opposite of ``==``, is true. A region of which nobody can tell
whether it is covered is more than absent: a condition that asks for it holds neither way.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError, CELUnsupportedError, base_functions
from lark import Token, Tree

from node.model.findings import YES_NO_TEXTS, FindingName
from node.route.facts import Facts
from node.route.vocabulary import FACTS, ValueKind

UNKNOWN_REGION: Final = "it is unknown whether the series covers: "
PRESENT: Final = "_is_present"
_VALUE: Final = celtypes.StringType("value")
_NUMBERS: Final = (celtypes.IntType, celtypes.UintType, celtypes.DoubleType)
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    FindingName.OWN_OUTPUT: {"value": YES_NO_TEXTS[False], "probability": 1.0}
}


class AbsentType:
    """The value of an attribute that the header does not have, or of a finding nobody made."""

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


ABSENT: Final = AbsentType()


class _UnknownRegion(celtypes.StringType):
    """A region of which it is unknown whether it is covered: asking for it has no answer."""

    def __eq__(self, other: object) -> bool:
        if str(self) == str(other):
            raise TypeError(f"{UNKNOWN_REGION}{self}")
        return False

    __hash__ = celtypes.StringType.__hash__


class _Coverage(celtypes.ListType):
    """The covered regions; `in` of an unknown one is an error, of CEL's kind, not false.

    So neither `"liver" in coverage` nor `!("liver" in coverage)` holds where nobody can tell.
    """

    def __init__(self, covered: Iterable[str], unknown: Iterable[str]) -> None:
        super().__init__([celtypes.StringType(name) for name in covered])
        self._unknown = [_UnknownRegion(name) for name in unknown]

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from self._unknown

    def contains(self, item: Any) -> celtypes.BoolType:
        return celtypes.BoolType(any(member == item for member in self))


def prepared(tree: Tree[Any]) -> Tree[Any]:
    """Return a condition in which `has` asks for presence: with `context` nothing is missing."""
    for node in tree.find_data("ident_arg"):
        token = node.children[0]
        if isinstance(token, Token) and token == "has":  # noqa: S105 - no secret, a macro
            node.children[0] = Token.new_borrow_pos(token.type, PRESENT, token)
    return tree


def context(facts: Facts) -> dict[str, Any]:
    """Return the facts as CEL sees them, with a place for everything that a rule may name."""
    findings = {name: dict(found) for name, found in facts.findings.items()}
    for name, found in _DEFAULTS.items():
        findings.setdefault(name, dict(found))
    for name, kind in FACTS["findings"].members.items():
        if kind.members["value"].shape == "texts":
            found = findings.setdefault(name, {"value": [], "probability": 1.0})
            found["value"] = found.get("value") or []  # so that `"liver" in ...` is false
    table: Any = json_to_cel(findings)
    if unknown := findings[FindingName.COVERAGE_UNKNOWN]["value"]:
        coverage = _Coverage(findings[FindingName.COVERAGE]["value"], unknown)
        table[celtypes.StringType(FindingName.COVERAGE)][_VALUE] = coverage
    return {
        "findings": _filled(table, FACTS["findings"]),
        "header": _filled(json_to_cel(dict(facts.header)), FACTS["header"]),
        "source": _filled(json_to_cel(dict(facts.source)), FACTS["source"]),
    }


def _filled(table: Any, kind: ValueKind) -> Any:
    """Put what is absent in its place, findings with both of their members."""
    for name, member in kind.members.items():
        key = celtypes.StringType(name)
        if key not in table:
            table[key] = _filled(celtypes.MapType(), member) if member.members else ABSENT
    return table


def evaluated(program: celpy.Runner, facts: dict[str, Any]) -> bool | str:
    """Return whether a condition holds, or why it cannot be told."""
    try:
        value = program.evaluate(facts)
    except (CELEvalError, CELUnsupportedError, TypeError, ValueError, KeyError) as error:
        failure = _failure_text(error)
        # Unknown is an answer: the rule does not match, and did not fail.
        return False if failure.startswith(UNKNOWN_REGION) else failure
    if not isinstance(value, celtypes.BoolType | bool):
        return f"the condition is not true or false but {type(value).__name__}"
    return bool(value)


def _failure_text(error: Exception) -> str:
    """Return the head of a CEL error; its tail repeats the facts, which do not belong in logs."""
    for part in error.args:
        if isinstance(part, tuple) and part and str(part[0]).startswith(UNKNOWN_REGION):
            return str(part[0])
    text = str(error.args[0]) if error.args else type(error).__name__
    missing = re.match(r"no such member in mapping: '(\w+)'", text)
    if missing:
        return f"{missing[1]} is absent"
    kinds = re.findall(r"<class '(?:celpy\.celtypes\.|node\.route\.evaluation\.)?(\w+)'>", text)
    if text.startswith("found no matching overload") and kinds:
        named = ("what is absent" if kind == AbsentType.__name__ else kind for kind in kinds)
        return f"an operator does not take {' and '.join(named)}"
    if "field selection" in text:
        return "a value that is not a map has no members"
    return text.split("(", 1)[0].strip()[:200]


def _is_nothing(value: Any) -> bool:
    return value is None or isinstance(value, AbsentType | celtypes.NullType)


def _equal(left: Any, right: Any) -> Any:
    """Compare; what is absent equals `null`, but not what is absent elsewhere."""
    if _is_nothing(left) or _is_nothing(right):
        both_absent = isinstance(left, AbsentType) and isinstance(right, AbsentType)
        return celtypes.BoolType(_is_nothing(left) and _is_nothing(right) and not both_absent)
    return base_functions["_==_"](*_one_kind(left, right))


def _unequal(left: Any, right: Any) -> Any:
    equal = _equal(left, right)
    return equal if isinstance(equal, CELEvalError) else celtypes.BoolType(not equal)


def _one_kind(left: Any, right: Any) -> tuple[Any, Any]:
    """Make a double of an integer that meets a double: CEL compares across them, celpy not."""
    if (
        isinstance(left, _NUMBERS)
        and isinstance(right, _NUMBERS)
        and type(left) is not type(right)
    ):
        return celtypes.DoubleType(left), celtypes.DoubleType(right)
    return left, right


def _ordered(name: str) -> Callable[[Any, Any], Any]:
    plain: Any = base_functions[name]

    def compare(left: Any, right: Any) -> Any:
        if _is_nothing(left) or _is_nothing(right):
            return celtypes.BoolType(False)
        return plain(*_one_kind(left, right))

    return compare


def _asked_of(name: str) -> Callable[..., Any]:
    """Return a method of texts and lists that is false of what is absent."""
    plain: Any = base_functions[name]

    def ask(value: Any, *arguments: Any) -> Any:
        if any(isinstance(argument, CELEvalError) for argument in arguments):
            return next(argument for argument in arguments if isinstance(argument, CELEvalError))
        if _is_nothing(value) or any(map(_is_nothing, arguments)):
            return celtypes.BoolType(False)
        return plain(value, *arguments)

    return ask


def _among(item: Any, container: Any) -> Any:
    if _is_nothing(container):
        return celtypes.BoolType(False)
    if isinstance(container, celtypes.MapType):
        return _present(container.get(item, ABSENT))
    if isinstance(item, AbsentType):
        return celtypes.BoolType(False)
    if isinstance(item, _NUMBERS) and isinstance(container, celtypes.ListType):
        numbers = [_one_kind(member, item) for member in container if isinstance(member, _NUMBERS)]
        return celtypes.BoolType(any(number == other for number, other in numbers))
    return base_functions["_in_"](item, container)


def _present(value: Any) -> Any:
    if isinstance(value, celtypes.MapType) and value:
        return celtypes.BoolType(
            not all(isinstance(member, AbsentType) for member in value.values())
        )
    return celtypes.BoolType(not isinstance(value, AbsentType | CELEvalError))


FUNCTIONS: Final[dict[str, Any]] = {
    "_==_": _equal,
    "_!=_": _unequal,
    "_in_": _among,
    PRESENT: _present,
    **{name: _ordered(name) for name in ("_<_", "_<=_", "_>_", "_>=_")},
    **{name: _asked_of(name) for name in ("contains", "startsWith", "endsWith", "matches")},
}
"""What takes the place of celpy's own."""

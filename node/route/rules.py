"""Rules in CEL: facts and a table in, a decision out; no clock, no files, no `eval`.

CEL (Common Expression Language) cannot loop, call out or name anything but the facts. Rules
are compiled once and checked for names that do not exist, so that a misspelt keyword stops
the node at start instead of never matching. A rule that cannot be evaluated for a series (a
header value is absent) does not match, and the decision says so.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError, CELSyntaxError, CELUnsupportedError, base_functions
from lark import Token, Tree

from node.errors import ConfigError
from node.route.facts import HEADER_KEYWORDS, Facts
from node.settings import Rule

FINDINGS: Final = frozenset(
    {
        "sequence", "plane", "contrast", "coverage", "localizer", "derived", "disagreement",
        "coverage_unknown", "strange", "own_output",
    }
)  # fmt: skip
_SOURCE: Final = frozenset({"calling_ae"})
_VALUE: Final = celtypes.StringType("value")
UNKNOWN_REGION: Final = "it is unknown whether the series covers: "
_MEMBERS: Final = {"findings": FINDINGS, "header": HEADER_KEYWORDS, "source": _SOURCE}
_MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map", "has", "dyn"})
_FUNCTIONS: Final = _MACROS | {name for name in base_functions if name.isidentifier()}


@dataclass(frozen=True)
class CompiledRule:
    """A rule and its checked program."""

    rule: Rule
    program: celpy.Runner = field(repr=False)


@dataclass(frozen=True)
class CompiledRules:
    """The table, in the order of the settings file."""

    rules: tuple[CompiledRule, ...]


@dataclass(frozen=True)
class Decision:
    """What to do with one series, and on whose word.

    Attributes
    ----------
    deliver : tuple[str, ...]
        Destinations of the source images, each once, in table order.
    segment : tuple[str, ...]
        Organs to segment.
    results_to : tuple[str, ...]
        Destinations of what the node makes of the series.
    urgent : tuple[str, ...]
        Those of both that an urgent rule named: they overtake others and wait for no window.
    matched : tuple[str, ...]
        Names of the rules that matched.
    failed : dict[str, str]
        Names of the rules that could not be evaluated, with the reason; they did not match.
    reasons : dict[str, tuple[str, ...]]
        ``deliver:PACS``, ``segment:liver`` or ``results_to:PACS`` to the rules that said so.
    """

    deliver: tuple[str, ...] = ()
    segment: tuple[str, ...] = ()
    results_to: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)


def compile_rules(rules: Sequence[Rule]) -> CompiledRules:
    """Compile and check every rule.

    Raises
    ------
    ConfigError
        If a condition is not CEL, or names a fact or function that does not exist; names the
        rule and the place.
    """
    environment = celpy.Environment()
    return CompiledRules(tuple(_compiled(environment, rule) for rule in rules))


def decide(rules: CompiledRules | Sequence[Rule], facts: Facts) -> Decision:
    """Return what the table says about one series.

    Parameters
    ----------
    rules : CompiledRules or Sequence[Rule]
        From `compile_rules`; a plain sequence is compiled first.
    facts : Facts
        The series.

    Returns
    -------
    Decision
        The union of all rules that match, up to and including the first with ``stop``.
    """
    compiled = rules if isinstance(rules, CompiledRules) else compile_rules(rules)
    context = _context(facts)
    matched: list[Rule] = []
    failed: dict[str, str] = {}
    for entry in compiled.rules:
        reason = _evaluated(entry.program, context)
        if isinstance(reason, str):
            failed[entry.rule.name] = reason
        elif reason:
            matched.append(entry.rule)
            if entry.rule.stop:
                break
    return Decision(
        deliver=_union(rule.deliver for rule in matched),
        segment=_union(rule.segment for rule in matched),
        results_to=_union(rule.results_to for rule in matched),
        urgent=_union((*rule.deliver, *rule.results_to) for rule in matched if rule.urgent),
        matched=tuple(rule.name for rule in matched),
        failed=failed,
        reasons=_reasons(matched),
    )


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _reasons(matched: Sequence[Rule]) -> dict[str, tuple[str, ...]]:
    said: dict[str, list[str]] = {}
    for rule in matched:
        for action in ("deliver", "segment", "results_to"):
            for target in getattr(rule, action):
                said.setdefault(f"{action}:{target}", []).append(rule.name)
    return {action: tuple(names) for action, names in said.items()}


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


def _context(facts: Facts) -> dict[str, Any]:
    findings = {name: dict(found) for name, found in facts.findings.items()}
    if "coverage" in findings and findings["coverage"].get("value") is None:
        findings["coverage"]["value"] = []  # so that `"liver" in ...` is false, not an error
    findings.setdefault("disagreement", {"value": [], "probability": 1.0})
    findings.setdefault("coverage_unknown", {"value": [], "probability": 1.0})
    findings.setdefault("strange", {"value": None, "probability": 0.0})
    findings.setdefault("own_output", {"value": "0", "probability": 1.0})
    told: Any = json_to_cel(findings)
    unknown = findings["coverage_unknown"].get("value") or []
    if "coverage" in findings and unknown:
        coverage = told[celtypes.StringType("coverage")]
        coverage[_VALUE] = _Coverage(findings["coverage"]["value"], unknown)
    return {
        "findings": told,
        "header": json_to_cel(dict(facts.header)),
        "source": json_to_cel(dict(facts.source)),
    }


def _evaluated(program: celpy.Runner, context: dict[str, Any]) -> bool | str:
    """Return whether the condition holds, or why it cannot be told."""
    try:
        value = program.evaluate(context)
    except (CELEvalError, CELUnsupportedError, TypeError, ValueError, KeyError) as error:
        told = _told(error)  # unknown is an answer: the rule does not match, and did not fail
        return False if told.startswith(UNKNOWN_REGION) else told
    if not isinstance(value, celtypes.BoolType | bool):
        return f"the condition is not true or false but {type(value).__name__}"
    return bool(value)


def _told(error: Exception) -> str:
    """Return the head of a CEL error; its tail repeats the facts, which do not belong in logs."""
    for part in error.args:
        if isinstance(part, tuple) and part and str(part[0]).startswith(UNKNOWN_REGION):
            return str(part[0])
    text = str(error.args[0]) if error.args else type(error).__name__
    missing = re.match(r"no such member in mapping: '(\w+)'", text)
    if missing:
        return f"{missing[1]} is absent"
    kinds = re.findall(r"<class '(?:celpy\.celtypes\.)?(\w+)'>", text)
    if text.startswith("found no matching overload") and kinds:
        return f"an operator does not take {' and '.join(kinds)}"
    if "field selection" in text:
        return "a value that is not a map has no members"
    return text.split("(", 1)[0].strip()[:200]


def _compiled(environment: celpy.Environment, rule: Rule) -> CompiledRule:
    try:
        tree = environment.compile(rule.when)
        program = environment.program(tree, functions=_COMPARISONS)
    except (CELParseError, CELSyntaxError) as error:
        line, column = getattr(error, "line", None) or 1, getattr(error, "column", None) or 1
        place = f"line {line}, column {column}"
        raise ConfigError(f"rule {rule.name!r}: not CEL at {place} of {rule.when!r}") from error
    for problem, token in _problems(tree):
        raise ConfigError(
            f"rule {rule.name!r}: {problem} at line {token.line}, column {token.column} "
            f"of {rule.when!r}"
        )
    return CompiledRule(rule, program)


def _problems(tree: Tree[Any]) -> Iterator[tuple[str, Token]]:
    """Yield the names in an expression that do not exist, each with where it stands."""
    bound = set(_bound(tree))
    for node in tree.iter_subtrees_topdown():  # type: ignore[no-untyped-call]
        token = next((child for child in node.children if isinstance(child, Token)), None)
        if token is None:
            continue
        name = str(token)
        if node.data in ("ident", "dot_ident") and name not in _MEMBERS and name not in bound:
            yield f"{name!r} is none of {', '.join(sorted(_MEMBERS))}", token
        if node.data in ("ident_arg", "dot_ident_arg", "member_dot_arg") and (
            name not in _FUNCTIONS
        ):
            yield f"there is no function {name!r}", token
        if node.data == "member_dot":
            known = _MEMBERS.get(_root(node.children[0]))
            if known is not None and name not in known:
                yield f"{name!r} is none of {', '.join(sorted(known))}", token


def _bound(tree: Tree[Token]) -> Iterator[str]:
    """Yield the variables that macros bind, as `x` in ``list.exists(x, x > 2)``."""
    for node in tree.find_data("member_dot_arg"):
        if str(node.children[1]) in _MACROS and len(node.children) > 2:
            first = node.children[2]
            variable = first.children[0] if isinstance(first, Tree) else None
            if isinstance(variable, Tree):
                yield from (str(ident.children[0]) for ident in variable.find_data("ident"))


def _root(node: Any) -> str:
    """Return the identifier a member is taken from, or '' where it is no plain identifier."""
    while isinstance(node, Tree) and len(node.children) == 1:
        if node.data == "ident":
            return str(node.children[0])
        node = node.children[0]
    return ""


def _one_kind(left: Any, right: Any) -> tuple[Any, Any]:
    """Make a double of an integer that meets a double: CEL compares across them, celpy not."""
    numbers = (celtypes.IntType, celtypes.UintType, celtypes.DoubleType)
    if isinstance(left, numbers) and isinstance(right, numbers) and type(left) is not type(right):
        return celtypes.DoubleType(left), celtypes.DoubleType(right)
    return left, right


def _across(name: str) -> Any:
    plain = base_functions[name]

    def compare(left: Any, right: Any) -> Any:
        return plain(*_one_kind(left, right))

    return compare


_COMPARISONS: Final = {
    name: _across(name) for name in ("_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_")
}

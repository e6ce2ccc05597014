"""Rules in CEL: facts and a table in, a decision out; no clock, no files, no `eval`.

CEL (Common Expression Language) cannot loop, call out or name anything but the facts. Rules
are compiled once and checked for names that do not exist, so that a misspelt keyword stops
the node at start instead of never matching. A rule that cannot be evaluated for a series (a
header value is absent) does not match, and the decision says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import celpy
from celpy.celparser import CELParseError
from celpy.evaluation import CELSyntaxError, base_functions
from lark import Token, Tree

from node.errors import ConfigError
from node.route.evaluation import FUNCTIONS, context, evaluated, prepared
from node.route.facts import Facts
from node.route.vocabulary import FACTS
from node.settings import Rule

_MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map", "has", "dyn"})
_FUNCTIONS: Final = _MACROS | {name for name in base_functions if name.isidentifier()}


@dataclass(frozen=True)
class CompiledRule:
    """A rule and its checked program."""

    rule: Rule
    program: celpy.Runner = field(repr=False)
    tree: Tree[Any] = field(repr=False)


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
    summary_to : tuple[str, ...]
        Those of them that get the report of what was recognised of its study, too.
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
    summary_to: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)


def compile_rules(rules: Sequence[Rule]) -> CompiledRules:
    """Compile and check every rule.

    Parameters
    ----------
    rules : sequence of Rule
        Of the settings, in the order of the file.

    Returns
    -------
    CompiledRules

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
    variables = context(facts)
    matched: list[Rule] = []
    failed: dict[str, str] = {}
    for entry in compiled.rules:
        reason = evaluated(entry.program, variables)
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
        summary_to=_union(rule.results_to for rule in matched if rule.summary),
        urgent=_union((*rule.deliver, *rule.results_to) for rule in matched if rule.urgent),
        matched=tuple(rule.name for rule in matched),
        failed=failed,
        reasons=_reasons(matched),
    )


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _reasons(matched: Sequence[Rule]) -> dict[str, tuple[str, ...]]:
    names_of: dict[str, list[str]] = {}
    for rule in matched:
        for action in ("deliver", "segment", "results_to"):
            for target in getattr(rule, action):
                names_of.setdefault(f"{action}:{target}", []).append(rule.name)
    return {action: tuple(names) for action, names in names_of.items()}


def _compiled(environment: celpy.Environment, rule: Rule) -> CompiledRule:
    try:
        tree = environment.compile(rule.when)
    except (CELParseError, CELSyntaxError) as error:
        line, column = getattr(error, "line", None) or 1, getattr(error, "column", None) or 1
        place = f"line {line}, column {column}"
        raise ConfigError(f"rule {rule.name!r}: not CEL at {place} of {rule.when!r}") from error
    for problem, token in _problems(tree):
        raise ConfigError(
            f"rule {rule.name!r}: {problem} at line {token.line}, column {token.column} "
            f"of {rule.when!r}"
        )
    program = environment.program(prepared(tree), functions=FUNCTIONS)
    return CompiledRule(rule, program, tree)


def _problems(tree: Tree[Any]) -> Iterator[tuple[str, Token]]:
    """Yield the names in an expression that do not exist, each with where it stands."""
    bound = set(_bound(tree))
    for node in tree.iter_subtrees_topdown():  # type: ignore[no-untyped-call]
        token = next((child for child in node.children if isinstance(child, Token)), None)
        if token is None:
            continue
        name = str(token)
        if node.data in ("ident", "dot_ident") and name not in FACTS and name not in bound:
            yield f"{name!r} is none of {', '.join(sorted(FACTS))}", token
        if node.data in ("ident_arg", "dot_ident_arg", "member_dot_arg") and (
            name not in _FUNCTIONS
        ):
            yield f"there is no function {name!r}", token
        if node.data == "member_dot":
            known = FACTS.get(_root(node.children[0]))
            if known is not None and name not in known.members:
                yield f"{name!r} is none of {', '.join(known.members)}", token


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

"""Why a rule matched a series, or did not: what its condition looked at, and which part fails."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import celpy
from lark import Tree

from node.model.findings import FindingName
from node.route.evaluation import FUNCTIONS, context, evaluated
from node.route.facts import Facts
from node.route.parts import literal_part
from node.route.rules import CompiledRule, CompiledRules
from node.route.vocabulary import FACTS

ALWAYS: Final = "always"
_IDENTIFYING: Final = frozenset({"AccessionNumber"})


@dataclass(frozen=True)
class RuleVerdict:
    """What one rule says of one series, and why; None where a rule above it stopped."""

    rule: CompiledRule
    matched: bool | None
    because: str


def because(rule: CompiledRule, facts: Facts) -> str:
    """Return what a condition that holds looked at: findings and titles, of headers only names.

    It goes into the log and the ledger, and what a header says may name a patient.

    Parameters
    ----------
    rule : CompiledRule
        One that holds for `facts`.
    facts : Facts
        Findings, header and source of a series.

    Returns
    -------
    str
        Such as ``sequence CT (1.00), plane axial (1.00)``.
    """
    shown = [_seen(table, name, facts, quoted=False) for table, name in looked_at(rule.tree)]
    return ", ".join(shown) or ALWAYS


def verdicts(rules: CompiledRules, facts: Facts) -> list[RuleVerdict]:
    """Return what each rule says, in the order of the table, for whoever asks at a terminal.

    Of a rule that does not match, the parts that fail are told, with what stands there.

    Parameters
    ----------
    rules : CompiledRules
        In the order of the file.
    facts : Facts
        Findings, header and source of a series.

    Returns
    -------
    list of RuleVerdict
        One for each rule, also for those that are not asked any more.
    """
    variables, found, stopped = context(facts), [], ""
    for entry in rules.rules:
        if stopped:
            found.append(RuleVerdict(entry, None, f"not asked: {stopped} stops"))
            continue
        holds = evaluated(entry.program, variables)
        if isinstance(holds, str):
            found.append(RuleVerdict(entry, False, f"cannot be evaluated: {holds}"))
        elif holds:
            seen = [_seen(*fact, facts, quoted=True) for fact in looked_at(entry.tree)]
            found.append(RuleVerdict(entry, True, ", ".join(seen) or ALWAYS))
            stopped = entry.rule.name if entry.rule.stop else ""
        else:
            found.append(RuleVerdict(entry, False, _why_not(entry, facts, variables)))
    return found


def looked_at(tree: Tree[Any]) -> list[tuple[str, str]]:
    """Return the facts that a condition names, as (table, name), each once."""
    found = dict.fromkeys(_members(tree))
    return [fact for fact in found if fact[1] in FACTS[fact[0]].members]


def _members(tree: Tree[Any]) -> Iterator[tuple[str, str]]:
    for node in tree.iter_subtrees_topdown():  # type: ignore[no-untyped-call]
        if node.data not in ("member_dot", "member_index"):
            continue
        table = _only_token(node.children[0])
        name = node.children[1]
        if node.data == "member_index":
            tokens = list(name.scan_values(lambda _: True))
            name = literal_part(tokens[0]).literal if len(tokens) == 1 else None
        if table in FACTS and isinstance(name, str):
            yield table, str(name)


def _only_token(tree: Tree[Any]) -> str:
    tokens = list(tree.scan_values(lambda _: True))
    return str(tokens[0]) if len(tokens) == 1 else ""


def _seen(table: str, name: str, facts: Facts, *, quoted: bool) -> str:
    if table == "findings":
        found = facts.findings.get(name)
        if found is None:
            return f"{name} unknown"
        value, sure = found.get("value"), found.get("probability")
        shown = ", ".join(value) or "none" if isinstance(value, list) else value or "unknown"
        text = f"{name} {shown}" + (f" ({sure:.2f})" if isinstance(sure, float) else "")
        doubtful = facts.findings.get(FindingName.COVERAGE_UNKNOWN, {}).get("value")
        if name == FindingName.COVERAGE and doubtful:
            return f"{text}, unknown: {', '.join(doubtful)}"
        return text
    values: Any = facts.header if table == "header" else facts.source
    full = f"{table}.{name}"
    if name not in values:
        return f"{full} absent"
    if table == "source":
        return f"{full} {values[name]}"
    return f"{full} {values[name]!r}" if quoted and name not in _IDENTIFYING else full


def _why_not(entry: CompiledRule, facts: Facts, variables: dict[str, Any]) -> str:
    environment = celpy.Environment()
    failing = []
    for part in _conjuncts(entry.tree):
        if evaluated(environment.program(part, functions=FUNCTIONS), variables) is not True:
            seen = [_seen(*fact, facts, quoted=True) for fact in looked_at(part)]
            text = " ".join(entry.rule.when[part.meta.start_pos : part.meta.end_pos].split())
            failing.append(f"not {text}" + (f" ({', '.join(seen)})" if seen else ""))
    return "; ".join(failing) or "it does not hold"


def _conjuncts(tree: Tree[Any]) -> Iterator[Tree[Any]]:
    """Yield what all has to hold: the parts between the outermost ``&&``."""
    if tree.data == "conditionaland" and len(tree.children) > 1:
        for child in tree.children:
            if isinstance(child, Tree):
                yield from _conjuncts(child)
    elif tree.data in ("expr", "conditionalor", "conditionaland") and len(tree.children) == 1:
        (child,) = tree.children
        if isinstance(child, Tree):
            yield from _conjuncts(child)
    else:
        yield tree

"""Looking for rules that can never match, or that do nothing, before the first series comes.

The syntax tree of a condition is walked with the kinds of its parts: which texts a finding can
have, what is a list, what a number. What is wrong with a comparison, `comparisons` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lark import Token, Tree

from node.route.comparisons import METHODS, ORDER, among, asked, choice, equal, ordered
from node.route.evaluation import PRESENT
from node.route.parts import SHAPES, Part, arguments, list_part, literal_part, named, variable
from node.route.rules import CompiledRules
from node.route.vocabulary import ANYTHING, FACTS, NUMBER, TEXT, TRUTH, ValueKind
from node.settings import Rule

_MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
_CALLS: Final = {
    "size": NUMBER, "int": NUMBER, "uint": NUMBER, "double": NUMBER, "has": TRUTH, "bool": TRUTH,
    PRESENT: TRUTH,
}  # fmt: skip
_CONDITIONS: Final = ("truth", "anything")
ANY_PLACE: Final = "[...]"  # a member of a list, who knows which: two of them may well differ

_Bound = Mapping[str, ValueKind]


def doubts(rules: CompiledRules) -> list[str]:
    """Return what is wrong with rules that compile: those that never match, or do nothing.

    Each sentence names the rule, what was found and what was expected.

    Parameters
    ----------
    rules : CompiledRules
        As `compile_rules` returns them.

    Returns
    -------
    list of str
        A sentence for each doubt; none: the rules are sound.
    """
    table = [entry.rule for entry in rules.rules]
    found = []
    for entry in rules.rules:
        sentences = [*condition_doubts(entry.tree), *_action_doubts(entry.rule, table)]
        found += [f"rule {entry.rule.name!r}: {problem}" for problem in sentences]
    return [*found, *_hidden(table)]


def condition_doubts(tree: Tree[Any]) -> list[str]:
    """Return what is wrong with one condition."""
    walk = _Walk()
    whole = walk.part(tree, {})
    kind = whole.kind
    if whole.literal is False:
        walk.found.append("false is never true")
    if kind.shape not in _CONDITIONS:
        walk.found.append(f"{named(kind)} is {SHAPES[kind.shape]}, not true or false")
    return list(dict.fromkeys(walk.found))


def _action_doubts(rule: Rule, table: Sequence[Rule]) -> Iterator[str]:
    if rule.urgent and not (rule.deliver or rule.results_to):
        yield "it is urgent and sends nothing; expected destinations in deliver or results_to"
    if rule.results_to and not (rule.summary or any(other.segment for other in table)):
        yield (
            "it has results_to without summary, and no rule has segment, so that there are no "
            "results"
        )
    if not (rule.deliver or rule.segment or rule.results_to or rule.urgent or rule.stop):
        yield "it does nothing; expected deliver, segment, results_to or stop"


def _hidden(table: Sequence[Rule]) -> Iterator[str]:
    """Name the rules behind one that always stops."""
    for number, rule in enumerate(table, start=1):
        if rule.stop and rule.when.strip() == "true":
            for later in table[number:]:
                yield f"rule {later.name!r}: it is never reached, for {rule.name!r} always stops"
            return


class _Walk:
    """One walk over a condition, which collects what is wrong with it."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def part(self, node: Any, bound: _Bound) -> Part:
        """Return the kind of a part, after having looked at all that is below it."""
        if not isinstance(node, Tree):
            return Part(ANYTHING)
        visit = getattr(self, f"_on_{node.data}", None)
        if visit is not None:
            part: Part = visit(node, bound)
            return part
        parts = [self.part(child, bound) for child in node.children]
        return parts[0] if len(parts) == 1 else Part(ANYTHING)

    def _on_expr(self, node: Tree[Any], bound: _Bound) -> Part:
        parts = [self.part(child, bound) for child in node.children]
        if len(parts) != 3:
            return parts[0]
        condition, yes, no = parts  # a ? b : c
        self._condition(condition)
        return Part(yes.kind if yes.kind == no.kind else ANYTHING)

    def _on_conditionalor(self, node: Tree[Any], bound: _Bound) -> Part:
        parts = [self.part(child, bound) for child in node.children]
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            self._condition(part)
        return Part(TRUTH)

    def _on_conditionaland(self, node: Tree[Any], bound: _Bound) -> Part:
        parts = [self.part(child, bound) for child in node.children]
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            self._condition(part)
        fixed = frozenset[tuple[str, Any]]().union(*(part.fixed for part in parts))
        for name in sorted({name for name, _ in fixed}):
            if len(values := sorted(repr(value) for key, value in fixed if key == name)) > 1:
                self.found.append(f"{name} is never {' and '.join(values)} at once; write ||")
        return Part(TRUTH, fixed=fixed)

    def _condition(self, part: Part) -> None:
        if part.kind.shape not in _CONDITIONS:
            self.found.append(
                f"{named(part.kind)} is {SHAPES[part.kind.shape]}, not true or false"
            )

    def _on_unary(self, node: Tree[Any], bound: _Bound) -> Part:
        part = self.part(node.children[-1], bound)
        if len(node.children) == 1:
            return part
        if node.children[0].data != "unary_not":
            return Part(NUMBER)
        self._condition(part)
        return Part(TRUTH)

    def _on_addition(self, node: Tree[Any], bound: _Bound) -> Part:
        parts = [self.part(child, bound) for child in node.children]
        if len(parts) == 1:
            return parts[0]
        return Part(replace(parts[-1].kind, name="", range=(), permitted=()))

    _on_multiplication = _on_addition

    def _on_ident(self, node: Tree[Any], bound: _Bound) -> Part:
        name = str(node.children[0])
        return Part(bound.get(name) or FACTS.get(name) or ANYTHING)

    _on_dot_ident = _on_ident

    def _on_literal(self, node: Tree[Any], _bound: _Bound) -> Part:
        token = node.children[0]
        return literal_part(token) if isinstance(token, Token) else Part(ANYTHING)

    def _on_list_lit(self, node: Tree[Any], bound: _Bound) -> Part:
        return list_part([self.part(argument, bound) for argument in arguments(node)])

    def _on_member_dot(self, node: Tree[Any], bound: _Bound) -> Part:
        return self._member(self.part(node.children[0], bound).kind, str(node.children[1]))

    def _on_member_index(self, node: Tree[Any], bound: _Bound) -> Part:
        owner = self.part(node.children[0], bound).kind
        index = self.part(node.children[1], bound).literal
        if owner.shape == "texts":
            place = f"[{index:g}]" if isinstance(index, float) else ANY_PLACE
            return Part(replace(owner, shape="text", name=owner.name and owner.name + place))
        return self._member(owner, index) if isinstance(index, str) else Part(ANYTHING)

    def _member(self, owner: ValueKind, name: str) -> Part:
        if owner.shape == "anything":
            return Part(ANYTHING)
        if owner.shape != "table":
            self.found.append(f"{named(owner)} is {SHAPES[owner.shape]} and has no {name!r}")
        elif name not in owner.members:
            expected = choice(name, owner.members)
            self.found.append(f"{owner.name} has no {name!r}; expected {expected}")
        return Part(owner.members.get(name, ANYTHING))

    def _on_ident_arg(self, node: Tree[Any], bound: _Bound) -> Part:
        given = [self.part(argument, bound) for argument in arguments(node)]
        name = str(node.children[0])
        if name == "string":
            return given[0] if given and given[0].kind.shape == "text" else Part(TEXT)
        return Part(_CALLS.get(name, ANYTHING))

    _on_dot_ident_arg = _on_ident_arg

    def _on_member_dot_arg(self, node: Tree[Any], bound: _Bound) -> Part:
        owner = self.part(node.children[0], bound).kind
        name = str(node.children[1])
        if name in _MACROS:
            return self._macro(name, owner, arguments(node), bound)
        given = [self.part(argument, bound) for argument in arguments(node)]
        if name in METHODS and len(given) == 1:
            self.found += asked(name, owner, given[0])
            return Part(TRUTH)
        return Part(_CALLS.get(name, ANYTHING))

    def _macro(self, name: str, owner: ValueKind, given: Sequence[Any], bound: _Bound) -> Part:
        if owner.shape in ("number", "truth") or (owner.shape == "text" and not owner.several):
            self.found.append(f"{named(owner)} is {SHAPES[owner.shape]}, no list for {name}")
        item = replace(owner, shape="text") if owner.shape == "texts" else ANYTHING
        inner = {**bound, variable(given[0]): item} if given else bound
        bodies = [self.part(argument, inner) for argument in given[1:]]
        if name == "filter":
            return Part(owner)
        if name == "map":
            return Part(ANYTHING)
        for body in bodies:
            self._condition(body)
        return Part(TRUTH)

    def _on_relation(self, node: Tree[Any], bound: _Bound) -> Part:
        if len(node.children) == 1:
            return self.part(node.children[0], bound)
        relation, right_tree = node.children
        left, right = self.part(relation.children[0], bound), self.part(right_tree, bound)
        if relation.data == "relation_in":
            self.found += among(left, right)
        elif relation.data in ORDER:
            self.found += ordered(relation.data, left, right)
        else:
            self.found += equal(left, right)
        if relation.data == "relation_eq":
            return Part(TRUTH, fixed=_fixed(left, right))
        return Part(TRUTH)


def _fixed(left: Part, right: Part) -> frozenset[tuple[str, Any]]:
    """Return what `left == right` says of something with a name."""
    if left.literal is not None:
        left, right = right, left
    if right.literal is None or left.kind.shape not in ("text", "number"):
        return frozenset()
    if not left.kind.name or left.kind.name.endswith(ANY_PLACE):
        return frozenset()
    return frozenset({(left.kind.name, right.literal)})

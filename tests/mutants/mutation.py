"""Mutants of a source text: one small change each, that some test should notice.

What only a person reads is left alone: documentation, annotations, the text of errors and logs.
So are the rows of a table of figures, as what was published, or counted on real scans: each row
stands alone, and a test could but write it down once more. A bound or a step that has a name of
its own decides something, and is changed.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.MatMult: ast.Mult,
}
EXCHANGED: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
"""Functions, and methods of arrays, with one that answers the same kind of thing."""

CHECK: Final = "strict"
"""A keyword of `zip` that states what holds, and changes nothing where it does."""

COUNTED: Final = 10
"""Up to here a number is an index or a count, and off by one; beyond, a figure somebody chose."""

FOR_PEOPLE: Final = ("log", "warnings")
"""What is called on these is read by people alone."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    path : str
        The file, below the root of the repository.
    line, until : int
        First and last line of what is changed, counted from 1.
    old, new : str
        Those lines before, and the text that takes their place.
    in_function : bool
        Whether it runs when something is called; otherwise when the file is imported.
    """

    path: str
    line: int
    until: int
    old: str
    new: str
    in_function: bool

    def applied(self, source: str) -> str:
        """Return the text of the file with this change."""
        lines = source.split("\n")
        return "\n".join([*lines[: self.line - 1], self.new, *lines[self.until :]])

    def change(self) -> str:
        """Return the change as a diff without line numbers: other changes would move them."""
        lines = [f"--- {self.path}"]
        lines += [f"-{line}" for line in self.old.split("\n")]
        lines += [f"+{line}" for line in self.new.split("\n")]
        return "\n".join(line.rstrip() for line in lines)


def mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of its lines."""
    finder = _Finder()
    finder.visit(ast.parse(source))
    lines = source.split("\n")
    made: dict[tuple[int, str], Mutant] = {}
    for change in finder.found:
        mutant = _mutant(path, lines, change)
        if mutant.old != mutant.new and _parses(mutant.applied(source)):
            made.setdefault((mutant.line, mutant.new), mutant)
    return sorted(made.values(), key=lambda mutant: (mutant.line, mutant.new))


@dataclass(frozen=True)
class _Change:
    node: ast.expr | ast.stmt
    text: str
    in_function: bool


def _mutant(path: str, lines: list[str], change: _Change) -> Mutant:
    node = change.node
    last = node.end_lineno or node.lineno
    head = lines[node.lineno - 1].encode()[: node.col_offset].decode()
    tail = lines[last - 1].encode()[node.end_col_offset :].decode()
    old = "\n".join(lines[node.lineno - 1 : last])
    return Mutant(path, node.lineno, last, old, head + change.text + tail, change.in_function)


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class _Finder(ast.NodeVisitor):
    """Walks a file and collects what may be changed in it."""

    def __init__(self) -> None:
        self.found: list[_Change] = []
        self._functions = 0

    def visit(self, node: ast.AST) -> None:
        """Collect the changes of a node, then those of what is in it."""
        if isinstance(node, ast.JoinedStr):
            return  # its parts have no places of their own before Python 3.12
        if isinstance(node, ast.expr | ast.stmt):
            self._collect(node)
        for child in _code(node):
            self._functions += child in _deferred(node)
            self.visit(child)
            self._functions -= child in _deferred(node)

    def _collect(self, node: ast.expr | ast.stmt) -> None:
        for make in CHANGES:
            for text in make(node):
                self.found.append(_Change(node, text, self._functions > 0))


def _deferred(node: ast.AST) -> list[ast.AST]:
    """Return what of a node runs only when it is called."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return list(node.body)
    return [node.body] if isinstance(node, ast.Lambda) else []


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are neither annotations nor for people."""
    skipped: set[ast.AST | None] = set()
    if isinstance(node, ast.AnnAssign | ast.arg):
        skipped.add(node.annotation)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        skipped.update(node.decorator_list)
        skipped.add(getattr(node, "returns", None))
    if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and _for_people(node.value)):
        return
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        return
    if isinstance(node, ast.Call):
        skipped.update(keyword for keyword in node.keywords if keyword.arg == CHECK)
    if isinstance(node, ast.Dict):
        skipped.update(value for value in node.values if _is_row_of_figures(value))
    yield from (child for child in ast.iter_child_nodes(node) if child not in skipped)


def _is_row_of_figures(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) and all(
        isinstance(one, ast.Constant) and isinstance(one.value, int | float | None)
        for one in node.elts
    )


def _for_people(node: ast.expr) -> bool:
    """Tell whether an expression is a documentation, a call of a log, or the `...` of a stub."""
    if isinstance(node, ast.Constant):
        return True
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return isinstance(node.func.value, ast.Name) and node.func.value.id in FOR_PEOPLE


def _comparisons(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Compare):
        return
    for place, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
            yield _text(ast.Compare(node.left, ops, node.comparators))


def _logic(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.BoolOp):
        yield _text(
            ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        )
        for place in range(len(node.values)):
            left = [*node.values[:place], *node.values[place + 1 :]]
            yield _text(left[0] if len(left) == 1 else ast.BoolOp(node.op, left))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield _text(node.operand)
    if isinstance(node, ast.IfExp):
        yield _text(ast.IfExp(node.test, node.orelse, node.body))


def _arithmetic(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.BinOp) and not _is_text(node.left):
        yield _text(ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right))
    if isinstance(node, ast.AugAssign):
        yield ast.unparse(ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _constants(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int):
        yield repr(value + 1 if abs(value) <= COUNTED else 2 * value)
    elif isinstance(value, float):
        yield repr(value * 2 if value else 1.0)
    elif isinstance(value, str):
        yield repr(f"{value}x")  # a letter: text is normalised, and would lose other signs


def _statements(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Return) and node.value is not None and not _says_no(node.value):
        yield "return None"
    if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and not _for_people(node.value)):
        yield "pass"
    if isinstance(node, ast.Break | ast.Continue):
        yield "continue" if isinstance(node, ast.Break) else "break"
    if isinstance(node, ast.AugAssign):
        yield "pass"


def _says_no(node: ast.expr) -> bool:
    """Tell whether something is None, or False, which is as good: True is made of that anyway."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _calls(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    name = node.func.id if isinstance(node.func, ast.Name) else name
    if name in EXCHANGED:
        function: ast.expr = ast.Name(EXCHANGED[name])
        if isinstance(node.func, ast.Attribute):
            function = ast.Attribute(node.func.value, EXCHANGED[name])
        keywords = [] if EXCHANGED[name] == "list" else node.keywords
        yield ast.unparse(ast.Call(function, node.args, keywords))
    for place, keyword in enumerate(node.keywords):
        if keyword.arg == CHECK:
            continue
        left = [*node.keywords[:place], *node.keywords[place + 1 :]]
        yield ast.unparse(ast.Call(node.func, node.args, left))


def _text(node: ast.expr) -> str:
    """Return an expression that can stand in any other."""
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


CHANGES: Final[tuple[Callable[[ast.AST], Iterator[str]], ...]] = (
    _comparisons,
    _logic,
    _arithmetic,
    _constants,
    _statements,
    _calls,
)

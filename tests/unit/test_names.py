"""One name of a class means one thing in the whole tree; a value is called what it holds."""

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.parsed import nodes

ROOT = Path(__file__).parents[2]
KNOWN: dict[str, str] = {}
"""Why a name is defined more than once."""


def defined_twice(files: Iterable[Path]) -> dict[str, list[str]]:
    """Return names of classes that several files define, with the places."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in sorted(files):
        for node in nodes(file):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    return {name: where for name, where in places.items() if len(where) > 1}


def test_a_class_name_is_defined_once() -> None:
    """Whoever searches for a name finds the thing; a name that is free again leaves KNOWN."""
    sources = [file for room in ("node", "radnet") for file in (ROOT / room).rglob("*.py")]

    found = defined_twice(sources)

    assert {name: where for name, where in found.items() if name not in KNOWN} == {}
    assert sorted(found) == sorted(KNOWN)


def test_no_value_of_the_node_is_called_one_told_or_said() -> None:
    """A name says what it holds: an instance, an entry, a reason."""
    found = []
    for file in sorted((ROOT / "node").rglob("*.py")):
        for node in nodes(file):
            match node:
                case ast.Name(id=bound, ctx=ast.Store()) | ast.arg(arg=bound):
                    pass
                case ast.FunctionDef(name=bound):
                    bound = bound.removeprefix("_")
                case _:
                    continue
            if bound in ("one", "told", "said"):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {bound}")

    assert found == []

"""What other rooms call says what it takes and gives: numpydoc sections, held room by room."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.parsed import parsed

ROOT = Path(__file__).parents[2]
COMPLETE = (
    "node.app",
    "node.check",
    "node.classify",
    "node.commitment",
    "node.errors",
    "node.identity",
    "node.receive",
    "node.route",
    "node.segment",
    "node.series",
    "node.supervise",
    "node.upkeep",
    "node.views",
    "node.worker",
    "radnet.evaluation",
    "radnet.phantom",
    "radnet.volume",
    "node.audit",
    "node.model",
    "node.settings",
    "node.wire",
    "radnet.harvest",
    "radnet.inference",
    "radnet.labels",
    "radnet.network",
)
"""Rooms in which everything that another room calls has its sections; a room is only added."""

LEAST_WITH_PARAMETERS = 415
"""Public functions and methods with a Parameters section; raised when more have one."""


@dataclass(frozen=True)
class Function:
    """A public function or method that takes something."""

    room: str
    name: str
    node: ast.FunctionDef
    is_called_elsewhere: bool


def module_of(path: Path) -> str:
    """Return the dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """Return the room of a module, or itself where it stands in none."""
    return ".".join(module.split(".")[:2])


@cache
def trees() -> dict[str, ast.Module]:
    """Return every file by the dotted name of its module."""
    return {
        module_of(path): parsed(path)
        for package in ("node", "radnet")
        for path in (ROOT / package).rglob("*.py")
        if "migrations" not in path.parts
    }


def imported() -> dict[tuple[str, str], set[str]]:
    """Return the rooms that take a name from a module, by its own path or through a package."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    passed_on: dict[tuple[str, str], tuple[str, str]] = {}
    for module, tree in trees().items():
        for statement in ast.walk(tree):
            if isinstance(statement, ast.ImportFrom) and statement.module:
                for alias in statement.names:
                    found[statement.module, alias.name].add(room_of(module))
                    passed_on[module, alias.name] = (statement.module, alias.name)
                    if (whole := f"{statement.module}.{alias.name}") in trees():
                        for name in attributes(tree, alias.asname or alias.name):
                            found[whole, name].add(room_of(module))
    for taken, origin in passed_on.items():
        found[origin] |= found[taken]
    return found


def attributes(tree: ast.AST, name: str) -> set[str]:
    """Return what a file takes from a module that it imported whole."""
    return {
        part.attr
        for part in ast.walk(tree)
        if isinstance(part, ast.Attribute)
        and isinstance(part.value, ast.Name)
        and part.value.id == name
    }


def public() -> Iterator[Function]:
    """Yield every public function, and every public method of a public class, with arguments."""
    users = imported()
    for module, tree in trees().items():
        for part in (part for part in tree.body if is_public(part)):
            elsewhere = bool(users[module, part.name] - {room_of(module)})
            path = f"{module}.{part.name}." if isinstance(part, ast.ClassDef) else f"{module}."
            for one in part.body if isinstance(part, ast.ClassDef) else [part]:
                if is_public(one) and isinstance(one, ast.FunctionDef) and arguments(one):
                    yield Function(room_of(module), f"{path}{one.name}", one, elsewhere)


def is_public(part: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.ClassDef]:
    """Tell whether a statement makes a function or class that others may use."""
    return isinstance(part, ast.FunctionDef | ast.ClassDef) and not part.name.startswith("_")


def arguments(function: ast.FunctionDef) -> set[str]:
    """Return what a function takes, without the object or class it belongs to."""
    taken = function.args
    every = (*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg)
    return {one.arg for one in every if one is not None} - {"self", "cls"}


def section(function: ast.FunctionDef, title: str) -> str | None:
    """Return a numpydoc section, or None where it is missing."""
    text = f"\n{ast.get_docstring(function) or ''}\n"
    _, found, rest = text.partition(f"\n{title}\n{'-' * len(title)}\n")
    return rest.partition("\n\n")[0] if found else None


def lacking(function: ast.FunctionDef) -> list[str]:
    """Return what the docstring of a function does not say."""
    parameters = section(function, "Parameters")
    named = {
        name.strip(" *")
        for line in (parameters or "").splitlines()
        if line[:1].strip()
        for name in line.partition(" :")[0].split(",")
    }
    missing = [f"parameter {name}" for name in sorted(arguments(function) - named)]
    missing += [f"{name}, which it does not take" for name in sorted(named - arguments(function))]
    gives = function.returns is not None and ast.unparse(function.returns) not in (
        "None",
        "NoReturn",
    )
    if gives and section(function, "Returns") is None and section(function, "Yields") is None:
        missing.append("what it returns")
    return missing


@cache
def every() -> list[Function]:
    """Return all of `public`, read when the first test asks, not when tests are collected."""
    return list(public())


@pytest.mark.parametrize("room", COMPLETE)
def test_what_other_rooms_call_says_what_it_takes_and_gives(room: str) -> None:
    """Parameters by their names, and Returns or Yields."""
    called = [one for one in every() if one.room == room and one.is_called_elsewhere]

    assert called
    assert {one.name: lacking(one.node) for one in called if lacking(one.node)} == {}


def test_a_parameters_section_names_what_the_function_takes() -> None:
    """Everywhere: a section that an argument outgrew misleads."""
    written = [one for one in every() if section(one.node, "Parameters") is not None]
    wrong = {
        one.name: [what for what in lacking(one.node) if "does not take" in what]
        for one in written
    }

    assert {name: what for name, what in wrong.items() if what} == {}


def test_as_many_functions_as_ever_say_what_they_take() -> None:
    """The floor is raised, never lowered."""
    assert (
        sum(section(one.node, "Parameters") is not None for one in every())
        >= LEAST_WITH_PARAMETERS
    )

"""Each test asserts something, and none of them knows the inside of what it tests."""

import ast
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

from tests.parsed import parsed

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ROOT / "tests"
EXPECTS: Final = ("raises", "warns", "fail")
"""What of pytest fails a test, besides an assertion."""

NOT_RAISED: Final = "does_not_raise"
LEVELS: Final = 3
"""How many calls deep an assertion may stand."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Files = Mapping[str, "SourceFile"]


@dataclass(frozen=True)
class SourceFile:
    """A file of the tests."""

    path: Path
    tree: ast.Module

    @cached_property
    def module(self) -> str:
        """The dotted name that it is imported by."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)

    @cached_property
    def functions(self) -> dict[str, list[Function]]:
        """Functions and methods by their names."""
        found: dict[str, list[Function]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                found.setdefault(node.name, []).append(node)
        return found

    @cached_property
    def imported(self) -> set[str]:
        """Modules that are imported, and what could be one."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return found


def source(text: str, name: str = "test_sample.py") -> SourceFile:
    """Return a file with these lines."""
    return SourceFile(TESTS / name, ast.parse(textwrap.dedent(text)))


def by_module(*files: SourceFile) -> Files:
    """Return files by what they are imported by."""
    return {file.module: file for file in files}


def body(function: Function) -> Iterator[ast.AST]:
    """Yield what a function does itself; a function within it may never be called."""
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda):
            left += ast.iter_child_nodes(node)


def called(node: ast.AST) -> str:
    """Return the name of what is called, or ''."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def helpers(file: SourceFile, files: Files) -> list[SourceFile]:
    """Return where a function that a file calls may stand: there, imported, or in a conftest."""
    folder, above = file.module, []
    while folder := folder.rpartition(".")[0]:
        above.append(f"{folder}.conftest")
    return [file, *(files[module] for module in (*file.imported, *above) if module in files)]


def asserts(function: Function, file: SourceFile, files: Files, levels: int = LEVELS) -> bool:
    """Tell whether a function asserts something, or calls a function of the tests that does."""
    names = set()
    for node in body(function):
        name = called(node)
        if isinstance(node, ast.Assert) or name in EXPECTS or name.startswith("assert_"):
            return True
        names.add(name)
    return levels > 0 and any(
        asserts(helper, place, files, levels - 1)
        for place in helpers(file, files)
        for name in names
        for helper in place.functions.get(name, [])
        if helper is not function
    )


def silent(file: SourceFile, files: Files) -> list[str]:
    """Return the tests of a file that cannot fail but by an exception, and do not say so."""
    return [
        f"{file.path.relative_to(ROOT)}:{function.lineno}: {name}"
        for name, functions in file.functions.items()
        for function in functions
        if name.startswith("test_") and NOT_RAISED not in name
        if not asserts(function, file, files)
    ]


def test_every_test_asserts_something() -> None:
    """Or says in its name that to raise nothing is what it is about."""
    files = by_module(*(SourceFile(path, parsed(path)) for path in TESTS.rglob("*.py")))
    tests = [file for _, file in sorted(files.items()) if file.path.name.startswith("test_")]

    assert [name for file in tests for name in silent(file, files)] == []


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(): run()",
        "def test_a():\n def inner(): assert True",
        "def helper(): run()\ndef test_a(): helper()",
        "from tests.another import run\ndef test_a(): run()",
    ],
)
def test_a_test_without_an_assertion_is_seen(text: str) -> None:
    """The test above would notice."""
    assert len(silent(source(text), {})) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(): assert run()",
        "def test_a():\n with pytest.raises(ValueError): run()",
        "def helper(): assert run()\ndef test_a(): helper()",
        "from tests.helping import check\ndef test_a(): check()",
        "def test_that_a_run_does_not_raise(): run()",
    ],
)
def test_an_assertion_is_found_wherever_it_stands(text: str) -> None:
    """In the test, in a function it calls, in another file."""
    helping = source("def check(): assert run()", "helping.py")

    assert silent(source(text), by_module(helping)) == []

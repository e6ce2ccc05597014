"""The tests know nothing of the inside of what they test: they touch no private name.

Whoever needs one tests by what is public, or makes public what others need.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from node.wire.internals import INTERNALS
from tests.parsed import parsed

ROOT: Final = Path(__file__).resolve().parents[2]
BY_NAME: Final = ("getattr", "setattr", "hasattr", "delattr")
OURS: Final = ("node", "radnet")
IN_TEXT: Final = re.compile(rf"\b(?:{'|'.join(OURS)})(?:\.\w+)*[.:](?:\w+\.)*_[a-zA-Z]\w*")
"""The place of something private, as `monkeypatch` and the crash points take it."""

NAMING: Final = (
    ast.Import, ast.ImportFrom, ast.Attribute, ast.Constant, ast.Call, ast.ClassDef
)  # fmt: skip
"""What the functions below look at; the most part of a file is none of it."""

WIRE: Final = frozenset(name for names in INTERNALS.values() for name in names)
"""What of pynetdicom is private and used by us, with reasons: tests play peers with it."""

EXCEPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "tests/acceptance/crash/points.py": {
        "_keep": "kills another process within what it does: no name of it need be public",
        "_AcceptorDimse": "the same",
        "_start": "the same",
    },
    "tests/mutants/children.py": {
        "_exit": "os documents it: a forked child of pytest must not run pytest's own end",
    },
    "tests/receiver.py": {
        "_affected_sop_instance_uid": "a hostile peer sends what pynetdicom's setter refuses",
    },
    "tests/unit/test_conformance.py": {
        "_uid_dict": "pydicom has no public list of what PS3.6 registers",
    },
    "tests/unit/test_receive_negotiation.py": {"_uid_dict": "the same"},
}
"""By file: names that nothing public stands for, each with the reason."""


def private(name: str) -> bool:
    """Tell whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def of_imports(node: ast.AST) -> Iterator[str]:
    """Yield the private names of modules and of what is imported from them."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for name in (module, *(alias.name for alias in node.names)):
            yield from filter(private, name.split("."))


def of_accesses(node: ast.AST) -> Iterator[str]:
    """Yield private names of objects, but of `self` and `cls`: those are the test's own."""
    if isinstance(node, ast.Attribute) and private(node.attr):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if owner not in ("self", "cls"):
            yield node.attr


def of_texts(node: ast.AST) -> Iterator[str]:
    """Yield private names that stand in texts: ``setattr(it, "_name", ...)``, a place."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        for place in IN_TEXT.findall(node.value):
            yield from filter(private, re.split(r"[.:]", place))
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else ""
        name = function.id if isinstance(function, ast.Name) else name
        if name in BY_NAME and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            yield from filter(private, [str(node.args[1].value)])


def of_subclasses(node: ast.AST, foreign: set[str]) -> Iterator[str]:
    """Yield private names in classes that are made of imported ones: they may be theirs."""
    if isinstance(node, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id in foreign for base in node.bases
    ):
        for inner in ast.walk(node):
            name = inner.attr if isinstance(inner, ast.Attribute) else ""
            name = inner.name if isinstance(inner, ast.FunctionDef) else name
            yield from filter(private, [name])


def touched(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each private name that a file touches."""
    foreign = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, NAMING):
            continue
        names = [*of_imports(node), *of_accesses(node), *of_texts(node)]
        names += of_subclasses(node, foreign)
        yield from ((getattr(node, "lineno", 0), name) for name in names)


@cache
def touches() -> tuple[tuple[str, int, str], ...]:
    """Return file, line and name of what the tests touch, without what is of the wire."""
    files = {
        path.relative_to(ROOT).as_posix(): path
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path != Path(__file__).resolve()
    }
    return tuple(
        (file, line, name)
        for file, path in files.items()
        for line, name in touched(parsed(path))
        if name not in WIRE or name in EXCEPTIONS.get(file, {})
    )


def test_the_tests_touch_nothing_private() -> None:
    """Neither of ours, nor of libraries but what the wire needs."""
    found = [
        f"{file}:{line}: {name}"
        for file, line, name in touches()
        if name not in EXCEPTIONS.get(file, {})
    ]

    assert found == []


def test_no_exception_outlives_its_use() -> None:
    """The list shrinks."""
    used = {(file, name) for file, _, name in touches()}

    assert {(file, name) for file, names in EXCEPTIONS.items() for name in names} <= used


@pytest.mark.parametrize(
    "text",
    [
        "from node.cli.studies import _inner",
        "from node._inner import name",
        "import node.receive._inner as it",
        "import node.cli.studies as it\nit._inner()",
        "made = Made()\nmade.part._inner = 1",
        "monkeypatch.setattr(made, '_inner', 1)",
        "getattr(made, '_inner')",
        "monkeypatch.setattr('node.cli.studies._inner', 1)",
        "POINT = 'node.store.files:Files._inner'",
        """
        from node.store.files import Files
        class Ours(Files):
            def _inner(self): ...
        """,
        """
        from node.store.files import Files
        class Ours(Files):
            def name(self): return self._inner
        """,
    ],
)
def test_each_way_in_is_seen(text: str) -> None:
    """Imports, accesses, texts, what a subclass overrides or reads."""
    assert {name for _, name in touched(ast.parse(textwrap.dedent(text)))} == {"_inner"}


def test_names_of_the_tests_themselves_are_free() -> None:
    """A helper within its file, an attribute of its own class."""
    text = """
        def _helper(_unused): ...
        class Stub:
            def __init__(self): self._count = self.__dict__
        _helper(Stub())
    """

    assert list(touched(ast.parse(textwrap.dedent(text)))) == []

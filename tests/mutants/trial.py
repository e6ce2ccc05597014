"""A mutant in the place of its file, in this process, and the tests that should notice it.

The quick way changes the code of the functions that are there already; it cannot see what was
computed when files were imported or tests collected. The thorough way imports everything anew.
"""

import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Final

import pytest

from tests.mutants.mutation import Mutant
from tests.mutants.reach import CACHED, file_of, module_name, run_in_turn

OWN: Final = ("tests", "node", "radnet")
OPTIONS: Final = [
    "-q", "-s", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # what it would rewrite is there already
    "-m", "not postgresql and not orthanc and not dcmtk and not real_data",
]  # fmt: skip
"""No mutant of a pure room waits for a peer."""


NEAREST: Final = 3
"""Files of tests, those with the most tests of a mutant, that are collected before all others."""


class Verdict(StrEnum):
    """What became of a mutant."""

    NOTICED = "noticed"
    ENDLESS = "noticed: it never ends"
    SURVIVED = "survived"
    UNDECIDED = "undecided"


def verdict(status: int) -> Verdict:
    """Return what a child's status says of its mutant."""
    if status == 0:
        return Verdict.SURVIVED
    if status in (-signal.SIGKILL, int(pytest.ExitCode.NO_TESTS_COLLECTED)):
        return Verdict.UNDECIDED
    return Verdict.ENDLESS if status == -signal.SIGXCPU else Verdict.NOTICED


def enter(copy: Path) -> None:
    """Make this process one that works in the copy of the tree."""
    root = Path(__file__).resolve().parents[2]
    forget_own()
    others = [path for path in sys.path if Path(path or ".").resolve() != root]
    sys.path[:] = [str(copy), *others]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    os.environ.pop("RADNET_REAL_DATA", None)


def forget_own() -> None:
    """Forget our modules, so that they are imported anew."""
    for name in [name for name in sys.modules if name.split(".")[0] in OWN]:
        del sys.modules[name]


def tried_quickly(
    session: pytest.Session, copy: Path, mutant: Mutant, tests: Sequence[str]
) -> int:
    """Change the functions of this process and run tests.

    Returns
    -------
    int
        0 if all passed, or the mutant does not fit into the functions that are there.
    """
    path = copy / mutant.path
    source = path.read_text(encoding="utf-8")
    try:
        _change_functions(
            str(path),
            _by_name(compile(source, path, "exec")),
            _by_name(compile(mutant.applied(source), path, "exec")),
        )
    except (KeyError, ValueError):  # another function, or other variables of the one around it
        return 0
    by_name = {item.nodeid: item for item in session.items}
    passed = run_in_turn(session, [by_name[name] for name in tests], to_the_end=False)
    return 0 if passed else int(pytest.ExitCode.TESTS_FAILED)


def _change_functions(
    path: str, before: dict[str, list[CodeType]], after: dict[str, list[CodeType]]
) -> None:
    """Give each function of a file the code that stands in its place, also where names repeat."""
    for there in gc.get_objects():
        kind = type(there)  # isinstance would ask lazy objects of torch what they are
        if kind is FunctionType and there.__code__.co_filename == path:
            name = there.__code__.co_qualname  # all lambdas of a file have the same
            if len(before[name]) != len(after[name]):
                raise KeyError(name)
            there.__code__ = after[name][before[name].index(there.__code__)]
        elif kind is CACHED:
            there.cache_clear()


def _by_name(code: CodeType) -> dict[str, list[CodeType]]:
    """Return the code of all functions by their names, in the order of their lines."""
    found = defaultdict[str, list[CodeType]](list)
    for one in _codes(code):
        found[one.co_qualname].append(one)
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


class _MutantLoader(importlib.machinery.SourceFileLoader):
    """Compiles a text instead of the file; nothing is written, and no bytecode is read."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the mutant."""
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name, self._path, self._text = name, path, text

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer for the one module."""
        if fullname != self._name:
            return None
        loader = _MutantLoader(fullname, str(self._path), self._text)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


class _Only:
    """A plugin that leaves the wanted tests, in the wanted order."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._place = {name: place for place, name in enumerate(wanted)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out all others; the quickest come first."""
        left = [item for item in items if item.nodeid in self._place]
        items[:] = sorted(left, key=lambda item: self._place[item.nodeid])


def tried_thoroughly(copy: Path, mutant: Mutant, tests: Sequence[str]) -> int:
    """Import everything anew, one file as the mutant, and run tests; return pytest's status."""
    forget_own()
    sys.dont_write_bytecode = True
    text = mutant.applied((copy / mutant.path).read_text(encoding="utf-8"))
    finder = _Finder(module_name(mutant.path), copy / mutant.path, text)
    sys.meta_path.insert(0, finder)
    files = [name for name, _ in Counter(map(file_of, tests)).most_common()]
    nearest, others = files[:NEAREST], files[NEAREST:]
    status = _run(tests, nearest)
    return _run(tests, others) if others and status == pytest.ExitCode.OK else status


def _run(tests: Sequence[str], files: Sequence[str]) -> int:
    return int(pytest.main([*OPTIONS, "-x", *files], plugins=[_Only(tests)]))

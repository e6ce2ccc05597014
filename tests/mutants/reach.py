"""Which test runs which lines of the pure rooms, and what of the processor it takes."""

import ast
import functools
import gc
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import coverage
import pytest

FEWEST_SECONDS: Final = 0.001
CACHED: Final = type(functools.cache(len))
"""What `functools.cache` makes of a function."""


@dataclass(frozen=True)
class Reached:
    """What one test runs.

    Attributes
    ----------
    seconds : float
        Of the processor, with the processes it started.
    lines : dict[str, list[int]]
        By file below the root; lines that run at import alone are not among them.
    """

    seconds: float
    lines: dict[str, list[int]]


def tests_about(copy: Path, names: Iterable[str], pure: Iterable[str]) -> list[str]:
    """Return the files of unit tests that import one of the pure files themselves."""
    modules = {module_name(path) for path in pure}
    return [
        name
        for name in names
        if name.startswith("tests/unit/test_") and modules & _imported(copy / name)
    ]


def module_name(path: str) -> str:
    """Return the name a file is imported by."""
    return ".".join(Path(path).with_suffix("").parts)


def sources_of(copy: Path, test_file: str, names: Iterable[str]) -> list[str]:
    """Return those of some files that a file of tests imports, or what it imports, sorted.

    What it reaches holds for as long as these are as they were; others may change.
    """
    files = {module_name(name): name for name in names if name.endswith(".py")}
    waiting, found = [test_file], {"tests/conftest.py", "tests/unit/conftest.py"} & {*names}
    while waiting:
        path = waiting.pop()
        parents = {str(one / "__init__.py") for one in Path(path).parents}
        near = {files[module] for module in _imported(copy / path) if module in files}
        near |= {
            files[f"{module}.__init__"]
            for module in _imported(copy / path)
            if f"{module}.__init__" in files
        }
        new = (near | (parents & {*names})) - found
        found |= new
        waiting += new
    return sorted(found)


@functools.cache
def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def cpu_seconds() -> float:
    """Return what this process and those it waited for took of the processor."""
    return sum(os.times()[:4])


def run_in_turn(session: pytest.Session, items: list[pytest.Item], *, to_the_end: bool) -> bool:
    """Run tests; return whether all passed. Without `to_the_end` the first failure ends it."""
    for item, following in zip_longest(items, items[1:]):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed and not to_the_end:
            return False
    return not session.testsfailed


class _Recorder:
    """A plugin that notes for each test which lines ran, and how long."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._measured = measured
        self._since = 0.0
        self._cached = [there for there in gc.get_objects() if type(there) is CACHED]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin a test as the first one: what is computed once would be of another test."""
        for function in self._cached:
            function.cache_clear()
        self._measured.switch_context(nodeid)
        self._since = cpu_seconds()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what failed; nothing is proven by it."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """End a test."""
        self.seconds[nodeid] = max(cpu_seconds() - self._since, FEWEST_SECONDS)
        self._measured.switch_context("")


def record(session: pytest.Session, copy: Path, pure: list[str], outs: dict[str, Path]) -> None:
    """Run the tests of some files in this process and write what they reach, as JSON.

    Parameters
    ----------
    session : pytest.Session
        Has collected them.
    copy : Path
        The copy of the repository, the working directory of this process.
    pure : list[str]
        Files whose lines count.
    outs : dict[str, Path]
        The files of tests, and where to write what those of each reach.
    """
    include = [str(copy / path) for path in pure]
    measured = coverage.Coverage(data_file=None, include=include)
    recorder = _Recorder(measured)
    session.config.pluginmanager.register(recorder)
    items = [item for item in session.items if file_of(item.nodeid) in outs]
    measured.start()
    run_in_turn(session, items, to_the_end=True)
    measured.stop()
    reached = dict(_reached(measured, recorder, copy))
    for test_file, out in outs.items():
        own = {name: asdict(what) for name, what in reached.items() if file_of(name) == test_file}
        out.write_text(json.dumps(own), encoding="utf-8")


def file_of(nodeid: str) -> str:
    """Return the file of a test."""
    return nodeid.split("::")[0]


def _reached(
    measured: coverage.Coverage, recorder: _Recorder, root: Path
) -> Iterator[tuple[str, Reached]]:
    data = measured.get_data()
    by_test: dict[str, dict[str, list[int]]] = {}
    for path in data.measured_files():
        for line, contexts in data.contexts_by_lineno(path).items():
            for context in set(contexts) - {""}:
                lines = by_test.setdefault(context, {})
                lines.setdefault(str(Path(path).relative_to(root)), []).append(line)
    for name, seconds in recorder.seconds.items():
        if name not in recorder.failed:
            yield name, Reached(seconds, by_test.get(name, {}))


def read(path: Path) -> dict[str, Reached]:
    """Return what the tests of a file reach, as `record` wrote it."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: Reached(**what) for name, what in found.items()}

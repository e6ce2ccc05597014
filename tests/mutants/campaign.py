"""A plugin of pytest that tries mutants where the tests would have run."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.mutants.children import Children, Job
from tests.mutants.mutation import Mutant
from tests.mutants.reach import Reached, file_of, read, record, tests_about
from tests.mutants.trial import Verdict, tried_quickly, tried_thoroughly, verdict

MOST_SECONDS: Final = 30.0
"""Of tests on one mutant; the quickest come first."""

RECORDING_S: Final = 900.0
TOGETHER: Final = 8
"""Files of tests that are recorded in one process."""

PATIENCE: Final = 8
GRACE_S: Final = 20.0
"""A mutant whose tests take `PATIENCE` times as long as before, and this, runs for ever."""


@dataclass
class Campaign:
    """Tries mutants.

    Attributes
    ----------
    copy : Path
        Of the repository.
    pure : list[str]
        The files whose lines count.
    wanted : list[Mutant]
        What to try, in this order.
    kept : dict[str, Path]
        By file of tests: where it is kept what they reach.
    jobs : int
        Processes at a time.
    minutes : float
        After so long no mutant is begun.
    note : callable
        Is called with every mutant and its verdict, and with how many are done.
    found : dict[Mutant, Verdict]
        What became of them.
    """

    copy: Path
    pure: list[str]
    wanted: list[Mutant]
    kept: dict[str, Path]
    jobs: int
    minutes: float
    note: Callable[[str], None]
    found: dict[Mutant, Verdict] = field(default_factory=dict)
    reached: dict[str, Reached] = field(default_factory=dict)
    _tests_of: dict[Mutant, list[str]] = field(default_factory=dict, repr=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try the mutants instead of running the tests."""
        self._record(session)
        until = time.monotonic() + 60 * self.minutes
        quick = [one for one in self.wanted if one.in_function]
        self._try(quick, until, "quick", lambda *what: tried_quickly(session, self.copy, *what))
        doubted = [one for one in self.wanted if not one.in_function]
        doubted += [one for one in quick if self.found.get(one) is Verdict.SURVIVED]
        self._try(doubted, until, "thorough", partial(tried_thoroughly, self.copy))
        return True

    def _record(self, session: pytest.Session) -> None:
        missing = [name for name, path in self.kept.items() if not path.exists()]
        groups = [missing[first : first + TOGETHER] for first in range(0, len(missing), TOGETHER)]

        def recording(group: list[str]) -> int:
            record(session, self.copy, self.pure, {name: self.kept[name] for name in group})
            return 0

        children = Children(self.jobs, self.copy.parent / "recorded")
        work = (Job(i, partial(recording, group), RECORDING_S) for i, group in enumerate(groups))
        for done, (place, status) in enumerate(children.run(work), 1):
            self.note(f"what the tests reach: {done} of {len(groups)} groups")
            if status:
                raise RuntimeError(
                    f"{', '.join(groups[place])}: ended with {status}\n{children.printed(place)}"
                )
        for path in self.kept.values():
            self.reached |= read(path)

    def _try(
        self,
        mutants: list[Mutant],
        until: float,
        how: str,
        tried: Callable[[Mutant, list[str]], int],
    ) -> None:
        for mutant in mutants:
            if not self.tests_of(mutant):
                self.found[mutant] = Verdict.SURVIVED

        def work() -> Iterator[Job]:
            for place, mutant in enumerate(mutants):
                tests, seconds = self.affordable(mutant)
                if tests and time.monotonic() < until:
                    limit = GRACE_S + PATIENCE * seconds
                    yield Job(place, partial(tried, mutant, tests), limit)

        children = Children(self.jobs, self.copy.parent / how)
        for done, (place, status) in enumerate(children.run(work()), 1):
            self.found[mutants[place]] = verdict(status)
            self.note(f"{how}: {done} of {len(mutants)} mutants")

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run what is changed, the quickest first.

        What runs at import is run by no test alone, and so is a function that is called there
        only: then every test counts that reaches the file, or stands in one that imports it.
        """
        if mutant not in self._tests_of:
            found = self._running(mutant) if mutant.in_function else []
            found = found or self._importing(mutant.path)
            self._tests_of[mutant] = sorted(found, key=lambda name: self.reached[name].seconds)
        return self._tests_of[mutant]

    def _running(self, mutant: Mutant) -> list[str]:
        changed = set(range(mutant.line, mutant.until + 1))
        return [
            name
            for name, what in self.reached.items()
            if changed.intersection(what.lines.get(mutant.path, []))
        ]

    def _importing(self, path: str) -> list[str]:
        about = set(tests_about(self.copy, self.kept, [path]))
        return [
            name
            for name, what in self.reached.items()
            if what.lines.get(path) or file_of(name) in about
        ]

    def affordable(self, mutant: Mutant) -> tuple[list[str], float]:
        """Return the tests for a mutant that take at most `MOST_SECONDS`, and their seconds."""
        tests: list[str] = []
        seconds = 0.0
        for name in self.tests_of(mutant):
            if tests and seconds + self.reached[name].seconds > MOST_SECONDS:
                break
            tests.append(name)
            seconds += self.reached[name].seconds
        return tests, seconds


def digest(copy: Path, names: list[str]) -> str:
    """Return what tells files from others, and from themselves as they were."""
    found = hashlib.sha256()
    for name in names:
        found.update(name.encode() + b"\0" + (copy / name).read_bytes() + b"\0")
    return found.hexdigest()[:16]

"""`make mutants`: which changes are made, and that a change is seen where it should be."""

import ast
import importlib
import os
import signal
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.mutants.campaign import Campaign
from tests.mutants.children import Children, Job
from tests.mutants.known import LIST, known_equivalent
from tests.mutants.mutation import Mutant, mutants
from tests.mutants.reach import Reached
from tests.mutants.rooms import PURE, pure_files
from tests.mutants.run import chosen
from tests.mutants.trial import Verdict, tried_quickly, verdict

ROOT = Path(__file__).resolve().parents[2]


def changed(text: str) -> set[str]:
    """Return the changed lines of a text, blanks at the ends and "x = " left out."""
    return {
        mutant.new.strip().removeprefix("x = ")
        for mutant in mutants("a.py", textwrap.dedent(text))
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = a < b", {"(a <= b)", "(a >= b)"}),
        ("x = a == b", {"(a != b)"}),
        ("x = a in b", {"(a not in b)"}),
        ("x = a and b", {"(a or b)", "(a)", "(b)"}),
        ("x = not a", {"(a)"}),
        ("x = -a", {"(a)"}),
        ("x = a + b", {"(a - b)"}),
        ("x = a // b", {"(a * b)"}),
        ("x = a if b else c", {"(c if b else a)"}),
        ("min(a, b)", {"max(a, b)", "pass"}),
        ("a.any()", {"a.all()", "pass"}),
        ("sorted(a, key=b)", {"list(a)", "sorted(a)", "pass"}),
        ("a(b=c)", {"a()", "pass"}),
        ("a += b", {"a -= b", "pass"}),
        ("a = True", {"a = False"}),
        ("a = 3", {"a = 4"}),
        ("a = 96", {"a = 192"}),
        ("a = 2.5", {"a = 5.0"}),
        ("a = 0.0", {"a = 1.0"}),
        ("a = 'b'", {"a = 'bx'"}),
        ("raise ValueError('a')", {"pass"}),
        ("def f():\n    return a", {"return None"}),
        ("def f():\n    return False", {"return True"}),
        ("def f():\n    return 0", {"return None", "return 1"}),
        ("def f():\n    return", set()),
        ("a = {1: 2.5}", {"a = {2: 2.5}", "a = {1: 5.0}"}),
        ("a = {'b': (1, 2.5, None)}", {"a = {'bx': (1, 2.5, None)}"}),
        ("a = {'b': (1, c)}", {"a = {'bx': (1, c)}", "a = {'b': (2, c)}"}),
        ("a = (1,)", {"a = (2,)"}),
    ],
)
def test_each_kind_of_change_is_made(text: str, expected: set[str]) -> None:
    """One place at a time."""
    assert changed(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        '"""Documentation."""',
        "a: int",
        "log.warning('a', b=1)",
        "a = f'{b + 1} of {c}'",
        "from __future__ import annotations",
        "def a(b: Literal['c']) -> Literal['d']: ...",
        "@dataclass(frozen=True)\nclass A: ...",
        "__all__ = ['a']",
        "zip(a, b, strict=True)",
    ],
)
def test_what_only_people_read_is_left_alone(text: str) -> None:
    """And what states a check, or a type; to drop a whole call is a change all the same."""
    assert changed(text) <= {"pass"}
    assert changed(text) == set() or text.startswith("zip")


def test_a_change_stands_where_it_belongs_and_leaves_the_rest() -> None:
    """Also behind letters of several octets, and over several lines."""
    source = 'é = "ö" + a(\n    b < c,\n)\nd = 1\n'
    found = [one for one in mutants("a.py", source) if "<=" in one.new]

    (mutant,) = found
    assert (mutant.line, mutant.until, mutant.old) == (2, 2, "    b < c,")
    assert mutant.applied(source) == 'é = "ö" + a(\n    (b <= c),\n)\nd = 1\n'
    assert mutant.change() == "--- a.py\n-    b < c,\n+    (b <= c),"


def test_what_runs_at_import_is_told_from_what_is_called() -> None:
    """A default is computed when the function is made."""
    source = (
        "A = 1\ndef f(b=2):\n    return 3\nclass C:\n    d = 4\n    def e(self):\n        return 5"
    )

    called = {one.line: one.in_function for one in mutants("a.py", source)}

    assert called == {1: False, 2: False, 3: True, 5: False, 7: True}


def test_every_mutant_of_the_pure_rooms_is_python() -> None:
    """Of one room of each package; none equals the file as it is."""
    for path in ("node/deliver/turns.py", "radnet/volume/axes.py"):
        source = (ROOT / path).read_text(encoding="utf-8")
        made = mutants(path, source)
        assert len(made) > 40
        assert len({mutant.applied(source) for mutant in made} | {source}) == len(made) + 1
        for mutant in made:
            ast.parse(mutant.applied(source))


def test_the_same_seed_draws_the_same_mutants(capsys: pytest.CaptureFixture[str]) -> None:
    """Another seed draws others."""
    files = ["node/deliver/turns.py", "node/deliver/breaker.py"]

    first, again, other = (chosen(ROOT, files, seed, 12) for seed in (1, 1, 2))

    assert first == again
    assert len(set(first)) == 12
    assert set(first) != set(other)
    assert "seed 1" in capsys.readouterr().out


def test_every_pattern_names_a_room() -> None:
    """A file that has moved would be forgotten without a word."""
    found = pure_files(ROOT)

    assert [pattern for pattern in PURE if not any(ROOT.glob(pattern))] == []
    assert len(found) == len(set(found)) > 50
    assert "node/route/rules.py" in found


def test_known_mutants_are_of_files_that_are_there() -> None:
    """A list of what nobody needs to read again grows old."""
    known = known_equivalent()
    text = LIST.read_text(encoding="utf-8")

    assert len(known) == text.count("--- ")
    for change in known:
        path, *lines = change.split("\n")
        source = (ROOT / path.removeprefix("--- ")).read_text(encoding="utf-8")
        old = "\n".join(line[1:] for line in lines if line.startswith("-"))
        assert old in source, change


A = Mutant("a.py", 5, 6, "old", "new", True)


def campaign(reached: dict[str, Reached], tmp_path: Path) -> Campaign:
    """Return a campaign whose tests reach this."""
    made = Campaign(tmp_path, ["a.py"], [A], {}, 1, 1.0, lambda _: None)
    made.reached = reached
    return made


def test_the_tests_that_run_a_changed_line_are_tried_the_quickest_first(tmp_path: Path) -> None:
    """What runs at import is reached by every test of the file; slow ones wait for nobody."""
    reached = {
        "slow": Reached(29.5, {"a.py": [5]}),
        "quick": Reached(0.1, {"a.py": [1, 6]}),
        "slower": Reached(31.0, {"a.py": [6]}),
        "beside": Reached(0.01, {"a.py": [1, 7]}),
        "elsewhere": Reached(0.01, {"b.py": [5]}),
    }
    made = campaign(reached, tmp_path)

    assert made.tests_of(A) == ["quick", "slow", "slower"]
    tests, seconds = made.affordable(A)
    assert tests == ["quick", "slow"]
    assert seconds == pytest.approx(29.6)
    at_import = Mutant("a.py", 5, 6, "old", "new", False)
    assert made.tests_of(at_import) == ["beside", "quick", "slow", "slower"]
    assert campaign({}, tmp_path).affordable(A) == ([], 0.0)


def test_what_is_called_at_import_alone_is_tried_like_what_runs_there(tmp_path: Path) -> None:
    """No test runs its lines; those of the file notice what came of it."""
    reached = {"other": Reached(0.2, {"a.py": [9]}), "elsewhere": Reached(0.1, {"b.py": [5]})}

    assert campaign(reached, tmp_path).tests_of(A) == ["other"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, Verdict.SURVIVED),
        (1, Verdict.NOTICED),
        (2, Verdict.NOTICED),
        (-signal.SIGSEGV, Verdict.NOTICED),
        (-signal.SIGXCPU, Verdict.ENDLESS),
        (-signal.SIGKILL, Verdict.UNDECIDED),
        (5, Verdict.UNDECIDED),
    ],
)
def test_a_verdict_is_read_from_how_the_tests_ended(status: int, expected: Verdict) -> None:
    """Who ran out of time on a busy machine has decided nothing."""
    assert verdict(status) is expected


def endless() -> int:
    """Never return."""
    while True:
        pass


def test_children_end_with_their_status_or_at_their_limit(tmp_path: Path) -> None:
    """Two at a time; what they print is kept."""

    def jobs() -> Iterator[Job]:
        for number in range(3):
            yield Job(number, partial(int, number), 60)
        yield Job(3, endless, 0)

    def printing() -> int:
        os.write(1, b"seen")
        raise KeyError("gone")

    children = Children(2, tmp_path / "out")
    assert dict(children.run(jobs())) == {0: 0, 1: 1, 2: 2, 3: -signal.SIGXCPU}
    assert dict(children.run(iter([Job(9, printing, 60)]))) == {9: 70}
    assert children.printed(9) == "seen"


def test_of_two_lambdas_one_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have one name; to change both would be noticed where one is not."""
    path = tmp_path / "two_lambdas.py"
    path.write_text("LESS = lambda a, b: a < b\nMORE = lambda a, b: a > b\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    two = importlib.import_module("two_lambdas")
    mutant = next(
        one
        for one in mutants(path.name, path.read_text(encoding="utf-8"))
        if "(a <= b)" in one.new
    )
    session: Any = SimpleNamespace(items=[], testsfailed=0)

    assert tried_quickly(session, tmp_path, mutant, []) == 0

    assert (two.LESS(1, 1), two.MORE(1, 1), two.MORE(2, 1)) == (True, False, True)

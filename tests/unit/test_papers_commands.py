"""What a reader copies from the papers works: commands and options exist, settings are sound."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.check.soundness import problems
from node.cli import radnode
from node.cli.command_reference import commands, options_of
from node.settings import load
from radnet.cli import app as radnet

ROOT = Path(__file__).parents[2]
PAPERS = ("README.md", "deploy/HANGING.md", "deploy/RUNBOOK.md", "radnet/README.md")
KNOWN = {
    tuple(command.path.split()): options_of(command)
    for name, program in (("radnode", radnode), ("radnet", radnet))
    for command in commands(name, program)
}
LINES = [
    (paper, line)
    for paper in PAPERS
    for line in re.findall(r"(?m)^\.venv/bin/(radn\w+ .*)$", (ROOT / paper).read_text("utf-8"))
]


@pytest.mark.parametrize(("paper", "line"), LINES, ids=[line[:40] for _, line in LINES])
def test_a_command_that_is_shown_exists_with_its_options(paper: str, line: str) -> None:
    """An option that was renamed takes the papers along."""
    words = shlex.split(line, comments=True)
    path = max((p for p in KNOWN if tuple(words[: len(p)]) == p), key=len)

    assert len(path) > 1, f"{paper}: no command of {words[0]} is called {words[1]}"
    used = {word for word in words if word.startswith("--")}
    assert used <= KNOWN[path]


def test_the_papers_show_commands_of_both_programs() -> None:
    """The test above is not idle."""
    assert len(LINES) > 30
    assert {line.split()[0] for _, line in LINES} == {"radnode", "radnet"}


def test_the_settings_in_the_readme_are_sound(tmp_path: Path) -> None:
    """Whoever copies them has a node that starts, with rules that can match."""
    (shown,) = re.findall(r"(?ms)^```toml\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"))
    file = tmp_path / "site.toml"
    file.write_text(shown, encoding="utf-8")

    settings = load(file)

    assert problems(settings, datetime.now(UTC)) == []
    assert {rule.results_to for rule in settings.rules} == {(), ("pacs",)}

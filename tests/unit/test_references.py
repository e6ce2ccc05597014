"""The references in `deploy/` are what the code says: `make references` after a change."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from node.cli import radnode
from node.cli.command_reference import commands
from node.cli.references import PAGES, write
from radnet.cli import app as radnet

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_code_says(name: str) -> None:
    """Run `make references` and commit what it wrote."""
    assert (DEPLOY / name).read_text("utf-8") == PAGES[name]()


def test_every_page_is_written_by_one_command(tmp_path: Path) -> None:
    """What `make references` calls."""
    done = subprocess.run(
        [sys.executable, "-m", "node.cli.references", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)
    assert all(name in done.stdout for name in PAGES)
    assert {path.name for path in write(tmp_path)} == set(PAGES)


def paths(name: str, command: object) -> set[str]:
    """Return the names of a command and of all within it, as typer makes them for a terminal."""
    if getattr(command, "hidden", False):
        return set()
    inner: dict[str, object] = getattr(command, "commands", {})
    return {name}.union(*(paths(f"{name} {word}", one) for word, one in inner.items()))


@pytest.mark.parametrize(("name", "program"), [("radnode", radnode), ("radnet", radnet)])
def test_every_command_that_a_terminal_knows_is_listed_once(
    name: str, program: typer.Typer
) -> None:
    """Groups within groups, too."""
    listed = [command.path for command in commands(name, program)]

    assert len(listed) == len(set(listed))
    assert set(listed) == paths(name, typer.main.get_command(program))


@pytest.mark.parametrize(("name", "program"), [("radnode", radnode), ("radnet", radnet)])
def test_every_command_says_what_it_does(name: str, program: typer.Typer) -> None:
    """A name alone is not enough."""
    assert [command.path for command in commands(name, program) if not command.help] == []


def test_an_option_is_listed_with_value_default_and_meaning() -> None:
    """Both names, bounds, several values, flags, environment."""
    page = PAGES["COMMANDS.md"]()

    config = "| `--config`, `-c` | path | `deploy/node.toml` | The settings (TOML). "
    assert f"{config}Environment: `RADNODE_CONFIG`. |" in page
    assert "| `--unknown-below` | number, at least 0, at most 1 | `0.6` |" in page
    assert "| `--once` | flag |  | End after the result. |" in page
    assert "### `radnode send PATH`" in page
    assert "| `--force`, `--no-force` | flag |" in page
    assert "--parent" not in page

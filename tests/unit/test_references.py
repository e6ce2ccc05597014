"""The references in `deploy/` are what the code says: `make references` after a change."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from node.cli import radnode
from node.cli.command_reference import commands
from node.cli.references import PAGES, write
from node.settings import Settings
from node.settings.fields import Section
from node.settings.reference import meanings_of, reference, tables
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


def sections(kind: type[Section] = Section) -> list[type[Section]]:
    """Return every section of the settings."""
    return [one for inner in kind.__subclasses__() for one in (inner, *sections(inner))]


def test_every_key_of_the_settings_says_what_it_means() -> None:
    """Below it in its section, and so in the reference."""
    page = reference()
    ours = [one for one in sections() if one.__module__.startswith("node.") and one != Settings]
    told = {
        (one.__name__, key): meanings_of(one).get(key) for one in ours for key in one.model_fields
    }

    assert len(told) > 80
    assert {key for key, meaning in told.items() if not meaning} == set()
    assert {key for key, meaning in told.items() if str(meaning) not in page} == set()


def test_every_table_and_key_of_the_settings_is_listed_once() -> None:
    """One of the last section, one of every kind of destination, one within a table."""
    listed = [(title, key.path) for title, _, keys in tables() for key in keys]

    assert len(listed) == len(set(listed))
    assert {path for _, path in listed} >= {
        "node.ae_title", "rules.stop", "audit.tls", "tls.check_server_name", "sources.networks",
        "destinations.name", "destinations.commitment", "destinations.url",
        "destinations.label_prefix", "destinations.path",
    }  # fmt: skip


def test_a_key_of_the_settings_is_listed_with_all_that_can_be_said() -> None:
    """Kind with bounds, default, unit, version, meaning and the name it had."""
    page = reference()

    pdu = "| whole number, at least 4096, at most 1048576 | `131072` | bytes | 0.1.0 |"
    assert f"| `receive.maximum_pdu_size` {pdu}" in page
    assert "| `receive.network_timeout_s` | number, over 0, at most 86400 | `60` | s |" in page
    assert '| `models.precision` | `"auto"`, `"f32"`, `"bf16"` | `"auto"` |' in page
    assert "| `tls.key_file` | path | required |" in page
    assert "It was called `learning`. |" in page
    assert "## `[tls]`\nDICOM over TLS into the node" in page


def test_no_key_is_said_to_come_from_a_version_to_come() -> None:
    """A version is written down when the key is made."""
    numbers = {key.since for _, _, keys in tables() for key in keys}

    def number(text: str) -> list[int]:
        return [int(part) for part in text.split(".")]

    assert all(number(one) <= number(version("radnet-node")) for one in numbers)


def test_every_key_stands_in_the_shipped_settings() -> None:
    """`deploy/node.toml` has every key with its default or an example."""
    shipped = (DEPLOY / "node.toml").read_text("utf-8")
    words = {key.path.split(".")[-1] for _, _, keys in tables() for key in keys}

    assert {word for word in words if not re.search(rf"\b{word} = ", shipped)} == set()

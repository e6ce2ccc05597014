"""The settings file: checked whole, unknown keys refused, every error named."""

from pathlib import Path

import pytest

from node.errors import ConfigError
from node.route.rules import compile_rules
from node.settings import FolderDestination, load

SHIPPED = Path(__file__).parents[2] / "deploy" / "node.toml"


def written(folder: Path, text: str) -> Path:
    """Write a settings file."""
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_settings_are_valid() -> None:
    """deploy/node.toml is what `make run` starts with."""
    settings = load(SHIPPED)

    assert len(compile_rules(settings.rules).rules) == len(settings.rules)
    assert settings.node.ae_title == "RADNODE"


def test_relative_paths_start_at_the_settings_file(tmp_path: Path) -> None:
    """The node may be started from anywhere."""
    settings = load(
        written(
            tmp_path,
            '[node]\ndata = "data"\n[[destinations]]\nname="f"\nkind="folder"\npath="out"\n',
        )
    )

    assert settings.node.data == tmp_path / "data"
    destination = settings.destinations[0]
    assert isinstance(destination, FolderDestination)
    assert destination.path == tmp_path / "out"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[node]\nae_titel = "X"\n', r"node\.ae_titel \(line 2\)"),
        ('[node]\nae_title = "LONGER THAN SIXTEEN"\n', r"node\.ae_title \(line 2\).*16"),
        ("[node]\nport = 70000\n", r"node\.port \(line 2\)"),
        ('[[rules]]\nname = "a"\nwhen = "true"\ndeliver = ["pacs"]\n', "pacs"),
        ('[[destinations]]\nname = "a"\nkind = "carrier-pigeon"\n', "carrier-pigeon"),
        ("not toml", "is not TOML"),
    ],
    ids=["unknown key", "long AE title", "port", "no such destination", "kind", "no TOML"],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    """The operator sees which key, where, and what was expected."""
    with pytest.raises(ConfigError, match=told):
        load(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """No silent defaults for a path that was misspelt."""
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "nowhere.toml")

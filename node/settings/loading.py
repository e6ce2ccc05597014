"""Reads the settings file, and tells every error in it with its line."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.errors import ConfigError
from node.settings.fields import LITERAL_SECRET, SECRET_KEYS
from node.settings.renamed import OLD_NAMES, found_in, with_new_names
from node.settings.sections import Settings


def _line_of(text: str, location: tuple[int | str, ...]) -> str:
    """Return ' (line N)' for the key an error is about, or '' where it is not written."""
    keys = [str(part) for part in location if isinstance(part, str)]
    numbers = [part for part in location if isinstance(part, int)]
    key = keys[-1] if keys else ""
    names = {key, OLD_NAMES.get((keys[0], key), key)} if keys else set()
    table, start = (keys[0], numbers[0]) if numbers and keys else (key, 0)
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if line.strip() in (f"[{keys[0]}]", f"[[{table}]]")]
    begin = heads[start] if start < len(heads) else 0
    for number, line in enumerate(lines[begin:], begin + 1):
        if line.split("=")[0].strip() in names:
            return f" (line {number})"
    return f" (line {begin + 1})" if heads else ""


def _described(text: str, error: dict[str, Any]) -> str:
    location = tuple(error["loc"])
    where = ".".join(str(part) for part in location) or "the file"
    secret = error["type"] == LITERAL_SECRET or SECRET_KEYS.intersection(location)
    # Nor what stands under a key nobody knows, or is a URL with a name in it: a secret may.
    doubtful = error["type"] == "extra_forbidden" or "@" in str(error["input"])
    shown = not secret and not doubtful and not isinstance(error["input"], dict)
    given = f"; found {error['input']!r}" if shown else ""
    return f"  {where}{_line_of(text, location) if location else ''}: {error['msg']}{given}"


def load(path: Path) -> Settings:
    """Read and check a settings file; relative paths in it start at its folder.

    Parameters
    ----------
    path : Path
        TOML, UTF-8.

    Returns
    -------
    Settings
        Frozen, with absolute paths.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or any key is wrong; every error is named.
    """
    text, table = _read(path)
    try:
        settings = Settings.model_validate(with_new_names(table))
    except ValidationError as error:
        found = [_described(text, dict(item)) for item in error.errors()]
        raise ConfigError(f"{path} has {len(found)} error(s):\n" + "\n".join(found)) from error
    return settings.rooted(path.parent.resolve())


def renamed_keys(path: Path) -> list[str]:
    """Return a line for each key of a settings file that has another name now.

    Parameters
    ----------
    path : Path
        TOML, UTF-8.

    Returns
    -------
    list of str
        For a person, each with the line of the file.

    Raises
    ------
    ConfigError
        If the file is missing or is not TOML.
    """
    text, table = _read(path)
    return [
        f"{section}.{old}{_line_of(text, (section, old))} is called {section}.{new} now; the old "
        "name is still read"
        for section, old, new in found_in(table)
    ]


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error

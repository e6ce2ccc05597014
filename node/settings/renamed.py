"""Keys that had another name in an earlier version: still read, and the new name is told."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from node.errors import ConfigError

RENAMED: Final[Mapping[tuple[str, str], str]] = {
    ("receive", "learning"): "accept_unlisted",
    ("retention", "turns_days"): "batches_days",
}
"""Section and old key; the key of today."""

OLD_NAMES: Final[Mapping[tuple[str, str], str]] = {
    (section, new): old for (section, old), new in RENAMED.items()
}


def found_in(table: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield section, old key and key of today of every renamed key in a settings file."""
    for (section, old), new in RENAMED.items():
        keys = table.get(section)
        if isinstance(keys, dict) and old in keys:
            yield section, old, new


def with_new_names(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a settings file under the names of today.

    Raises
    ------
    ConfigError
        If a key stands there under both its names.
    """
    renewed = dict(table)
    for section, old, new in found_in(table):
        keys = dict(renewed[section])
        if new in keys:
            raise ConfigError(
                f"{section}.{new} and {section}.{old} are two names of one key: remove "
                f"{section}.{old}"
            )
        keys[new] = keys.pop(old)
        renewed[section] = keys
    return renewed

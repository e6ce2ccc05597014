"""What radnet raises: by kind, so that whoever catches knows what to do next."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import radnet.cli
import radnet.errors
from radnet.errors import (
    DataError,
    FetchError,
    GeometryError,
    PresetError,
    RadnetError,
    UndecodableError,
    UnusableVolumeError,
    UsageError,
)
from tests.parsed import nodes

ROOT = Path(radnet.errors.__file__).parent
OF_VOLUMES = {"volume", "inference", "datasets", "evaluation"}


def test_the_tree_at_the_top_names_every_error() -> None:
    """Whoever raises or catches one looks there first."""
    classes = re.findall(r"^class (\w+Error)\b", Path(radnet.errors.__file__).read_text(), re.M)

    drawn = re.findall(r"^(?:[├└│].*)?\b(\w+Error)\b", radnet.errors.__doc__ or "", re.M)

    assert sorted(drawn) == sorted(classes)


def raised() -> Iterator[tuple[Path, str]]:
    """Return every error that radnet raises by name, with its file."""
    for file in ROOT.rglob("*.py"):
        for found in nodes(file):
            if isinstance(found, ast.Raise) and isinstance(found.exc, ast.Call):
                yield file.relative_to(ROOT), ast.unparse(found.exc.func)


def test_an_unusable_volume_is_a_volume() -> None:
    """Half of what was called so was about options, tables or rules."""
    strangers = {
        str(file)
        for file, kind in raised()
        if kind == "UnusableVolumeError" and file.parts[0] not in OF_VOLUMES
    }

    assert strangers == set()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (UsageError, 2),
        (DataError, 2),
        (UnusableVolumeError, 2),
        (GeometryError, 2),
        (PresetError, 2),
        (UndecodableError, 1),
        (FetchError, 1),
        (RadnetError, 1),
    ],
)
def test_the_kind_decides_the_exit_status(
    kind: type[RadnetError],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2 for what was asked for or given, 1 for what failed; a line, and no traceback."""

    def fails() -> None:
        raise kind("the reason")

    monkeypatch.setattr(radnet.cli, "app", fails)
    monkeypatch.setattr(sys, "argv", ["radnet"])

    with pytest.raises(SystemExit) as ended:
        radnet.cli.main()

    assert ended.value.code == status
    assert capsys.readouterr().err.strip() == "radnet: the reason"

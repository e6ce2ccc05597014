"""Who asks for help, or mistypes a command, waits for nothing that only the work needs."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "SimpleITK", "alembic", "celpy", "dbos", "duckdb", "highdicom", "httpx", "matplotlib", "monai",
    "nibabel", "numpy", "openvino", "pandas", "psycopg", "pydicom", "pynetdicom", "pyorthanc",
    "scipy", "sqlalchemy", "torch", "torchmetrics",
}  # fmt: skip

EVERY_COMMAND = """
import contextlib, importlib, io, json, sys
import typer.main

made = typer.main.get_command(getattr(importlib.import_module(sys.argv[1]), sys.argv[2]))

def paths(command, path=()):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*path, name))

asked, ended = list(paths(made)), set()
for path in asked:
    for option in ("--help", "--no-such-option"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                made([*path, option], prog_name="asked")
            except SystemExit as end:
                ended.add((option, end.code))
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    made(["--version"], prog_name="asked")
modules = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps([len(asked), sorted(ended), modules]))
"""


@pytest.mark.parametrize(("module", "name"), [("node.cli", "radnode"), ("radnet.cli", "app")])
def test_help_version_and_wrong_usage_import_nothing_heavy(module: str, name: str) -> None:
    """`radnet --help` took 8 s and 550 MB for torch and MONAI, which no help needs."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_COMMAND, module, name],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    commands, ended, modules = json.loads(done.stdout)
    assert commands > 12
    assert ended == [["--help", 0], ["--no-such-option", 2]]
    assert HEAVY & set(modules) == set()


@pytest.mark.parametrize("program", ["node", "radnet"])
def test_version_is_told(program: str) -> None:
    """A report of a fault names it."""
    done = subprocess.run(
        [sys.executable, "-c", f"from {program}.cli import main; main()", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    name, version = done.stdout.split()
    assert name == {"node": "radnode", "radnet": "radnet"}[program]
    assert version[0].isdigit()

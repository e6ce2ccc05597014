"""`radnode`: the commands of the node. Only here is printed and exited.

Exit codes: 0 done, 1 failed, 2 wrong usage or input.
"""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from node.cli import (
    adopting,
    again,
    checking,
    deliveries,
    hanging,
    proving,
    quarantine,
    rules,
    serving,
    shown,
    sources,
    status,
    studies,
)

radnode = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that recognises series, routes them and segments the liver.",
)
radnode.add_typer(serving.commands)
radnode.add_typer(studies.commands)
radnode.add_typer(status.commands)
radnode.add_typer(proving.commands)
radnode.add_typer(checking.commands)
radnode.add_typer(adopting.commands)
radnode.add_typer(deliveries.commands, name="deliveries")
radnode.add_typer(sources.commands)
radnode.add_typer(again.commands)
radnode.add_typer(quarantine.commands, name="quarantine")
radnode.add_typer(rules.commands, name="rules")
radnode.add_typer(hanging.commands, name="hanging")


def _tell_version(asked: bool) -> None:
    if asked:
        shown.console.print(f"radnode {version('radnet-node')}", highlight=False)
        raise typer.Exit


@radnode.callback()
def _main(
    log_level: Annotated[
        str, typer.Option(envvar="RADNODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    if log_level.lower() not in ("debug", "info", "warning", "error"):
        shown.fail(f"--log-level {log_level}: expected debug, info, warning or error", shown.WRONG)
    shown.log_level.set(log_level)


def main() -> None:
    """Entry point of the command; what it makes is of patients, and read by its user alone."""
    os.umask(0o077)
    radnode()

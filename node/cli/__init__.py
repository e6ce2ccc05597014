"""`radnode`: the commands of the node. Only here is printed and exited.

Exit codes: 0 done, 1 failed, 2 wrong usage or input.
"""

from typing import Annotated

import typer

from node.cli import deliveries, quarantine, serving, sources, studies
from node.cli.shown import WRONG, fail, set_up_logging

radnode = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that recognises series, routes them and segments the liver.",
)
radnode.add_typer(serving.commands)
radnode.add_typer(studies.commands)
radnode.add_typer(deliveries.commands, name="deliveries")
radnode.add_typer(sources.commands)
radnode.add_typer(quarantine.commands, name="quarantine")


@radnode.callback()
def _main(
    log_level: Annotated[
        str, typer.Option(envvar="RADNODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    if log_level.lower() not in ("debug", "info", "warning", "error"):
        fail(f"--log-level {log_level}: expected debug, info, warning or error", WRONG)
    set_up_logging(log_level)


def main() -> None:
    """Entry point of the command."""
    radnode()

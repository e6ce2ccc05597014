"""`radnode check`: the settings, the node itself and every destination, before the first study."""

import typer

from node.cli.shown import (
    DEFAULT_CONFIG,
    FAILED,
    ConfigFile,
    console,
    errors,
    reported_errors,
    sound,
)
from node.errors import DeliveryError

commands = typer.Typer()


@commands.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the settings, the rules, and every destination; nothing is changed.

    Exit status 1: a database, the audit collector or a destination does not answer. 2: the
    settings or a rule are wrong.
    """
    from node.check import readiness
    from node.deliver.build import build
    from node.settings import renamed_keys

    with reported_errors():
        settings = sound(config)
        console.print(f"{config}: {len(settings.rules)} rules, settings valid")
        for line in renamed_keys(config):
            console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
        failed = 0
        for line, in_order in readiness.look(settings):
            failed += not in_order
            style = None if in_order else "red"
            console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
        for described in settings.destinations:
            try:
                answer = build(described, settings.node.ae_title).check()
                console.print(f"{described.name}: ok, {answer}", markup=False, highlight=False)
            except DeliveryError as error:
                failed += 1
                errors.print(
                    f"{described.name}: {error}", style="red", markup=False, soft_wrap=True
                )
        if failed:
            raise typer.Exit(FAILED)

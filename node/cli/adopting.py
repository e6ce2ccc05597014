"""`radnode adopt`: files without rows, taken in."""

import typer

from node.cli.shown import DEFAULT_CONFIG, FAILED, ConfigFile, console, errors, reported_errors

commands = typer.Typer()


@commands.command()
def adopt(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Take in files that the catalog does not know: it was lost, or restored from a back-up.

    Exit status 1: something could not be taken in; the reason is told.
    """
    import time

    from node import app
    from node.receive.adoption import Adoption, shown
    from node.settings import load

    with reported_errors():
        storage = app.open_storage(load(config))
        done = Adoption(storage.catalog, storage.files, time.time).adopt()
    console.print(
        f"{done.outcomes['new']} file(s) taken in, {done.outcomes['conflict']} kept apart as "
        f"other bytes of a known instance, {done.outcomes['repeated']} were a second copy",
        highlight=False,
    )
    for path, reason in done.refused.items():
        errors.print(f"{shown(path)}: {reason}", style="red", markup=False, highlight=False)
    if done.refused:
        raise typer.Exit(FAILED)

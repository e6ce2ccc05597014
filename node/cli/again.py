"""`radnode reprocess`: running again what came before a rule was mended."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.moments import moment
from node.cli.shown import DEFAULT_CONFIG, WRONG, ConfigFile, console, fail, reported_errors

commands = typer.Typer()

Uid = Annotated[str | None, typer.Argument(metavar="UID", help="UID of a study or series.")]


@commands.command()
def reprocess(
    uid: Uid = None,
    since: Annotated[
        str | None, typer.Option(help="What changed since: 7d ago, or a time such as 2026-11-30.")
    ] = None,
    *,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Send again what was delivered before, too.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Recognise and route again; sends what the rules newly decide, and nothing twice.

    The worker does it, with the rules that it was started with.
    """
    if (uid is None) == (since is None):
        fail("expected either UID or --since", WRONG)
    after = since and moment("--since", since, datetime.now(UTC).astimezone())
    from node import app
    from node.pipeline.reprocess import BEGUN, reprocess
    from node.settings import load

    with reported_errors():
        storage = app.open_storage(load(config))
        candidates = storage.catalog.candidates.named(uid, after or None)
        if uid is not None and not candidates:
            fail(f"the node holds no study or series {uid}; `radnode status` lists them", WRONG)
        counts = reprocess(storage.catalog, storage.files, candidates, send_again, time.time())
    console.print(f"{counts.pop(BEGUN, 0)} series: {BEGUN}", highlight=False)
    for standing, count in sorted(counts.items()):
        console.print(f"{count} series: {_EXPLAINED[standing]}", highlight=False)


_EXPLAINED = {
    "in work": "in work, and left alone",
    "coming in": "coming in, and routed when complete",
    "deleted": "deleted here, by retention",
}

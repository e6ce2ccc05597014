"""`radnode prove`: the history of a study, and whether all stands as it tells."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from node.cli.shown import (
    DEFAULT_CONFIG,
    FAILED,
    WRONG,
    ConfigFile,
    console,
    errors,
    fail,
    reported_errors,
)

if TYPE_CHECKING:
    from node.model.events import Entry

commands = typer.Typer()


def history_table(entries: "list[Entry]") -> Table:
    """Return the history of a study, oldest first; times are UTC."""
    table = Table("number", "at (UTC)", "event", "instance or series", "detail", "hash")
    for entry in entries:
        at = datetime.fromtimestamp(entry.at, UTC).isoformat(" ", "milliseconds")[:23]
        pairs = sorted((name, _shown(value)) for name, value in entry.detail.items())
        detail = ", ".join(f"{name} {value}" for name, value in pairs)
        cells = (str(entry.number), at, entry.event, entry.subject, detail, entry.sha256[:12])
        table.add_row(*map(Text, cells))
    return table


def _shown(value: object) -> str:
    return str(len(value)) if isinstance(value, list) else str(value)


@commands.command()
def prove(
    study: Annotated[
        str | None, typer.Argument(help="Study Instance UID; without it, the chain alone.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="The last hash of an earlier proof, kept elsewhere."),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show what happened to every instance of a study, and prove that nothing was altered.

    Exit status 1: something is not as the ledger tells, or the chain does not hold HASH.
    """
    from node import app
    from node.audit import custody
    from node.settings import load

    if since is not None and not custody.is_hash(since):
        fail(f"--since {since}: expected the 64 hexadecimal digits that `prove` printed", WRONG)
    with reported_errors():
        storage = app.open_storage(load(config))
        entries = storage.catalog.ledger.history(study) if study else []
        if study and not entries:
            fail(f"the ledger knows no study {study}; `radnode status` lists them", WRONG)
        if entries:
            console.print(history_table(entries))
        proof = storage.catalog.ledger.proof(since or "")
        wrong = [proof.broken] if proof.broken else []
        if since is not None:
            wrong += custody.since_kept(proof, since)
        wrong += custody.changed_files(storage.catalog, storage.files, entries)
    console.print(f"chain of {proof.entries} entries, last hash {proof.last}", soft_wrap=True)
    for reason in wrong:
        errors.print(reason, style="red", markup=False, highlight=False)
    if wrong:
        raise typer.Exit(FAILED)
    if proof.since is not None and since is not None:
        console.print(f"it holds the kept hash, as entry {proof.since}", highlight=False)
    what = ", and everything of the study stands as it tells" if study else ""
    console.print(f"the chain is whole{what}", highlight=False)

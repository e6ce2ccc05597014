"""`radnode sources`: who may send, and who tried."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from node.cli.shown import DEFAULT_CONFIG, ConfigFile, console, reported_errors

if TYPE_CHECKING:
    from node.store.access import Rejection, Visitor

commands = typer.Typer()


@commands.command()
def sources(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Show who sent and who was rejected, and the settings that let in whom they do not list."""
    from node import app
    from node.check import unlisted
    from node.settings import load

    with reported_errors():
        settings = load(config)
        catalog = app.open_storage(settings).catalog
        visitors, rejections = catalog.access.visitors(), catalog.access.rejections()
        console.print(_table(visitors, rejections))
        seen = visitors, rejections, settings.sources, settings.node.ae_title
        wanted = unlisted.suggestion(*seen)
        mistakes = unlisted.mistaken(*seen)
    for mistake in mistakes:
        console.print(mistake, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not wanted:
        return
    if not settings.sources:
        console.print("The settings list no sources: everybody may send. To let in only these:\n")
    elif settings.receive.accept_unlisted:
        console.print(
            "receive.accept_unlisted is on: everybody may send. To list those who are not:\n"
        )
    else:
        console.print("To let in whom the settings do not list (look at each first):\n")
    console.print(wanted, markup=False, highlight=False, soft_wrap=True)


def _table(visitors: "Sequence[Visitor]", rejections: "Sequence[Rejection]") -> Table:
    """Return everybody who asked for an association, the last one first of each kind."""
    shown = Table("Calling AE", "Called AE", "Address", "Times", "First", "Last", "What became")
    for rejection in rejections:
        peer = rejection.peer
        outcome = f"rejected: {peer.reason}"
        _add(shown, (peer.calling_ae, peer.called_ae, peer.address), rejection, outcome)
    for visitor in visitors:
        _add(shown, (visitor.calling_ae, visitor.called_ae, visitor.address), visitor, "let in")
    return shown


def _add(
    shown: Table, peer: tuple[str, str, str], row: "Rejection | Visitor", outcome: str
) -> None:
    cells = (*peer, str(row.times), _moment(row.first_at), _moment(row.last_at), outcome)
    shown.add_row(*(Text(cell) for cell in cells))


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")

"""`radnode quarantine`: look at what could not be processed, and decide about it."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from node.cli.shown import DEFAULT_CONFIG, WRONG, ConfigFile, console, fail, reported_errors
from node.model.states import HoldState

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.app import Storage
    from node.model.records import Held
    from node.upkeep.quarantine import Quarantine

commands = typer.Typer(
    no_args_is_help=True, help="What could not be processed: look at it, and decide about it."
)

ENDED: Final[tuple[HoldState, ...]] = (
    HoldState.REPLAYED,
    HoldState.RELEASED,
    HoldState.DISCARDING,
    HoldState.DISCARDED,
)

Ids = Annotated[list[str], typer.Argument(help="Ids, as `radnode quarantine list` shows them.")]


@commands.command("list")
def list_held(
    everything: Annotated[
        bool, typer.Option("--all", help="What was decided long ago, too.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """List what is held, the oldest first."""
    with reported_errors():
        states: tuple[HoldState, ...] = (
            (HoldState.HELD, *ENDED) if everything else (HoldState.HELD,)
        )
        found = _storage(config).catalog.quarantine.held(states)
    table = Table("id", "kind", "since (UTC)", "series", "what", "reason", "state")
    for held in found:
        hold = held.hold
        cells = (
            hold.id, hold.kind, _at(held.held_at), hold.series_instance_uid, str(hold.key),
            hold.reason, held.state,
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    console.print(table)


@commands.command()
def show(
    hold_id: Annotated[str, typer.Argument(metavar="ID", help="Id of what is held.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show one thing: why it is held, where its files are, what can be done."""
    from node.upkeep.quarantine import choices

    with reported_errors():
        storage = _storage(config)
        held = _known(storage, hold_id)
        hold = held.hold
        folder = storage.files.absolute(hold.folder)
        for name, value in (
            ("kind", hold.kind),
            ("state", held.state),
            ("held since", f"{_at(held.held_at)} UTC"),
            ("run again", f"{held.rounds} times"),
            ("study", hold.study_instance_uid),
            ("series", hold.series_instance_uid),
            ("what", str(hold.key)),
            ("reason", hold.reason),
            ("folder", str(folder)),
            ("files", str(len(list(folder.glob("*.dcm"))))),
            ("choices", "; ".join(choices(hold.kind)) if held.state is HoldState.HELD else "none"),
        ):
            console.print(f"{name:10} {value}", markup=False, highlight=False, soft_wrap=True)


@commands.command()
def release(ids: Ids, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let it go: other bytes take the first ones' place; anything else stays as it is."""
    from node.upkeep.quarantine import Quarantine

    with reported_errors():
        _decide(_storage(config), ids, Quarantine.release, "released")


@commands.command()
def replay(ids: Ids, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run it again: a series is recognised and segmented anew, a delivery sent again."""
    from node.upkeep.quarantine import Quarantine

    with reported_errors():
        _decide(_storage(config), ids, Quarantine.replay, "runs again")


@commands.command()
def discard(
    ids: Ids,
    yes: Annotated[bool, typer.Option("--yes", help="Really: it cannot be undone.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Remove what is held; the ledger tells that, and the images of the node stay."""
    from node.upkeep.quarantine import Quarantine

    if not yes:
        fail("discard cannot be undone; say --yes", WRONG)
    with reported_errors():
        _decide(_storage(config), ids, Quarantine.discard, "discarded")


def _storage(config: Path) -> "Storage":
    from node import app
    from node.settings import load

    return app.open_storage(load(config))


def _decide(
    storage: "Storage",
    ids: list[str],
    decision: "Callable[[Quarantine, Held], None]",
    done: str,
) -> None:
    """Carry a decision out for every id; all of them are looked up first."""
    from node.upkeep.quarantine import Quarantine

    quarantine = Quarantine(storage.catalog, storage.files, time.time)
    for held in [_known(storage, text) for text in ids]:
        decision(quarantine, held)
        console.print(f"{held.hold.id}: {done}", markup=False, highlight=False)


def _known(storage: "Storage", hold_id: str) -> "Held":
    held = storage.catalog.quarantine.get(hold_id)
    if held is None:
        fail(f"nothing is held as {hold_id}; `radnode quarantine list` shows what is", WRONG)
    return held


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(" ", "seconds")[:19]

"""Deliveries: where they stand, and an operator's orders about them.

Orders are rows that the running worker reads; it obeys within its next look.
"""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from node.cli.shown import DEFAULT_CONFIG, WRONG, ConfigFile, console, fail, reported_errors

if TYPE_CHECKING:
    from node.settings import Settings
    from node.store.catalog import Catalog
    from node.store.deliveries.orders import Order
    from node.store.deliveries.scope import Scope

commands = typer.Typer(
    no_args_is_help=True,
    help="See where deliveries stand; try them now, pause, resume, cancel, replay them.",
)

SHOWN: Final = 500
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")

What = Annotated[
    str, typer.Argument(help="A destination, or the UID of a study, series or instance.")
]
To = Annotated[str | None, typer.Option("--to", help="Only at this destination.")]


def _scope(settings: "Settings", catalog: "Catalog", what: str, to: str | None) -> "Scope":
    from node.store.deliveries.scope import Scope

    names = {destination.name for destination in settings.destinations} | set(
        catalog.delivery_states.counted(Scope())
    )
    for name in (what, to):
        if name is not None and name not in names and (name == to or not _UID.fullmatch(name)):
            known = ", ".join(sorted(names)) or "none"
            fail(f"{name} is no destination (there are: {known}) and no UID", WRONG)
    if what in names:
        if to not in (None, what):
            fail(f"two destinations: {what} and {to}", WRONG)
        return Scope(destination=what)
    return Scope(destination=to, uid=what)


def _ordered(order: "Order", what: str, to: str | None, config: Path) -> None:
    from node import app
    from node.settings import load
    from node.store.deliveries.orders import PAUSE, RESUME

    with reported_errors():
        settings = load(config)
        catalog = app.open_storage(settings).catalog
        scope = _scope(settings, catalog, what, to)
        if scope.uid is None and scope.destination is not None and order in (PAUSE, RESUME):
            catalog.outlets.set_paused(scope.destination, order == PAUSE, time.time())
            done = f"{scope.destination} {order.event}"
        else:
            done = f"{catalog.orders.give(order, scope, time.time())} instance(s) {order.event}"
        console.print(done, markup=False, highlight=False)
        if order.hastens:
            _expedite(settings, catalog, scope)


def _expedite(settings: "Settings", catalog: "Catalog", scope: "Scope") -> None:
    """Make due what is pending, and say so for each destination."""
    from node import app
    from node.deliver.build import terms_of
    from node.deliver.expedite import expedite

    terms = {destination.name: terms_of(destination) for destination in settings.destinations}
    found = expedite(catalog, scope, terms, time.time(), app.local_time())
    if not found:
        console.print("nothing is pending", highlight=False)
    for destination in found:
        lines = [
            f"{destination.pending} instance(s) pending, {destination.batches} batch(es) due now"
        ]
        if destination.asked:
            lines.append(f"its circuit is open ({destination.asked}): it is probed now")
        if destination.held:
            lines.append(f"but: {destination.held}")
        console.print(
            f"{destination.destination}: {'; '.join(lines)}", markup=False, highlight=False
        )


@commands.command("list")
def show(
    what: Annotated[
        str | None,
        typer.Argument(help="A destination or a UID; without it, every destination."),
    ] = None,
    to: To = None,
    state: Annotated[
        str, typer.Option(help="Only these states, with commas between them.")
    ] = "pending,paused,parked,cancelled",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show what stands where, what holds it up, and when it is tried next."""
    from node import app
    from node.cli.delivery_tables import deliveries_table, destinations_table
    from node.deliver.build import terms_of
    from node.model.states import DeliveryState
    from node.settings import load
    from node.views.destinations import destinations

    wanted = [known for known in DeliveryState if known in state.split(",")]
    if not wanted or len(wanted) != len(state.split(",")):
        fail(f"--state {state}: expected some of {', '.join(DeliveryState)}", WRONG)
    with reported_errors():
        settings = load(config)
        catalog = app.open_storage(settings).catalog
        terms = {destination.name: terms_of(destination) for destination in settings.destinations}
        if what is None:
            found = destinations(catalog, terms, app.local_time())
            console.print(destinations_table(found))
            return
        rows = catalog.delivery_states.selected(
            _scope(settings, catalog, what, to), wanted, SHOWN + 1
        )
    console.print(deliveries_table(rows[:SHOWN]))
    if len(rows) > SHOWN:
        console.print(f"only the first {SHOWN} are shown; name a series or an instance")


@commands.command()
def pause(what: What, to: To = None, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Hold a destination, or some instances; nothing is lost, no attempt is counted."""
    from node.store.deliveries.orders import PAUSE

    _ordered(PAUSE, what, to, config)


@commands.command()
def resume(what: What, to: To = None, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let a destination, or instances that were paused, go on at once."""
    from node.store.deliveries.orders import RESUME

    _ordered(RESUME, what, to, config)


@commands.command()
def now(what: What, to: To = None, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Try at once what is pending; an open circuit is probed."""
    from node import app
    from node.settings import load

    with reported_errors():
        settings = load(config)
        catalog = app.open_storage(settings).catalog
        _expedite(settings, catalog, _scope(settings, catalog, what, to))


@commands.command()
def cancel(what: What, to: To = None, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Never send what has not been sent; `replay` takes it back."""
    from node.store.deliveries.orders import CANCEL

    _ordered(CANCEL, what, to, config)


@commands.command()
def replay(
    what: What,
    to: To = None,
    delivered: Annotated[
        bool, typer.Option("--delivered", help="Send again what was delivered, too.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Send what was parked or cancelled, and end the wait of what is pending."""
    from node.store.deliveries.orders import REPLAY, REPLAY_DELIVERED

    _ordered(REPLAY_DELIVERED if delivered else REPLAY, what, to, config)

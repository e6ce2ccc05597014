"""Where deliveries stand, destination by destination, and what holds them up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from rich.table import Table
from rich.text import Text

from node.deliver.turns import Terms, held_because
from node.model.records import Delivery, Outlet
from node.store.catalog import Catalog
from node.store.deliveries.scope import Scope

_STATES = ("delivered", "pending", "paused", "parked", "cancelled")


@dataclass(frozen=True)
class Whereabouts:
    """One destination: what holds it up ('' if nothing), and what stands where."""

    destination: str
    held: str
    counts: Mapping[str, int]
    batches_in_flight: int
    next_at: float | None


def destinations(catalog: Catalog, terms: Mapping[str, Terms], local: time) -> list[Whereabouts]:
    """Return every destination of the settings, and every other one that rows name."""
    counts, outlets, in_flight = (
        catalog.deliveries.counted(Scope()),
        catalog.outlets.all(),
        catalog.dispatches.in_flight(),
    )
    found = []
    for name in sorted({*terms, *counts}):
        if name in terms:
            held = held_because(terms[name], outlets.get(name, Outlet()), local, urgent=False)
        else:
            held = "not in the settings"
        found.append(
            Whereabouts(
                name,
                held,
                counts.get(name, Counter()),
                in_flight.get(name, 0),
                _next_at(catalog, name, outlets.get(name, Outlet())),
            )
        )
    return found


def _next_at(catalog: Catalog, name: str, outlet: Outlet) -> float | None:
    """Return when something happens next: the first batch's turn, or the probe before it."""
    waiting = [job for job in catalog.dispatches.of_destination(name) if job.state == "waiting"]
    if not waiting:
        return None
    first = min(job.next_at for job in waiting)
    return first if outlet.circuit.state == "closed" else max(first, outlet.circuit.until)


def destinations_table(found: Iterable[Whereabouts]) -> Table:
    """Return a row for each destination; times are UTC."""
    table = Table(title="Destinations")
    for heading in ("Destination", "Held", *(state.capitalize() for state in _STATES)):
        table.add_column(heading, overflow="fold")
    table.add_column("Batches on the line")
    table.add_column("Next attempt (UTC)")
    for one in found:
        counts = [str(one.counts.get(state, 0)) for state in _STATES]
        at = "-" if one.next_at is None else _moment(one.next_at)
        cells = (one.destination, one.held or "-", *counts, str(one.batches_in_flight), at)
        table.add_row(*map(Text, cells))  # what a peer said of itself is no markup
    return table


def deliveries_table(rows: Iterable[Delivery]) -> Table:
    """Return a row for each instance at each destination."""
    table = Table(title="Deliveries")
    for heading in ("Instance", "Destination", "State", "Attempts", "Reason"):
        table.add_column(heading, overflow="fold")
    for one in rows:
        cells = (one.sop_instance_uid, one.destination, one.state, str(one.attempts), one.reason)
        table.add_row(*map(Text, cells))
    return table


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(" ", "seconds")[:19]

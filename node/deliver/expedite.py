"""An operator says "now": what waits for its turn, or for a circuit, waits no longer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time

from node.deliver import breaker
from node.deliver.turns import Terms, held_because
from node.model.records import Outlet
from node.model.states import CircuitState
from node.store.catalog import Catalog
from node.store.deliveries.scope import Scope


@dataclass(frozen=True)
class Expedited:
    """What became of it at one destination.

    Attributes
    ----------
    destination : str
    pending : int
        Instances within the scope that have yet to be sent.
    batches : int
        Their batches that are due now; those on the line are no part of it.
    asked : str
        Why the circuit was open, where the destination is probed at once.
    held : str
        What holds it up all the same: an operator's pause, a window; '' where nothing does.
    """

    destination: str
    pending: int
    batches: int
    asked: str
    held: str


def expedite(
    catalog: Catalog, scope: Scope, terms: Mapping[str, Terms], now: float, local: time
) -> list[Expedited]:
    """Make due what is pending within a scope, and probe the open circuits on its way.

    Parameters
    ----------
    terms
        By name of destination, as in the settings.
    now : float
        Seconds since the epoch.
    local : time
        Time of day where the node stands.

    Returns
    -------
    list[Expedited]
        One for each destination with something pending there.

    Raises
    ------
    StoreError
        If the rows cannot be changed.
    """
    due = catalog.orders.hasten(scope)
    counts = catalog.delivery_states.counted(scope)
    names = sorted(name for name, states in counts.items() if states["pending"])
    return [
        _expedited(catalog, name, counts[name]["pending"], due[name], (terms, now, local))
        for name in names
    ]


def _expedited(
    catalog: Catalog,
    name: str,
    pending: int,
    batches: int,
    at: tuple[Mapping[str, Terms], float, time],
) -> Expedited:
    terms, now, local = at
    if name not in terms:
        return Expedited(
            name, pending, batches, "", "there is no such destination in the settings"
        )
    outlet = catalog.outlets.get(name)
    asked = ""
    if outlet.circuit.state is not CircuitState.CLOSED:
        asked = outlet.circuit.reason or "unknown"
        catalog.outlets.probe_at_once(name, breaker.hastened, now)
    held = held_because(terms[name], Outlet(outlet.paused), local, urgent=False)
    return Expedited(name, pending, batches, asked, held)

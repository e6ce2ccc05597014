"""How deliveries are shown in a terminal."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from node.model.records import Delivery
from node.model.states import CommitmentState, DeliveryState
from node.views.counts import InstanceCount
from node.views.destinations import Whereabouts

_STATES: Final = (
    DeliveryState.DELIVERED,
    DeliveryState.PENDING,
    DeliveryState.PAUSED,
    DeliveryState.PARKED,
    DeliveryState.CANCELLED,
)


def destinations_table(found: Iterable[Whereabouts]) -> Table:
    """Return a row for each destination; times are UTC."""
    table = Table(title="Destinations")
    for heading in ("Destination", "Held", *(state.capitalize() for state in _STATES)):
        table.add_column(heading, overflow="fold")
    table.add_column("Batches in flight")
    table.add_column("Next attempt (UTC)")
    for destination in found:
        counts = [str(destination.counts.get(state, 0)) for state in _STATES]
        at = "-" if destination.next_at is None else moment_text(destination.next_at)
        cells = (
            destination.destination,
            destination.held or "-",
            *counts,
            str(destination.batches_in_flight),
            at,
        )
        table.add_row(*map(Text, cells))  # what a peer said of itself is no markup
    return table


def deliveries_table(rows: Iterable[Delivery]) -> Table:
    """Return a row for each instance at each destination."""
    table = Table(title="Deliveries")
    for heading in ("Instance", "Destination", "State", "Attempts", "Reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (row.sop_instance_uid, row.destination, row.state, str(row.attempts), row.reason)
        table.add_row(*map(Text, cells))
    return table


def whereabouts(counts: Iterable[InstanceCount]) -> Text:
    """Return how many instances stand where, with the reason of those that are not there."""
    found: dict[tuple[str, str, str], int] = {}
    for standing in counts:
        key = standing.destination, _standing(standing), standing.reason
        found[key] = found.get(key, 0) + standing.count
    lines = [
        f"{destination}: {count} {state}" + (f" ({reason})" if reason else "")
        for (destination, state, reason), count in sorted(found.items())
    ]
    return Text("\n".join(lines) or "-")


def _standing(standing: InstanceCount) -> str:
    words: str = standing.state
    if standing.state == DeliveryState.DELIVERED and standing.commitment:
        committed = standing.commitment == CommitmentState.COMMITTED
        words = "committed" if committed else "delivered, not committed yet"
    return f"{words}, deleted here" if standing.deleted else words


def moment_text(at: float) -> str:
    """Return a moment in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(" ", "seconds")[:19]

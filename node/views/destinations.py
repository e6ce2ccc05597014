"""Where deliveries stand, destination by destination, and what holds them up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

import sqlalchemy as sa

from node.deliver.turns import Terms, held_because
from node.model.records import Outlet
from node.model.states import AT_WORK, CircuitState, HoldState, WorkState
from node.model.work import Kind
from node.store.catalog import Catalog
from node.store.deliveries.scope import Scope
from node.store.tables import quarantine, work


@dataclass(frozen=True)
class Whereabouts:
    """One destination: what holds it up ('' if nothing), and what stands where."""

    destination: str
    held: str
    counts: Mapping[str, int]
    batches_in_flight: int
    next_at: float | None


def destinations(catalog: Catalog, terms: Mapping[str, Terms], local: time) -> list[Whereabouts]:
    """Return every destination of the settings, and every other one that rows name.

    Three queries, however many destinations there are.
    """
    counts, outlets = catalog.deliveries.counted(Scope()), catalog.outlets.all()
    batches = _batches(catalog)
    found = []
    for name in sorted({*terms, *counts}):
        outlet = outlets.get(name, Outlet())
        if name in terms:
            held = held_because(terms[name], outlet, local, urgent=False)
        else:
            held = "not in the settings"
        in_flight, first = batches.get(name, (0, None))
        found.append(
            Whereabouts(
                name, held, counts.get(name, Counter()), in_flight, _next_at(first, outlet)
            )
        )
    return found


def count_held(catalog: Catalog) -> int:
    """Return how much is held in quarantine until somebody decides."""
    query = (
        sa.select(sa.func.count())
        .select_from(quarantine)
        .where(quarantine.c.state == HoldState.HELD)
    )
    with catalog.read() as connection:
        return int(connection.execute(query).scalar_one())


def _batches(catalog: Catalog) -> dict[str, tuple[int, float | None]]:
    """Return of each destination how many batches are on the line, and when the next is due."""
    waits = work.c.state == WorkState.WAITING
    query = (
        sa.select(
            work.c.lane,
            sa.func.count(sa.case((work.c.state.in_(AT_WORK), 1))),
            sa.func.min(sa.case((waits, work.c.due_at))),
        )
        .where(work.c.kind == Kind.DELIVER, work.c.state != WorkState.DONE)
        .group_by(work.c.lane)
    )
    with catalog.read() as connection:
        rows: list[Any] = list(connection.execute(query))
    return {row[0]: (row[1], row[2]) for row in rows}


def _next_at(first: float | None, outlet: Outlet) -> float | None:
    """Return when something happens next: the first batch's turn, or the probe before it."""
    if first is None or outlet.circuit.state == CircuitState.CLOSED:
        return first
    return max(first, outlet.circuit.until)

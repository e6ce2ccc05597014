"""Where deliveries stand, destination by destination, and what holds them up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

import sqlalchemy as sa

from node.deliver.turns import Terms, held_because
from node.model.records import Outlet
from node.model.states import AT_WORK, HoldState, WorkState
from node.model.work import WorkKind
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

    Parameters
    ----------
    catalog : Catalog
    terms : mapping of str to Terms
        By name, of the destinations that the settings have.
    local : time
        Now, in local time: for windows.

    Returns
    -------
    list of Whereabouts
        By name.
    """
    counts, outlets = catalog.delivery_states.counted(Scope()), catalog.outlets.all()
    at_work = _at_work(catalog)
    found = []
    for name in sorted({*terms, *counts}):
        outlet = outlets.get(name, Outlet())
        if name in terms:
            held = held_because(terms[name], outlet, local, urgent=False)
        else:
            held = "not in the settings"
        there = at_work.get(name, _AtWork())
        found.append(
            Whereabouts(name, held, counts.get(name, Counter()), there.batches, _next_at(there))
        )
    return found


def count_held(catalog: Catalog) -> int:
    """Return how much is held in quarantine until somebody decides.

    Parameters
    ----------
    catalog : Catalog

    Returns
    -------
    int
    """
    query = (
        sa.select(sa.func.count())
        .select_from(quarantine)
        .where(quarantine.c.state == HoldState.HELD)
    )
    with catalog.read() as connection:
        return int(connection.execute(query).scalar_one())


@dataclass(frozen=True)
class _AtWork:
    """What there is to do for a destination: batches on the line; when batch and probe are due."""

    batches: int = 0
    batch_at: float | None = None
    probe_at: float | None = None


def _at_work(catalog: Catalog) -> dict[str, _AtWork]:
    """Return what there is to do for each destination."""
    sends, waits = work.c.kind == WorkKind.DELIVER, work.c.state == WorkState.WAITING
    query = (
        sa.select(
            work.c.lane,
            sa.func.count(sa.case((sa.and_(sends, work.c.state.in_(AT_WORK)), 1))).label(
                "batches"
            ),
            sa.func.min(sa.case((sa.and_(sends, waits), work.c.due_at))).label("batch_at"),
            sa.func.min(sa.case((~sends, work.c.due_at))).label("probe_at"),
        )
        .where(work.c.kind.in_((WorkKind.DELIVER, WorkKind.PROBE)), work.c.state != WorkState.DONE)
        .group_by(work.c.lane)
    )
    with catalog.read() as connection:
        rows: list[Any] = list(connection.execute(query))
    return {row.lane: _AtWork(row.batches, row.batch_at, row.probe_at) for row in rows}


def _next_at(found: _AtWork) -> float | None:
    """Return when something happens next: the first batch's turn, or the probe before it."""
    if found.batch_at is None or found.probe_at is None:
        return found.batch_at
    return max(found.batch_at, found.probe_at)

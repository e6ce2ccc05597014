"""Time that passes in tests of due work, and a clock that somebody sets."""

from typing import Protocol

import sqlalchemy as sa

from node.store.catalog import Catalog
from node.store.tables import due_clock


class Clocked(Protocol):
    """What has a catalog and the time by which it goes."""

    catalog: Catalog
    now: float


def pass_time(bench: Clocked, seconds: float) -> None:
    """Let time pass as on a node that runs: somebody looked for work all along.

    To add to `now` alone is to set the clock.
    """
    with bench.catalog.write() as connection:
        seen_at = due_clock.c.seen_at + seconds
        connection.execute(sa.update(due_clock).values(seen_at=seen_at))
        bench.now += seconds

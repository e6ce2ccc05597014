"""The one clock that due times are read by: the database's, whoever asks.

On PostgreSQL that is the server's; on SQLite that of the one machine which has the file. Somebody
may set it: by hand, by a time server, a host that slept. Every process that looks for work says in
one row when it looked, so that the next look finds a clock that jumped, and moves what is due
along. No process remembers anything.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
import structlog

from node.store.tables import due_clock

log = structlog.get_logger()

BACK_S: Final = 5.0
"""Set back by less is the slewing of a time server."""
FORWARD_S: Final = 25.0
"""Nobody looked for so long: all were stopped, or the clock was set forward."""
NOTED_S: Final = 5.0
"""How often a look is noted, at most: each note is a commit."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the clock says, and when somebody last looked at it."""

    now: float
    seen_at: float | None

    @property
    def is_noted(self) -> bool:
        """Whether nothing has to be written: somebody noted a look a moment ago."""
        return self.seen_at is not None and -BACK_S <= self.now - self.seen_at < NOTED_S


def jump(reading: Reading, *, starting: bool) -> float:
    """Return by how much the clock was set since somebody last looked, in seconds; pure.

    A process that starts has not looked for a while, and that time has passed in truth; only a
    clock that went back was set.
    """
    if reading.seen_at is None:
        return 0.0
    passed = reading.now - reading.seen_at
    if passed < -BACK_S or (passed > FORWARD_S and not starting):
        return passed
    return 0.0


class DueClock:
    """Reads the clock, and finds that it was set.

    Parameters
    ----------
    fixed : callable, optional
        Seconds since the epoch, in place of the database's clock.
    """

    def __init__(self, fixed: Callable[[], float] | None = None) -> None:
        self._fixed = fixed

    def now(self, connection: sa.Connection) -> float:
        """Return the time, in seconds since the epoch."""
        if self._fixed is not None:
            return self._fixed()
        if connection.dialect.name == "postgresql":
            return float(connection.execute(_SERVER_TIME).scalar_one())
        return time.time()

    def read(self, connection: sa.Connection) -> Reading:
        """Return what the clock says, and when somebody last looked."""
        seen_at = connection.execute(sa.select(due_clock.c.seen_at)).scalar_one_or_none()
        return Reading(self.now(connection), seen_at)

    def note(self, connection: sa.Connection, *, starting: bool = False) -> tuple[float, float]:
        """Note this look; return the time, and by how much it was set since the last look."""
        query = sa.select(due_clock.c.seen_at).with_for_update()
        seen_at = connection.execute(query).scalar_one_or_none()
        reading = Reading(self.now(connection), seen_at)
        moved = jump(reading, starting=starting)
        if reading.seen_at is None:
            connection.execute(sa.insert(due_clock).values(id=1, seen_at=reading.now))
        elif starting or not reading.is_noted:
            connection.execute(sa.update(due_clock).values(seen_at=reading.now))
        if moved:
            log.warning("the clock was set", by_s=round(moved, 1))
        return reading.now, moved


_SERVER_TIME: Final = sa.select(sa.func.extract("epoch", sa.func.clock_timestamp()))

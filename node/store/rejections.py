"""Who was turned away, and who came: what an administrator makes the list of sources from."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from node.store.database import Database
from node.store.tables import association, rejection

LIMIT: Final = 1000
"""Rows; further peers share one, so that a flood of made-up titles does not fill the disk."""

OTHERS: Final = "*"


@dataclass(frozen=True)
class Rejected:
    """A peer that was turned away; empty titles where it never got to name them."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str


@dataclass(frozen=True)
class Rejection:
    """How often a peer was turned away, and when first and last, in seconds since the epoch."""

    peer: Rejected
    times: int
    first_at: float
    last_at: float


@dataclass(frozen=True)
class Visitor:
    """A peer that was let in, and how often."""

    calling_ae: str
    called_ae: str
    address: str
    times: int
    first_at: float
    last_at: float


class Rejections(Database):
    """The catalog as the gate sees it."""

    def note_rejection(self, peer: Rejected, now: float) -> None:
        """Count that a peer was turned away."""
        with self._write() as connection:
            if not connection.execute(_counted(peer, now)).rowcount:
                rows = connection.execute(sa.select(sa.func.count()).select_from(rejection))
                if rows.scalar_one() >= LIMIT:
                    peer = Rejected(OTHERS, OTHERS, OTHERS, "too many different peers")
                connection.execute(self._added(peer, now))

    def rejections(self) -> list[Rejection]:
        """Return who was turned away, the last one first."""
        query = sa.select(rejection).order_by(rejection.c.last_at.desc())
        with self._read() as connection:
            return [_rejection(row) for row in connection.execute(query)]

    def visitors(self) -> list[Visitor]:
        """Return who was let in, the last one first."""
        who = (association.c.calling_ae, association.c.called_ae, association.c.address)
        last = sa.func.max(association.c.opened_at)
        query = (
            sa.select(*who, sa.func.count(), sa.func.min(association.c.opened_at), last)
            .group_by(*who)
            .order_by(last.desc())
        )
        with self._read() as connection:
            return [Visitor(*row) for row in connection.execute(query)]

    def _added(self, peer: Rejected, now: float) -> sa.Insert:
        row = {
            "calling_ae": peer.calling_ae,
            "called_ae": peer.called_ae,
            "address": peer.address,
            "reason": peer.reason,
            "times": 1,
            "audited": 0,
            "first_at": now,
            "last_at": now,
        }
        return (
            self._insert(rejection)
            .values(row)
            .on_conflict_do_update(
                index_elements=["calling_ae", "called_ae", "address", "reason"],
                set_={"times": rejection.c.times + 1, "last_at": now},
            )
        )


def _counted(peer: Rejected, now: float) -> sa.Update:
    return (
        sa.update(rejection)
        .where(
            rejection.c.calling_ae == peer.calling_ae,
            rejection.c.called_ae == peer.called_ae,
            rejection.c.address == peer.address,
            rejection.c.reason == peer.reason,
        )
        .values(times=rejection.c.times + 1, last_at=now)
    )


def _rejection(row: sa.Row[*tuple[object, ...]]) -> Rejection:
    peer = Rejected(row.calling_ae, row.called_ae, row.address, row.reason)
    return Rejection(peer, row.times, row.first_at, row.last_at)

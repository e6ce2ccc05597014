"""Who came, and who was turned away: associations and rejections."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from node.store.database import Database
from node.store.pruning import Spent, prune
from node.store.rows import record
from node.store.tables import association, instance, rejection, series

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


class AccessLog:
    """The owner of tables ``association`` and ``rejection``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, calling_ae: str, called_ae: str, address: str, now: float) -> int:
        """Note that a peer has connected and return the association's number.

        Others are not waited for as long as for an instance: its first one would wait twice.

        Parameters
        ----------
        calling_ae : str
            As the peer calls itself.
        called_ae : str
            As it calls us.
        address : str
            IP address it comes from.
        now : float
            Seconds since the epoch.

        Returns
        -------
        int

        Raises
        ------
        StoreError
            If the row cannot be written.
        """
        with self._database.write(briefly=True) as connection:
            result = connection.execute(
                sa.insert(association).returning(association.c.id),
                {
                    "calling_ae": calling_ae,
                    "called_ae": called_ae,
                    "address": address,
                    "opened_at": now,
                },
            )
            return int(result.scalar_one())

    def close(self, association_id: int, released: bool, now: float) -> None:
        """Note how an association ended: by release, or else aborted or lost.

        Parameters
        ----------
        association_id : int
            As `open` returned it.
        released : bool
            By A-RELEASE (PS3.8 Section 7.2).
        now : float
            Seconds since the epoch.
        """
        with self._database.write() as connection:
            connection.execute(
                sa.update(association)
                .where(association.c.id == association_id, association.c.closed_at.is_(None))
                .values(closed_at=now, released=released)
            )

    def close_stale(self, now: float) -> None:
        """Count the associations that a killed receiver left open as aborted.

        Parameters
        ----------
        now : float
            Seconds since the epoch.
        """
        with self._database.write() as connection:
            connection.execute(
                sa.update(association)
                .where(association.c.closed_at.is_(None))
                .values(closed_at=now, released=False)
            )

    def called_ae(self, association_id: int) -> str:
        """Return the title that a peer called, '' where the association is forgotten.

        Parameters
        ----------
        association_id : int
            As `open` returned it.

        Returns
        -------
        str
        """
        query = sa.select(association.c.called_ae).where(association.c.id == association_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def addresses(self, association_ids: Iterable[int]) -> dict[int, str]:
        """Return where the callers of associations were, as far as that is still known.

        Parameters
        ----------
        association_ids : iterable of int
            As `open` returned them.

        Returns
        -------
        dict of int to str
            IP addresses by association; those that are forgotten are left out.
        """
        query = sa.select(association.c.id, association.c.address).where(
            association.c.id.in_(sorted(association_ids))
        )
        with self._database.read() as connection:
            return {row.id: row.address for row in connection.execute(query)}

    def note_rejection(self, peer: Rejected, now: float) -> None:
        """Count that a peer was turned away.

        Parameters
        ----------
        peer : Rejected
            Titles, address and reason.
        now : float
            Seconds since the epoch.
        """
        with self._database.write() as connection:
            if not connection.execute(_counted(peer, now)).rowcount:
                rows = connection.execute(sa.select(sa.func.count()).select_from(rejection))
                if rows.scalar_one() >= LIMIT:
                    peer = Rejected(OTHERS, OTHERS, OTHERS, "too many different peers")
                connection.execute(self._added(peer, now))

    def rejections(self) -> list[Rejection]:
        """Return who was turned away, the last one first."""
        query = sa.select(rejection).order_by(rejection.c.last_at.desc())
        with self._database.read() as connection:
            return [_rejection(row) for row in connection.execute(query)]

    def visitors(self) -> list[Visitor]:
        """Return who was let in, the last one first."""
        who = (association.c.calling_ae, association.c.called_ae, association.c.address)
        last = sa.func.max(association.c.opened_at)
        query = (
            sa.select(
                *who,
                sa.func.count().label("times"),
                sa.func.min(association.c.opened_at).label("first_at"),
                last.label("last_at"),
            )
            .group_by(*who)
            .order_by(last.desc())
        )
        with self._database.read() as connection:
            return [record(Visitor, row) for row in connection.execute(query)]

    def prune(self, before: float) -> int:
        """Remove associations that were over before a time; return how many.

        Parameters
        ----------
        before : float
            Seconds since the epoch.

        Returns
        -------
        int
        """
        return prune(self._database, _associations(before))

    def mark_audited(self, connection: sa.Connection, peer: Rejected, times: int) -> None:
        """Note in a transaction how many rejections of a peer the audit collector was told.

        Parameters
        ----------
        connection : sa.Connection
            Of the transaction it is part of.
        peer : Rejected
            Titles, address and reason.
        times : int
            As often as it had been rejected when that was told.
        """
        connection.execute(sa.update(rejection).where(*_of(peer)).values(audited=times))

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
            self._database.insert(rejection)
            .values(row)
            .on_conflict_do_update(
                index_elements=["calling_ae", "called_ae", "address", "reason"],
                set_={"times": rejection.c.times + 1, "last_at": now},
            )
        )


def _of(peer: Rejected) -> list[sa.ColumnElement[bool]]:
    return [
        rejection.c.calling_ae == peer.calling_ae,
        rejection.c.called_ae == peer.called_ae,
        rejection.c.address == peer.address,
        rejection.c.reason == peer.reason,
    ]


def _counted(peer: Rejected, now: float) -> sa.Update:
    return sa.update(rejection).where(*_of(peer)).values(times=rejection.c.times + 1, last_at=now)


def _rejection(row: sa.Row[*tuple[object, ...]]) -> Rejection:
    peer = Rejected(row.calling_ae, row.called_ae, row.address, row.reason)
    return Rejection(peer, row.times, row.first_at, row.last_at)


def _associations(before: float) -> Spent:
    """Say which are closed, and no longer needed to tell whether a series is whole.

    The newest stays: SQLite would give its number to another, and old instances name it.
    """
    waited_for = (
        sa.select(instance.c.association_id)
        .join(series, series.c.series_instance_uid == instance.c.series_instance_uid)
        .where(
            series.c.unsettled,
            instance.c.revision.is_(None),
            instance.c.association_id.is_not(None),
        )
    )
    newest = sa.select(sa.func.max(association.alias().c.id)).scalar_subquery()
    return Spent(
        association,
        (
            association.c.closed_at < before,
            association.c.id < newest,
            association.c.id.not_in(waited_for),
        ),
        (),  # nothing opens it again, and nothing more comes by it
    )

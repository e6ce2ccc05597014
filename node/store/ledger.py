"""The custody ledger: what happened to every instance, as a chain that shows tampering.

Each entry holds the SHA-256 of its predecessor and of itself. It is written in the transaction of
what it tells, so that neither stands without the other. An entry that was altered, removed, put
in between or moved breaks the chain at its place; entries cut off at the end show against a copy
of the last hash kept elsewhere (`radnode prove` prints it).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.model.events import Entry, LedgerEvent
from node.store.database import WRITTEN, Database
from node.store.database_identity import End, holds
from node.store.tables import ledger

GENESIS: Final = "0" * 64  # what the first entry names as its predecessor
LEDGER_LOCK: Final = 0x4C454447  # any constant; PostgreSQL's lock for the end of the chain
PAGE: Final = 5000


@dataclass(frozen=True)
class Proof:
    """What the chain shows: its length, its end, and where it is broken ('' if nowhere).

    Attributes
    ----------
    since : int or None
        The number of the entry that a hash is of that was kept elsewhere; None if of none.
    """

    entries: int
    last: str
    broken: str
    since: int | None = None


class Ledger:
    """The owner of table ``ledger``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def proof(self, kept: str = "") -> Proof:
        """Check the whole chain, link by link.

        Parameters
        ----------
        kept : str
            The last hash of an earlier proof: looked for in the chain.
        """
        number, last = 0, GENESIS
        since = 0 if kept == GENESIS else None
        for entry in self.entries():
            if broken := _broken(entry, number, last):
                return Proof(number, last, broken, since)
            number, last = entry.number, entry.sha256
            if last == kept:
                since = number
        return Proof(number, last, "", since)

    @property
    def known_end(self) -> End | None:
        """The last entry that this process wrote, or found when it began."""
        return self._database.identity.seen

    def remember_end(self) -> None:
        """Refuse to write to a ledger without the entry that is its last one now."""
        end = self.end()
        if end is not None:
            self._database.identity.note(end)

    def end(self) -> End | None:
        """Return the last entry; None where there is none."""
        with self._database.read() as connection:
            row = connection.execute(_END).one_or_none()
        return End(int(row.number), str(row.sha256)) if row else None

    def holds(self, end: End) -> bool:
        """Tell whether the ledger has this entry.

        Parameters
        ----------
        end : End
            Number and hash of an entry.

        Returns
        -------
        bool
        """
        with self._database.read() as connection:
            return holds(connection, end)

    def history(self, study_instance_uid: str) -> list[Entry]:
        """Return everything that happened to a study, oldest first.

        Parameters
        ----------
        study_instance_uid : str

        Returns
        -------
        list of Entry
        """
        query = sa.select(ledger).where(ledger.c.study_instance_uid == study_instance_uid)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query.order_by(ledger.c.number))]

    def entries_about(self, study_instance_uid: str) -> list[Entry]:
        """Return what the ledger tells of a study and of its instances, oldest first.

        Other bytes under the UID of an instance may have named another study.

        Parameters
        ----------
        study_instance_uid : str

        Returns
        -------
        list of Entry
        """
        found: list[Entry] = []
        subjects: set[str] = set()
        for entry in self.entries():
            if entry.study_instance_uid == study_instance_uid:
                subjects.add(entry.subject)
            elif entry.subject not in subjects:
                continue
            found.append(entry)
        return found

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, oldest first."""
        number = 0
        while True:
            query = (
                sa.select(ledger)
                .where(ledger.c.number > number)
                .order_by(ledger.c.number)
                .limit(PAGE)
            )
            with self._database.read() as connection:
                page = [_entry(row) for row in connection.execute(query)]
            if not page:
                return
            yield from page
            number = page[-1].number

    def tell(self, connection: sa.Connection, events: Sequence[LedgerEvent], now: float) -> None:
        """Append entries in the transaction of what they tell.

        Parameters
        ----------
        connection : sqlalchemy.Connection
            That transaction.
        now : float
            Seconds since the epoch; hashed as the float that its column gives back.

        SQLite's write transaction is alone from its start; PostgreSQL needs a lock for it.
        """
        if not events:
            return
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LEDGER_LOCK)))
        end = connection.execute(_END).one_or_none()
        last_entry = End(int(end.number), str(end.sha256)) if end else None
        written = connection.info.get(WRITTEN)  # in this very transaction
        if written is None:
            self._database.identity.look_at_ledger(connection, last_entry)
        number, last = (last_entry.number, last_entry.sha256) if last_entry else (0, GENESIS)
        at = float(now)  # the digits of an int, or of numpy's floats, are others
        rows: list[dict[str, Any]] = []
        for event in events:
            number += 1
            entry = Entry(
                number, at, str(event.event), event.study_instance_uid, event.subject,
                json.loads(json.dumps(dict(event.detail))), last, "",
            )  # fmt: skip
            last = entry.seal()
            rows.append(
                {
                    "number": number,
                    "at": at,
                    "event": str(event.event),
                    "study_instance_uid": event.study_instance_uid,
                    "subject": event.subject,
                    "detail": entry.detail,
                    "previous": entry.previous,
                    "sha256": last,
                }
            )
        connection.execute(_ADD, rows)
        connection.info[WRITTEN] = End(number, last)


def _broken(entry: Entry, number: int, last: str) -> str:
    """Return how an entry does not follow the one with this number and hash; '' if it does."""
    if entry.number != number + 1:
        return f"entry {number + 1} is missing"
    if entry.previous != last:
        return f"entry {entry.number} does not follow its predecessor"
    return "" if entry.seal() == entry.sha256 else f"entry {entry.number} was altered"


_END = sa.select(ledger.c.number, ledger.c.sha256).order_by(ledger.c.number.desc()).limit(1)
_ADD = sa.insert(ledger)


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        row.number, row.at, row.event, row.study_instance_uid, row.subject, row.detail,
        row.previous, row.sha256,
    )  # fmt: skip

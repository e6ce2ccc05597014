"""The custody ledger: what happened to every instance, as a chain that shows tampering.

Each entry holds the SHA-256 of its predecessor and of itself. It is written in the transaction of
what it tells, so that neither stands without the other. An entry that was altered, removed, put
in between or moved breaks the chain at its place; entries cut off at the end show against a copy
of the last hash kept elsewhere (`radnode prove` prints it).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from node.store.database import Database
from node.store.records import StoredInstance
from node.store.tables import ledger

Event = Literal[
    "received",
    "repeated",
    "conflict",
    "classified",
    "routed",
    "derived",
    "uid taken",
    "sent",
    "parked",
    "retried",
    "committed",
    "commitment failed",
    "deleted",
    "paused",
    "resumed",
    "cancelled",
    "replayed",
    "quarantined",
    "released",
    "discarded",
]
GENESIS: Final = "0" * 64  # what the first entry names as its predecessor
LEDGER_LOCK: Final = 0x4C454447  # any constant; PostgreSQL's lock for the end of the chain
PAGE: Final = 5000


@dataclass(frozen=True)
class Happening:
    """What an entry tells: of which objects, what, and with which particulars.

    Attributes
    ----------
    subject
        UID of the instance, or of the series where the whole series is meant.
    detail
        Digests, titles of destinations, states: never a patient's data.
    """

    event: Event
    study_instance_uid: str
    subject: str
    detail: Mapping[str, Any]


def particulars(stored: StoredInstance) -> dict[str, Any]:
    """Return what an entry tells of bytes that were kept: digests of the whole file, and its row.

    What stands before the data set (preamble, File Meta Information) has a digest of its own:
    that of the data set is the same whoever sent it.
    """
    told: dict[str, Any] = {
        "sha256": stored.sha256,
        "size": stored.size,
        "transfer_syntax": stored.transfer_syntax_uid,
        "sop_class": stored.sop_class_uid,
        "series": stored.series_instance_uid,
    }
    return told | ({"head_sha256": stored.head_sha256} if stored.head_sha256 else {})


@dataclass(frozen=True)
class Entry:
    """One link of the chain; `at` in seconds since the epoch."""

    number: int
    at: float
    event: str
    study_instance_uid: str
    subject: str
    detail: dict[str, Any]
    previous: str
    sha256: str

    def seal(self) -> str:
        """Return the hash that this entry ought to have."""
        told = [self.number, repr(self.at), self.event, self.study_instance_uid, self.subject]
        text = json.dumps([*told, self.detail, self.previous], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


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


class Ledger(Database):
    """The catalog as the auditor sees it."""

    def proof(self, kept: str = "") -> Proof:
        """Check the whole chain, link by link.

        Parameters
        ----------
        kept : str
            The last hash of an earlier proof: looked for in the chain.
        """
        number, last = 0, GENESIS
        since = 0 if kept == GENESIS else None
        for entry in self._entries():
            if broken := _broken(entry, number, last):
                return Proof(number, last, broken, since)
            number, last = entry.number, entry.sha256
            if last == kept:
                since = number
        return Proof(number, last, "", since)

    def history(self, study_instance_uid: str) -> list[Entry]:
        """Return everything that happened to a study, oldest first."""
        query = sa.select(ledger).where(ledger.c.study_instance_uid == study_instance_uid)
        with self._read() as connection:
            return [_entry(row) for row in connection.execute(query.order_by(ledger.c.number))]

    def _entries(self) -> Iterator[Entry]:
        number = 0
        while True:
            query = (
                sa.select(ledger)
                .where(ledger.c.number > number)
                .order_by(ledger.c.number)
                .limit(PAGE)
            )
            with self._read() as connection:
                page = [_entry(row) for row in connection.execute(query)]
            if not page:
                return
            yield from page
            number = page[-1].number

    def _tell(
        self, connection: sa.Connection, happenings: Sequence[Happening], now: float
    ) -> None:
        """Append entries in the transaction of what they tell.

        SQLite's write transaction is alone from its start; PostgreSQL needs a lock for it.
        """
        if not happenings:
            return
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LEDGER_LOCK)))
        end = connection.execute(_END).one_or_none()
        number, last = (int(end.number), str(end.sha256)) if end else (0, GENESIS)
        rows: list[dict[str, Any]] = []
        for one in happenings:
            number += 1
            entry = Entry(
                number, now, one.event, one.study_instance_uid, one.subject,
                json.loads(json.dumps(dict(one.detail))), last, "",
            )  # fmt: skip
            last = entry.seal()
            rows.append(
                {
                    "number": number,
                    "at": now,
                    "event": one.event,
                    "study_instance_uid": one.study_instance_uid,
                    "subject": one.subject,
                    "detail": entry.detail,
                    "previous": entry.previous,
                    "sha256": last,
                }
            )
        connection.execute(_ADD, rows)


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

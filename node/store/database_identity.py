"""Whether the catalog is still the one that this process has written to.

A SQLite file that was deleted or moved is written on by whoever has it open, and nobody will ever
read it; a back-up that was copied over it knows nothing of what came since. Both would let a
sender believe that an image is kept. So every change looks first:

* at the file and its write-ahead log: under their names there must still be what is open;
* at the ledger: the last entry that this process wrote must still be in it. That is so of
  PostgreSQL as well, whatever was done to its tables.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.errors import StoreError
from node.store.tables import ledger

NOT_THE_SAME = "the catalog is not the one that was written to: "
LOG = "write-ahead log"  # key of what a connection has open
REMEDY = (
    "; nothing is taken until it is back or the node is started anew, which takes in what "
    "is on the disk and not in the catalog"
)


@dataclass(frozen=True, slots=True)
class End:
    """The end of the ledger: number and hash of its last entry."""

    number: int
    sha256: str


class CatalogChangedError(StoreError):
    """The catalog was deleted, or replaced by another or an older one."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{NOT_THE_SAME}{found}{REMEDY}")


class DatabaseIdentity:
    """Remembers what a process has written to; safe to share between threads.

    Parameters
    ----------
    path : Path or None
        The SQLite file; None where there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path if path is not None and path.exists() else None
        self._file = _identity(self._path) if self._path else None
        self._lock = threading.Lock()
        self._seen: End | None = None

    @property
    def seen(self) -> End | None:
        """The last entry that this process wrote, or found when it began."""
        return self._seen

    def note(self, end: End) -> None:
        """Remember an entry that is committed."""
        with self._lock:
            if self._seen is None or end.number > self._seen.number:
                self._seen = end

    def opened(self, connection: Any, record: Any) -> None:
        """Remember what a new connection has open: a listener of SQLAlchemy's event "connect"."""
        if self._path is not None:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log
            record.info[LOG] = _identity(Path(f"{self._path}-wal"))

    def look_at_file(self, connection: sa.Connection) -> None:
        """Refuse a connection whose file or write-ahead log is no longer under its name.

        Raises
        ------
        CatalogChangedError
        """
        if self._path is None:
            return
        if _identity(self._path) != self._file:
            raise CatalogChangedError(f"{self._path.name} was deleted or replaced")
        if _identity(Path(f"{self._path}-wal")) != connection.info.get(LOG):
            raise CatalogChangedError(f"{self._path.name}-wal was deleted or replaced")

    def look_at_ledger(self, connection: sa.Connection, end: End | None) -> None:
        """Refuse a ledger without the entry that this process wrote last.

        Raises
        ------
        CatalogChangedError
        """
        seen = self._seen
        if seen is None or end == seen:
            return
        if not holds(connection, seen):
            number = 0 if end is None else end.number
            raise CatalogChangedError(
                f"its ledger ends with entry {number} and lacks entry {seen.number} as it was "
                "written here: it is another, or an older copy"
            )


def holds(connection: sa.Connection, end: End) -> bool:
    """Tell whether a ledger has this entry."""
    query = sa.select(ledger.c.sha256).where(ledger.c.number == end.number)
    return connection.execute(query).scalar_one_or_none() == end.sha256


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what a name stands for; None where for nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino

"""Whether anything was written to the catalog, by any process: asked often, at little cost."""

import sqlite3
import threading
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from node.store.database import Database

_SERVER: Final = sa.text("SELECT pg_current_snapshot()::text")
"""Differs as soon as a transaction that writes begins or ends anywhere on the server."""


PRAGMA: Final = "PRAGMA data_version"
"""Differs as soon as another connection has committed."""


class Changes:
    """Remembers what the catalog was like when it was asked last; used by one thread.

    SQLite counts for a connection the commits of all others, in this process and elsewhere; so it
    has one of its own, on which nothing is written. To ask takes 20 microseconds there.

    Parameters
    ----------
    database : Database
        The catalog's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own: sqlite3.Connection | None = None
        self._seen: object = None
        self._asking = threading.Lock()

    def happened(self) -> bool:
        """Tell whether somebody may have written since this was asked last.

        Returns
        -------
        bool
            True also the first time, and where it cannot be told.
        """
        with self._asking:
            before = self._seen
            try:
                self._seen = self._state()
            except (sqlite3.Error, SQLAlchemyError):
                self._forget()
            return self._seen is None or self._seen != before

    def close(self) -> None:
        """Close the connection; asked again, another one is opened."""
        with self._asking:
            self._forget()

    def _state(self) -> object:
        if self._database.engine.dialect.name != "sqlite":
            with self._database.engine.connect() as connection:
                return connection.execute(_SERVER).scalar_one()
        if self._own is None:
            file = self._database.engine.url.database or ""
            self._own = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        return self._own.execute(PRAGMA).fetchone()[0]

    def _forget(self) -> None:
        self._seen = None
        if self._own is not None:
            self._own.close()
            self._own = None

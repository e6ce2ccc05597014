"""One engine, two kinds of transaction: SQLite (WAL, fsync on commit) or PostgreSQL."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from node.errors import StoreError
from node.store.database_identity import DatabaseIdentity, End
from node.store.private import private_database
from node.store.unusable import plain, unusable
from node.store.versions import versions

BUSY_TIMEOUT_S = 30.0  # receiver and workers share the file; a writer waits for its turn
BRIEFLY_S = 5.0
_LOOK_S = 0.05
GIVEN_WAY_S = 0.15
RESERVED_LOG_OCTETS = 5 << 20  # a little over the 1000 pages after which SQLite starts anew
WRITTEN = "end of the ledger"  # key of what a transaction has appended
FOLLOWING = "what follows the commit"
# Errors of SQLAlchemy quote the values of a statement, a patient's name for one: not to a log.
_POOL: Final[dict[str, Any]] = {"pool_size": 10, "max_overflow": 40, "hide_parameters": True}
MIGRATION_LOCK = 0x5241444E  # any constant; PostgreSQL's lock name for migrations


class Database:
    """The catalog's file or server.

    Parameters
    ----------
    url : str
        SQLAlchemy URL: ``sqlite:///path`` or ``postgresql+psycopg://…``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        if self._file is not None:
            private_database(self._file)
        self._writer = self.engine.execution_options(immediate=True)
        self._hasty = self.engine.execution_options(immediate=True, briefly=True)
        self.identity = DatabaseIdentity(self._file)
        sa.event.listen(self.engine, "connect", self.identity.opened)

    @property
    def _file(self) -> Path | None:
        """The SQLite file; None on PostgreSQL, and for a URI, which may name no file."""
        database = self.engine.url.database or ""
        named = database and not database.startswith(("file:", ":"))
        return Path(database) if self.engine.dialect.name == "sqlite" and named else None

    def upgrade(self) -> None:
        """Bring the tables to the newest version; safe to call from several processes.

        Raises
        ------
        StoreError
            If the database cannot be reached or changed, or is of a newer version.
        """
        try:
            with self._writer.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # Another process may be at it, and take long.
                    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                found, newest = versions(connection)
                if found != newest:
                    # Alembic takes half a second to import, and most starts have nothing to do.
                    from node.store.upgrading import upgrade

                    upgrade(connection)
        except SQLAlchemyError as error:
            raise unusable(self.engine.url, error) from error

    def reserve_log(self) -> None:
        """Grow SQLite's write-ahead log once, so that commits overwrite it in place.

        A commit that makes the log longer waits for the file system's journal too: 4.0 ms
        against 1.1 ms on the ext4 disk this was measured on. The log lasts as long as this
        `Database` keeps a connection open. Nothing to do on PostgreSQL.

        Raises
        ------
        StoreError
            If the database cannot be reached or changed.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with self.write() as connection:
            connection.exec_driver_sql("CREATE TABLE reserve (octets BLOB)")
            connection.exec_driver_sql(
                "INSERT INTO reserve VALUES (zeroblob(?))", (RESERVED_LOG_OCTETS,)
            )
            connection.exec_driver_sql("DROP TABLE reserve")
        with self.engine.connect() as connection:
            driver = connection.connection.driver_connection
            if driver is not None:
                driver.execute("PRAGMA wal_checkpoint(RESTART)")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def write(self, *, briefly: bool = False) -> Iterator[sa.Connection]:
        """One transaction that holds SQLite's write lock from its start.

        Parameters
        ----------
        briefly : bool
            Do not wait for that lock as long as usual: somebody waits for what comes after.

        Raises
        ------
        StoreError
            If the catalog cannot be changed, or is not the one that was written to before.
        """
        end: End | None = None
        following: Iterable[Callable[[], None]] = ()
        try:
            with (self._hasty if briefly else self._writer).begin() as connection:
                for left in (WRITTEN, FOLLOWING):  # of a transaction that was rolled back
                    connection.info.pop(left, None)
                self.identity.look_at_file(connection)
                yield connection
                end = connection.info.pop(WRITTEN, None)
                following = connection.info.pop(FOLLOWING, ())
            if end is not None:
                self.identity.note(end)
            for follow in following:
                follow()
        except SQLAlchemyError as error:
            raise StoreError(f"the catalog was not changed: {plain(error)}") from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that reads one state of the catalog."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"the catalog was not read: {plain(error)}") from error

    def after_commit(self, connection: sa.Connection, follow: Callable[[], None]) -> None:
        """Let something be called, once, as soon as the transaction of a writer is committed.

        Parameters
        ----------
        connection : sa.Connection
            Of `write`.
        follow : callable
            Raises nothing; is not called where the transaction is rolled back.
        """
        connection.info.setdefault(FOLLOWING, set()).add(follow)

    def give_way(self) -> None:
        """Let others write between the transactions of a long change.

        Who waits for SQLite's one lock asks for it ten times a second, and would find it taken
        again each time.
        """
        if self.engine.dialect.name == "sqlite":
            time.sleep(GIVEN_WAY_S)

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT.

        Parameters
        ----------
        table : sa.Table
            Of our own tables.

        Returns
        -------
        sqlite.Insert or postgresql.Insert
        """
        if self.engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


def _engine(url: str) -> sa.Engine:
    """Make the engine; for SQLite we, not the driver, begin the transactions."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        # A restarted server leaves dead connections in the pool: ask before using one.
        server = sa.create_engine(parsed, **_POOL, pool_pre_ping=True)
        sa.event.listen(server, "connect", _configure_server)
        return server
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S}, **_POOL)
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_server(connection: Any, _record: object) -> None:
    """Wait for what others hold no longer than SQLite does: a sender waits for the answer."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    connection.commit()


def _configure_sqlite(connection: Any, _record: object) -> None:
    """Set WAL with an fsync on every commit."""
    connection.isolation_level = None  # the driver would begin late and not IMMEDIATE
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(connection: Any) -> None:
    """Set WAL; on a new file SQLite waits for nobody who has it open, so that we have to."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_LOOK_S)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock first: an upgrade of a read lock would fail as busy at once."""
    options = connection.get_execution_options()
    if not options.get("immediate", False):
        connection.exec_driver_sql("BEGIN")
    elif not options.get("briefly", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(BRIEFLY_S * 1000)}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")

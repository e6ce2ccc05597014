"""One engine, two kinds of transaction: SQLite (WAL, fsync on commit) or PostgreSQL."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from node.errors import StoreError

BUSY_TIMEOUT_S = 30.0  # receiver and workers share the file; a writer waits for its turn
GIVEN_WAY_S = 0.15
RESERVED_LOG_OCTETS = 5 << 20  # a little over the 1000 pages after which SQLite starts anew
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
        self._writer = self.engine.execution_options(immediate=True)

    def upgrade(self) -> None:
        """Bring the tables to the newest version; safe to call from several processes.

        Raises
        ------
        StoreError
            If the database cannot be reached or changed.
        """
        config = Config()
        config.set_main_option("script_location", "node.store:migrations")
        with self._write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

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
        with self._write() as connection:
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
    def _write(self) -> Iterator[sa.Connection]:
        """One transaction that holds SQLite's write lock from its start."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"the catalog was not changed: {_plain(error)}") from error

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        """One transaction that reads one state of the catalog."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"the catalog was not read: {_plain(error)}") from error

    def _give_way(self) -> None:
        """Let others write between the transactions of a long change.

        Who waits for SQLite's one lock asks for it ten times a second, and would find it taken
        again each time.
        """
        if self.engine.dialect.name == "sqlite":
            time.sleep(GIVEN_WAY_S)

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""
        if self.engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


def _plain(error: SQLAlchemyError) -> str:
    """Return the driver's message without the statement, whose values may be long."""
    return str(getattr(error, "orig", None) or type(error).__name__)


def _engine(url: str) -> sa.Engine:
    """Make the engine; for SQLite we, not the driver, begin the transactions."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        # A restarted server leaves dead connections in the pool: ask before using one.
        return sa.create_engine(parsed, pool_size=10, max_overflow=40, pool_pre_ping=True)
    engine = sa.create_engine(
        parsed, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=10, max_overflow=40
    )
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    """Set WAL with an fsync on every commit."""
    connection.isolation_level = None  # the driver would begin late and not IMMEDIATE
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock first: an upgrade of a read lock would fail as busy at once."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

"""One engine, two kinds of transaction: SQLite (WAL, fsync on commit) or PostgreSQL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from node.errors import StoreError
from node.identity import SOFTWARE_VERSION
from node.store.database_identity import DatabaseIdentity, End
from node.store.private import private_database

BUSY_TIMEOUT_S = 30.0  # receiver and workers share the file; a writer waits for its turn
BRIEFLY_S = 5.0
_LOOK_S = 0.05
GIVEN_WAY_S = 0.15
RESERVED_LOG_OCTETS = 5 << 20  # a little over the 1000 pages after which SQLite starts anew
WRITTEN = "end of the ledger"  # key of what a transaction has appended
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
        config = migrations()
        try:
            with self._writer.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # Another process may be at it, and take long.
                    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                versions(connection, config)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except (SQLAlchemyError, CommandError) as error:
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
        try:
            with (self._hasty if briefly else self._writer).begin() as connection:
                connection.info.pop(WRITTEN, None)  # of a transaction that was rolled back
                self.identity.look_at_file(connection)
                yield connection
                end = connection.info.pop(WRITTEN, None)
            if end is not None:
                self.identity.note(end)
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


def migrations() -> Config:
    """Return where Alembic finds the steps from version to version."""
    config = Config()
    config.set_main_option("script_location", "node.store:migrations")
    return config


def versions(connection: sa.Connection, config: Config) -> tuple[str, str]:
    """Return the version of the tables, '' where there are none, and the one we need.

    Raises
    ------
    StoreError
        If this program does not know the version: it would not know what the tables mean.
    """
    steps = ScriptDirectory.from_config(config)
    newest = steps.get_current_head() or ""
    found = MigrationContext.configure(connection).get_current_heads()
    known = {step.revision for step in steps.walk_revisions()}
    if unknown := ", ".join(sorted(set(found) - known)):
        raise StoreError(
            f"{_shown(connection.engine.url)} is of a newer version: found {unknown}, expected at "
            f"most {newest}, which is that of radnode {SOFTWARE_VERSION}; start the newer radnode "
            "again, or put back the back-up from before its first start"
        )
    return ", ".join(found), newest


def unusable(url: sa.URL, error: Exception) -> StoreError:
    """Return the error that says which database cannot be used, why, and what was expected."""
    expected = (
        "a SQLite file in a folder that this user may write"
        if url.get_backend_name() == "sqlite"
        else "a PostgreSQL server that answers: start it, or correct the URL in the settings"
    )
    why = plain(error) if isinstance(error, SQLAlchemyError) else str(error)
    return StoreError(
        f"{_shown(url)} cannot be used: {' '.join(why.split())}; expected {expected}"
    )


def _shown(url: sa.URL) -> str:
    return url.render_as_string(hide_password=True)


def plain(error: SQLAlchemyError) -> str:
    """Return the driver's message without the statement, whose values may be long."""
    return str(getattr(error, "orig", None) or type(error).__name__)


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

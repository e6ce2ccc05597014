"""A connection to SQLite for the durable engine: a full fsync, and a clock with milliseconds."""

import sqlite3
import time
from typing import Any


class DurableConnection(sqlite3.Connection):
    """SQLite connection with a write-ahead log, full fsync and a clock finer than a second.

    SQLite before 3.42 has no ``unixepoch('subsec')``, and DBOS's fallback counts whole
    seconds, which loses the order of jobs; both functions are replaced on this connection.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.create_function("unixepoch", -1, lambda *_: time.time())
        self.create_function(
            "strftime", 2, lambda form, of: time.time() if (form, of) == ("%s", "now") else None
        )
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=FULL")

"""Rows about what is over: their owners remove them after a while, some thousand at a time.

The ledger stays whole, and so do instances. Nothing that is still owed, asked, due or in flight
is touched, however old it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.store.database import Database

ROWS_AT_ONCE: Final = 2000


@dataclass(frozen=True)
class Spent:
    """Rows of an owner's table that may go.

    Attributes
    ----------
    where
        What is so of them; `still` is what may have changed since they were looked for.
    at_once
        How many in one transaction; 0 is `ROWS_AT_ONCE`.
    """

    table: sa.Table
    where: tuple[sa.ColumnElement[bool], ...]
    still: tuple[sa.ColumnElement[bool], ...]
    at_once: int = 0
    parts: sa.Table | None = None


def prune(database: Database, spent: Spent) -> int:
    """Remove rows, some thousand in a transaction; return how many, without their parts."""
    at_once = spent.at_once or ROWS_AT_ONCE
    keys = list(spent.table.primary_key.columns)
    looked_for = sa.select(*keys).where(*spent.where).order_by(*keys).limit(at_once)
    count = 0
    while True:
        with database.read() as connection:
            page = connection.execute(looked_for).all()
        if not page:
            return count
        removed = _removed(database, spent, keys, [tuple(row) for row in page])
        count += removed
        if len(page) < at_once or not removed:
            return count
        database.give_way()


def _removed(
    database: Database,
    spent: Spent,
    keys: Sequence[sa.Column[Any]],
    page: Sequence[tuple[Any, ...]],
) -> int:
    """Remove those of a page that may still go: one may have been asked for again."""
    removed = 0
    with database.write() as connection:
        for key in page:
            named = [column == value for column, value in zip(keys, key, strict=True)]
            gone = connection.execute(sa.delete(spent.table).where(*named, *spent.still))
            removed += gone.rowcount
            if gone.rowcount and spent.parts is not None:
                of_it = spent.parts.c.transaction_uid == key[0]
                connection.execute(sa.delete(spent.parts).where(of_it))
    return removed

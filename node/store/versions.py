"""The versions of the tables: the one that a database has, and the one that this program needs.

A file in `migrations/versions` is named after the version that it leads to. So every start can
tell whether there is anything to do without Alembic, whose import takes half a second.
"""

from functools import cache
from importlib import resources

import sqlalchemy as sa

from node.errors import StoreError
from node.identity import SOFTWARE_VERSION
from node.store.unusable import shown

_TABLE = sa.table("alembic_version", sa.column("version_num"))


@cache
def known_versions() -> tuple[str, ...]:
    """Return every version that this program knows, the oldest first."""
    files = resources.files("node.store.migrations") / "versions"
    names = [file.name for file in files.iterdir()]
    return tuple(sorted(name[1:5] for name in names if name.startswith("v")))


def versions(connection: sa.Connection) -> tuple[str, str]:
    """Return the version of the tables, '' where there are none, and the one we need.

    Raises
    ------
    StoreError
        If this program does not know the version: it would not know what the tables mean.
    """
    newest = known_versions()[-1]
    found = _found(connection)
    if unknown := ", ".join(sorted(set(found) - set(known_versions()))):
        raise StoreError(
            f"{shown(connection.engine.url)} is of a newer version: found {unknown}, expected at "
            f"most {newest}, which is that of radnode {SOFTWARE_VERSION}; start the newer radnode "
            "again, or put back the back-up from before its first start"
        )
    return ", ".join(found), newest


def _found(connection: sa.Connection) -> list[str]:
    if not sa.inspect(connection).has_table(_TABLE.name):
        return []
    return list(connection.scalars(sa.select(_TABLE.c.version_num)))

"""A look at the databases that changes nothing: whether they are there, and of our version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from node.store.unusable import unusable
from node.store.versions import versions

TIMEOUT_S: Final = 5
"""For a server that does not answer at all."""


def look_at_catalog(url: str) -> str:
    """Return in which version the catalog is, and what the next start makes of that.

    Parameters
    ----------
    url : str
        As in the settings.

    Returns
    -------
    str
        For a person.

    Raises
    ------
    StoreError
        If it cannot be reached or read, or is of a newer version.
    """
    with _looking(url) as connection:
        if connection is None:
            return "none yet; the first start makes it"
        found, newest = versions(connection)
    if found == newest:
        return f"ok, version {found}"
    return f"ok, version {found or 'none'}; the next start brings it to {newest}"


def look_at_pipeline(url: str) -> str:
    """Return whether the pipeline's database is there.

    Raises
    ------
    StoreError
        If it cannot be reached or read.
    """
    with _looking(url) as connection:
        if connection is None:
            return "none yet; the first start makes it"
        connection.execute(sa.text("SELECT 1"))
    return "ok"


@contextmanager
def _looking(url: str) -> Iterator[sa.Connection | None]:
    """Connect for a look; nothing where there is no SQLite file yet, which connecting would make.

    Raises
    ------
    StoreError
        If the database cannot be reached or read.
    """
    parsed = sa.make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and not Path(parsed.database or "").exists():
        yield None
        return
    timeout = {} if sqlite else {"connect_timeout": TIMEOUT_S}
    engine = sa.create_engine(parsed, connect_args=timeout, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise unusable(parsed, error) from error
    finally:
        engine.dispose()

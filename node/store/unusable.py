"""How it is said that a database cannot be used."""

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from node.errors import StoreError


def unusable(url: sa.URL, error: Exception) -> StoreError:
    """Return the error that says which database cannot be used, why, and what was expected."""
    expected = (
        "a SQLite file in a folder that this user may write"
        if url.get_backend_name() == "sqlite"
        else "a PostgreSQL server that answers: start it, or correct the URL in the settings"
    )
    why = plain(error) if isinstance(error, SQLAlchemyError) else str(error)
    return StoreError(f"{shown(url)} cannot be used: {' '.join(why.split())}; expected {expected}")


def shown(url: sa.URL) -> str:
    """Return the URL without its password."""
    return url.render_as_string(hide_password=True)


def plain(error: SQLAlchemyError) -> str:
    """Return the driver's message without the statement, whose values may be long."""
    return str(getattr(error, "orig", None) or type(error).__name__)

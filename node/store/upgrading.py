"""The steps from version to version of the tables, which Alembic takes."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from node.store.unusable import unusable


def migrations() -> Config:
    """Return where Alembic finds the steps from version to version."""
    config = Config()
    config.set_main_option("script_location", "node.store:migrations")
    return config


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables to the newest version, within the transaction of the connection.

    Raises
    ------
    StoreError
        If there is no way from the version that they have.
    """
    config = migrations()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise unusable(connection.engine.url, error) from error

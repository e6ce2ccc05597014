"""Alembic's entry: use the connection that `Database.upgrade` hands over."""

from alembic import context

from node.store import tables

context.configure(
    connection=context.config.attributes["connection"], target_metadata=tables.metadata
)
with context.begin_transaction():
    context.run_migrations()

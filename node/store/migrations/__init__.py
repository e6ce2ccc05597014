"""Alembic migrations of the catalog; run by `Database.upgrade`, no alembic.ini."""

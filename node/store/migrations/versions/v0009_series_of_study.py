"""A Series Instance UID that two studies have is two series."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what a series is called where another study had its UID before."""
    op.add_column("series", sa.Column("received_uid", sa.String(length=64), nullable=True))
    op.create_index("series_received_uid", "series", ["received_uid"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("series_received_uid", "series")
    op.drop_column("series", "received_uid")

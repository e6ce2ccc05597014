"""A report of what was recognised of a study: when each was made, and where rules want it.

Nothing is due of studies that are here: what their rules want of a report was never asked. The
next instance, or `radnode reprocess`, asks.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and the column that says where a report is wanted: nowhere yet."""
    op.create_table(
        "summary",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.Float(precision=53), nullable=False),
        sa.Column("utc_offset_s", sa.Integer(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("study_instance_uid", "number"),
    )
    op.create_index("summary_instance", "summary", ["sop_instance_uid"], unique=False)
    op.add_column(
        "revision", sa.Column("summary_to", sa.JSON(), nullable=False, server_default="{}")
    )


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "reports of studies would be made anew under other UIDs")

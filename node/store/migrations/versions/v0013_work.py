"""Work that is due: one table for all kinds of it, and when somebody last looked for some.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "work",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("begins", sa.Integer(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.Float(precision=53), nullable=False),
        sa.Column("lease_until", sa.Float(precision=53), nullable=True),
        sa.Column("holder", sa.String(length=255), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("kind", "lane", "key"),
    )
    op.create_index(
        "work_due", "work", ["kind", "state", "lane", "urgent", "due_at", "key"], unique=False
    )
    op.create_index("work_lease", "work", ["state", "lease_until"], unique=False)
    op.create_table(
        "due_clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "what is due since then would be forgotten")

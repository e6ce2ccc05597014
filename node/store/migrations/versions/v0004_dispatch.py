"""When a batch is tried next, and what holds a destination up.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; what was on its way is due at once."""
    op.create_table(
        "dispatch",
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("next_at", sa.Float(precision=53), nullable=False),
        sa.Column("changed_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("destination", "batch"),
    )
    op.create_index(
        "dispatch_due", "dispatch", ["state", "destination", "urgent", "next_at"], unique=False
    )
    op.create_table(
        "outlet",
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("circuit", sa.String(length=8), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("destination"),
    )
    op.create_index("delivery_of_destination", "delivery", ["destination", "state"], unique=False)
    op.execute(
        "INSERT INTO dispatch (destination, batch, state, serial, attempts, urgent, next_at,"
        " changed_at) SELECT destination, batch, 'waiting', 0, 0, false, MAX(added_at),"
        " MAX(added_at) FROM delivery WHERE state = 'pending' GROUP BY destination, batch"
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_index("delivery_of_destination", table_name="delivery")
    op.drop_table("outlet")
    op.drop_index("dispatch_due", table_name="dispatch")
    op.drop_table("dispatch")

"""Storage commitment, asked for and promised; tombstones of what retention deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    op.add_column("delivery", sa.Column("commitment", sa.String(length=16), nullable=True))
    op.add_column("delivery", sa.Column("commitment_due", sa.Float(precision=53), nullable=True))
    op.add_column(
        "delivery",
        sa.Column("commitment_attempts", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column("delivery", sa.Column("transaction_uid", sa.String(length=64), nullable=True))
    op.create_index(
        "delivery_commitment", "delivery", ["destination", "state", "commitment", "commitment_due"]
    )
    op.create_table(
        "commitment_request",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid"),
    )
    op.create_index("commitment_request_state", "commitment_request", ["state"])
    op.create_table(
        "commitment_part",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", "sop_instance_uid"),
    )
    op.create_table(
        "commitment_promise",
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Float(precision=53), nullable=False),
        sa.Column("due_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", "calling_ae"),
    )
    op.create_index("commitment_promise_due", "commitment_promise", ["state", "due_at"])
    op.add_column("instance", sa.Column("deleted_at", sa.Float(precision=53), nullable=True))
    op.add_column("series", sa.Column("deleted_at", sa.Float(precision=53), nullable=True))
    op.create_index("series_age", "series", ["deleted_at", "last_instance_at"])
    op.create_table(
        "deletion",
        sa.Column("path", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("path"),
    )
    with op.batch_alter_table("ledger") as ledger:  # "commitment failed" has 17 letters
        ledger.alter_column("event", existing_type=sa.String(16), type_=sa.String(32))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("ledger") as ledger:
        ledger.alter_column("event", existing_type=sa.String(32), type_=sa.String(16))
    op.drop_table("deletion")
    op.drop_index("series_age", table_name="series")
    op.drop_column("series", "deleted_at")
    op.drop_column("instance", "deleted_at")
    op.drop_index("commitment_promise_due", table_name="commitment_promise")
    op.drop_table("commitment_promise")
    op.drop_table("commitment_part")
    op.drop_index("commitment_request_state", table_name="commitment_request")
    op.drop_table("commitment_request")
    op.drop_index("delivery_commitment", table_name="delivery")
    for column in ("transaction_uid", "commitment_attempts", "commitment_due", "commitment"):
        op.drop_column("delivery", column)

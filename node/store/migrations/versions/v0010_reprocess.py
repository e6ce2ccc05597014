"""How often an operator had a revision run again, and whether everything is sent again then."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column(
        "revision", sa.Column("rounds", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "revision",
        sa.Column("send_again", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("revision") as table:
        table.drop_column("rounds")
        table.drop_column("send_again")

"""When to report on what others asked us to commit to is a piece of work.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the worker report what is owed, when it was due and with the attempts that failed."""
    op.execute(
        "INSERT INTO work (kind, lane, key, state, serial, attempts, begins, urgent, due_at,"
        " holder, reason, detail, changed_at) SELECT 'report', calling_ae, transaction_uid,"
        " 'waiting', 0, attempts, 0, false, due_at, '', reason, '{}', asked_at"
        " FROM commitment_promise WHERE state = 'owed'"
    )
    op.drop_index("commitment_promise_due", table_name="commitment_promise")
    with op.batch_alter_table("commitment_promise") as table:
        table.drop_column("attempts")
        table.drop_column("due_at")


def downgrade() -> None:
    """Owe again what is waited for; an attempt that is under way is made anew."""
    with op.batch_alter_table("commitment_promise") as table:
        table.add_column(sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
        table.add_column(
            sa.Column("due_at", sa.Float(precision=53), server_default="0", nullable=False)
        )
    op.create_index(
        "commitment_promise_due", "commitment_promise", ["state", "due_at"], unique=False
    )
    op.execute("DELETE FROM work WHERE kind = 'report'")

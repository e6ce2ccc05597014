"""When to report on what others asked us to commit to is a piece of work.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

from node.store.migrations.refusal import refuse_downgrade

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
    """Refuse: see the reason."""
    refuse_downgrade(revision, "what is owed to others would be reported never, or twice")

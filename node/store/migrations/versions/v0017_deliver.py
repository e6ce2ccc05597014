"""To send a batch is a piece of work, due when its turn was.

What was queued or on the line is due at once: whether its job lives cannot be told here, and to
send an instance twice does no harm.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the turns of batches; jobs of the version before have numbers that are over."""
    op.execute(
        "INSERT INTO work (kind, lane, key, state, serial, attempts, begins, urgent, due_at,"
        " holder, reason, detail, changed_at) SELECT 'deliver', destination, batch,"
        " CASE state WHEN 'done' THEN 'done' ELSE 'waiting' END, serial + 1, attempts, 0, urgent,"
        " CASE state WHEN 'queued' THEN changed_at ELSE next_at END, '', '', '{}', changed_at"
        " FROM dispatch"
    )
    op.drop_index("dispatch_due", table_name="dispatch")
    op.drop_table("dispatch")


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "no batch would have a turn")

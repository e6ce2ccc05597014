"""To ask a destination to commit is a piece of work; a request that was queued is due at once.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the requests be made that no job of the version before made."""
    op.execute(
        "INSERT INTO work (kind, lane, key, state, serial, attempts, begins, urgent, due_at,"
        " holder, reason, detail, changed_at) SELECT 'ask', destination, transaction_uid,"
        " 'waiting', 0, 0, 0, false, asked_at, '', '', '{}', asked_at"
        " FROM commitment_request WHERE state IN ('new', 'queued')"
    )
    op.execute("UPDATE commitment_request SET state = 'new' WHERE state = 'queued'")


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "requests that wait would never be made")

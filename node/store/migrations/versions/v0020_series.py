"""To recognise and route a revision is a piece of work, and so is to segment it.

What was complete is due, and so is what was queued or at work: how far its job had come stands in
the pipeline's database, which is another. It is recognised and routed again, and then segmented
again where the rules say so: each of these steps may run twice. Deliveries that were asked for
stand in their rows already, and are not asked for again; a result has the same bytes and the same
UIDs as before. Its state stays "queued" until it is routed.

Jobs of the version before are never resumed, so that what any of them had claimed is due at once.

Revision ID: 0020
Revises: 0019
"""

import time

import sqlalchemy as sa
from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let be due what was complete, queued, or claimed; never later than now."""
    op.get_bind().execute(
        sa.text(
            "INSERT INTO work (kind, lane, key, state, serial, attempts, begins, urgent, due_at,"
            " holder, reason, detail, changed_at) SELECT 'recognise', '',"
            " series_instance_uid || '/' || CAST(revision AS VARCHAR(12)), 'waiting', 0, 0, 0,"
            " false, CASE WHEN completed_at < :now THEN completed_at ELSE :now END, '', '', '{}',"
            " completed_at FROM revision WHERE state IN ('complete', 'queued')"
        ),
        {"now": time.time()},
    )
    op.execute(
        "UPDATE work SET state = 'waiting', serial = serial + 1, holder = '', lease_until = NULL"
        " WHERE state = 'claimed'"
    )


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "series that wait would be recognised by nobody")

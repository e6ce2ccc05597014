"""To probe a destination whose circuit is open is a piece of work, due when the probe was.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the probes; of one under way it cannot be told whether it lives: it is due again."""
    op.execute(
        "INSERT INTO work (kind, lane, key, state, serial, attempts, begins, urgent, due_at,"
        " holder, reason, detail, changed_at) SELECT 'probe', destination, '', 'waiting', 0,"
        " 0, 0, false, CASE circuit WHEN 'probing' THEN changed_at ELSE until END, '',"
        " reason, '{}', changed_at FROM outlet WHERE circuit <> 'closed'"
    )
    op.execute("UPDATE outlet SET circuit = 'open' WHERE circuit = 'probing'")
    with op.batch_alter_table("outlet") as table:
        table.drop_column("until")
        table.drop_column("probes")


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "no destination whose circuit is open would ever be probed")

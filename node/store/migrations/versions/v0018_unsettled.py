"""Images that belong to no revision wait for the next one of their series.

On PostgreSQL, settling a series overlooked an image that another process recorded at that moment,
and said that nothing of the series was unsettled: it was sent nowhere.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let series of which something belongs to no revision be settled again."""
    op.execute(
        "UPDATE series SET unsettled = true WHERE NOT unsettled AND EXISTS (SELECT 1 FROM instance"
        " WHERE instance.series_instance_uid = series.series_instance_uid"
        " AND instance.revision IS NULL AND instance.origin = 'received'"
        " AND instance.deleted_at IS NULL)"
    )


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "the older one overlooks images again")

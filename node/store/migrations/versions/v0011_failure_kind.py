"""What went wrong with a revision stands in a column; until now its reason began with it."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BEGINS: Final = {
    "recognition died: ": "recognition",
    "routing died: ": "routing",
    "segmentation died: ": "segmentation",
    "liver not segmented: ": "segmentation",
    "liver segmentation refused: ": "certificate",
    "headers cannot be read: ": "unreadable",
    "images that do not belong together: ": "mixed",
}


def upgrade() -> None:
    """Add the column, and fill it from the reasons."""
    op.add_column("revision", sa.Column("failure_kind", sa.String(length=16), nullable=True))
    table = sa.table(
        "revision",
        sa.column("state", sa.String),
        sa.column("reason", sa.Text),
        sa.column("failure_kind", sa.String),
    )
    for words, kind in BEGINS.items():
        op.execute(
            sa.update(table)
            .where(table.c.state == "unusable", table.c.reason.startswith(words, autoescape=True))
            .values(failure_kind=kind)
        )


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "the older one does not write why a revision failed")

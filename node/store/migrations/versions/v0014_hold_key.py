"""What of a series is held stands in columns; until now it was one text."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from node.store.migrations.refusal import refuse_downgrade

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ADDED: dict[str, Any] = {
    "revision": sa.Integer(),
    "sop_instance_uid": sa.String(length=64),
    "sha256": sa.String(length=64),
    "destination": sa.String(length=64),
}
_TABLE = sa.table(
    "quarantine",
    sa.column("id", sa.String),
    sa.column("kind", sa.String),
    sa.column("what", sa.String),
    *(sa.column(name, kind) for name, kind in _ADDED.items()),
)


def upgrade() -> None:
    """Take the text apart."""
    for name, kind in _ADDED.items():
        op.add_column("quarantine", sa.Column(name, kind, nullable=True))
    connection = op.get_bind()
    for row in connection.execute(sa.select(_TABLE)).all():
        connection.execute(
            sa.update(_TABLE).where(_TABLE.c.id == row.id).values(_key(row.kind, row.what))
        )
    with op.batch_alter_table("quarantine") as table:
        table.drop_column("what")


def downgrade() -> None:
    """Refuse: see the reason."""
    refuse_downgrade(revision, "what is held since may have no text that the older one reads")


def _key(kind: str, what: str) -> dict[str, Any]:
    if kind == "conflict":
        uid, _, sha256 = what.rpartition(".")
        return {"sop_instance_uid": uid, "sha256": sha256}
    if kind == "delivery":
        return {"destination": what}
    return {"revision": int(what.removeprefix("revision-"))}

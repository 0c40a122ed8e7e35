"""System tables and the function for instants.

A revision names no schema: that of the database which is migrated takes its place.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from docsession._migrate._operations import (
    create_instant_function,
    drop_instant_function,
    refuse_where_collections_exist,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "docsession_collections",
        sa.Column("prefix", sa.Text(collation="C"), nullable=False),
        sa.Column("collection", sa.Text(collation="C"), nullable=False),
        sa.Column("table", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("prefix", "collection"),
    )
    op.create_table(
        "docsession_hilo",
        sa.Column("collection", sa.Text(collation="C"), nullable=False),
        sa.Column("max", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("collection"),
    )
    create_instant_function()


def downgrade() -> None:
    # Without their catalogue documents would no longer be found, and without their ranges ids be given out twice.
    refuse_where_collections_exist()
    drop_instant_function()
    op.drop_table("docsession_hilo")
    op.drop_table("docsession_collections")

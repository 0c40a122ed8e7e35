"""The shapes of queries, for advice on indexes.

A database at the revision before goes on working without their table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "docsession_query_shapes",
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("collection", sa.Text(collation="C"), nullable=False),
        sa.Column("shape", postgresql.JSONB(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("microseconds", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )


def downgrade() -> None:
    # They are counted anew.
    op.drop_table("docsession_query_shapes")

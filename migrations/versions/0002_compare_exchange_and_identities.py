"""Compare-exchange values and identities.

A database at the revision before goes on working without their tables until it needs them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from docsession._migrate._operations import refuse_where_rows_exist

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "docsession_compare_exchange",
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", postgresql.JSONB()),
        sa.Column("metadata", postgresql.JSONB()),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "docsession_identities",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("value", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    # The values are the only copy of what they say, and identities would be given out twice.
    refuse_where_rows_exist("docsession_compare_exchange", "compare-exchange values")
    refuse_where_rows_exist("docsession_identities", "identities")
    op.drop_table("docsession_identities")
    op.drop_table("docsession_compare_exchange")

"""Timed trades: the buys and sales of each session, and what became of them.

Older code knows of none and does nothing at their instants, but trades as well as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "firings",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("firing_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("due_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ends_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.account"]),
        sa.PrimaryKeyConstraint("account", "firing_id"),
    )
    op.create_index("firings_by_state", "firings", ["account", "state"], unique=False)
    op.execute("UPDATE meta SET revision = 4")

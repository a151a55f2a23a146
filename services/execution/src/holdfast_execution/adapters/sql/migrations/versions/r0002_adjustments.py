"""Adjustments: what changed position or cash without a trade; and what sizes and steps the broker asks of an asset.

Older code would fold a position from its fills alone, so it must not open entries on this shape.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adjustments",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("adjustment_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("adjusted_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.account"]),
        sa.PrimaryKeyConstraint("account", "adjustment_id"),
    )
    op.create_index("adjustments_by_symbol", "adjustments", ["account", "symbol", "adjusted_at"], unique=False)
    op.create_index("adjustments_by_record", "adjustments", ["account", "recorded_at"], unique=False)
    for name in ("min_order_size", "min_trade_increment", "price_increment"):
        op.add_column("assets", sa.Column(name, sa.BigInteger(), nullable=True))
    op.execute("UPDATE meta SET revision = 2, oldest_compatible = 2")

"""Strategies that people stop and start: why one does not run, who said so, since when; and what it sold last.

Older code would send an entry that was allowed before its strategy was stopped, so it must not open entries on this
shape.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("reason", "set_by"):
        op.add_column("strategies", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("strategies", sa.Column("since", sa.BigInteger(), nullable=True))
    op.create_index("fills_by_strategy", "fills", ["account", "strategy", "side", "filled_at"], unique=False)
    op.execute("UPDATE meta SET revision = 3, oldest_compatible = 3")

"""Sales of parts of positions: scheduled sales by their purpose, with a mark of their own.

Older code reads such a row as a sale of all. It counts its fills, leaves the stop as it is while the sale works, and
protects what is left; only one that was not sent yet it would hand the position over to, and sell all. So it can take
over at any moment, and may open entries.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("intents", sa.Column("part", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE meta SET revision = 5")

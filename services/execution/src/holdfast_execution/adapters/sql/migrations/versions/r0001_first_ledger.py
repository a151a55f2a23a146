"""The first ledger.

Later migrations only add: tables, nullable columns or columns with a default, indexes. Each one raises `meta.revision`,
and `meta.oldest_compatible` only where older code must not open entries on the new shape.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("starting_cash", sa.BigInteger(), nullable=True),
        sa.Column("cash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("realised", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "assets",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("tradable", sa.Boolean(), nullable=False),
        sa.Column("fractionable", sa.Boolean(), nullable=False),
        sa.Column("shortable", sa.Boolean(), nullable=False),
        sa.Column("marginable", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "symbol"),
    )
    op.create_table(
        "events",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("aggregate", sa.Text(), nullable=False),
        sa.Column("aggregate_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("market_time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("fact", sa.LargeBinary(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "event_id"),
    )
    op.create_index(
        "events_unpublished",
        "events",
        ["account", "event_id"],
        unique=False,
        sqlite_where=sa.text("published = 0"),
        postgresql_where=sa.text("NOT published"),
    )
    op.create_table(
        "halts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("halt_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), server_default="", nullable=False),
        sa.Column("strategy", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
        sa.Column("cleared_by", sa.Text(), server_default="", nullable=False),
        sa.Column("noticed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("account", "halt_id"),
    )
    op.create_index(
        "halts_open",
        "halts",
        ["account"],
        unique=False,
        sqlite_where=sa.text("cleared_at IS NULL"),
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "meta",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("oldest_compatible", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "strategies",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("last_decided_cycle_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", "strategy"),
    )
    op.create_table(
        "verdicts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("market_time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("compared_at_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("verdict", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "version"),
    )
    op.create_table(
        "decisions",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("market_time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("decision", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["account.account"],
        ),
        sa.PrimaryKeyConstraint("account", "signal_id"),
    )
    op.create_index("decisions_by_time", "decisions", ["account", "allowed", "direction", "market_time"], unique=False)
    op.create_table(
        "intents",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leg", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("total_attempts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("order_type", sa.Text(), nullable=False),
        sa.Column("time_in_force", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("limit_price", sa.BigInteger(), nullable=True),
        sa.Column("stop_price", sa.BigInteger(), nullable=True),
        sa.Column("protect_stop_price", sa.BigInteger(), nullable=True),
        sa.Column("reserve_price", sa.BigInteger(), nullable=True),
        sa.Column("filled_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("filled_cost", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("counted_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.Column("parent_intent_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["account.account"],
        ),
        sa.PrimaryKeyConstraint("account", "intent_id"),
    )
    op.create_index("intents_by_change", "intents", ["account", "updated_at"], unique=False)
    op.create_index("intents_by_state", "intents", ["account", "state"], unique=False)
    op.create_table(
        "lease",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("beat", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["account.account"],
        ),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "positions",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cost", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("realised", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("protection", sa.Text(), nullable=False),
        sa.Column("stop_price", sa.BigInteger(), nullable=True),
        sa.Column("stop_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("exit_owner", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["account.account"],
        ),
        sa.PrimaryKeyConstraint("account", "symbol"),
    )
    op.create_table(
        "orders",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("leg", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("filled_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("replaces", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint("attempts >= 0 AND attempts <= 4", name="orders_attempts"),
        sa.ForeignKeyConstraint(
            ["account", "intent_id"],
            ["intents.account", "intents.intent_id"],
        ),
        sa.PrimaryKeyConstraint("account", "client_order_id"),
        sa.UniqueConstraint("account", "broker_order_id", name="orders_broker_order_id"),
        sa.UniqueConstraint("account", "intent_id", "sequence", name="orders_sequence"),
    )
    op.create_table(
        "fills",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("cumulative_quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("filled_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("realised", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.CheckConstraint("quantity > 0 AND quantity <= cumulative_quantity", name="fills_quantity"),
        sa.ForeignKeyConstraint(
            ["account", "client_order_id"],
            ["orders.account", "orders.client_order_id"],
        ),
        sa.PrimaryKeyConstraint("account", "broker_order_id", "cumulative_quantity"),
    )
    op.create_index("fills_by_record", "fills", ["account", "recorded_at"], unique=False)
    op.create_index("fills_by_symbol", "fills", ["account", "symbol", "filled_at"], unique=False)
    op.execute("INSERT INTO meta (id, revision, oldest_compatible) VALUES (1, 1, 1)")

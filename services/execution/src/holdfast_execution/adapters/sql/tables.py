"""Tables of the ledger. Quantities and prices are integers of 10⁻⁹, cash of 10⁻⁸, instants microseconds UTC.

The migrations create them; a test compares the two.
"""

import sqlalchemy as sa

from holdfast_execution.rows import MAX_SENDS
from holdfast_runtime.ledger_halts import halts_table

REVISION = 5
"""What this code expects: the newest migration."""

metadata = sa.MetaData()


def _text(name: str, *, key: bool = False, default: str | None = None) -> sa.Column[str]:
    """`default`: of a column that came later, where older code inserts rows without it."""
    return sa.Column(name, sa.Text, primary_key=key, nullable=False, server_default=default)


def _number(name: str, *, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=key, autoincrement=False, nullable=False)


def _optional(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=True)


meta = sa.Table("meta", metadata, _number("id", key=True), _number("revision"), _number("oldest_compatible"))

account = sa.Table(
    "account",
    metadata,
    _text("account", key=True),
    _optional("starting_cash"),
    _number("cash"),
    _number("realised"),
    _number("version"),
    _number("last_event_id"),
)

lease = sa.Table(
    "lease", metadata, _text("account", key=True), _text("holder"), _number("epoch"), _number("beat"),
    sa.ForeignKeyConstraint(["account"], ["account.account"]),
)  # fmt: skip

decisions = sa.Table(
    "decisions",
    metadata,
    _text("account", key=True),
    _text("signal_id", key=True),
    _text("cycle_id"),
    _text("strategy"),
    _text("symbol"),
    _text("direction"),
    sa.Column("allowed", sa.Boolean, nullable=False),
    _text("reason"),
    _number("market_time"),
    sa.Column("decision", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(["account"], ["account.account"]),
    sa.Index("decisions_by_time", "account", "allowed", "direction", "market_time"),
)

intents = sa.Table(
    "intents",
    metadata,
    _text("account", key=True),
    _text("intent_id", key=True),
    _text("signal_id"),
    _text("strategy"),
    _text("symbol"),
    _text("book"),
    _text("side"),
    _text("purpose"),
    sa.Column("part", sa.Boolean, nullable=False, server_default=sa.false()),
    _text("state"),
    _number("epoch"),
    _number("leg"),
    _number("total_attempts"),
    _text("client_order_id"),
    _text("order_type"),
    _text("time_in_force"),
    _number("quantity"),
    _optional("limit_price"),
    _optional("stop_price"),
    _optional("protect_stop_price"),
    _optional("reserve_price"),
    _number("filled_quantity"),
    _number("filled_cost"),
    _number("counted_quantity"),
    _text("reason"),
    _optional("valid_until"),
    _text("parent_intent_id"),
    _text("traceparent"),
    _number("created_at"),
    _number("updated_at"),
    sa.ForeignKeyConstraint(["account"], ["account.account"]),
    sa.Index("intents_by_state", "account", "state"),
    sa.Index("intents_by_change", "account", "updated_at"),
)

orders = sa.Table(
    "orders",
    metadata,
    _text("account", key=True),
    _text("client_order_id", key=True),
    _text("intent_id"),
    _number("leg"),
    _number("sequence"),
    _number("attempts"),
    sa.Column("broker_order_id", sa.Text, nullable=True),
    _number("quantity"),
    _number("filled_quantity"),
    _text("replaces"),
    _text("status"),
    sa.ForeignKeyConstraint(["account", "intent_id"], ["intents.account", "intents.intent_id"]),
    sa.UniqueConstraint("account", "broker_order_id", name="orders_broker_order_id"),
    sa.UniqueConstraint("account", "intent_id", "sequence", name="orders_sequence"),
    sa.CheckConstraint(f"attempts >= 0 AND attempts <= {MAX_SENDS}", name="orders_attempts"),
)

fills = sa.Table(
    "fills",
    metadata,
    _text("account", key=True),
    _text("broker_order_id", key=True),
    _number("cumulative_quantity", key=True),
    _text("client_order_id"),
    _text("intent_id"),
    _text("symbol"),
    _text("strategy"),
    _text("book"),
    _text("side"),
    _number("quantity"),
    _number("price"),
    _number("filled_at"),
    _number("recorded_at"),
    _number("realised"),
    sa.ForeignKeyConstraint(["account", "client_order_id"], ["orders.account", "orders.client_order_id"]),
    sa.CheckConstraint("quantity > 0 AND quantity <= cumulative_quantity", name="fills_quantity"),
    sa.Index("fills_by_symbol", "account", "symbol", "filled_at"),
    sa.Index("fills_by_record", "account", "recorded_at"),
    sa.Index("fills_by_strategy", "account", "strategy", "side", "filled_at"),
)

adjustments = sa.Table(
    "adjustments",
    metadata,
    _text("account", key=True),
    _text("adjustment_id", key=True),
    _text("kind"),
    _text("symbol"),
    _text("strategy"),
    _text("book"),
    _number("quantity"),
    _number("cash"),
    _optional("price"),
    _number("adjusted_at"),
    _number("recorded_at"),
    _text("description"),
    sa.ForeignKeyConstraint(["account"], ["account.account"]),
    sa.Index("adjustments_by_symbol", "account", "symbol", "adjusted_at"),
    sa.Index("adjustments_by_record", "account", "recorded_at"),
)
"""What changed position or cash without a trade: signed quantities and cash."""

positions = sa.Table(
    "positions",
    metadata,
    _text("account", key=True),
    _text("symbol", key=True),
    _text("strategy"),
    _text("book"),
    _number("quantity"),
    _number("cost"),
    _number("realised"),
    _text("protection"),
    _optional("stop_price"),
    _number("stop_quantity"),
    _text("exit_owner"),
    _optional("opened_at"),
    _number("updated_at"),
    sa.ForeignKeyConstraint(["account"], ["account.account"]),
)

halts = halts_table(metadata)

assets = sa.Table(
    "assets",
    metadata,
    _text("account", key=True),
    _text("symbol", key=True),
    sa.Column("tradable", sa.Boolean, nullable=False),
    sa.Column("fractionable", sa.Boolean, nullable=False),
    sa.Column("shortable", sa.Boolean, nullable=False),
    sa.Column("marginable", sa.Boolean, nullable=False),
    _text("status"),
    _optional("min_order_size"),
    _optional("min_trade_increment"),
    _optional("price_increment"),
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    _text("account", key=True),
    _number("version", key=True),
    _text("state"),
    _number("market_time"),
    _number("compared_at_version"),
    sa.Column("verdict", sa.LargeBinary, nullable=False),
)

strategies = sa.Table(
    "strategies",
    metadata,
    _text("account", key=True),
    _text("strategy", key=True),
    _text("state"),
    _optional("last_decided_cycle_time"),
    _text("reason", default=""),
    _text("set_by", default=""),
    _optional("since"),
)

firings = sa.Table(
    "firings",
    metadata,
    _text("account", key=True),
    _text("firing_id", key=True),
    _text("strategy"),
    _text("kind"),
    _number("planned_at"),
    _number("due_at"),
    _number("ends_at"),
    _text("state"),
    _text("reason"),
    sa.ForeignKeyConstraint(["account"], ["account.account"]),
    sa.Index("firings_by_state", "account", "state"),
)
"""Timed buys and sales, one row each."""

events = sa.Table(
    "events",
    metadata,
    _text("account", key=True),
    _number("event_id", key=True),
    _text("kind"),
    _text("aggregate"),
    _number("aggregate_version"),
    _number("market_time"),
    _number("recorded_at"),
    _text("traceparent"),
    _text("summary"),
    sa.Column("fact", sa.LargeBinary, nullable=False),
    sa.Column("published", sa.Boolean, nullable=False),
    sa.Index(
        "events_unpublished",
        "account",
        "event_id",
        sqlite_where=sa.text("published = 0"),
        postgresql_where=sa.text("NOT published"),
    ),
)

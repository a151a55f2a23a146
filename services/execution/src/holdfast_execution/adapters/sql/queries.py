"""Statements of the ledger, built once: SQLAlchemy then compiles each only once."""

import sqlalchemy as sa

from holdfast_core.schedules import TradeKind
from holdfast_execution.adapters.sql import tables
from holdfast_execution.domain.firings import FiringState
from holdfast_runtime.ports.venue import Side

_account: sa.BindParameter[str] = sa.bindparam("of_account")
_i, _o, _d = tables.intents.c, tables.orders.c, tables.decisions.c
ENTER = "enter_long"
"""`decisions.direction` of an entry."""

ACCOUNT = sa.select(tables.account).where(tables.account.c.account == _account)
LEASE = sa.select(tables.lease.c.holder, tables.lease.c.epoch, tables.lease.c.beat).where(
    tables.lease.c.account == _account
)

_INTENTS = (
    sa.select(
        tables.intents,
        _o.attempts.label("order_attempts"),
        _o.broker_order_id.label("order_broker_order_id"),
        _o.quantity.label("order_quantity"),
        _o.filled_quantity.label("order_filled_quantity"),
    )
    .join_from(
        tables.intents,
        tables.orders,
        sa.and_(_o.account == _i.account, _o.client_order_id == _i.client_order_id),
    )
    .where(_i.account == _account)
)
INTENT = _INTENTS.where(_i.intent_id == sa.bindparam("intent_id"))
_open_states: sa.BindParameter[list[str]] = sa.bindparam("states", expanding=True)
INTENTS_IN = _INTENTS.where(_i.state.in_(_open_states)).order_by(_i.created_at, _i.intent_id)
INTENTS_SINCE = _INTENTS.where(
    sa.or_(_i.state.in_(_open_states), _i.updated_at > sa.bindparam("since"))
).order_by(_i.created_at, _i.intent_id)  # fmt: skip

ORDERS = (
    sa.select(tables.orders)
    .where(_o.account == _account, _o.intent_id == sa.bindparam("intent_id"))
    .order_by(_o.sequence)
)
PAST_ORDERS = (
    sa.select(_o.intent_id, _o.broker_order_id)
    .join_from(
        tables.orders, tables.intents, sa.and_(_i.account == _o.account, _i.intent_id == _o.intent_id)
    )
    .where(
        _o.account == _account,
        _o.client_order_id != _i.client_order_id,
        _o.broker_order_id.is_not(None),
        sa.or_(_i.state.in_(_open_states), _i.updated_at > sa.bindparam("since")),
    )
    .order_by(_o.intent_id, _o.sequence)
)  # fmt: skip
ORDER = sa.select(tables.orders).where(
    _o.account == _account,
    sa.or_(
        sa.and_(sa.bindparam("broker_order_id") != "", _o.broker_order_id == sa.bindparam("broker_order_id")),
        sa.and_(sa.bindparam("client_order_id") != "", _o.client_order_id == sa.bindparam("client_order_id")),
    ),
)

_p = tables.positions.c
POSITION = sa.select(tables.positions).where(_p.account == _account, _p.symbol == sa.bindparam("symbol"))
POSITIONS = sa.select(tables.positions).where(_p.account == _account).order_by(_p.symbol)

_f = tables.fills.c
FILLS = (
    sa.select(tables.fills)
    .where(_f.account == _account, _f.recorded_at > sa.bindparam("since"))
    .order_by(_f.filled_at, _f.broker_order_id, _f.cumulative_quantity)
)
FILLS_OF_ORDER = sa.select(tables.fills).where(
    _f.account == _account, _f.broker_order_id == sa.bindparam("broker_order_id")
)
FILLS_OF_SYMBOL = sa.select(tables.fills).where(_f.account == _account, _f.symbol == sa.bindparam("symbol"))
NEWEST_FILL = sa.select(sa.func.max(_f.filled_at).label("newest")).where(
    _f.account == _account, _f.symbol == sa.bindparam("symbol")
)

_a = tables.adjustments.c
ADJUSTMENTS = (
    sa.select(tables.adjustments)
    .where(_a.account == _account, _a.recorded_at > sa.bindparam("since"))
    .order_by(_a.adjusted_at, _a.adjustment_id)
)
ADJUSTMENT = sa.select(_a.adjustment_id).where(
    _a.account == _account, _a.adjustment_id == sa.bindparam("adjustment_id")
)
ADJUSTMENTS_OF_SYMBOL = sa.select(tables.adjustments).where(_a.account == _account, _a.symbol == sa.bindparam("symbol"))
NEWEST_ADJUSTMENT = sa.select(sa.func.max(_a.adjusted_at).label("newest")).where(
    _a.account == _account, _a.symbol == sa.bindparam("symbol")
)

DECISIONS = sa.select(_d.signal_id, _d.decision).where(
    _d.account == _account, _d.signal_id.in_(sa.bindparam("signal_ids", expanding=True))
)
_entries = (_d.account == _account, _d.allowed.is_(sa.true()), _d.direction == ENTER)
_newest_entry = sa.select(sa.func.max(_d.market_time)).where(*_entries).scalar_subquery()
ENTRIES = (
    sa.select(_d.symbol, _d.market_time)
    .where(*_entries, _d.market_time >= _newest_entry - sa.bindparam("memory"))
    .order_by(_d.symbol, _d.market_time)
)
"""Of the time before the newest one: older ones are older still for whoever asks later."""
DECISION_COUNTS = (
    sa.select(_d.allowed, _d.reason, sa.func.count().label("decisions"))
    .where(_d.account == _account)
    .group_by(_d.allowed, _d.reason)
    .order_by(_d.reason, _d.allowed)
)

_h = tables.halts.c
OPEN_HALTS = (
    sa.select(tables.halts).where(_h.account == _account, _h.cleared_at.is_(None)).order_by(_h.since, _h.halt_id)
)
UNNOTICED_HALTS = sa.select(tables.halts).where(
    _h.account == _account, _h.cleared_at.is_(None), _h.noticed.is_(sa.false())
)
HALT = sa.select(tables.halts).where(_h.account == _account, _h.halt_id == sa.bindparam("halt_id"))

STRATEGIES = (
    sa.select(tables.strategies)
    .where(tables.strategies.c.account == _account)
    .order_by(tables.strategies.c.strategy)
)  # fmt: skip
LAST_SALE = (
    sa.select(_f.intent_id)
    .where(_f.account == _account, _f.strategy == sa.bindparam("strategy"), _f.side == Side.SELL.value)
    .order_by(_f.filled_at.desc(), _f.recorded_at.desc())
    .limit(1)
)
_t = tables.firings.c
FIRING = sa.select(tables.firings).where(_t.account == _account, _t.firing_id == sa.bindparam("firing_id"))
FIRINGS_DUE = (
    sa.select(tables.firings)
    .where(_t.account == _account, _t.state == FiringState.DUE.value)
    .order_by(_t.due_at, _t.firing_id)
)
_skipped = sa.and_(_t.account == _account, _t.state == FiringState.SKIPPED.value, _t.kind == TradeKind.BUY.value)
_newest_skipped = sa.select(sa.func.max(_t.planned_at)).where(_skipped).scalar_subquery()
SKIPPED_BUYS = sa.select(_t.strategy, _t.planned_at).where(
    _skipped, _t.planned_at >= _newest_skipped - sa.bindparam("memory")
)
"""Of the time before the newest one: a cycle of an older one is long over."""
_b = tables.assets.c
ASSETS = (
    sa.select(
        _b.symbol,
        _b.tradable,
        _b.fractionable,
        _b.shortable,
        _b.marginable,
        _b.status,
        _b.min_order_size,
        _b.min_trade_increment,
        _b.price_increment,
    )
    .where(_b.account == _account)
    .order_by(_b.symbol)
)
VERDICT = (
    sa.select(tables.verdicts.c.verdict)
    .where(tables.verdicts.c.account == _account)
    .order_by(tables.verdicts.c.version.desc())
    .limit(1)
)
_e = tables.events.c
UNPUBLISHED = (
    sa.select(tables.events)
    # In the words of the partial index: `published IS 0` would read all events there ever were.
    .where(_e.account == _account, sa.not_(_e.published))
    .order_by(_e.event_id)
    .limit(sa.bindparam("limit"))
)
MARK_PUBLISHED = (
    sa.update(tables.events)
    .where(_e.account == _account, _e.event_id.in_(sa.bindparam("event_ids", expanding=True)))
    .values(published=sa.true())
)

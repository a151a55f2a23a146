"""The account in Alpaca's JSON: every field of its Order, Account, Position, Asset, Clock, Calendar and activity.

Money and quantities are decimal strings; instants RFC 3339 in UTC, except the clock's, which are New York's. What this
venue does not model is null, zero or false, as Alpaca has it for an account without that feature.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from holdfast_core.money import ZERO, plain
from holdfast_core.sessions import Session, is_open, next_close, next_open
from holdfast_exchange.books import Position
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.market import Market
from holdfast_exchange.orders import Fill, Order, Side, Status, Update
from holdfast_exchange.recording import NEW_YORK

Json = dict[str, Any]
RATIO = Decimal("0.000000001")


def number(value: Decimal | None) -> str | None:
    """A decimal string without exponent and trailing zeros."""
    return None if value is None else str(plain(value))


def instant(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local(value: datetime) -> str:
    """New York time with its offset, as Alpaca's clock has it."""
    return value.astimezone(NEW_YORK).isoformat()


def order(exchange: Exchange, value: Order, *, nested: bool, status: str | None = None) -> Json:
    """`nested` shows the legs under their parent. `status` overrides the stored one."""
    legs = [order(exchange, exchange.orders[leg], nested=False) for leg in value.legs] if nested else []
    return {
        "id": value.id,
        "client_order_id": value.client_order_id,
        "created_at": instant(value.created_at),
        "updated_at": instant(value.updated_at),
        "submitted_at": instant(value.created_at),
        "filled_at": instant(value.filled_at) if value.status is Status.FILLED else None,
        "expired_at": instant(value.expired_at),
        "expires_at": instant(value.expires_at),
        "canceled_at": instant(value.canceled_at),
        "failed_at": instant(value.failed_at),
        "replaced_at": instant(value.replaced_at),
        "replaced_by": value.replaced_by,
        "replaces": value.replaces,
        "asset_id": exchange.asset_id(value.symbol),
        "symbol": value.symbol,
        "asset_class": exchange.asset(value.symbol).asset_class.value,
        "notional": number(value.notional),
        "qty": number(value.quantity) if value.notional is None else None,
        "filled_qty": number(value.filled_quantity),
        "filled_avg_price": number(value.average_price),
        "order_class": value.order_class.value,
        "order_type": value.type.value,
        "type": value.type.value,
        "side": value.side.value,
        "position_intent": value.intent.value,
        "time_in_force": value.time_in_force.value,
        "limit_price": number(value.limit_price),
        "stop_price": number(value.stop_price),
        "status": status or value.status.value,
        "extended_hours": value.extended_hours,
        "legs": legs or None,
        "trail_percent": number(value.trail_percent),
        "trail_price": number(value.trail_price),
        "hwm": number(value.high_water_mark),
        "ratio_qty": None,
        "subtag": None,
        "source": None,
    }


def answered(exchange: Exchange, value: Order) -> Json:
    """A new order as the POST or PATCH answers it: Alpaca has not routed it yet."""
    status = "pending_new" if value.status is Status.NEW else value.status.value
    return order(exchange, value, nested=True, status=status)


def update(exchange: Exchange, value: Update) -> Json:
    """One frame of the trade-updates stream."""
    data: Json = {
        "event": value.event,
        "timestamp": instant(value.at),
        "order": order(exchange, value.order, nested=False),
    }
    if value.fill is not None:
        data |= {
            "execution_id": value.fill.id,
            "price": number(value.fill.price),
            "qty": number(value.fill.quantity),
            "position_qty": number(value.position_quantity),
        }
    return {"stream": "trade_updates", "data": data}


def account(exchange: Exchange, opened_at: datetime) -> Json:
    """A cash account: multiplier 1, no short sales."""
    cash, held = exchange.books.cash, exchange.market_value()
    buying_power = max(exchange.buying_power(), ZERO)
    previous = sum(
        (p.quantity * (exchange.market.previous_close(p.symbol) or ZERO) for p in exchange.books.positions.values()),
        cash,
    )
    return {
        "id": exchange.account_id,
        "account_number": "PA" + exchange.account_id.replace("-", "")[:10].upper(),
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "buying_power": number(buying_power),
        "regt_buying_power": number(buying_power),
        "daytrading_buying_power": "0",
        "effective_buying_power": number(buying_power),
        "non_marginable_buying_power": number(buying_power),
        "options_buying_power": "0",
        "bod_dtbp": "0",
        "cash": number(cash),
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "portfolio_value": number(cash + held),
        "equity": number(cash + held),
        "last_equity": number(previous),
        "long_market_value": number(held),
        "short_market_value": "0",
        "position_market_value": number(held),
        "initial_margin": number(held),
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": "1",
        "pattern_day_trader": False,
        "daytrade_count": 0,
        "shorting_enabled": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": instant(opened_at),
        "balance_asof": opened_at.astimezone(NEW_YORK).date().isoformat(),
        "crypto_tier": 0,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "intraday_adjustments": "0",
        "pending_reg_taf_fees": "0",
        "admin_configurations": {},
        "user_configurations": None,
    }


CONFIGURATIONS: Json = {
    "dtbp_check": "entry",
    "fractional_trading": False,
    "max_margin_multiplier": "1",
    "max_options_trading_level": 0,
    "no_shorting": True,
    "pdt_check": "entry",
    "ptp_no_exception_entry": False,
    "suspend_trade": False,
    "trade_confirm_email": "none",
}


def position(exchange: Exchange, value: Position) -> Json:
    price = exchange.price_of(value.symbol)
    worth = value.quantity * price
    before = exchange.market.previous_close(value.symbol) or price
    gain = worth - value.cost
    today = (price - before) * value.quantity
    selling = sum(
        (o.remaining for o in exchange.open_orders() if o.symbol == value.symbol and _reserves(o)),
        ZERO,
    )
    return {
        "asset_id": exchange.asset_id(value.symbol),
        "symbol": value.symbol,
        "exchange": "NYSE",
        "asset_class": "us_equity",
        "asset_marginable": False,
        "qty": number(value.quantity),
        "qty_available": number(value.quantity - selling),
        "avg_entry_price": number(value.average_price),
        "side": "long",
        "market_value": number(worth),
        "cost_basis": number(value.cost),
        "unrealized_pl": number(gain),
        "unrealized_plpc": _ratio(gain, value.cost),
        "unrealized_intraday_pl": number(today),
        "unrealized_intraday_plpc": _ratio(today, before * value.quantity),
        "current_price": number(price),
        "lastday_price": number(before),
        "change_today": _ratio(price - before, before),
    }


def _reserves(value: Order) -> bool:
    return value.side is Side.SELL and value.status is not Status.HELD


def _ratio(part: Decimal, whole: Decimal) -> str:
    return str(plain((part / whole).quantize(RATIO))) if whole else "0"


def asset(exchange: Exchange, symbol: str) -> Json:
    return {
        "id": exchange.asset_id(symbol),
        "class": "us_equity",
        "exchange": "NYSE",
        "symbol": symbol,
        "name": symbol,
        "status": "active",
        "tradable": exchange.asset(symbol).tradable,
        "marginable": False,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": False,
        "maintenance_margin_requirement": 100,
        "margin_requirement_long": "100",
        "margin_requirement_short": "100",
        "attributes": [],
    }


def activity(exchange: Exchange, fill: Fill) -> Json:
    return {
        "id": activity_id(fill),
        "account_id": exchange.account_id,
        "activity_type": "FILL",
        "transaction_time": instant(fill.at),
        "type": "fill" if not fill.leaves else "partial_fill",
        "price": number(fill.price),
        "qty": number(fill.quantity),
        "side": fill.side.value,
        "symbol": fill.symbol,
        "leaves_qty": number(fill.leaves),
        "order_id": fill.order_id,
        "cum_qty": number(fill.cumulative),
        "order_status": "filled" if not fill.leaves else "partially_filled",
    }


def activity_id(fill: Fill) -> str:
    """Alpaca's form: the time to the millisecond, then a UUID."""
    return f"{fill.at.astimezone(UTC):%Y%m%d%H%M%S}{fill.at.microsecond // 1000:03d}::{fill.id}"


def clock(now: datetime) -> Json:
    return {
        "timestamp": local(now),
        "is_open": is_open(now),
        "next_open": local(next_open(now)),
        "next_close": local(next_close(now)),
    }


def calendar(sessions: list[Session], settlement: Mapping[date, date]) -> list[Json]:
    """Times are New York's; `settlement` is the day on which a trade of a session settles."""
    return [
        {
            "date": session.day.isoformat(),
            "open": f"{session.open.astimezone(NEW_YORK):%H:%M}",
            "close": f"{session.close.astimezone(NEW_YORK):%H:%M}",
            "session_open": "0400",
            "session_close": "2000",
            "settlement_date": settlement[session.day].isoformat(),
        }
        for session in sessions
    ]


def books(exchange: Exchange, market: Market) -> Json:
    """The venue's own account of everything, for checking others against."""
    return {
        "starting_cash": number(exchange.books.starting_cash),
        "cash": number(exchange.books.cash),
        "equity": number(exchange.equity()),
        "realised_pnl": number(exchange.books.realised_total),
        "unrealised_pnl": number(exchange.market_value() - sum((p.cost for p in _held(exchange)), ZERO)),
        "orders": [order(exchange, value, nested=False) for value in exchange.orders.values()],
        "fills": [activity(exchange, fill) for fill in exchange.books.fills],
        "positions": [position(exchange, value) for value in _held(exchange)],
        "prices": {symbol: number(market.price(symbol)) for symbol in market.symbols},
    }


def _held(exchange: Exchange) -> list[Position]:
    return [exchange.books.positions[symbol] for symbol in sorted(exchange.books.positions)]

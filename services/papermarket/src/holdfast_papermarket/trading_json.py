"""Orders and the market's times in Alpaca's JSON: every field of its Order, trade update, Clock and Calendar.

Money and quantities are decimal strings; instants RFC 3339 in UTC, except the clock's, which are New York's. What this
venue does not model is null, zero or false, as Alpaca has it for an account without that feature.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from holdfast_core.money import plain
from holdfast_core.new_york import NEW_YORK
from holdfast_core.sessions import Session, is_open, next_close, next_open
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.orders import Order, Status, Update

Json = dict[str, Any]


def number(value: Decimal | None) -> str | None:
    """A decimal string without exponent and trailing zeros."""
    return None if value is None else f"{plain(value):f}"


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


def clock(now: datetime, early_closes: Mapping[datetime, datetime]) -> Json:
    """`early_closes`: when sessions close instead, by their regular close."""
    close = next_close(now)
    early = early_closes.get(close, close)
    if early <= now:
        close = next_close(close)
        early = early_closes.get(close, close)
    return {
        "timestamp": local(now),
        "is_open": is_open(now) and close == next_close(now),
        "next_open": local(next_open(now)),
        "next_close": local(early),
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

"""Alpaca's JSON as the port's values: tolerant of words and fields not known yet, closed to absurd numbers (trap 4).

Every function raises Malformed, naming the field. Amounts come as strings, as integers or, in market data, as floats;
a float's shortest form is what the venue wrote.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from holdfast_core.money import ZERO, InexactAmount, parse_amount
from holdfast_runtime.errors import Malformed
from holdfast_runtime.ports.venue import (
    DIVIDEND,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    FeeActivity,
    FillActivity,
    Side,
    TradeUpdate,
)

Json = Mapping[str, Any]

ABSURD = Decimal(10) ** 12
LEDGER_STEP = Decimal("1e-9")
SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL, "buy_minus": Side.BUY, "sell_plus": Side.SELL}
PAPER_ACCOUNT_PREFIX = "PA"
CRYPTO_FEE = "CFEE"
SETTLED_CASH = "non_marginable_buying_power"
PAIR_QUOTES = ("USDT", "USDC", "USD", "BTC")
"""Currencies that Alpaca's pairs are quoted in, longer ones first."""


def amount(data: Json, field: str) -> Decimal:
    """A finite number of the field, below 10¹² in size."""
    value = data.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Malformed(f"{field}: {value!r} is not a number")
    try:
        number = parse_amount(str(value), what=field)
    except InexactAmount as error:
        raise Malformed(str(error)) from error
    if abs(number) >= ABSURD:
        raise Malformed(f"{field}: {number} is absurd")
    return number


def positive(data: Json, field: str) -> Decimal:
    """A number above zero."""
    number = amount(data, field)
    if number <= ZERO:
        raise Malformed(f"{field}: {number} is not positive")
    return number


def not_negative(data: Json, field: str) -> Decimal:
    """A number of zero or more."""
    number = amount(data, field)
    if number < ZERO:
        raise Malformed(f"{field}: {number} is negative")
    return number


def average(data: Json, field: str) -> Decimal:
    """An average price: not negative, rounded to the digits that the ledger keeps."""
    number = not_negative(data, field)
    return number.quantize(LEDGER_STEP).normalize() + ZERO


def text(data: Json, field: str) -> str:
    """A string that is there and not empty."""
    value = data.get(field)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{field}: {value!r} is not a text")
    return value


def optional_text(data: Json, field: str) -> str | None:
    value = data.get(field)
    return value if isinstance(value, str) and value else None


def instant(data: Json, field: str) -> datetime:
    """An aware instant in UTC, cut to microseconds."""
    value = data.get(field)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Malformed(f"{field}: {value!r} is not an instant") from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Malformed(f"{field}: {value!r} is not an aware instant")
    return value.astimezone(UTC)


def optional_instant(data: Json, field: str) -> datetime | None:
    return instant(data, field) if data.get(field) else None


def boolean(data: Json, field: str) -> bool:
    value = data.get(field)
    if not isinstance(value, bool):
        raise Malformed(f"{field}: {value!r} is neither true nor false")
    return value


def mapping(value: object, what: str) -> Json:
    if not isinstance(value, Mapping):
        raise Malformed(f"{what} is not an object")
    return value


def items(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{what} is not a list")
    return value


def _side(data: Json) -> Side:
    word = text(data, "side").lower()
    if word not in SIDES:
        raise Malformed(f"side: {word!r} is neither buy nor sell")
    return SIDES[word]


def _optional(data: Json, field: str) -> Decimal | None:
    return None if data.get(field) is None else not_negative(data, field)


def order(value: object) -> BrokerOrder:
    """An order with its legs. One by notional has no quantity: what is filled of it stands there."""
    data = mapping(value, "order")
    filled = not_negative(data, "filled_qty") if data.get("filled_qty") is not None else ZERO
    quantity = not_negative(data, "qty") if data.get("qty") is not None else None
    if quantity is None and data.get("notional") is None:
        raise Malformed("qty: missing, and notional too")
    if quantity is not None and filled > quantity:
        raise Malformed(f"filled_qty: {filled} is more than qty {quantity}")
    return BrokerOrder(
        order_id=text(data, "id"),
        client_order_id=text(data, "client_order_id"),
        symbol=text(data, "symbol"),
        side=_side(data),
        quantity=filled if quantity is None else quantity,
        filled_quantity=filled,
        filled_average_price=None if data.get("filled_avg_price") is None else average(data, "filled_avg_price"),
        type=optional_text(data, "type") or optional_text(data, "order_type") or "",
        time_in_force=optional_text(data, "time_in_force") or "",
        status=text(data, "status"),
        limit_price=_optional(data, "limit_price"),
        stop_price=_optional(data, "stop_price"),
        submitted_at=optional_instant(data, "submitted_at") or optional_instant(data, "created_at"),
        updated_at=optional_instant(data, "updated_at"),
        legs=tuple(order(leg) for leg in items(data.get("legs") or [], "legs")),
        replaces=optional_text(data, "replaces"),
        replaced_by=optional_text(data, "replaced_by"),
    )


def orders(value: object) -> list[BrokerOrder]:
    return [order(item) for item in items(value, "orders")]


def pair_of(symbol: str) -> str:
    """A pair as its orders name it: Alpaca's positions and fees leave the slash out (BTCUSD is BTC/USD)."""
    if "/" in symbol:
        return symbol
    quoted = next((each for each in PAIR_QUOTES if symbol.endswith(each) and symbol != each), "")
    return f"{symbol.removesuffix(quoted)}/{quoted}" if quoted else symbol


def position(value: object) -> BrokerPosition:
    data = mapping(value, "position")
    quantity = amount(data, "qty")
    if optional_text(data, "side") == "short":
        quantity = -abs(quantity)
    symbol = text(data, "symbol")
    return BrokerPosition(
        symbol=pair_of(symbol) if data.get("asset_class") == "crypto" else symbol,
        quantity=quantity,
        average_price=average(data, "avg_entry_price"),
        available=amount(data, "qty_available") if data.get("qty_available") is not None else None,
    )


def account(value: object, *, live: bool | None) -> BrokerAccount:
    """`live`: known from where it was asked; None: told by the account's number, paper ones begin with PA."""
    data = mapping(value, "account")
    if live is None:
        live = not text(data, "account_number").startswith(PAPER_ACCOUNT_PREFIX)
    return BrokerAccount(
        account_id=text(data, "id"),
        cash=amount(data, "cash"),
        equity=amount(data, "equity"),
        buying_power=amount(data, "buying_power"),
        trading_blocked=any(bool(data.get(name)) for name in ("trading_blocked", "account_blocked")),
        live=live,
        settled_cash=amount(data, SETTLED_CASH) if data.get(SETTLED_CASH) is not None else None,
    )


def asset(value: object) -> BrokerAsset:
    data = mapping(value, "asset")
    return BrokerAsset(
        symbol=text(data, "symbol"),
        tradable=boolean(data, "tradable"),
        fractionable=bool(data.get("fractionable")),
        shortable=bool(data.get("shortable")),
        marginable=bool(data.get("marginable")),
        status=optional_text(data, "status") or "",
        min_order_size=_step(data, "min_order_size"),
        min_trade_increment=_step(data, "min_trade_increment"),
        price_increment=_step(data, "price_increment"),
    )


def _step(data: Json, field: str) -> Decimal | None:
    """A smallest size or step, as exact as the ledger is; None where there is none."""
    if data.get(field) is None:
        return None
    return max(positive(data, field).quantize(LEDGER_STEP), LEDGER_STEP)


def clock(value: object) -> BrokerClock:
    data = mapping(value, "clock")
    return BrokerClock(
        now=instant(data, "timestamp"),
        is_open=boolean(data, "is_open"),
        next_open=instant(data, "next_open"),
        next_close=instant(data, "next_close"),
    )


def fill(value: object) -> FillActivity:
    data = mapping(value, "activity")
    return FillActivity(
        activity_id=text(data, "id"),
        order_id=text(data, "order_id"),
        symbol=text(data, "symbol"),
        side=_side(data),
        quantity=positive(data, "qty"),
        cumulative_quantity=positive(data, "cum_qty"),
        price=positive(data, "price"),
        at=instant(data, "transaction_time"),
    )


def fee(value: object) -> FeeActivity:
    """An activity that is no fill. Its quantity is shares or coins, its net amount dollars; a day without a time is
    midnight. A dividend tells shares that were entitled, none that came."""
    data = mapping(value, "activity")
    at = optional_instant(data, "transaction_time") or optional_instant(data, "created_at")
    kind, symbol = text(data, "activity_type"), optional_text(data, "symbol") or ""
    return FeeActivity(
        activity_id=text(data, "id"),
        kind=kind,
        symbol=pair_of(symbol) if kind == CRYPTO_FEE else symbol,
        quantity=amount(data, "qty") if data.get("qty") is not None and kind != DIVIDEND else ZERO,
        cash=amount(data, "net_amount") if data.get("net_amount") is not None else ZERO,
        price=None if data.get("price") is None else positive(data, "price"),
        at=at or instant({"date": f"{text(data, 'date')}T00:00:00+00:00"}, "date"),
        description=optional_text(data, "description") or "",
    )


def trade_update(value: object, *, count: int) -> TradeUpdate:
    """The `data` of one frame of the trade-updates stream; `count` is its place on the connection."""
    data = mapping(value, "data")
    return TradeUpdate(
        event=text(data, "event"),
        order=order(data.get("order")),
        execution_id=optional_text(data, "execution_id"),
        price=None if data.get("price") is None else positive(data, "price"),
        quantity=None if data.get("qty") is None else positive(data, "qty"),
        at=optional_instant(data, "timestamp") or optional_instant(data, "at"),
        position=count,
    )

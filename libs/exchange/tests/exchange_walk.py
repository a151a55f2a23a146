"""What the model test of the matching engine trades on, and what it knows of orders."""

import random
from datetime import datetime
from decimal import Decimal

from holdfast_exchange.orders import Order, OrderType, Side, TimeInForce
from holdfast_exchange.recording import MINUTE, Bar, QuoteBar
from libs.exchange.tests.exchange_floor import OPEN, bar, quote

SHARE, COIN = "SPY", "BTC/USD"
BAR_MINUTES = (*range(-92, -88), *range(9), *range(385, 390), *range(400, 403), *range(1_440, 1_444))
"""Before the open, from it, before the close, after it, and the next morning."""
INSTANTS = sorted({OPEN + MINUTE * (minute + edge) for minute in BAR_MINUTES for edge in (0, 1)})
CENT = Decimal("0.01")


def recorded(seed: int) -> tuple[list[Bar], list[QuoteBar]]:
    """A walk of both symbols, with gaps, jumps and minutes without volume."""
    chance = random.Random(seed)
    bars, quotes = [], []
    for symbol, last in ((SHARE, Decimal(100)), (COIN, Decimal(8_000))):
        for minute in BAR_MINUTES:
            if chance.random() < 0.1:
                continue
            walk = [last * (1 + Decimal(chance.randint(-200, 200)) / 10_000) for _ in range(4)]
            low, first, close, high = (price.quantize(CENT) for price in sorted(walk))
            if chance.random() < 0.5:
                first, close = close, first
            volume = chance.choice((0, 1, 9, 40, 10_000))
            bars.append(bar(minute, str(first), str(high), str(low), str(close), volume, symbol))
            if chance.random() < 0.5:
                quotes.append(quote(minute, str(first - CENT), str(first + CENT), symbol))
            last = close
    return sorted(bars, key=lambda row: (row.end, row.symbol)), sorted(quotes, key=lambda row: (row.end, row.symbol))


def fitting(
    symbol: str, kind: OrderType, tif: TimeInForce, quantity: Decimal, extended: bool
) -> tuple[OrderType, TimeInForce, bool]:
    """The nearest to what was drawn that fits together."""
    if symbol == COIN:
        kind = {OrderType.STOP: OrderType.STOP_LIMIT, OrderType.TRAILING_STOP: OrderType.MARKET}.get(kind, kind)
        return kind, tif if tif is TimeInForce.IOC else TimeInForce.GTC, False
    if quantity != quantity.to_integral_value():
        return (OrderType.STOP if kind is OrderType.TRAILING_STOP else kind), TimeInForce.DAY, False
    if kind not in (OrderType.MARKET, OrderType.LIMIT) and tif not in (TimeInForce.DAY, TimeInForce.GTC):
        tif = TimeInForce.DAY
    lasting = tif in (TimeInForce.DAY, TimeInForce.GTC)
    return kind, tif, extended and kind is OrderType.LIMIT and lasting


def plain_purchase(order: Order, at: datetime) -> bool:
    """A purchase of whole shares that could have had anything of the bar that ended at `at`."""
    return (
        order.side is Side.BUY
        and order.intent.value == "buy_to_open"
        and order.is_working
        and order.type in (OrderType.MARKET, OrderType.LIMIT)
        and order.time_in_force in (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC)
        and order.quantity == order.quantity.to_integral_value()
        and order.notional is None
        and order.active_from <= at - MINUTE
        and order.expires_at >= at
        and order.extended_hours is False
        and order.due_at is None
    )


def goes_before(first: Order, late: Order) -> bool:
    """Price-time priority of two purchases."""
    best = Decimal("Infinity")
    mine, other = (each.limit_price or best for each in (first, late))
    return mine > other or (mine == other and first.sequence < late.sequence)

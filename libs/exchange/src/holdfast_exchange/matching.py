"""At which price, and for how many shares, an order fills on one bar: pure functions of order, bar and quote.

Rules of a paper venue that must not flatter:
- An order matches only what happened after it was accepted. A bar that had begun before counts with its close alone.
- A market order fills at the opening ask (bid for a sale) where a quote is recorded for that minute, else at the open;
  slippage is added against the order.
- A limit order that is marketable at that price fills there, never beyond its limit; otherwise at its limit, if the bar
  traded that far. A stop triggers where the bar traded through it, and fills at the stop or, after a gap, at the open.
- Without volume nothing fills, and never more than the volume share of the bar.
"""

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from holdfast_exchange.orders import Order, OrderType, Side
from holdfast_exchange.recording import Bar, QuoteBar

PRICE_STEP = Decimal("0.0001")
BASIS_POINT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Prices:
    """What one order may trade against in one bar."""

    open: Decimal
    """First price after acceptance: opening ask or bid where quoted, else the first trade."""
    first_trade: Decimal
    high: Decimal
    low: Decimal


@dataclass(frozen=True, slots=True)
class Match:
    """`price` is None where nothing fills; `triggered` is the order's state afterwards."""

    price: Decimal | None
    triggered: bool


def prices_for(order: Order, bar: Bar, quote: QuoteBar | None) -> Prices | None:
    """The part of the bar that came after the order was accepted; None where nothing did."""
    if order.active_from >= bar.end:
        return None
    whole = order.active_from <= bar.start
    trade = bar.open if whole else bar.close
    first = trade
    if quote is not None:
        if order.side is Side.BUY:
            first = quote.ask_open if whole else quote.ask_close
        else:
            first = quote.bid_open if whole else quote.bid_close
    return Prices(first, trade, bar.high if whole else bar.close, bar.low if whole else bar.close)


def match(order: Order, prices: Prices, slippage_bps: Decimal) -> Match:
    """How `order` meets `prices`."""
    buying = order.side is Side.BUY
    if order.type is OrderType.LIMIT:
        return Match(_limit_price(order, prices, slippage_bps), triggered=False)
    if order.type is OrderType.MARKET or order.triggered:
        return Match(slipped(prices.open, slippage_bps, buying=buying), triggered=order.triggered)
    stop = order.stop_price
    assert stop is not None
    if buying:
        hit, at = prices.high >= stop, max(prices.first_trade, stop)
    else:
        hit, at = prices.low <= stop, min(prices.first_trade, stop)
    return Match(slipped(at, slippage_bps, buying=buying) if hit else None, triggered=hit)


def _limit_price(order: Order, prices: Prices, slippage_bps: Decimal) -> Decimal | None:
    limit = order.limit_price
    assert limit is not None
    if order.side is Side.BUY:
        if prices.open <= limit:
            return min(limit, slipped(prices.open, slippage_bps, buying=True))
        return limit if prices.low <= limit else None
    if prices.open >= limit:
        return max(limit, slipped(prices.open, slippage_bps, buying=False))
    return limit if prices.high >= limit else None


def slipped(price: Decimal, slippage_bps: Decimal, *, buying: bool) -> Decimal:
    """`price` moved against the order, by at most `slippage_bps`, in steps of a hundredth of a cent."""
    if buying:
        return (price * (1 + slippage_bps * BASIS_POINT)).quantize(PRICE_STEP, rounding=ROUND_DOWN)
    return (price * (1 - slippage_bps * BASIS_POINT)).quantize(PRICE_STEP, rounding=ROUND_UP)


def capacity(bar: Bar, volume_share: Decimal) -> Decimal:
    """Whole shares that the account's orders together may take of the bar."""
    return (bar.volume * volume_share).quantize(Decimal(1), rounding=ROUND_DOWN)


def envelope(bar: Bar, quote: QuoteBar | None, slippage_bps: Decimal) -> tuple[Decimal, Decimal]:
    """Lowest and highest price at which anything may fill on this bar."""
    low, high = bar.low, bar.high
    if quote is not None:
        low, high = min(low, quote.bid_low), max(high, quote.ask_high)
    return slipped(low, slippage_bps, buying=False), slipped(high, slippage_bps, buying=True)

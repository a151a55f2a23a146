"""At which price, and for how many shares, an order fills on one bar: pure functions of order, bar and quote.

Rules of a paper venue that must not flatter:
- An order matches only what happened after it was accepted. A bar that had begun before counts with its close alone; of
  an hour or a day, so does one that began at that very instant, since its first price was shown then.
- A market order fills at the opening ask (bid for a sale) where a quote is recorded for that minute, else at the open;
  slippage is added against the order.
- A limit order that is marketable at that price fills there, never beyond its limit; otherwise at its limit, if the bar
  traded that far. A stop triggers where the bar traded through it, and fills at the stop or, after a gap, at the open.
- A stop-limit that triggers inside the bar fills at its stop where its limit allows that, else it waits.
- A trailing stop meets the bar with the stop that it had before; then the bar moves its mark, and a close beyond the
  new stop triggers it.
- Without volume nothing fills, and never more than the volume share of the bar.
- Who is farthest inside the market fills first, then who came first: price-time priority.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from holdfast_exchange.assets import FRACTION, Asset
from holdfast_exchange.orders import LIMITED, Order, OrderType, Side, TimeInForce
from holdfast_exchange.recording import MINUTE, Bar, QuoteBar

PRICE_STEP = Decimal("0.0001")
CRYPTO_PRICE_STEP = Decimal("0.000000001")
BASIS_POINT = Decimal("0.0001")
WHOLE = Decimal(1)
FIRST = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Prices:
    """What one order may trade against in one bar."""

    open: Decimal
    """First price after acceptance: opening ask or bid where quoted, else the first trade."""
    first_trade: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    step: Decimal = PRICE_STEP
    """Fill prices are multiples of it."""


@dataclass(frozen=True, slots=True)
class Match:
    """How an order has met a bar. `price` is None where nothing fills; the rest is the order's state afterwards."""

    price: Decimal | None
    triggered: bool
    maker: bool = False
    """It waited at its price until somebody came."""
    high_water_mark: Decimal | None = None
    stop_price: Decimal | None = None


def prices_for(order: Order, bar: Bar, quote: QuoteBar | None, *, step: Decimal = PRICE_STEP) -> Prices | None:
    """The part of the bar that came after the order was accepted; None where nothing did."""
    if order.active_from >= bar.end:
        return None
    # The first price of an hour or a day is seen long before its bar ends: whoever came after it cannot have it.
    seen = bar.end - bar.start > MINUTE and order.created_at >= bar.start
    whole = order.active_from <= bar.start and not seen
    trade = bar.open if whole else bar.close
    first = trade
    if quote is not None:
        if order.side is Side.BUY:
            first = quote.ask_open if whole else quote.ask_close
        else:
            first = quote.bid_open if whole else quote.bid_close
    return Prices(first, trade, bar.high if whole else bar.close, bar.low if whole else bar.close, bar.close, step)


def auction_prices(order: Order, bar: Bar, *, step: Decimal = PRICE_STEP) -> Prices | None:
    """The single price of the opening or closing auction; None where the order came too late for it."""
    price = bar.open if order.time_in_force is TimeInForce.OPG else bar.close
    late = order.active_from > bar.start if order.time_in_force is TimeInForce.OPG else order.active_from >= bar.end
    return None if late else Prices(price, price, price, price, price, step)


def match(order: Order, prices: Prices, slippage_bps: Decimal) -> Match:
    """How `order` meets `prices`."""
    slippage = Slippage(slippage_bps, prices.step, buying=order.side is Side.BUY)
    if order.type is OrderType.LIMIT or (order.type is OrderType.STOP_LIMIT and order.triggered):
        return _limit(order, prices, slippage)
    if order.type is OrderType.MARKET or order.triggered:
        return Match(slippage.on(prices.open), order.triggered, stop_price=order.stop_price)
    if order.type is OrderType.TRAILING_STOP:
        return _trailing(order, prices, slippage)
    return _stop(order, prices, slippage)


def urgency(order: Order, prices: Prices) -> Decimal:
    """How far inside the market an order is at the bar's beginning, in dollars a share: the larger goes first."""
    if order.type is OrderType.MARKET:
        return FIRST
    resting = order.limit_price if order.type in LIMITED and (order.triggered or order.stop_price is None) else None
    if resting is not None:
        return resting - prices.open if order.side is Side.BUY else prices.open - resting
    if order.triggered or order.stop_price is None:
        return FIRST
    beyond = prices.first_trade - order.stop_price
    return beyond if order.side is Side.BUY else -beyond


@dataclass(frozen=True, slots=True)
class Slippage:
    """Prices moved against an order, by at most `bps` basis points, in multiples of `step`."""

    bps: Decimal
    step: Decimal
    buying: bool

    def on(self, price: Decimal) -> Decimal:
        if self.buying:
            return _in_steps(price * (1 + self.bps * BASIS_POINT), self.step, ROUND_DOWN)
        return _in_steps(price * (1 - self.bps * BASIS_POINT), self.step, ROUND_UP)

    def within(self, price: Decimal, limit: Decimal) -> Decimal:
        """The same, but never beyond the order's limit."""
        return min(limit, self.on(price)) if self.buying else max(limit, self.on(price))


def slipped(price: Decimal, slippage_bps: Decimal, *, buying: bool, step: Decimal = PRICE_STEP) -> Decimal:
    """`price` moved against the order, by at most `slippage_bps`, in multiples of `step`."""
    return Slippage(slippage_bps, step, buying).on(price)


def _in_steps(price: Decimal, step: Decimal, rounding: str) -> Decimal:
    return price.quantize(step, rounding=rounding)


def _limit(order: Order, prices: Prices, slippage: Slippage) -> Match:
    limit = order.limit_price
    assert limit is not None
    found: Decimal | None = None
    maker = False
    if slippage.buying:
        if prices.open <= limit:
            found = slippage.within(prices.open, limit)
        elif prices.low <= limit:
            found, maker = limit, True
    elif prices.open >= limit:
        found = slippage.within(prices.open, limit)
    elif prices.high >= limit:
        found, maker = limit, True
    return Match(found, order.triggered, maker=maker, stop_price=order.stop_price)


def _stop(order: Order, prices: Prices, slippage: Slippage) -> Match:
    stop = order.stop_price
    assert stop is not None
    if slippage.buying:
        hit, gapped = prices.high >= stop, prices.first_trade >= stop
    else:
        hit, gapped = prices.low <= stop, prices.first_trade <= stop
    if not hit:
        return Match(None, triggered=False, stop_price=stop)
    if order.type is OrderType.STOP_LIMIT:
        if gapped:
            # It was a limit order from the first trade on.
            return replace(_limit(order, prices, slippage), triggered=True)
        limit = order.limit_price
        assert limit is not None
        reachable = stop <= limit if slippage.buying else stop >= limit
        return Match(slippage.within(stop, limit) if reachable else None, triggered=True, stop_price=stop)
    return Match(slippage.on(prices.first_trade if gapped else stop), triggered=True, stop_price=stop)


def _trailing(order: Order, prices: Prices, slippage: Slippage) -> Match:
    mark, selling = order.high_water_mark, order.side is Side.SELL
    if order.stop_price is not None:
        met = _stop(order, prices, slippage)
        if met.triggered:
            return replace(met, high_water_mark=mark)
    best = prices.high if selling else prices.low
    mark = best if mark is None else max(mark, best) if selling else min(mark, best)
    stop = trail_stop(order.side, mark, order.trail_price, order.trail_percent)
    # The close came after the extreme: beyond the new stop, the price has gone through it.
    through = prices.close <= stop if selling else prices.close >= stop
    at = min(stop, best) if selling else max(stop, best)
    return Match(slippage.on(at) if through else None, through, high_water_mark=mark, stop_price=stop)


def trail_stop(side: Side, mark: Decimal, trail_price: Decimal | None, trail_percent: Decimal | None) -> Decimal:
    """Where a trailing stop stands below (for a purchase: above) its high-water mark."""
    distance = trail_price if trail_price is not None else mark * (trail_percent or 0) / 100
    return mark - distance if side is Side.SELL else mark + distance


def capacity(bar: Bar, volume_share: Decimal, asset: Asset | None = None) -> Decimal:
    """Whole shares, or parts of coins, that the account's orders together may take of the bar."""
    step = FRACTION if asset is not None and asset.is_crypto else WHOLE
    return (bar.volume * volume_share).quantize(step, rounding=ROUND_DOWN)


def wanted(order: Order, price: Decimal) -> Decimal:
    """Shares that an order would take at `price` if it could have all it wants."""
    if order.notional is None:
        return order.remaining
    return ((order.notional - order.filled_value) / price).quantize(FRACTION, rounding=ROUND_DOWN)


def in_lots(order: Order, quantity: Decimal, asset: Asset) -> Decimal:
    """`quantity` as that order can take it: an order of whole shares takes whole shares."""
    parts = asset.is_crypto or order.notional is not None or order.remaining != order.remaining.to_integral_value()
    return quantity if parts else quantity.quantize(WHOLE, rounding=ROUND_DOWN)


def envelope(
    bar: Bar, quote: QuoteBar | None, slippage_bps: Decimal, *, step: Decimal = PRICE_STEP
) -> tuple[Decimal, Decimal]:
    """Lowest and highest price at which anything may fill on this bar."""
    low, high = bar.low, bar.high
    if quote is not None:
        low, high = min(low, quote.bid_low), max(high, quote.ask_high)
    return slipped(low, slippage_bps, buying=False, step=step), slipped(high, slippage_bps, buying=True, step=step)

"""The floor during one tick: queued orders open, orders meet the bars, and what has had its time ends (BR-3, TL-5)."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from holdfast_exchange import groups, matching
from holdfast_exchange.assets import Asset
from holdfast_exchange.ending import end
from holdfast_exchange.filling import fill
from holdfast_exchange.orders import Intent, Order, OrderType, Status, TimeInForce, Update
from holdfast_exchange.pending import cancel_order
from holdfast_exchange.recording import Bar, QuoteBar
from holdfast_exchange.state import State

_AUCTIONS = frozenset({TimeInForce.OPG, TimeInForce.CLS})
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_STAGES = {TimeInForce.OPG: 0, TimeInForce.CLS: 2}
"""The opening auction comes first in a bar, the closing auction last."""


def open_queued(state: State, updates: list[Update]) -> None:
    """Orders that waited for their market are on it from the instant at which it opened or resumed."""
    for order in state.open_orders():
        if order.status is not Status.ACCEPTED or state.hours.is_halted(order.symbol, state.now):
            continue
        opened_at = state.hours.opens_after(state.asset(order.symbol), order.active_from, extended=order.extended_hours)
        if opened_at > state.now:
            continue
        begins = max(opened_at, resumed_at(state, order.symbol) or opened_at)
        opened = replace(order, updated_at=state.now, status=Status.NEW, active_from=begins)
        updates.append(Update(event="new", order=state.blotter.put(opened), at=state.now))


def match_symbol(state: State, symbol: str, bar: Bar, updates: list[Update]) -> None:
    """Every working order of the symbol meets the bar, in price-time priority."""
    asset = state.asset(symbol)
    left = matching.capacity(bar, state.config.volume_share, asset)
    if left <= 0 or state.hours.is_halted(symbol, state.now):
        return
    if not state.hours.is_open(asset, bar.start, extended=True):
        return
    extended_only = not state.hours.is_open(asset, bar.start)
    quote = state.market.trading_quote(bar)
    queue = []
    for order in state.open_orders():
        if order.symbol == symbol and order.is_working and (order.extended_hours or not extended_only):
            prices = _prices(state, asset, order, bar, quote)
            if prices is not None:
                stage = _STAGES.get(order.time_in_force, 1)
                queue.append((stage, -matching.urgency(order, prices), order.sequence, order.id, prices))
    for _, _, _, order_id, prices in sorted(queue, key=lambda each: each[:3]):
        order = state.orders[order_id]
        if order.is_working:
            left -= _meet(state, asset, order, prices, left, updates)


def _prices(state: State, asset: Asset, order: Order, bar: Bar, quote: QuoteBar | None) -> matching.Prices | None:
    """What the order may trade against in the bar; None where it has no part in it."""
    if order.expires_at <= bar.start:
        return None
    step = matching.CRYPTO_PRICE_STEP if asset.is_crypto else matching.PRICE_STEP
    if order.time_in_force is TimeInForce.OPG:
        return matching.auction_prices(order, bar, step=step) if state.hours.is_opening(bar.start) else None
    if order.time_in_force is TimeInForce.CLS:
        return matching.auction_prices(order, bar, step=step) if state.hours.is_closing(bar.end) else None
    resumed = resumed_at(state, order.symbol)
    if resumed is not None and resumed > order.active_from:
        order = replace(order, active_from=resumed)
    return matching.prices_for(order, bar, quote, step=step)


def resumed_at(state: State, symbol: str) -> datetime | None:
    """When trading in the symbol last went on after a halt; None: it was never halted."""
    return state.hours.resumed_at(symbol, state.now)


def _meet(
    state: State, asset: Asset, order: Order, prices: matching.Prices, left: Decimal, updates: list[Update]
) -> Decimal:
    """Matches one order; returns the shares that it has taken of `left`."""
    slippage = Decimal(0) if order.time_in_force in _AUCTIONS else state.config.slippage_bps
    met = matching.match(order, prices, slippage)
    if met.triggered and order.armed:
        order = groups.release_stop(state, order, updates)
    if (met.triggered, met.high_water_mark) != (order.triggered, order.high_water_mark):
        order = _moved(state, order, met)
    if met.price is None or left <= 0:
        return Decimal(0)
    wanted = _within_position(state, order, matching.wanted(order, met.price))
    if wanted <= 0:
        # A leg wakes with its parent's whole quantity, of which all may have been sold meanwhile.
        end(state, order, Status.CANCELED, updates)
        return Decimal(0)
    quantity = matching.in_lots(order, min(left, wanted, state.disturbances.room(order, state.now)), asset)
    if quantity <= 0 or (order.time_in_force is TimeInForce.FOK and quantity < matching.wanted(order, met.price)):
        return Decimal(0)
    fill(state, order, met.price, quantity, updates, maker=met.maker)
    return quantity


def _moved(state: State, order: Order, met: matching.Match) -> Order:
    changed = replace(order, updated_at=state.now, triggered=met.triggered)
    if order.type is OrderType.TRAILING_STOP:
        changed = replace(changed, high_water_mark=met.high_water_mark, stop_price=met.stop_price)
    return state.blotter.put(changed)


def _within_position(state: State, order: Order, quantity: Decimal) -> Decimal:
    """An order that closes a position fills what there is of it: it never turns the position."""
    held = state.books.held(order.symbol)
    if order.intent is Intent.SELL_TO_CLOSE:
        return min(quantity, max(held, Decimal(0)))
    if order.intent is Intent.BUY_TO_CLOSE:
        return min(quantity, max(-held, Decimal(0)))
    return quantity


def sweep(state: State, updates: list[Update]) -> None:
    """After matching: what was immediate has had its chance, auctions are over, and the close ends DAY orders."""
    for listed in state.open_orders():
        order = state.orders[listed.id]
        if not order.is_open:
            continue
        chance_gone = order.time_in_force in _AT_ONCE and order.is_working and order.active_from < state.now
        if chance_gone or _auction_over(state, order):
            updates.extend(cancel_order(state, order))
        elif order.expires_at <= state.now:
            end(state, order, Status.EXPIRED, updates)


def _auction_over(state: State, order: Order) -> bool:
    if order.time_in_force is TimeInForce.CLS:
        return order.expires_at <= state.now
    if order.time_in_force is not TimeInForce.OPG or not order.is_working:
        return False
    return order.active_from < state.now

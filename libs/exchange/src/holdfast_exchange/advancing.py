"""A tick: recorded data becomes visible, queued orders open, orders match, and what has had its time ends."""

from dataclasses import replace

from holdfast_core.sessions import is_open
from holdfast_exchange import matching
from holdfast_exchange.changing import cancel_order
from holdfast_exchange.commands import Advance
from holdfast_exchange.config import Outcome
from holdfast_exchange.filling import fill
from holdfast_exchange.new_day import begin_day
from holdfast_exchange.orders import Side, Status, TimeInForce, Update
from holdfast_exchange.recording import Bar
from holdfast_exchange.state import State


def advance(state: State, command: Advance) -> Outcome:
    """Moves the exchange to the command's instant."""
    state.tick = command.number
    updates: list[Update] = []
    begin_day(state, updates)
    if command.data:
        state.market.release(command.at)
        if is_open(state.now):
            _open_queued(state, updates)
        for symbol, bar in state.market.bars_ending(command.at).items():
            _match_symbol(state, symbol, bar, updates)
        _sweep(state, updates)
    return Outcome(updates=updates)


def _open_queued(state: State, updates: list[Update]) -> None:
    for order in state.open_orders():
        if order.status is Status.ACCEPTED:
            opened = replace(order, updated_at=state.now, status=Status.NEW, active_from=state.now)
            updates.append(Update(event="new", order=state.blotter.put(opened), at=state.now))


def _match_symbol(state: State, symbol: str, bar: Bar, updates: list[Update]) -> None:
    left = matching.capacity(bar, state.config.volume_share)
    quote = state.market.quotes_ending(bar.end).get(symbol)
    for order in state.open_orders():
        if order.symbol != symbol or not order.is_working or left <= 0:
            continue
        prices = matching.prices_for(order, bar, quote)
        if prices is None:
            continue
        met = matching.match(order, prices, state.config.slippage_bps)
        if met.triggered != order.triggered:
            order = state.blotter.put(replace(order, updated_at=state.now, triggered=met.triggered))
        if met.price is not None:
            quantity = min(left, order.remaining)
            if order.side is Side.SELL:
                # A leg wakes with its parent's whole quantity, of which some may have been sold meanwhile.
                quantity = min(quantity, state.books.held(symbol))
                if not quantity:
                    updates.append(state.blotter.end(order, Status.CANCELED, state.now))
                    continue
            left -= quantity
            fill(state, order, met.price, quantity, updates)


def _sweep(state: State, updates: list[Update]) -> None:
    """After matching: what was immediate-or-cancel has had its chance, and the session's close ends DAY orders."""
    for order in state.open_orders():
        current = state.orders[order.id]
        if not current.is_open:
            continue
        chance_gone = current.time_in_force is TimeInForce.IOC and current.is_working
        if chance_gone and current.active_from < state.now:
            updates.extend(cancel_order(state, current))
        elif current.expires_at <= state.now:
            updates.append(state.blotter.end(current, Status.EXPIRED, state.now))

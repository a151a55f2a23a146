"""A tick: recorded data becomes visible, queued orders open, orders match, and what has had its time ends."""

from holdfast_exchange.commands import Advance
from holdfast_exchange.config import Outcome
from holdfast_exchange.faults.firings import lose_races, take_late_orders
from holdfast_exchange.new_day import begin_day
from holdfast_exchange.orders import Update
from holdfast_exchange.pending import settle_pending
from holdfast_exchange.state import State
from holdfast_exchange.trading import match_symbol, open_queued, sweep


def advance(state: State, command: Advance) -> Outcome:
    """Moves the exchange to the command's instant."""
    state.tick = command.number
    updates: list[Update] = []
    begin_day(state, updates)
    lose_races(state, updates)
    if command.data:
        # What is due within the bar that comes now may still fill on it.
        settle_pending(state, state.market.released, updates)
        state.market.release(command.at)
        open_queued(state, updates)
        for symbol, bar in state.market.trading_bars_ending(command.at).items():
            match_symbol(state, symbol, bar, updates)
        sweep(state, updates)
        # Never in a tick of the clock alone: the bar that ends at its instant would not have been met yet, and how many
        # such ticks there are is the pace's business, not the market's.
        settle_pending(state, state.now, updates)
    take_late_orders(state, updates)
    return Outcome(updates=updates)

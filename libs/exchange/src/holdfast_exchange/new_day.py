"""The morning of a day of New York: dividends are paid, corporate actions take effect, yesterday's end is kept.

It happens with the first tick of the day, before anything can trade; so a recording's actions need no command of their
own, and an announced one is a journalled command (TS-3).
"""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from holdfast_core.new_york import new_york_day, new_york_midnight
from holdfast_exchange import account
from holdfast_exchange.account import DayStart
from holdfast_exchange.account_commands import Announce, Configure, JournalCash
from holdfast_exchange.books import Entry, EntryKind
from holdfast_exchange.config import Outcome
from holdfast_exchange.corporate_actions import SPLITS, CorporateAction
from holdfast_exchange.corporate_bookings import pay_dividends, take_effect
from holdfast_exchange.order_adjustments import adjust_orders
from holdfast_exchange.orders import Update
from holdfast_exchange.rules import unprocessable

if TYPE_CHECKING:
    from holdfast_exchange.state import State


def begin_day(state: "State", updates: list[Update]) -> None:
    """To be called with every tick: does its work with the first one of a day."""
    if state.now < state.account.today.ends:
        return
    day = new_york_day(state.now)
    equity, maintenance = state.equity(), account.balances(state).maintenance_margin
    _take_due(state, updates)
    pay_dividends(state, day)
    held = {symbol: position.quantity for symbol, position in sorted(state.books.positions.items())}
    state.account.today = DayStart(day, new_york_midnight(day + timedelta(days=1)), equity, maintenance, held)


def announce(state: "State", command: Announce) -> Outcome:
    """A corporate action becomes known; it takes effect at once where its ex-date is today. Raises Refusal 422."""
    action = command.action
    if any(known.id == action.id for known in state.account.actions):
        raise unprocessable(f"corporate action {action.id} is known already")
    if action.symbol not in state.market.symbols:
        raise unprocessable(f'asset "{action.symbol}" not found')
    state.account.actions = sorted([*state.account.actions, action], key=lambda each: each.place)
    updates: list[Update] = []
    _take_due(state, updates)
    pay_dividends(state, new_york_day(state.now))
    return Outcome(updates=updates)


def configure(state: "State", command: Configure) -> Outcome:
    """The owner's new configuration holds from now on."""
    state.account.configuration = command.configuration
    return Outcome()


def journal_cash(state: "State", command: JournalCash) -> Outcome:
    """Never refused: an account may be overdrawn by what its broker books."""
    entry = Entry(kind=EntryKind.JOURNAL_CASH, at=state.now, cash=command.amount, description=command.description)
    state.books.book([entry])
    return Outcome()


def _take_due(state: "State", updates: list[Update]) -> None:
    day = new_york_day(state.now)
    done = set(state.account.taken)
    for action in state.account.actions:
        if action.ex_date > day or action.id in done:
            continue
        state.account.taken = [*state.account.taken, action.id]
        take_effect(state, action)
        adjust_orders(state, action, updates)
        if action.kind in SPLITS:
            _split_morning(state, action)


def _split_morning(state: "State", action: CorporateAction) -> None:
    """A split during the day makes the morning's shares more as well."""
    today = state.account.today
    if action.symbol in today.held:
        held = today.held | {action.symbol: today.held[action.symbol] * action.ratio}
        state.account.today = replace(today, held=held)

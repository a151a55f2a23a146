"""Takes a firing with its effects in one, and the commands of what goes on after it: late orders, races, views."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from holdfast_exchange import admission
from holdfast_exchange.account_commands import Announce
from holdfast_exchange.commands import Submit, decode
from holdfast_exchange.config import Outcome
from holdfast_exchange.faults import handlers
from holdfast_exchange.faults.commands import (
    ALL_SYMBOLS,
    CountFault,
    EndRaces,
    FillNow,
    LoseRace,
    Maintain,
    SubmitLater,
    TellOtherwise,
    View,
)
from holdfast_exchange.faults.disturbances import ToldOtherwise
from holdfast_exchange.new_day import announce
from holdfast_exchange.orders import Refusal, Status, Update
from holdfast_exchange.pending import cancel_order
from holdfast_exchange.state import State
from holdfast_exchange.submitting import submit


def count_fault(state: State, command: CountFault) -> Outcome:
    """Raises Refusal where its first effect is impossible, and then nothing has changed and nothing is counted."""
    updates: list[Update] = []
    for line in command.effects:
        effect = decode(line)
        updates += EFFECTS[type(effect)](state, effect).updates
    state.faults.restore(command.fault_id, seen=command.seen, fired=command.fired)
    return Outcome(updates=updates)


def submit_later(state: State, command: SubmitLater) -> Outcome:
    state.disturbances.late.append((command.due, command.order))
    return Outcome()


def lose_race(state: State, command: LoseRace) -> Outcome:
    """Raises Refusal where a cancel would be refused."""
    order = state.order(command.order_id)
    admission.check_cancelable(order)
    leaving = replace(order, updated_at=state.now, status=Status.PENDING_CANCEL, was=order.status, due_at=state.now)
    state.disturbances.races[order.id] = command.quantity
    pending = state.blotter.put(leaving)
    return Outcome(pending, [Update(event="pending_cancel", order=pending, at=state.now)])


def tell_otherwise(state: State, command: TellOtherwise) -> Outcome:
    """What stands still is what the market shows now."""
    market = state.market
    told = ToldOtherwise(command.view, command.symbol, command.at, command.until)
    if command.view is View.FROZEN:
        symbols = market.symbols if command.symbol == ALL_SYMBOLS else (command.symbol,)
        for symbol in sorted(symbols):
            told.frozen[symbol] = market.last_trading_bar(symbol), market.last_quote(symbol)
    state.disturbances.told = [*(each for each in state.disturbances.told if each.until > state.now), told]
    return Outcome()


def maintain(state: State, command: Maintain) -> Outcome:
    state.disturbances.maintenance = command.until, command.wall_secs
    return Outcome()


def lose_races(state: State, updates: list[Update]) -> None:
    """To be called with each tick before cancels are settled: who is being cancelled may fill first."""
    races, state.disturbances.races = state.disturbances.races, {}
    for order_id, quantity in races.items():
        if state.orders[order_id].is_open:
            updates += handlers.fill_now(state, FillNow(state.now, order_id, quantity)).updates


def end_races(state: State, _command: EndRaces) -> Outcome:
    raced = list(state.disturbances.races)
    updates: list[Update] = []
    lose_races(state, updates)
    for order_id in raced:
        order = state.orders[order_id]
        if order.status is Status.PENDING_CANCEL:
            updates += cancel_order(state, order)
    return Outcome(updates=updates)


def take_late_orders(state: State, updates: list[Update]) -> None:
    """To be called at the end of each tick: orders that were on their way arrive, or are refused unheard."""
    late = state.disturbances.late
    state.disturbances.late = [(due, order) for due, order in late if due > state.now]
    for due, order in late:
        if due > state.now:
            continue
        try:
            updates += submit(state, Submit(state.now, order)).updates
        except Refusal:
            # Nobody is there to hear of it.
            continue


HANDLERS: dict[type[Any], Callable[[State, Any], Outcome]] = {
    CountFault: count_fault,
    SubmitLater: submit_later,
    LoseRace: lose_race,
    EndRaces: end_races,
    TellOtherwise: tell_otherwise,
    Maintain: maintain,
}
EFFECTS: dict[type[Any], Callable[[State, Any], Outcome]] = {
    **handlers.HANDLERS,
    **HANDLERS,
    Announce: announce,
    Submit: submit,
}
"""What a firing may do."""

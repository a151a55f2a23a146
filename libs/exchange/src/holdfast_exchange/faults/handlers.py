"""Takes the commands of faults."""

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import Any

from holdfast_exchange import rules
from holdfast_exchange.books import Entry, EntryKind
from holdfast_exchange.changing import cancel_order
from holdfast_exchange.config import Outcome
from holdfast_exchange.faults.commands import (
    ALL_SYMBOLS,
    ArmFaults,
    CapFill,
    CloseEarly,
    FillNow,
    Halt,
    JournalShares,
    Liquidate,
    ScalePrices,
)
from holdfast_exchange.faults.plan import from_text
from holdfast_exchange.filling import fill
from holdfast_exchange.orders import (
    AVERAGE_DIGITS,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Side,
    Status,
    TimeInForce,
    Update,
)
from holdfast_exchange.state import State
from holdfast_exchange.submitting import made


def arm_faults(state: State, command: ArmFaults) -> Outcome:
    """Raises PlanRefused where the plan is of another version."""
    state.faults.arm(from_text(command.plan))
    return Outcome()


def cap_fill(state: State, command: CapFill) -> Outcome:
    state.disturbances.caps[command.order_id] = (command.quantity, command.until)
    return Outcome()


def fill_now(state: State, command: FillNow) -> Outcome:
    """Fills what is left of the order at most, and of a sale what is held at most unless the order has ended."""
    order = state.order(command.order_id)
    quantity = min(command.quantity, order.remaining)
    if order.is_open and order.side is Side.SELL:
        quantity = min(quantity, state.books.held(order.symbol))
    price = present_price(state, order)
    updates: list[Update] = []
    if quantity > 0 and price is not None:
        state.disturbances.oversells = True
        try:
            fill(state, order, price, quantity, updates)
        finally:
            state.disturbances.oversells = False
    return Outcome(order, updates)


def present_price(state: State, order: Order) -> Decimal | None:
    """Dollars a present share at which the order would trade at once, within its limit; None before the first price."""
    buying = order.side is Side.BUY
    price = state.market.touch(order.symbol, buying=buying)
    if price is None or order.limit_price is None:
        return price
    return min(price, order.limit_price) if buying else max(price, order.limit_price)


def halt(state: State, command: Halt) -> Outcome:
    state.disturbances.halts[command.symbol] = command.until
    return Outcome()


def close_early(state: State, command: CloseEarly) -> Outcome:
    """Orders that would have ended with the session end with it now."""
    state.disturbances.early_closes[command.regular] = command.close
    for order in state.open_orders():
        if command.close < order.expires_at <= command.regular:
            state.blotter.put(replace(order, expires_at=command.close))
    return Outcome()


def liquidate(state: State, command: Liquidate) -> Outcome:
    held = state.books.held(command.symbol)
    updates: list[Update] = []
    for order in state.open_orders():
        # A leg goes with its parent.
        if order.symbol == command.symbol and state.orders[order.id].is_open:
            updates += cancel_order(state, state.orders[order.id])
    if not held:
        return Outcome(updates=updates)
    asked = NewOrder(
        symbol=command.symbol,
        side=Side.SELL if held > 0 else Side.BUY,
        quantity=abs(held),
        type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    order = state.blotter.put(made(state, asked, Status.NEW, OrderClass.SIMPLE))
    updates.append(Update(event="new", order=order, at=state.now))
    price = present_price(state, order)
    if price is not None:
        fill(state, order, price, order.quantity, updates)
    return Outcome(order, updates)


def journal_shares(state: State, command: JournalShares) -> Outcome:
    """Raises Refusal where there is no price to book them at."""
    price = state.market.price(command.symbol)
    if price is None:
        raise rules.unprocessable(f"{command.symbol} has no price yet")
    position = state.books.positions.get(command.symbol)
    if position is not None and position.quantity * command.quantity < 0:
        if abs(command.quantity) > abs(position.quantity):
            raise rules.unprocessable(f"{command.quantity} {command.symbol} of {position.quantity} held")
        left = position.quantity + command.quantity
        share = (position.cost * -command.quantity / position.quantity).quantize(AVERAGE_DIGITS, ROUND_DOWN)
        cost = -(share if left else position.cost)
    else:
        cost = price * command.quantity
    entry = Entry(
        kind=EntryKind.JOURNAL_STOCK,
        at=state.now,
        symbol=command.symbol,
        shares=command.quantity,
        cost=cost,
        price=price,
        description="shares moved by the broker",
    )
    state.books.book([entry])
    return Outcome()


def scale_prices(state: State, command: ScalePrices) -> Outcome:
    for symbol in state.market.symbols:
        if command.symbol in (symbol, ALL_SYMBOLS):
            state.market.scale(symbol, command.factor, after=command.at, until=command.until)
    return Outcome()


HANDLERS: dict[type[Any], Callable[[State, Any], Outcome]] = {
    ArmFaults: arm_faults,
    CapFill: cap_fill,
    FillNow: fill_now,
    Halt: halt,
    CloseEarly: close_early,
    Liquidate: liquidate,
    JournalShares: journal_shares,
    ScalePrices: scale_prices,
}

"""Taking a new order: every check first, then the order and its legs."""

from dataclasses import replace
from datetime import timedelta

from holdfast_core.sessions import is_open, next_close
from holdfast_exchange import admission
from holdfast_exchange.commands import Submit
from holdfast_exchange.config import Outcome
from holdfast_exchange.orders import (
    Intent,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Refusal,
    Side,
    Status,
    TimeInForce,
    Update,
)
from holdfast_exchange.state import State

GOOD_TILL = timedelta(days=90)


def submit(state: State, command: Submit) -> Outcome:
    """Raises Refusal, and then nothing has changed."""
    new = command.order
    if new.symbol not in state.market.symbols:
        raise admission.unprocessable(f'asset "{new.symbol}" not found')
    if not state.asset(new.symbol).tradable:
        raise admission.unprocessable(f"asset {new.symbol} is not tradable")
    admission.check_shape(new)
    check_client_id(state, new.client_order_id)
    price = state.market.price(new.symbol)
    if new.stop_price is not None:
        admission.check_stop(new.side, new.stop_price, price)
    admission.check_protection(new, price)
    admission.check_wash_trade(new, state.open_orders())
    if new.side is Side.SELL:
        admission.check_shares(new.symbol, new.quantity, state.books.held(new.symbol), state.open_orders())
    else:
        cost = new.quantity * state.cost_price(new.symbol, new.limit_price, new.stop_price)
        admission.check_buying_power(cost, state.buying_power())
    status = Status.NEW if is_open(state.now) else Status.ACCEPTED
    protected = new.protect_stop_price is not None
    order = made(state, new, status, OrderClass.OTO if protected else OrderClass.SIMPLE)
    state.blotter.put(order)
    if protected:
        leg = _leg_of(state, order, new)
        state.blotter.put(leg)
        order = state.blotter.put(replace(order, legs=(leg.id,)))
    updates = [Update(event="new", order=order, at=state.now)] if status is Status.NEW else []
    return Outcome(order, updates)


def made(state: State, new: NewOrder, status: Status, order_class: OrderClass) -> Order:
    """The next order, not yet in the blotter."""
    return Order(
        id=state.blotter.next_order_id(),
        sequence=state.blotter.next_sequence(),
        client_order_id=new.client_order_id or state.blotter.next_client_order_id(),
        symbol=new.symbol,
        side=new.side,
        intent=intent_of(state, new.symbol, new.side),
        quantity=new.quantity,
        type=new.type,
        time_in_force=new.time_in_force,
        order_class=order_class,
        status=status,
        created_at=state.now,
        updated_at=state.now,
        active_from=state.now,
        expires_at=state.now + GOOD_TILL if new.time_in_force is TimeInForce.GTC else next_close(state.now),
        limit_price=new.limit_price,
        stop_price=new.stop_price,
    )


def intent_of(state: State, symbol: str, side: Side) -> Intent:
    """What an order of that side does to the position as it is now."""
    held = state.books.held(symbol)
    if side is Side.BUY:
        return Intent.BUY_TO_CLOSE if held < 0 else Intent.BUY_TO_OPEN
    return Intent.SELL_TO_CLOSE if held > 0 else Intent.SELL_TO_OPEN


def check_client_id(state: State, client_order_id: str) -> None:
    """A client order id is used up for ever. Raises Refusal 422."""
    if client_order_id and state.order_by_client_id(client_order_id) is not None:
        raise Refusal(422, admission.NOT_UNIQUE, "client_order_id must be unique")


def _leg_of(state: State, parent: Order, new: NewOrder) -> Order:
    asked = NewOrder(
        symbol=parent.symbol,
        side=Side.SELL if parent.side is Side.BUY else Side.BUY,
        quantity=parent.quantity,
        type=OrderType.STOP,
        time_in_force=parent.time_in_force,
        stop_price=new.protect_stop_price,
    )
    return replace(made(state, asked, Status.HELD, OrderClass.OTO), parent=parent.id)

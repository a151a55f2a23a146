"""Cancelling an order and replacing it by another, in Alpaca's states."""

from dataclasses import replace

from holdfast_exchange import admission
from holdfast_exchange.commands import Cancel, Replace
from holdfast_exchange.config import Outcome
from holdfast_exchange.orders import NewOrder, Order, Side, Status, Update
from holdfast_exchange.state import State
from holdfast_exchange.submitting import check_client_id, made


def cancel(state: State, command: Cancel) -> Outcome:
    """Raises Refusal, and then nothing has changed."""
    return Outcome(updates=cancel_order(state, state.order(command.order_id)))


def cancel_order(state: State, order: Order) -> list[Update]:
    """Cancels an order with what hangs on it. Raises Refusal."""
    admission.check_cancelable(order)
    group = [order]
    if order.leg is not None and state.orders[order.leg].is_open:
        group.append(state.orders[order.leg])
    if order.status is Status.HELD and order.parent is not None and state.orders[order.parent].is_open:
        group.insert(0, state.orders[order.parent])
    return [state.blotter.end(member, Status.CANCELED, state.now) for member in group]


def replace_order(state: State, command: Replace) -> Outcome:
    """Raises Refusal, and then nothing has changed."""
    old, change = state.order(command.order_id), command.change
    admission.check_replaceable(old)
    check_client_id(state, change.client_order_id)
    quantity = old.remaining if change.quantity is None else change.quantity
    admission.check_quantity(quantity)
    limit_price = old.limit_price if change.limit_price is None else change.limit_price
    stop_price = old.stop_price if change.stop_price is None else change.stop_price
    if (limit_price is None) != (old.limit_price is None) or (stop_price is None) != (old.stop_price is None):
        raise admission.unprocessable(f"{old.type.value} orders do not have that price")
    admission.check_price("limit_price", limit_price)
    admission.check_price("stop_price", stop_price)
    if stop_price is not None and not old.triggered:
        admission.check_stop(old.side, stop_price, state.market.price(old.symbol))
    if old.side is Side.SELL:
        held = state.books.held(old.symbol)
        admission.check_shares(old.symbol, quantity, held, state.open_orders(), leaving=old.id)
    else:
        cost = quantity * state.cost_price(old.symbol, limit_price, stop_price)
        admission.check_buying_power(cost, state.buying_power(leaving=old.id))
    asked = NewOrder(
        symbol=old.symbol,
        side=old.side,
        quantity=quantity,
        type=old.type,
        time_in_force=change.time_in_force or old.time_in_force,
        client_order_id=change.client_order_id,
        limit_price=limit_price,
        stop_price=stop_price,
    )
    new = made(state, asked, Status.NEW, old.order_class)
    new = replace(new, replaces=old.id, parent=old.parent, triggered=old.triggered)
    replaced = state.blotter.end(old, Status.REPLACED, state.now, replaced_by=new.id)
    state.blotter.put(new)
    if old.parent is not None:
        state.blotter.put(replace(state.orders[old.parent], legs=(new.id,)))
    return Outcome(new, [replaced, Update(event="new", order=new, at=state.now)])

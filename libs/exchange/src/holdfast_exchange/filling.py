"""One execution: the fill, the books, the order's new state, and what it does to the order's group."""

from dataclasses import replace
from decimal import Decimal

from holdfast_exchange import groups, matching
from holdfast_exchange.bookings import book_fill
from holdfast_exchange.ending import reject_successor, shrink_successor
from holdfast_exchange.orders import LEAVING, ZERO, Fill, Order, Status, Update
from holdfast_exchange.state import State


def fill(
    state: State, order: Order, price: Decimal, quantity: Decimal, updates: list[Update], *, maker: bool = False
) -> None:
    """Fills `quantity` of `order` at `price`: shares and dollars a share. Appends what it has to tell to `updates`.

    `maker`: the order waited at its price; the venue's fees ask.
    """
    cumulative = order.filled_quantity + quantity
    value = order.filled_value + price * quantity
    whole = order.quantity if order.notional is None else cumulative + _still_bought(order, value, price)
    complete = cumulative == whole
    done = Fill(
        id=state.blotter.next_execution_id(),
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=price,
        cumulative=cumulative,
        leaves=whole - cumulative,
        at=state.now,
    )
    held = book_fill(state, done, maker=maker)
    before = order
    order = replace(
        order,
        updated_at=state.now,
        quantity=whole,
        filled_quantity=cumulative,
        filled_value=value,
        filled_at=state.now,
    )
    if complete:
        order = replace(order, status=Status.FILLED, was=None, due_at=None)
    elif order.status in LEAVING:
        order = replace(order, was=Status.PARTIALLY_FILLED)
    else:
        order = replace(order, status=Status.PARTIALLY_FILLED)
    state.blotter.put(order)
    event = "fill" if complete else "partial_fill"
    updates.append(Update(event=event, order=order, at=state.now, fill=done, position_quantity=held))
    if not complete:
        shrink_successor(state, before, quantity, updates)
    elif before.status is Status.PENDING_CANCEL:
        updates.append(Update(event="order_cancel_rejected", order=order, at=state.now))
    else:
        reject_successor(state, before, updates)
    groups.after_fill(state, order, updates)


def _still_bought(order: Order, value: Decimal, price: Decimal) -> Decimal:
    """Shares that what is left of a notional order's dollars buys at `price`."""
    assert order.notional is not None
    return max(matching.wanted(replace(order, filled_value=value), price), ZERO)

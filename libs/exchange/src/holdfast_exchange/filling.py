"""One execution: the fill, the books, the order's new state, and what the complete fill of a parent wakes."""

from dataclasses import replace
from decimal import Decimal

from holdfast_exchange.bookings import book_fill
from holdfast_exchange.orders import Fill, Order, Status, Update
from holdfast_exchange.state import State


def fill(state: State, order: Order, price: Decimal, quantity: Decimal, updates: list[Update]) -> None:
    """Fills `quantity` of `order` at `price`: shares and dollars a share. Appends what it has to tell to `updates`."""
    cumulative = order.filled_quantity + quantity
    complete = cumulative == order.quantity
    done = Fill(
        id=state.blotter.next_execution_id(),
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=price,
        cumulative=cumulative,
        leaves=order.quantity - cumulative,
        at=state.now,
    )
    held = book_fill(state, done)
    order = replace(
        order,
        updated_at=state.now,
        status=Status.FILLED if complete else Status.PARTIALLY_FILLED,
        filled_quantity=cumulative,
        filled_value=order.filled_value + price * quantity,
        filled_at=state.now,
    )
    state.blotter.put(order)
    event = "fill" if complete else "partial_fill"
    updates.append(Update(event=event, order=order, at=state.now, fill=done, position_quantity=held))
    if complete and order.leg is not None and state.orders[order.leg].status is Status.HELD:
        leg = replace(state.orders[order.leg], updated_at=state.now, status=Status.NEW, active_from=state.now)
        updates.append(Update(event="new", order=state.blotter.put(leg), at=state.now))

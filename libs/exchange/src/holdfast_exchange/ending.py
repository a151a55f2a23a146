"""How orders come to an end, and what else ends with them."""

from dataclasses import replace
from decimal import Decimal

from holdfast_exchange.orders import Order, Status, Update
from holdfast_exchange.state import State


def end(state: State, order: Order, status: Status, updates: list[Update]) -> None:
    """Ends one order; a replacement that was on its way for it is rejected."""
    updates.append(state.blotter.end(order, status, state.now))
    reject_successor(state, order, updates)


def reject_successor(state: State, old: Order, updates: list[Update]) -> None:
    """`old` has ended before its replacement came: that one is rejected."""
    if old.status is not Status.PENDING_REPLACE:
        return
    ended = state.orders[old.id]
    for waiting in state.open_orders():
        if waiting.replaces == old.id and waiting.status is Status.PENDING_NEW:
            updates.append(Update(event="order_replace_rejected", order=ended, at=state.now))
            failed = replace(waiting, updated_at=state.now, status=Status.REJECTED, failed_at=state.now)
            updates.append(Update(event="rejected", order=state.blotter.put(failed), at=state.now))


def shrink_successor(state: State, old: Order, quantity: Decimal, updates: list[Update]) -> None:
    """`old` has filled `quantity` more while its replacement was on its way: that much less is left for it."""
    if old.status is not Status.PENDING_REPLACE:
        return
    for waiting in state.open_orders():
        if waiting.replaces != old.id or waiting.status is not Status.PENDING_NEW:
            continue
        if waiting.quantity > quantity:
            state.blotter.put(replace(waiting, quantity=waiting.quantity - quantity))
        else:
            reject_successor(state, old, updates)
            resumed = state.orders[old.id]
            assert resumed.was is not None
            state.blotter.put(replace(resumed, status=resumed.was, was=None, due_at=None))

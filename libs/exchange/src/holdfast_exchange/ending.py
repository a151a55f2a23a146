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
    """The replacement that is on its way for `old` is rejected; unless `old` has ended it goes on as it was."""
    if old.status is not Status.PENDING_REPLACE:
        return
    kept = state.orders[old.id]
    if kept.is_open:
        assert kept.was is not None
        kept = state.blotter.put(replace(kept, updated_at=state.now, status=kept.was, was=None, due_at=None))
    for waiting in state.open_orders():
        if waiting.replaces == old.id and waiting.status is Status.PENDING_NEW:
            updates.append(Update(event="order_replace_rejected", order=kept, at=state.now))
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

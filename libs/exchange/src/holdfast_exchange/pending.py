"""Cancels and replacements, done at once or when they are due."""

from dataclasses import replace
from datetime import datetime

from holdfast_exchange import groups
from holdfast_exchange.ending import end
from holdfast_exchange.orders import WORKING, ZERO, Order, Status, Update
from holdfast_exchange.state import State


def cancel_order(state: State, order: Order) -> list[Update]:
    """Cancels an order and all that end with it, in order of acceptance."""
    updates: list[Update] = []
    group = [order, *groups.others(state, order)]
    for member in sorted(group, key=lambda each: each.sequence):
        end(state, member, Status.CANCELED, updates)
    return updates


def complete_replacement(state: State, old: Order, new: Order, updates: list[Update]) -> Order:
    """`new` takes the place of `old` in its group and on the market."""
    updates.append(state.blotter.end(old, Status.REPLACED, state.now, replaced_by=new.id))
    new = state.blotter.put(new)
    if old.parent is not None:
        parent = state.orders[old.parent]
        legs = tuple(new.id if leg == old.id else leg for leg in parent.legs)
        state.blotter.put(replace(parent, legs=legs))
    grown = new.quantity - old.remaining
    for leg_id in new.legs:
        leg = state.orders[leg_id]
        if leg.is_open:
            state.blotter.put(replace(leg, parent=new.id, quantity=leg.quantity + grown))
    if new.status in WORKING:
        updates.append(Update(event="new", order=new, at=state.now))
    return new


def settle_pending(state: State, until: datetime, updates: list[Update]) -> None:
    """Ends the pending states that are due by the instant `until`, in order of acceptance."""
    for listed in state.open_orders():
        order = state.orders[listed.id]
        if order.due_at is None or not order.is_open or order.due_at > until:
            continue
        if order.status is Status.PENDING_CANCEL:
            updates += cancel_order(state, order)
        elif order.status is Status.PENDING_NEW and order.replaces is None:
            _begin(state, order, updates)
        elif order.status is Status.PENDING_NEW:
            _take_over(state, order, updates)


def _begin(state: State, order: Order, updates: list[Update]) -> None:
    assert order.was is not None
    assert order.due_at is not None
    begun = replace(order, updated_at=state.now, status=order.was, was=None, due_at=None, active_from=order.due_at)
    state.blotter.put(begun)
    event = "accepted" if begun.status is Status.ACCEPTED else "new"
    updates.append(Update(event=event, order=begun, at=state.now))
    groups.arm_stop(state, begun)


def _take_over(state: State, new: Order, updates: list[Update]) -> None:
    """A replacement has come: the old order has not ended, else it had been rejected."""
    assert new.replaces is not None
    assert new.was is not None
    assert new.due_at is not None
    old = state.orders[new.replaces]
    assert new.quantity > ZERO
    begun = replace(new, updated_at=state.now, status=new.was, was=None, due_at=None, active_from=new.due_at)
    complete_replacement(state, old, begun, updates)

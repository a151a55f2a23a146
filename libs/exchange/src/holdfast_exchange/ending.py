"""How orders come to an end, and what else ends with them."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from holdfast_exchange import groups
from holdfast_exchange.orders import WORKING, ZERO, Order, Status, Update
from holdfast_exchange.state import State


def end(state: State, order: Order, status: Status, updates: list[Update]) -> None:
    """Ends one order; a replacement that was on its way for it is rejected."""
    updates.append(state.blotter.end(order, status, state.now))
    reject_successor(state, order, updates)


def cancel_order(state: State, order: Order) -> list[Update]:
    """Cancels an order and all that end with it, in order of acceptance."""
    updates: list[Update] = []
    group = [order, *groups.others(state, order)]
    for member in sorted(group, key=lambda each: each.sequence):
        end(state, member, Status.CANCELED, updates)
    return updates


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

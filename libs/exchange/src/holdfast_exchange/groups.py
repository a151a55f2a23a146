"""Orders that belong together: an entry with its legs, a take profit with its stop loss (order protocol: protection).

One of a group ends, all end; legs wake when their entry is filled completely, and only then. Of the two legs of an OCO
the take profit is on the market and holds the shares; the stop loss is held and watched, and takes its place when its
price trades.
"""

from dataclasses import replace

from holdfast_exchange.ending import end
from holdfast_exchange.orders import LEAVING, ZERO, Order, OrderClass, OrderType, Status, Update
from holdfast_exchange.state import State


def others(state: State, order: Order) -> list[Order]:
    """Open orders that end with `order`, in order of acceptance."""
    head = state.orders[order.parent] if order.parent is not None else order
    if head.status is Status.FILLED and order.order_class is OrderClass.OTO:
        return []
    family = [head, *(state.orders[leg] for leg in head.legs)]
    return [member for member in family if member.id != order.id and member.is_open]


def siblings(state: State, order: Order) -> list[Order]:
    """The other exit of a group, where `order` is one of its two."""
    return [
        other
        for other in others(state, order)
        if other.side is order.side and (other.stop_price is None) is not (order.stop_price is None)
    ]


def wake_legs(state: State, parent: Order, updates: list[Update]) -> None:
    """After the complete fill of `parent`: its legs are there from now on."""
    legs = [state.orders[leg] for leg in parent.legs]
    legs = [leg for leg in legs if leg.status is Status.HELD and not leg.armed]
    for leg in legs:
        if len(legs) > 1 and leg.type is not OrderType.LIMIT:
            state.blotter.put(replace(leg, updated_at=state.now, armed=True, active_from=state.now))
            continue
        woken = replace(leg, updated_at=state.now, status=Status.NEW, active_from=state.now)
        updates.append(Update(event="new", order=state.blotter.put(woken), at=state.now))


def arm_stop(state: State, take_profit: Order) -> None:
    """An OCO is on the market: its stop is watched from now on."""
    if take_profit.order_class is not OrderClass.OCO:
        return
    for leg in take_profit.legs:
        state.blotter.put(replace(state.orders[leg], armed=True, active_from=take_profit.active_from))


def release_stop(state: State, stop: Order, updates: list[Update]) -> Order:
    """The price of a watched stop has traded: its take profit goes, and the stop is on the market."""
    for other in others(state, stop):
        end_by_group(state, other, updates)
    woken = state.blotter.put(replace(stop, updated_at=state.now, status=Status.NEW, armed=False))
    updates.append(Update(event="new", order=woken, at=state.now))
    return woken


def after_fill(state: State, order: Order, updates: list[Update]) -> None:
    """What a fill of `order` does to the others of its group."""
    if order.order_class is OrderClass.OTO:
        if order.status is Status.FILLED:
            wake_legs(state, order, updates)
        return
    if order.order_class is OrderClass.BRACKET and order.legs:
        if order.status is Status.FILLED:
            wake_legs(state, order, updates)
        return
    for other in others(state, order):
        if order.status is Status.FILLED:
            end_by_group(state, other, updates)
        elif other.armed:
            left = max(order.remaining, ZERO)
            state.blotter.put(replace(other, updated_at=state.now, quantity=left))


def end_by_group(state: State, order: Order, updates: list[Update]) -> None:
    """Cancels an order because another of its group has filled: at once, or late where the fault plan says so."""
    delay = state.holds.group(order.symbol)
    if delay and order.status is Status.PENDING_CANCEL:
        return
    if delay and order.is_working and order.status not in LEAVING:
        late = replace(order, updated_at=state.now, status=Status.PENDING_CANCEL, due_at=state.now + delay)
        state.blotter.put(replace(late, was=Status.NEW, armed=False))
        return
    end(state, order, Status.CANCELED, updates)

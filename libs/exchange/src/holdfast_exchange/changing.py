"""Cancelling an order and replacing it by another, in Alpaca's states: at once, or pending for a while (BR-2)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from holdfast_exchange import account, admission, groups, rules
from holdfast_exchange.commands import Cancel, Replace
from holdfast_exchange.config import Outcome
from holdfast_exchange.ending import reject_successor
from holdfast_exchange.holds import Step
from holdfast_exchange.matching import trail_stop
from holdfast_exchange.orders import NewOrder, Order, OrderClass, OrderType, Replacement, Status, Update
from holdfast_exchange.pending import cancel_order, complete_replacement
from holdfast_exchange.state import State
from holdfast_exchange.submitting import check_client_id, check_position, check_times, made
from holdfast_exchange.venue_commands import Hold, RejectReplacement

__all__ = ["cancel", "cancel_order", "hold", "reject_replacement", "replace_order"]


def cancel(state: State, command: Cancel) -> Outcome:
    """Raises Refusal, and then nothing has changed."""
    order = state.order(command.order_id)
    admission.check_cancelable(order)
    delay = state.holds.of(Step.CANCEL, order.symbol)
    if delay and order.reserves:
        pending = _pending(state, order, Status.PENDING_CANCEL, Step.CANCEL)
        return Outcome(pending, [Update(event="pending_cancel", order=pending, at=state.now)])
    updates = cancel_order(state, order)
    return Outcome(state.orders[order.id], updates)


def replace_order(state: State, command: Replace) -> Outcome:
    """Raises Refusal, and then nothing has changed."""
    old, change = state.order(command.order_id), command.change
    admission.check_replaceable(old)
    rules.check_change(old, change)
    check_client_id(state, change.client_order_id)
    asset = state.asset(old.symbol)
    asked = _asked(old, change)
    rules.check_shape(replace(asked, order_class=OrderClass.SIMPLE), asset)
    check_times(state, asked)
    if asked.stop_price is not None and not old.triggered:
        admission.check_stop(old.side, asked.stop_price, state.market.price(old.symbol))
    admission.check_protection(_protected(state, asked, old), state.market.price(old.symbol))
    for sibling in groups.siblings(state, old):
        admission.check_sides(asked.side, *_gain_and_loss(asked, sibling))
    account.check_may_trade(state, old.symbol, old.side, asked.quantity)
    own = {old.id, *(member.id for member in groups.others(state, old))}
    admission.check_wash_trade(asked, [order for order in state.open_orders() if order.id not in own])
    if old.reserves:
        check_position(state, asset, asked, leaving=old)
    new = replace(
        made(state, asked),
        replaces=old.id,
        parent=old.parent,
        legs=old.legs,
        triggered=old.triggered,
        status=Status.HELD if old.armed else Status.NEW,
        armed=old.armed,
    )
    if new.trail_price is not None or new.trail_percent is not None:
        mark = old.high_water_mark
        stop = None if mark is None else trail_stop(old.side, mark, new.trail_price, new.trail_percent)
        new = replace(new, high_water_mark=mark, stop_price=stop)
    if state.holds.of(Step.REPLACE, old.symbol):
        old = _pending(state, old, Status.PENDING_REPLACE, Step.REPLACE)
        new = state.blotter.put(replace(new, status=Status.PENDING_NEW, was=new.status, due_at=old.due_at))
        return Outcome(new, [Update(event=each.status.value, order=each, at=state.now) for each in (old, new)])
    updates: list[Update] = []
    return Outcome(complete_replacement(state, old, new, updates), updates)


def hold(state: State, command: Hold) -> Outcome:
    """From now on the venue takes its time over a step."""
    state.holds.set(command.step, command.symbol, timedelta(seconds=float(command.secs)))
    return Outcome()


def reject_replacement(state: State, command: RejectReplacement) -> Outcome:
    """Nothing happens where none is on its way. Raises Refusal where there is no such order."""
    updates: list[Update] = []
    reject_successor(state, state.order(command.order_id), updates)
    return Outcome(state.orders[command.order_id], updates)


def _pending(state: State, order: Order, status: Status, step: Step) -> Order:
    due_at = state.now + state.holds.of(step, order.symbol)
    return state.blotter.put(replace(order, updated_at=state.now, status=status, was=order.status, due_at=due_at))


def _protected(state: State, asked: NewOrder, old: Order) -> NewOrder:
    """`asked` with the prices of the legs that it takes over from `old`."""
    for leg in (state.orders[leg] for leg in old.legs):
        if leg.stop_price is None:
            asked = replace(asked, take_profit_price=leg.limit_price)
        else:
            asked = replace(asked, protect_stop_price=leg.stop_price)
    return asked


def _gain_and_loss(asked: NewOrder, sibling: Order) -> tuple[Decimal | None, Decimal | None]:
    """The take profit's limit and the stop loss's stop, of which `asked` becomes one and `sibling` is the other."""
    if asked.stop_price is None:
        return asked.limit_price, sibling.stop_price
    return sibling.limit_price, asked.stop_price


def _asked(old: Order, change: Replacement) -> NewOrder:
    """The order that takes the place of `old`. What has filled already counts towards its quantity."""
    trailing_by_price = old.trail_price is not None
    return NewOrder(
        symbol=old.symbol,
        side=old.side,
        quantity=old.remaining if change.quantity is None else change.quantity - old.filled_quantity,
        type=old.type,
        time_in_force=change.time_in_force or old.time_in_force,
        client_order_id=change.client_order_id,
        limit_price=change.limit_price or old.limit_price,
        stop_price=None if old.type is OrderType.TRAILING_STOP else change.stop_price or old.stop_price,
        trail_price=(change.trail or old.trail_price) if trailing_by_price else None,
        trail_percent=(change.trail or old.trail_percent) if old.trail_percent is not None else None,
        extended_hours=old.extended_hours,
        order_class=old.order_class,
        intent=old.intent,
    )

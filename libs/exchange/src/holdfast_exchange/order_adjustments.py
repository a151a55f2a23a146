"""What a corporate action does to open orders: FINRA rule 5330, to which Alpaca's orders are subject.

Do-not-reduce orders do not exist at Alpaca. A forward split multiplies quantities and divides prices, of sales too, and
tells it as `restated`; a reverse split, a merger and a new name cancel. A cash dividend lowers purchases and stops of
sales; other orders stay. Prices are rounded away from being met: purchases and stops of sales down, the others up.
"""

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from holdfast_core.instruments import round_price
from holdfast_exchange.assets import FRACTION
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.orders import Order, Side, Status, Update
from holdfast_exchange.state import State

LEAST_DIVIDEND = Decimal("0.01")
"""Smaller ones move no price."""
_CANCELLING = frozenset(
    {
        ActionKind.REVERSE_SPLIT,
        ActionKind.STOCK_MERGER,
        ActionKind.CASH_MERGER,
        ActionKind.STOCK_AND_CASH_MERGER,
        ActionKind.NAME_CHANGE,
    }
)


def adjust_orders(state: State, action: CorporateAction, updates: list[Update]) -> None:
    """Adjusts or cancels the open orders of the action's symbol, in order of acceptance."""
    for order in [each for each in state.open_orders() if each.symbol == action.symbol]:
        if action.kind in _CANCELLING:
            updates.append(state.blotter.end(order, Status.CANCELED, state.now))
            continue
        if action.kind is ActionKind.FORWARD_SPLIT:
            adjusted = _split(order, action.ratio)
        elif action.kind is ActionKind.CASH_DIVIDEND and action.cash >= LEAST_DIVIDEND:
            adjusted = _reduced(order, action.cash)
        else:
            continue
        if adjusted is None:
            updates.append(state.blotter.end(order, Status.CANCELED, state.now))
        elif adjusted != order:
            kept = state.blotter.put(replace(adjusted, updated_at=state.now))
            updates.append(Update(event="restated", order=kept, at=state.now))


def _split(order: Order, ratio: Decimal) -> Order | None:
    """What is still open of it in new shares; what has been filled was filled in old ones. None: nothing is left."""
    whole = order.quantity == order.quantity.to_integral_value()
    step = Decimal(1) if whole else FRACTION
    remaining = (order.remaining * ratio).quantize(step, rounding=ROUND_DOWN)
    if not remaining:
        return None
    buying = order.side is Side.BUY
    return replace(
        order,
        quantity=order.filled_quantity + remaining,
        limit_price=_divided(order.limit_price, ratio, up=not buying),
        stop_price=_divided(order.stop_price, ratio, up=buying),
        trail_price=_divided(order.trail_price, ratio, up=True),
        high_water_mark=_divided(order.high_water_mark, ratio, up=buying),
    )


def _divided(price: Decimal | None, ratio: Decimal, *, up: bool) -> Decimal | None:
    return None if price is None else round_price(price / ratio, up=up)


def _reduced(order: Order, cash: Decimal) -> Order | None:
    """A purchase, or the stop of a sale, lowered by a dividend of `cash` a share. None: its price would be nothing."""
    if order.side is Side.SELL and order.stop_price is None:
        return order
    if order.side is Side.BUY and order.stop_price is not None:
        return order
    if any(price is not None and price <= cash for price in (order.limit_price, order.stop_price)):
        return None
    return replace(order, limit_price=_less(order.limit_price, cash), stop_price=_less(order.stop_price, cash))


def _less(price: Decimal | None, cash: Decimal) -> Decimal | None:
    return None if price is None else round_price(price - cash, up=False)

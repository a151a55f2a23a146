"""Orders of every kind by alpaca-py: groups, stops, trails, amounts and parts (BR-2)."""

from typing import Any

from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    GetOrdersRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)

from tests.contract.alpaca.account import PaperAccount, ask, until
from tests.contract.alpaca.orders import bid, ended


async def test_a_bracket_holds_both_its_legs_until_the_entry_has_filled(account: PaperAccount) -> None:
    asked = bid(
        account,
        order_class=OrderClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=5.0),
        stop_loss=StopLossRequest(stop_price=1.5, limit_price=1.4),
    )
    made = await ask(account.trading.submit_order, asked)
    assert {leg.status for leg in made.legs} == {OrderStatus.HELD}
    assert {leg.type for leg in made.legs} == {OrderType.LIMIT, OrderType.STOP_LIMIT}
    nested = await ask(account.trading.get_order_by_id, made.id, GetOrderByIdRequest(nested=True))
    assert {leg.id for leg in nested.legs} == {leg.id for leg in made.legs}
    rolled = await ask(account.trading.get_orders, GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True))
    assert {leg.id for leg in made.legs}.isdisjoint({order.id for order in rolled})
    await ask(account.trading.cancel_order_by_id, made.id)
    await until(lambda: ended(account, made.legs[0].id))


async def test_stop_stop_limit_and_trailing_stop(account: PaperAccount) -> None:
    common: dict[str, Any] = {"symbol": "BAC", "qty": 1, "side": OrderSide.BUY, "time_in_force": TimeInForce.GTC}
    stop = await ask(
        account.trading.submit_order,
        StopOrderRequest(**common, stop_price=900.0, client_order_id=account.client_id()),
    )
    assert float(stop.stop_price) == 900
    limited = await ask(
        account.trading.submit_order,
        StopLimitOrderRequest(**common, stop_price=900.0, limit_price=910.0, client_order_id=account.client_id()),
    )
    assert (limited.type, float(limited.limit_price)) == (OrderType.STOP_LIMIT, 910)
    trailing = await ask(
        account.trading.submit_order,
        TrailingStopOrderRequest(**common, trail_percent=90.0, client_order_id=account.client_id()),
    )
    assert (trailing.type, float(trailing.trail_percent)) == (OrderType.TRAILING_STOP, 90)


async def test_notional_and_fractional_orders(account: PaperAccount) -> None:
    """Trap 15. Limits of two dollars, so that they rest."""
    amount = await ask(
        account.trading.submit_order, bid(account, qty=None, notional=5.0, time_in_force=TimeInForce.DAY)
    )
    assert (amount.qty, float(amount.notional)) == (None, 5)
    part = await ask(account.trading.submit_order, bid(account, qty=0.5, time_in_force=TimeInForce.DAY))
    assert float(part.qty) == 0.5

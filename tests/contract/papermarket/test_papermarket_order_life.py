"""The life of orders as alpaca-py sees it: groups, pending states and their updates (BR-2, BR-4)."""

from decimal import Decimal
from typing import Any

from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, OrderType, PositionIntent, TimeInForce
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from holdfast_exchange.holds import Step
from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import MINUTE, OPEN, ask, entry, eventually, market_order, refused, streaming

NESTED = GetOrderByIdRequest(nested=True)


def bracket(**fields: Any) -> MarketOrderRequest:
    return market_order(
        OrderSide.BUY,
        order_class=OrderClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=200.0),
        stop_loss=StopLossRequest(stop_price=150.0, limit_price=149.5),
        **fields,
    )


async def test_a_bracket_from_entry_to_the_cancel_of_its_exits(market: Embedded, trading: TradingClient) -> None:
    """Trap 9."""
    placed = await ask(trading.submit_order, bracket())
    assert [(leg.type, leg.status) for leg in placed.legs] == [
        (OrderType.LIMIT, OrderStatus.HELD),
        (OrderType.STOP_LIMIT, OrderStatus.HELD),
    ]
    market.step_to(OPEN + 6 * MINUTE)
    filled = await ask(trading.get_order_by_id, placed.id, NESTED)
    assert [filled.status, *(leg.status for leg in filled.legs)] == [
        OrderStatus.FILLED,
        OrderStatus.NEW,
        OrderStatus.HELD,
    ]
    assert [leg.position_intent for leg in filled.legs] == [PositionIntent.SELL_TO_CLOSE] * 2
    raised = await ask(trading.replace_order_by_id, filled.legs[1].id, ReplaceOrderRequest(stop_price=151.0))
    assert (raised.replaces, raised.stop_price, raised.limit_price) == (filled.legs[1].id, "151", "149.5")
    await ask(trading.cancel_order_by_id, filled.legs[0].id)
    assert (await ask(trading.get_order_by_id, raised.id)).status is OrderStatus.CANCELED, "the group goes with it"


async def test_an_oco_is_its_take_profit_with_the_stop_below(market: Embedded, trading: TradingClient) -> None:
    await ask(trading.submit_order, market_order(OrderSide.BUY))
    market.step_to(OPEN + 6 * MINUTE)
    exits = LimitOrderRequest(
        symbol="SPY",
        qty=10,
        side=OrderSide.SELL,
        time_in_force=TimeInForce.GTC,
        order_class=OrderClass.OCO,
        take_profit=TakeProfitRequest(limit_price=200.0),
        stop_loss=StopLossRequest(stop_price=150.0),
    )
    placed = await ask(trading.submit_order, exits)
    assert (placed.type, placed.limit_price, placed.order_class) == (OrderType.LIMIT, "200", OrderClass.OCO)
    assert [(leg.type, leg.status, leg.stop_price) for leg in placed.legs] == [
        (OrderType.STOP, OrderStatus.HELD, "150")
    ]


async def test_a_trailing_stop_shows_its_mark_and_takes_a_new_trail(market: Embedded, trading: TradingClient) -> None:
    await ask(trading.submit_order, market_order(OrderSide.BUY))
    market.step_to(OPEN + 6 * MINUTE)
    asked = TrailingStopOrderRequest(
        symbol="SPY", qty=10, side=OrderSide.SELL, time_in_force=TimeInForce.GTC, trail_price=20.0
    )
    placed = await ask(trading.submit_order, asked)
    mark = Decimal(str(placed.hwm))
    assert Decimal(str(placed.stop_price)) == mark - 20
    changed = await ask(trading.replace_order_by_id, placed.id, ReplaceOrderRequest(trail=30.0))
    assert (Decimal(str(changed.hwm)), Decimal(str(changed.stop_price))) == (mark, mark - 30)
    assert (changed.trail_price, changed.trail_percent) == ("30", None)


async def test_pending_states_are_told_and_refuse_as_alpaca_does(market: Embedded, trading: TradingClient) -> None:
    """Traps 10 and 16: the old order may fill first, and then the replacement is rejected."""
    seen: list[Any] = []

    async def on_update(update: Any) -> None:
        seen.append(update)

    stream = TradingStream(market.keys.key, market.keys.secret, url_override=market.trading_stream_url)
    stream.subscribe_trade_updates(on_update)
    async with streaming(stream):
        await eventually(lambda: market.venue.updates.sent is not None)
        resting = await ask(trading.submit_order, entry(limit=100.0))
        for step in (Step.CANCEL, Step.REPLACE):
            market.venue.hold(step, Decimal(90))
        await ask(trading.cancel_order_by_id, resting.id)
        assert (await ask(trading.get_order_by_id, resting.id)).status is OrderStatus.PENDING_CANCEL
        status, body = await refused(trading.cancel_order_by_id, resting.id)
        assert (status, body["code"]) == (422, 42210000)
        moving = await ask(trading.submit_order, entry(limit=170.0))
        change = ReplaceOrderRequest(limit_price=171.0)
        waiting = await ask(trading.replace_order_by_id, moving.id, change)
        assert (waiting.status, waiting.replaces) == (OrderStatus.PENDING_NEW, moving.id)
        assert (await refused(trading.replace_order_by_id, moving.id, change))[0] == 422
        market.step_to(OPEN + 6 * MINUTE)
        market.step_to(OPEN + 7 * MINUTE)
        states = [(await ask(trading.get_order_by_id, order.id)).status for order in (resting, moving, waiting)]
        assert states == [OrderStatus.CANCELED, OrderStatus.FILLED, OrderStatus.REJECTED]
        await eventually(lambda: len(seen) == 9)
    assert [getattr(update.event, "value", update.event) for update in seen] == [
        "new",
        "pending_cancel",
        "new",
        "pending_replace",
        "pending_new",
        "fill",
        "order_replace_rejected",
        "rejected",
        "canceled",
    ]


async def test_cancelling_all_tells_of_each_order_how_it_went(market: Embedded, trading: TradingClient) -> None:
    first = await ask(trading.submit_order, entry(limit=100.0))
    second = await ask(trading.submit_order, entry(limit=101.0))
    market.venue.hold(Step.CANCEL, Decimal(90))
    await ask(trading.cancel_order_by_id, first.id)
    answers = await ask(trading.cancel_orders)
    assert {(each.id, each.status) for each in answers} == {(first.id, 422), (second.id, 200)}


async def test_an_order_may_name_its_asset_by_id_and_its_amount_in_dollars(
    market: Embedded, trading: TradingClient
) -> None:
    asset = await ask(trading.get_asset, "SPY")
    asked = MarketOrderRequest(symbol=str(asset.id), notional=500, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    placed = await ask(trading.submit_order, asked)
    assert (placed.symbol, placed.notional, placed.qty) == ("SPY", "500", None)
    market.step_to(OPEN + 6 * MINUTE)
    filled = await ask(trading.get_order_by_id, placed.id)
    assert filled.status is OrderStatus.FILLED
    paid = Decimal(str(filled.filled_qty)) * Decimal(str(filled.filled_avg_price))
    assert abs(paid - 500) < Decimal("0.001")

"""What only a replay can show, because it must be moved on or fill: the rest of alpaca-py's calls (BR-1 … BR-6)."""

from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import ActivityType, OrderSide, OrderStatus, TimeInForce
from alpaca.trading.models import AccountConfiguration, TradeActivity
from alpaca.trading.requests import ClosePositionRequest, MarketOrderRequest

from holdfast_papermarket.embedded import Embedded
from tests.contract.alpaca.account import PaperAccount, ask
from tests.contract.alpaca.orders import bid
from tests.contract.papermarket.client import MINUTE, OPEN


def market_order(account: PaperAccount, symbol: str, quantity: int) -> MarketOrderRequest:
    return MarketOrderRequest(
        symbol=symbol,
        qty=quantity,
        side=OrderSide.BUY,
        time_in_force=TimeInForce.DAY,
        client_order_id=account.client_id(),
    )


async def bought(replay: Embedded, account: PaperAccount, **quantities: int) -> None:
    for symbol, quantity in quantities.items():
        await ask(account.trading.submit_order, market_order(account, symbol, quantity))
    replay.step_to(OPEN + 6 * MINUTE)


async def test_a_filled_order_is_a_position_an_activity_and_cash(replay: Embedded, account: PaperAccount) -> None:
    before = await ask(account.trading.get_account)
    await bought(replay, account, SPY=3)
    position = await ask(account.trading.get_open_position, "SPY")
    assert (await ask(account.trading.get_open_position, position.asset_id)).symbol == "SPY"
    told = await ask(lambda: account.trading.get("/account/activities/FILL"))
    fills = [TradeActivity(**each) for each in told]
    assert [(fill.activity_type, fill.symbol, fill.cum_qty) for fill in fills] == [(ActivityType.FILL, "SPY", 3)]
    paid = float(before.cash) - float((await ask(account.trading.get_account)).cash)
    assert paid == pytest.approx(3 * fills[0].price)
    assert float(position.cost_basis) == pytest.approx(paid)


async def test_positions_are_closed_in_part_and_all_at_once(replay: Embedded, account: PaperAccount) -> None:
    await bought(replay, account, SPY=4, BAC=10)
    part = await ask(account.trading.close_position, "SPY", ClosePositionRequest(percentage="50"))
    assert (float(part.qty), part.side) == (2, OrderSide.SELL)
    replay.step_to(OPEN + 7 * MINUTE)
    await ask(account.trading.submit_order, bid(account, symbol="IBM"))
    closed = await ask(account.trading.close_all_positions, True)
    assert {(each.symbol, each.status) for each in closed} == {("BAC", 200), ("SPY", 200)}
    assert all(each.body.side is OrderSide.SELL for each in closed)
    replay.step_to(OPEN + 8 * MINUTE)
    assert await ask(account.trading.get_all_positions) == []
    assert await ask(account.trading.get_orders) == []


async def test_a_position_that_is_spoken_for_is_closed_with_a_refusal_of_its_own(
    replay: Embedded, account: PaperAccount
) -> None:
    await bought(replay, account, SPY=4)
    resting = {"symbol": "SPY", "qty": "4", "side": "sell", "type": "limit", "limit_price": "900"}
    assert (await account.raw("POST", "/v2/orders", json=resting | {"time_in_force": "gtc"})).status_code == 200
    (refused,) = await ask(account.trading.close_all_positions, False)
    assert (refused.symbol, refused.status, refused.body.code) == ("SPY", 403, 40310000)


async def test_cancel_all_tells_of_each_order(replay: Embedded, account: PaperAccount) -> None:
    made = [await ask(account.trading.submit_order, bid(account, limit_price=2.0 + n / 10)) for n in range(3)]
    answers = await ask(account.trading.cancel_orders)
    assert {(each.id, each.status) for each in answers} == {(order.id, 200) for order in made}
    for order in made:
        assert (await ask(account.trading.get_order_by_id, order.id)).status is OrderStatus.CANCELED


async def test_settings_are_changed_and_kept(replay: Embedded, account: PaperAccount) -> None:
    settings: AccountConfiguration = await ask(account.trading.get_account_configurations)
    changed = settings.model_copy(update={"suspend_trade": True})
    assert (await ask(account.trading.set_account_configurations, changed)).suspend_trade is True
    assert (await ask(account.trading.get_account)).trade_suspended_by_user is True
    with pytest.raises(APIError) as refused:
        await ask(account.trading.submit_order, bid(account))
    assert refused.value.status_code == 403
    for body in ('{"suspend_trade":"maybe"}', '{"max_margin_multiplier":"7"}', "[]", "nothing"):
        assert (await account.raw("PATCH", "/v2/account/configurations", data=body)).status_code in (400, 422), body


async def test_a_query_of_activities_that_makes_no_sense_is_refused(replay: Embedded, account: PaperAccount) -> None:
    for query in (
        "page_size=0",
        "page_size=101",
        "direction=up",
        "page_token=unknown",
        "after=yesterday",
        "activity_types=GIFT",
        "activity_types=FILL&category=trade_activity",
        "date=2013-10-08&after=2013-10-01",
    ):
        answer = await account.raw("GET", f"/v2/account/activities?{query}")
        assert answer.status_code in (400, 422), query
    for query in ("period=soon", "timeframe=7Min", "start=never", "period=1D&start=2013-10-01&end=2013-10-08"):
        answer = await account.raw("GET", f"/v2/account/portfolio/history?{query}")
        assert answer.status_code in (400, 422), query


async def test_an_order_is_told_alike_by_every_call(replay: Embedded, account: PaperAccount) -> None:
    made = await ask(account.trading.submit_order, bid(account))
    replay.step_to(OPEN + 6 * MINUTE)
    listed: dict[Any, Any] = {order.id: order for order in await ask(account.trading.get_orders)}
    by_id = await ask(account.trading.get_order_by_id, made.id)
    by_client_id = await ask(account.trading.get_order_by_client_id, made.client_order_id)
    assert listed[made.id] == by_id == by_client_id

"""Orders and their refusals, by alpaca-py (BR-1 … BR-5). Limits are far from any market, so that nothing fills."""

from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import (
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    GetOrdersRequest,
    ReplaceOrderRequest,
    StopLossRequest,
)

from holdfast_papermarket.embedded import Embedded
from tests.contract.alpaca.account import PaperAccount, ask, until
from tests.contract.alpaca.orders import OPEN, bid, ended, resting

UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def refused(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(APIError) as error:
        await ask(call, *arguments)
    return int(error.value.status_code or 0), error.value.message


async def test_a_limit_order_from_its_submission_to_its_cancel(account: PaperAccount) -> None:
    asked = bid(account)
    made = await ask(account.trading.submit_order, asked)
    assert made.status in OPEN
    assert (made.client_order_id, made.symbol, made.side) == (asked.client_order_id, "SPY", OrderSide.BUY)
    assert (float(made.qty), float(made.limit_price), float(made.filled_qty)) == (1, 2, 0)
    assert (made.type, made.time_in_force, made.order_class) == (OrderType.LIMIT, TimeInForce.GTC, OrderClass.SIMPLE)
    assert (made.legs, made.replaces, made.canceled_at) == (None, None, None)
    assert (await ask(account.trading.get_order_by_id, made.id)).id == made.id
    assert (await ask(account.trading.get_order_by_client_id, asked.client_order_id)).id == made.id
    listed = await ask(account.trading.get_orders, GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["SPY"]))
    assert made.id in {order.id for order in listed}
    await ask(account.trading.cancel_order_by_id, made.id)
    gone = await until(lambda: ended(account, made.id))
    assert gone.status is OrderStatus.CANCELED
    assert gone.canceled_at >= made.created_at
    status, message = await refused(account.trading.cancel_order_by_id, made.id)
    assert (status, bool(message)) == (422, True)


async def test_a_client_order_id_is_used_up_for_good(account: PaperAccount) -> None:
    """Trap 6: after a cancel too."""
    asked = bid(account)
    made = await ask(account.trading.submit_order, asked)
    assert await refused(account.trading.submit_order, asked) == (422, "client_order_id must be unique")
    await ask(account.trading.cancel_order_by_id, made.id)


async def test_a_replacement_is_an_order_of_its_own(replay: Embedded, account: PaperAccount) -> None:
    """Trap 16. Alpaca replaces only while its market is open: a replay is, always."""
    made = await ask(account.trading.submit_order, bid(account))
    await until(lambda: resting(account, made.id))
    change = ReplaceOrderRequest(limit_price=3.0, client_order_id=account.client_id())
    replacing = await ask(account.trading.replace_order_by_id, made.id, change)
    assert (replacing.replaces, float(replacing.limit_price)) == (made.id, 3)
    old = await until(lambda: _replaced(account, made.id))
    assert old.replaced_by == replacing.id


def _replaced(account: PaperAccount, order_id: Any) -> Any:
    found = account.trading.get_order_by_id(order_id)
    return found if found.status is OrderStatus.REPLACED else None


async def test_oto_with_a_stop(account: PaperAccount) -> None:
    asked = bid(account, order_class=OrderClass.OTO, stop_loss=StopLossRequest(stop_price=1.5))
    made = await ask(account.trading.submit_order, asked)
    assert [(leg.type, leg.side, leg.status) for leg in made.legs] == [
        (OrderType.STOP, OrderSide.SELL, OrderStatus.HELD)
    ]


async def test_order_lists_are_cut_sorted_and_filtered(account: PaperAccount) -> None:
    made = [await ask(account.trading.submit_order, bid(account, limit_price=2.0 + n / 10)) for n in range(3)]
    for direction in ("asc", "desc"):
        asked = GetOrdersRequest(status=QueryOrderStatus.ALL, limit=2, direction=direction, symbols=["SPY"])
        times = [order.submitted_at for order in await ask(account.trading.get_orders, asked)]
        assert len(times) == 2
        assert times == sorted(times, reverse=direction == "desc")
    newest = await ask(account.trading.get_orders, GetOrdersRequest(side=OrderSide.SELL, symbols=["SPY"]))
    assert {order.id for order in made}.isdisjoint({order.id for order in newest})


REFUSED = (
    ("not json", 400),
    ("[]", 400),
    ("{}", 422),
    ('{"symbol":"SPY","side":"buy","type":"market","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"ten","side":"buy","type":"market","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"-1","side":"buy","type":"market","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"1","notional":"5","side":"buy","type":"market","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"1","side":"hold","type":"market","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"1","side":"buy","type":"guess","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"1","side":"buy","type":"limit","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"1","side":"buy","type":"limit","limit_price":"2.001","time_in_force":"day"}', 422),
    ('{"symbol":"NOSUCHASSET","qty":"1","side":"buy","type":"market","time_in_force":"day"}', 422),
    ('{"symbol":"SPY","qty":"1000000","side":"buy","type":"limit","limit_price":"90","time_in_force":"day"}', 403),
)


async def test_what_cannot_be_traded_is_refused(account: PaperAccount) -> None:
    for body, status in REFUSED:
        answer = await account.raw("POST", "/v2/orders", data=body)
        # A real account may be rich enough, or name another field first: the status and the form are what counts.
        expected = (status,) if account.market is not None else (400, 403, 422)
        assert answer.status_code in expected, body
        assert answer.json()["message"]


async def test_a_client_order_id_of_more_than_128_characters_is_refused(account: PaperAccount) -> None:
    body = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "limit", "limit_price": "2", "time_in_force": "day"}
    answer = await account.raw("POST", "/v2/orders", json=body | {"client_order_id": account.marker + "x" * 128})
    assert (answer.status_code, answer.json()["code"]) == (422, 40010001)


async def test_orders_that_do_not_exist(account: PaperAccount) -> None:
    for call in (account.trading.get_order_by_id, account.trading.cancel_order_by_id):
        assert (await refused(call, UNKNOWN))[0] == 404
    assert (await refused(account.trading.get_order_by_client_id, account.client_id()))[0] == 404
    change = ReplaceOrderRequest(limit_price=3.0)
    assert (await refused(account.trading.replace_order_by_id, UNKNOWN, change))[0] == 404
    assert (await account.raw("GET", "/v2/orders/no-uuid")).status_code in (404, 422)


NONSENSE = ("status=maybe", "limit=many", "limit=0", "limit=501", "direction=up", "after=yesterday", "nested=maybe")


async def test_a_query_of_orders_that_makes_no_sense_is_refused(replay: Embedded, account: PaperAccount) -> None:
    for query in NONSENSE:
        assert (await account.raw("GET", f"/v2/orders?{query}")).status_code in (400, 422), query

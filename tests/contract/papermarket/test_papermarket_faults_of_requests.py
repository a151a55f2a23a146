"""Each fault of a request fires as it is described, over real HTTP (TS-3, BR-1, BR-2, BR-4, BR-5, BS-4)."""

import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from holdfast_exchange.combining import load_defaults
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.replay import plan
from holdfast_papermarket.embedded import Embedded
from holdfast_papermarket.faults.requests import describe
from tests.contract.papermarket.client import MINUTE, OPEN, eventually
from tests.contract.papermarket.faulty import accepted, arm, fired, order, rest, unanswered

BEFORE, AFTER = "before_accept", "after_accept"
ON_SUBMIT = {"endpoint": "orders.submit", "at_most": 1}


@pytest.mark.parametrize(("when", "taken"), [(BEFORE, []), (AFTER, ["mine"])])
@pytest.mark.parametrize("shape", ["fixed", "random", "heavy_tail"])
async def test_an_answer_is_late(market: Embedded, shape: str, when: str, taken: list[str]) -> None:
    """BR-2. How long it takes is proven where it is drawn."""
    arm(market, "latency", ON_SUBMIT, shape=shape, ms=5_000, max_ms=6_000, when=when)
    async with rest(market) as client:
        await unanswered(market, client)
        await eventually(lambda: accepted(market) == taken)


async def test_a_late_answer_is_the_venues_own(market: Embedded) -> None:
    arm(market, "latency", ms=1)
    async with rest(market) as client:
        assert (await client.post("/v2/orders", json=order())).json()["client_order_id"] == "mine"
    assert fired(market) == 1


@pytest.mark.parametrize(("when", "taken"), [(BEFORE, []), (AFTER, ["mine"])])
async def test_no_answer_comes_and_the_order_is_there_or_not(market: Embedded, when: str, taken: list[str]) -> None:
    arm(market, "no_answer", ON_SUBMIT, when=when)
    async with rest(market) as client:
        await unanswered(market, client)
        await eventually(lambda: accepted(market) == taken)
        again = await client.post("/v2/orders", json=order())
    assert again.status_code == (422 if taken else 200), "the same client order id is taken once"
    assert accepted(market) == ["mine"]


async def test_no_answer_ends_with_the_venue_hanging_up(market: Embedded) -> None:
    arm(market, "no_answer", ON_SUBMIT, hold_secs=0.05)
    async with rest(market) as client:
        with pytest.raises(httpx.TransportError):
            await client.post("/v2/orders", json=order())


async def test_an_order_arrives_after_its_client_has_given_up(market: Embedded) -> None:
    arm(market, "late_accept", ON_SUBMIT, late_secs=60)
    async with rest(market) as client:
        await unanswered(market, client)
        absent = await client.get("/v2/orders:by_client_order_id?client_order_id=mine")
        assert (absent.status_code, accepted(market)) == (404, [])
        market.step_to(OPEN + 6 * MINUTE)
        assert accepted(market) == ["mine"]
        arrived = (await client.get("/v2/orders:by_client_order_id?client_order_id=mine")).json()
    assert arrived["created_at"].startswith("2013-10-08T13:36:00")


async def test_an_order_that_arrives_late_after_its_retry_is_refused(market: Embedded) -> None:
    """BR-5: the same client order id cannot live twice."""
    arm(market, "late_accept", ON_SUBMIT, late_secs=30)
    async with rest(market) as client:
        await unanswered(market, client)
        assert (await client.post("/v2/orders", json=order())).status_code == 200
    market.step_to(OPEN + 7 * MINUTE)
    assert accepted(market) == ["mine"]


async def test_an_order_without_keys_does_not_arrive_late_either(market: Embedded) -> None:
    arm(market, "late_accept", ON_SUBMIT, late_secs=30)
    async with rest(market) as client:
        client.headers["APCA-API-SECRET-KEY"] = "wrong"
        assert (await client.post("/v2/orders", json=order())).status_code == 401
    market.step_to(OPEN + 7 * MINUTE)
    assert (fired(market), accepted(market)) == (0, [])


REFUSALS = {401: 40110000, 403: 40310000, 422: 42210000, 429: 42910000, 500: 50010000}


@pytest.mark.parametrize("status", [401, 403, 422, 429, 500])
async def test_an_error_of_the_venue_has_its_code(market: Embedded, status: int) -> None:
    arm(market, "http_error", ON_SUBMIT, status=status)
    async with rest(market) as client:
        answered = await client.post("/v2/orders", json=order())
    assert (answered.status_code, answered.json()["code"]) == (status, REFUSALS[status])
    assert (fired(market), accepted(market)) == (1, [])


async def test_a_429_has_the_published_headers(market: Embedded) -> None:
    arm(market, "http_error", status=429, retry_after_secs=3)
    async with rest(market) as client:
        began = int(time.time())
        answered = await client.get("/v2/orders")
    shown = answered.headers
    assert (shown["retry-after"], shown["x-ratelimit-limit"], shown["x-ratelimit-remaining"]) == ("3", "200", "0")
    assert int(shown["x-ratelimit-reset"]) >= began + 3


@pytest.mark.parametrize(("when", "taken"), [(BEFORE, []), (AFTER, ["mine"])])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_comes_before_or_after_acceptance(
    market: Embedded, status: int, when: str, taken: list[str]
) -> None:
    arm(market, "http_error", ON_SUBMIT, status=status, when=when)
    async with rest(market) as client:
        answered = await client.post("/v2/orders", json=order())
    assert (answered.status_code, accepted(market)) == (status, taken)
    assert answered.headers["content-type"].startswith("application/json" if status == 500 else "text/html")


@pytest.mark.parametrize(("when", "taken"), [(BEFORE, []), (AFTER, ["mine"])])
async def test_200_holds_an_error(market: Embedded, when: str, taken: list[str]) -> None:
    """BS-4"""
    arm(market, "error_body", ON_SUBMIT, when=when, message="it broke")
    async with rest(market) as client:
        answered = await client.post("/v2/orders", json=order())
    assert (answered.status_code, answered.json()["message"]) == (200, "it broke")
    assert "id" not in answered.json()
    assert accepted(market) == taken


async def test_200_holds_another_order(market: Embedded) -> None:
    """BS-4"""
    arm(market, "other_order_body", {"at_most": 1})
    async with rest(market) as client:
        answered = (await client.post("/v2/orders", json=order())).json()
    assert accepted(market) == ["mine"]
    assert answered["client_order_id"] != "mine"
    assert answered["id"] not in market.venue.exchange.orders


@pytest.mark.parametrize(("when", "taken"), [(BEFORE, []), (AFTER, ["mine"])])
async def test_a_page_of_html_comes(market: Embedded, when: str, taken: list[str]) -> None:
    arm(market, "html_body", ON_SUBMIT, when=when)
    async with rest(market) as client:
        answered = await client.post("/v2/orders", json=order())
    assert (answered.status_code, answered.headers["content-type"]) == (200, "text/html")
    assert answered.text.startswith("<html>")
    assert accepted(market) == taken


async def test_the_answer_ends_in_the_middle(market: Embedded) -> None:
    arm(market, "truncated_body", ON_SUBMIT, keep=0.5)
    async with rest(market) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/v2/orders", json=order())
        assert accepted(market) == ["mine"]
        assert (await client.get("/v2/account")).status_code == 200, "only what the scope names is cut"


@pytest.mark.parametrize(("when", "taken"), [(BEFORE, []), (AFTER, ["mine"])])
async def test_the_connection_is_reset(market: Embedded, when: str, taken: list[str]) -> None:
    arm(market, "connection_reset", ON_SUBMIT, when=when)
    async with rest(market) as client:
        with pytest.raises(httpx.ReadError):
            await client.post("/v2/orders", json=order())
        assert (fired(market), accepted(market)) == (1, taken)
        assert (await client.get("/v2/account")).status_code == 200


async def test_a_cancel_is_refused_although_the_order_rests(market: Embedded) -> None:
    arm(market, "cancel_refused", {"at_most": 1})
    async with rest(market) as client:
        made = (await client.post("/v2/orders", json=order())).json()
        assert (await client.delete(f"/v2/orders/{made['id']}")).status_code == 422
        assert (await client.get(f"/v2/orders/{made['id']}")).json()["status"] == "new"
        assert (await client.delete(f"/v2/orders/{made['id']}")).status_code == 204


async def test_an_answer_has_a_status_nobody_knows(market: Embedded) -> None:
    """BR-3"""
    arm(market, "unknown_status", {"endpoint": "orders"}, status="quibbled")
    async with rest(market) as client:
        made = (await client.post("/v2/orders", json=order())).json()
        assert (made["status"], made["legs"][0]["status"]) == ("quibbled", "quibbled")
        assert (await client.get("/v2/account")).json()["status"] == "ACTIVE"


async def test_an_answer_has_fields_nobody_knows(market: Embedded) -> None:
    """BR-3"""
    async with rest(market) as client:
        known = set((await client.get("/v2/account")).json())
        arm(market, "unknown_fields")
        assert set((await client.get("/v2/account")).json()) > known


# Scopes


@pytest.mark.parametrize(
    ("scope", "fires"),
    [
        ({"endpoint": "orders.submit"}, True),
        ({"endpoint": "orders"}, True),
        ({"endpoint": "trading"}, True),
        ({"endpoint": "data"}, False),
        ({"endpoint": "orders.cancel"}, False),
        ({"symbol": "SPY"}, True),
        ({"symbol": "IBM"}, False),
        ({"order_kind": "oto"}, True),
        ({"order_kind": "limit"}, True),
        ({"order_kind": "stop"}, False),
        ({"side": "buy"}, True),
        ({"side": "sell"}, False),
        ({"nth": [1]}, True),
        ({"nth": [2]}, False),
        ({"since": "2013-10-08T13:35:00Z"}, True),
        ({"since": "2013-10-08T13:36:00Z"}, False),
        ({"until": "2013-10-08T13:35:00Z"}, False),
        ({"probability": 1e-9}, False),
    ],
    ids=str,
)
async def test_a_fault_fires_where_its_scope_says(market: Embedded, scope: dict[str, Any], fires: bool) -> None:
    arm(market, "http_error", scope, status=500)
    async with rest(market) as client:
        assert (await client.post("/v2/orders", json=order())).status_code == (500 if fires else 200)
    assert fired(market) == fires


async def test_an_asset_id_is_in_the_scope_of_its_symbol(market: Embedded) -> None:
    arm(market, "http_error", {"endpoint": "positions", "symbol": "SPY"}, status=503)
    named = market.venue.exchange.asset_id("SPY")
    async with rest(market) as client:
        found = [(await client.get(f"/v2/positions/{name}")).status_code for name in (named, "SPY", "IBM")]
    assert found == [503, 503, 404]


def test_a_pair_is_in_scope_with_its_stroke_and_without() -> None:
    recorded = load_defaults(("crypto",)).recording
    begin = plan(recorded).begin
    exchange = Exchange("pairs", Market(recorded, begin), ExchangeConfig())
    for path in ("/v2/positions/BTC/USD", "/v2/positions/BTCUSD", f"/v2/positions/{exchange.asset_id('BTC/USD')}"):
        assert describe(exchange, begin, "DELETE", path, b"", b"").symbols == {"BTC/USD"}
    body = b'{"symbol": "BTCUSD", "side": "buy"}'
    assert describe(exchange, begin, "POST", "/v2/orders", b"", body).symbols == {"BTC/USD"}


@pytest.mark.parametrize("group", ["data", "trading"])
async def test_pages_beside_the_api_are_in_no_endpoint(market: Embedded, group: str) -> None:
    arm(market, "http_error", {"endpoint": group}, status=500)
    async with rest(market) as client:
        assert [(await client.get(path)).status_code for path in ("/openapi.json", "/docs")] == [200, 200]
    assert fired(market) == 0


async def test_a_cancel_is_in_the_scope_of_its_orders_symbol(market: Embedded) -> None:
    async with rest(market) as client:
        made = (await client.post("/v2/orders", json=order())).json()
        arm(market, "http_error", {"endpoint": "orders.cancel", "symbol": "SPY", "order_kind": "oto"}, status=503)
        assert (await client.delete(f"/v2/orders/{made['id']}")).status_code == 503


async def test_chance_repeats_with_its_seed(market: Embedded) -> None:
    found = []
    for _ in range(2):
        market.venue.faults.desk.arm(type(market.venue.faults.desk.plan)())
        arm(market, "http_error", {"probability": 0.5}, status=500)
        async with rest(market) as client:
            found.append([(await client.get("/v2/clock")).status_code for _ in range(30)])
    assert found[0] == found[1]
    assert set(found[0]) == {200, 500}


async def test_maintenance_answers_503_until_it_is_over(market: Embedded) -> None:
    """BR-8"""
    arm(market, "maintenance", secs=120, wall_secs=3_600)
    async with rest(market) as client:
        assert (await client.get("/v2/clock")).status_code == 200
        market.step_to(OPEN + 6 * MINUTE)
        assert [(await client.get(path)).status_code for path in ("/v2/clock", "/v2/stocks/bars")] == [503, 503]
        await eventually(lambda: market.venue.exchange.now >= OPEN + 6 * MINUTE)
        market.step_to(OPEN + timedelta(minutes=8))
        assert (await client.get("/v2/clock")).status_code == 200
    assert fired(market) == 1

"""Each fault of the two streams fires as it is described, over real WebSockets (TS-3, BR-3, BR-5)."""

import math

import httpx

from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import MINUTE, OPEN, eventually
from tests.contract.papermarket.faulty import arm, data_stream, fired, order, rest, simple, trade_updates


async def fill_one(market: Embedded, minute: int = 6) -> None:
    """One protected entry: new, then fill, then its leg's new."""
    async with rest(market) as client:
        assert (await client.post("/v2/orders", json=order())).status_code == 200
    market.step_to(OPEN + minute * MINUTE)


async def test_an_update_arrives_more_than_once(market: Embedded) -> None:
    arm(market, "frame_duplicated", {"event": "fill"}, times=2)
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: len(seen.updates()) == 5)
        assert seen.updates() == ["new", "fill", "fill", "fill", "new"]
        assert market.venue.updates.sent == 5


async def test_an_update_arrives_after_the_one_that_followed_it(market: Embedded) -> None:
    arm(market, "frame_reordered", {"event": "fill"})
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: len(seen.updates()) == 3)
        assert seen.updates() == ["new", "new", "fill"]


async def test_an_update_that_nothing_overtakes_waits_for_the_next_tick_only(market: Embedded) -> None:
    arm(market, "frame_reordered", {"event": "new"})
    async with trade_updates(market) as seen, rest(market) as client:
        await client.post("/v2/orders", json=simple(limit_price="1"))
        assert market.venue.updates.sent == 0
        market.clock.step()
        await eventually(lambda: seen.updates() == ["new"])


async def test_an_update_arrives_late(market: Embedded) -> None:
    arm(market, "frame_delayed", {"event": "fill"}, secs=120)
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: seen.updates() == ["new", "new"])
        market.step_to(OPEN + 7 * MINUTE)
        assert market.venue.updates.sent == 2
        market.step_to(OPEN + 8 * MINUTE)
        await eventually(lambda: seen.updates() == ["new", "new", "fill"])


async def test_an_update_never_arrives(market: Embedded) -> None:
    arm(market, "frame_dropped", {"event": "fill"})
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: seen.updates() == ["new", "new"])
        assert (market.venue.updates.sent, fired(market)) == (2, 1)


async def test_old_updates_are_repeated(market: Embedded) -> None:
    arm(market, "frames_repeated", {"nth": [4]}, frames=3)
    async with trade_updates(market) as seen:
        await fill_one(market)
        async with rest(market) as client:
            await client.delete("/v2/orders")
        await eventually(lambda: len(seen.updates()) == 7)
        assert seen.updates() == ["new", "fill", "new", "canceled", "new", "fill", "new"]


async def test_the_stream_closes_and_what_was_due_is_lost(market: Embedded) -> None:
    arm(market, "stream_closed", {"event": "fill"})
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: seen.closed)
        assert "fill" not in seen.updates()
    async with trade_updates(market) as again:
        assert again.updates() == [], "nothing missed is told again"


async def test_the_stream_is_open_but_mute(market: Embedded) -> None:
    """Questions are not answered either; a new connection hears again."""
    arm(market, "stream_mute", {"event": "fill"}, secs=120)
    async with trade_updates(market) as seen:
        await fill_one(market)
        await seen.socket.send('{"action":"listen","data":{"streams":["trade_updates"]}}')
        await (await seen.socket.ping())
        assert (seen.updates(), seen.closed) == (["new"], False)
        assert not [each for each in seen.items[2:] if each["stream"] == "listening"]
    async with trade_updates(market) as fresh, rest(market) as client:
        await client.post("/v2/orders", json=simple(symbol="IBM", client_order_id="second", limit_price="1"))
        await eventually(lambda: fresh.updates() == ["new"])


async def test_a_mute_stream_speaks_again(market: Embedded) -> None:
    arm(market, "stream_mute", {"event": "fill"}, secs=120)
    async with trade_updates(market) as seen:
        await fill_one(market)
        market.step_to(OPEN + 8 * MINUTE)
        async with rest(market) as client:
            await client.post("/v2/orders", json=simple(symbol="IBM", client_order_id="third", limit_price="1"))
        await eventually(lambda: seen.updates() == ["new", "new"])


async def test_an_update_has_a_status_and_an_event_nobody_knows(market: Embedded) -> None:
    arm(market, "unknown_status", {"event": "fill"}, status="quibbled", event="haggled")
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: len(seen.updates()) == 3)
        assert seen.updates() == ["new", "haggled", "new"]
        told = [each for each in seen.items if each.get("stream") == "trade_updates"]
        assert [each["data"]["order"]["status"] for each in told] == ["new", "quibbled", "new"]


async def test_an_update_has_fields_nobody_knows(market: Embedded) -> None:
    arm(market, "unknown_fields", {"event": "fill"})
    async with trade_updates(market) as seen:
        await fill_one(market)
        await eventually(lambda: len(seen.updates()) == 3)
        first, strange, _ = (each["data"] for each in seen.items if each.get("stream") == "trade_updates")
        assert set(strange["order"]) > set(first["order"])


async def test_the_data_stream_can_be_broken_as_well(market: Embedded) -> None:
    arm(market, "stream_closed", {"symbol": "SPY", "nth": [2]}, stream="market_data")
    async with data_stream(market, "bars") as seen:
        await eventually(lambda: len(seen.of("b")) == 1)
        market.step_to(OPEN + 7 * MINUTE)
        await eventually(lambda: seen.closed)
        assert len(seen.of("b")) == 2


async def test_maintenance_closes_the_streams_and_lets_nobody_in(market: Embedded) -> None:
    """BR-8"""
    async with trade_updates(market) as updates, data_stream(market, "bars") as data:
        arm(market, "maintenance", secs=60, wall_secs=3_600)
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: updates.closed and data.closed)
    async with rest(market) as client:
        assert (await client.get("/v2/clock")).status_code == 503
    market.step_to(OPEN + 7 * MINUTE)
    async with trade_updates(market) as again:
        await fill_one(market, 8)
        await eventually(lambda: again.updates() == ["new", "fill", "new"])


# Prices as they are told


async def test_prices_are_no_numbers(market: Embedded) -> None:
    """TL-1, BS-8: on the stream and by REST, and only as long as it lasts."""
    async with data_stream(market, "bars", "quotes") as seen:
        await eventually(lambda: len(seen.of("b")) == 1)
        arm(market, "price_nan", {"symbol": "SPY"}, secs=60)
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: len(seen.of("b")) == 2)
        assert math.isnan(seen.of("b")[1]["c"])
        assert math.isnan(seen.of("q")[1]["ap"])
        async with rest(market) as client:
            latest = (await client.get("/v2/stocks/bars/latest?symbols=SPY,BAC")).json()["bars"]
            assert math.isnan(latest["SPY"]["c"])
            assert not math.isnan(latest["BAC"]["c"])
        market.step_to(OPEN + 7 * MINUTE)
        await eventually(lambda: len(seen.of("b")) == 3)
        assert not math.isnan(seen.of("b")[2]["c"])


async def test_quotes_are_crossed(market: Embedded) -> None:
    async with data_stream(market, "quotes") as seen:
        await eventually(lambda: len(seen.of("q")) == 1)
        arm(market, "quote_crossed", {"symbol": "SPY"}, secs=60)
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: len(seen.of("q")) == 2)
        before, crossed = seen.of("q")
        assert before["bp"] <= before["ap"]
        assert crossed["bp"] > crossed["ap"]
        async with rest(market) as client:
            latest = (await client.get("/v2/stocks/quotes/latest?symbols=SPY")).json()["quotes"]["SPY"]
        assert latest["bp"] > latest["ap"]


async def test_prices_freeze_while_the_market_moves(market: Embedded) -> None:
    async with data_stream(market, "bars") as seen:
        await eventually(lambda: len(seen.of("b")) == 1)
        arm(market, "price_frozen", secs=180)
        market.step_to(OPEN + 9 * MINUTE)
        await eventually(lambda: len(seen.of("b")) == 5)
        frozen = [(each["o"], each["h"], each["l"], each["c"]) for each in seen.of("b")[1:4]]
        assert len(set(frozen)) == 1
        assert len({str(each["t"]) for each in seen.of("b")}) == 5, "time goes on"
        assert (seen.of("b")[4]["o"], seen.of("b")[4]["c"]) != (frozen[0][0], frozen[0][3])


async def test_prices_gap_for_orders_too(market: Embedded) -> None:
    async with rest(market) as client, data_stream(market, "bars") as seen:
        before = market.venue.exchange.market.price("SPY")
        assert before is not None
        arm(market, "price_gap", {"symbol": "SPY"}, factor="0.5", secs=3600)
        made = (await client.post("/v2/orders", json=simple())).json()
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: len(seen.of("b")) == 2)
        assert seen.of("b")[1]["c"] < 0.6 * float(before)
        filled = (await client.get(f"/v2/orders/{made['id']}")).json()
        assert float(filled["filled_avg_price"]) < 0.6 * float(before)


async def test_prices_freeze_for_who_only_asks(market: Embedded) -> None:
    """TL-1: nobody listens to a stream."""

    async def latest(client: httpx.AsyncClient) -> list[float]:
        (bar, quote, trade) = [
            (await client.get(f"/v2/stocks/{kind}/latest?symbols=SPY")).json()[kind]["SPY"]
            for kind in ("bars", "quotes", "trades")
        ]
        return [bar["o"], bar["h"], bar["l"], bar["c"], quote["bp"], quote["ap"], trade["p"]]

    async with rest(market) as client:
        before = await latest(client)
        arm(market, "price_frozen", {"symbol": "SPY"}, secs=180)
        for minute in (6, 7, 8):
            market.step_to(OPEN + minute * MINUTE)
            assert await latest(client) == before
        market.step_to(OPEN + 9 * MINUTE)
        assert await latest(client) != before


async def test_nothing_happens_to_frames_that_nobody_hears(market: Embedded) -> None:
    arm(market, "frame_dropped")
    await fill_one(market)
    assert fired(market) == 0
    async with trade_updates(market), rest(market) as client:
        await client.delete("/v2/orders")
        assert fired(market) == 1

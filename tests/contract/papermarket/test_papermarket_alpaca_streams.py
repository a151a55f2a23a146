"""papermarket's two WebSockets against the real alpaca-py (BR-1 … BR-8, TS-3)."""

import asyncio
import json
from typing import Any

import msgpack
from alpaca.data.live.stock import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from websockets.asyncio.client import connect

from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import (
    MINUTE,
    OPEN,
    PATIENCE_SECS,
    ask,
    eventually,
    protected_entry,
    streaming,
)


async def test_trade_updates_reach_the_clients_stream(market: Embedded, trading: TradingClient) -> None:
    seen: list[TradeUpdate] = []

    async def on_update(update: TradeUpdate) -> None:
        seen.append(update)

    stream = TradingStream(market.keys.key, market.keys.secret, url_override=market.trading_stream_url)
    stream.subscribe_trade_updates(on_update)
    async with streaming(stream):
        await eventually(lambda: market.venue.updates.sent is not None)
        order = await ask(trading.submit_order, protected_entry())
        market.step_to(OPEN + 6 * MINUTE)
        await ask(trading.cancel_order_by_id, order.legs[0].id)
        await eventually(lambda: len(seen) == 4)
        assert [update.event for update in seen] == ["new", "fill", "new", "canceled"]
        assert market.venue.updates.sent == 4
        fill = seen[1]
        assert (fill.qty, fill.position_qty, fill.order.id) == (10, 10, order.id)
        assert fill.timestamp == OPEN + 6 * MINUTE
        assert fill.execution_id is not None
        assert seen[2].order.id == order.legs[0].id


async def test_bars_and_quotes_reach_the_clients_stream(market: Embedded) -> None:
    seen: list[tuple[str, str]] = []

    async def on_item(item: Any) -> None:
        seen.append((type(item).__name__, item.symbol))

    stream = StockDataStream(market.keys.key, market.keys.secret, url_override=market.data_stream_url)
    stream.subscribe_bars(on_item, "SPY", "BAC")
    stream.subscribe_quotes(on_item, "SPY")
    async with streaming(stream):
        await eventually(lambda: len(seen) == 3)
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: len(seen) == 6)
        newest = [("Quote", "SPY"), ("Bar", "BAC"), ("Bar", "SPY")]
        assert seen == newest * 2, "the newest data when it subscribed, then the next minute's"
        assert market.venue.data.sent == 6


async def test_all_items_of_an_instant_are_one_frame_and_a_second_connection_is_error_406(market: Embedded) -> None:
    async with connect(market.data_stream_url, additional_headers={"Content-Type": "application/msgpack"}) as first:
        assert await told(first) == [{"T": "success", "msg": "connected"}]
        await first.send(msgpack.packb({"action": "auth", "key": market.keys.key, "secret": market.keys.secret}))
        assert await told(first) == [{"T": "success", "msg": "authenticated"}]
        await first.send(msgpack.packb({"action": "subscribe", "bars": ["*"], "quotes": ["*"]}))
        assert (await told(first))[0]["T"] == "subscription"
        await told(first)
        market.step_to(OPEN + 6 * MINUTE)
        frame = await told(first)
        assert [(item["T"], item["S"]) for item in frame] == [
            (kind, symbol) for kind in ("q", "b") for symbol in ("AIG", "BAC", "IBM", "SPY")
        ]
        assert frame[4]["t"].to_datetime() == OPEN + 5 * MINUTE
        async with connect(market.data_stream_url, additional_headers={"Content-Type": "application/msgpack"}) as other:
            await told(other)
            await other.send(msgpack.packb({"action": "auth", "key": market.keys.key, "secret": market.keys.secret}))
            assert [(each["T"], each["code"]) for each in await told(other)] == [("error", 406)]
    await eventually(lambda: not market.venue.data.full)


async def test_a_stream_with_wrong_keys_is_refused(market: Embedded) -> None:
    async with connect(market.data_stream_url) as data:
        await data.recv()
        await data.send(json.dumps({"action": "auth", "key": "who", "secret": "knows"}))
        assert json.loads(await data.recv())[0]["code"] == 402
    async with connect(market.trading_stream_url) as updates:
        await updates.send(json.dumps({"action": "authenticate", "data": {"key_id": "who", "secret_key": "knows"}}))
        assert json.loads(await updates.recv())["data"]["status"] == "unauthorized"


async def told(socket: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_SECS):
        frame: list[dict[str, Any]] = msgpack.unpackb(await socket.recv())
        return frame

"""The trading stream of papermarket beyond what alpaca-py asks of it (BR-4, TL-3)."""

import asyncio
import json
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import PATIENCE_SECS, ask, entry, eventually


async def told(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_SECS):
        frame: dict[str, Any] = json.loads(await socket.recv())
        return frame


async def listen(socket: ClientConnection, market: Embedded, streams: object) -> dict[str, Any]:
    data = {"key_id": market.keys.key, "secret_key": market.keys.secret}
    await socket.send(json.dumps({"action": "authenticate", "data": data}))
    assert (await told(socket))["data"]["status"] == "authorized"
    await socket.send(json.dumps({"action": "listen", "data": {"streams": streams}}))
    return await told(socket)


async def test_an_account_has_one_stream_of_trade_updates(market: Embedded) -> None:
    async with connect(market.trading_stream_url) as first:
        await listen(first, market, ["trade_updates"])
        with pytest.raises(InvalidStatus) as refused:
            await connect(market.trading_stream_url)
        assert refused.value.response.status_code == 429
    await eventually(lambda: not market.venue.updates.full)
    async with connect(market.trading_stream_url) as second:
        await listen(second, market, ["trade_updates"])


async def test_of_two_that_were_connected_before_either_listened_only_the_first_gets_the_stream(
    market: Embedded, trading: Any
) -> None:
    async with connect(market.trading_stream_url) as first, connect(market.trading_stream_url) as second:
        assert (await listen(first, market, ["trade_updates"]))["stream"] == "listening"
        refused = await listen(second, market, ["trade_updates"])
        assert refused == {"stream": "error", "data": {"error": "connection limit exceeded", "code": 42910000}}
        with pytest.raises(ConnectionClosed):
            await told(second)
        await ask(trading.submit_order, entry(1, limit=100.0))
        assert (await told(first))["stream"] == "trade_updates"


async def test_an_empty_list_of_streams_ends_the_listening(market: Embedded, trading: Any) -> None:
    async with connect(market.trading_stream_url) as socket:
        assert (await listen(socket, market, ["trade_updates", "unknown"]))["data"] == {"streams": ["trade_updates"]}
        await socket.send(json.dumps({"action": "listen", "data": {"streams": []}}))
        assert (await told(socket))["data"] == {"streams": []}
        await ask(trading.submit_order, entry(1, limit=100.0))
        await socket.send(json.dumps({"action": "listen", "data": {"streams": 7}}))
        assert (await told(socket))["stream"] == "listening", "nothing was told in between"


async def test_a_client_that_asks_for_msgpack_gets_it(market: Embedded, trading: Any) -> None:
    packed = {"Content-Type": "application/msgpack"}
    async with connect(market.trading_stream_url, additional_headers=packed) as socket:
        data = {"key_id": market.keys.key, "secret_key": market.keys.secret}
        for message in (
            {"action": "authenticate", "data": data},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ):
            await socket.send(msgpack.packb(message))
            assert msgpack.unpackb(await socket.recv())["stream"] in ("authorization", "listening")
        made = await ask(trading.submit_order, entry(1, limit=100.0))
        update = msgpack.unpackb(await socket.recv())
        assert (update["stream"], update["data"]["order"]["id"]) == ("trade_updates", str(made.id))


@pytest.mark.parametrize("message", ["no json", "[]", '"text"', '{"action":"dance"}', "{}", "[" * 100_000])
async def test_what_cannot_be_read_does_not_end_an_authorized_stream(market: Embedded, message: str) -> None:
    async with connect(market.trading_stream_url) as socket:
        await listen(socket, market, ["trade_updates"])
        await socket.send(message)
        assert (await told(socket))["stream"] == "error"
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert (await told(socket))["stream"] == "listening"

"""The streams: their control messages and codes, and every frame held against what is published (BR-4, TL-3)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from alpaca.data.live.crypto import CryptoDataStream
from alpaca.data.live.stock import StockDataStream
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from websockets.asyncio.client import ClientConnection, connect

from holdfast_papermarket.embedded import Embedded
from holdfast_papermarket.published.kinds import examine
from holdfast_papermarket.published.market import CryptoFrame, StockFrame
from holdfast_papermarket.published.trading import AuthorizationFrame, ListeningFrame
from holdfast_papermarket.published.trading import TradeUpdate as UpdateFrame
from tests.contract.alpaca.account import PaperAccount, ask
from tests.contract.alpaca.orders import bid
from tests.contract.papermarket.client import MINUTE, OPEN, eventually, streaming

PATIENCE_SECS = 20


async def heard(account: PaperAccount, socket: ClientConnection, kind: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECS):
        frame = await socket.recv()
    account.witness.add("stream", examine(kind, frame))
    return json.loads(frame)


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


@asynccontextmanager
async def listening(account: PaperAccount) -> AsyncIterator[ClientConnection]:
    async with connect(account.trading_stream_url) as socket:
        await say(socket, action="authenticate", data={"key_id": account.key, "secret_key": account.secret})
        told = await heard(account, socket, AuthorizationFrame)
        assert told["data"] == {"action": "authenticate", "status": "authorized"}
        await say(socket, action="listen", data={"streams": ["trade_updates"]})
        assert (await heard(account, socket, ListeningFrame))["data"]["streams"] == ["trade_updates"]
        yield socket


async def test_the_clients_stream_tells_of_an_order_and_its_cancel(account: PaperAccount) -> None:
    seen: list[TradeUpdate] = []

    async def take(update: TradeUpdate) -> None:
        seen.append(update)

    stream = TradingStream(account.key, account.secret, url_override=account.trading_stream_url)
    stream.subscribe_trade_updates(take)
    async with streaming(stream):
        await eventually(lambda: stream._running)
        made = await ask(account.trading.submit_order, bid(account))
        await eventually(lambda: [each for each in seen if each.order.id == made.id])
        await ask(account.trading.cancel_order_by_id, made.id)
        await eventually(lambda: [each for each in seen if each.order.id == made.id and each.event == "canceled"])


async def test_every_frame_of_trade_updates_is_as_published(account: PaperAccount) -> None:
    async with listening(account) as socket:
        made = await ask(account.trading.submit_order, bid(account))
        await ask(account.trading.cancel_order_by_id, made.id)
        events: list[str] = []
        while "canceled" not in events:
            frame = await heard(account, socket, UpdateFrame)
            if frame["data"]["order"]["id"] == str(made.id):
                events.append(frame["data"]["event"])
        assert set(events) <= {"accepted", "pending_new", "new", "pending_cancel", "canceled"}


async def test_fills_and_legs_are_told_as_published(replay: Embedded, account: PaperAccount) -> None:
    async with listening(account) as socket:
        body = {
            "symbol": "SPY",
            "qty": "3",
            "side": "buy",
            "type": "limit",
            "limit_price": "180",
            "time_in_force": "day",
        }
        stop = {"order_class": "oto", "stop_loss": {"stop_price": "100"}, "client_order_id": account.client_id()}
        assert (await account.raw("POST", "/v2/orders", json=body | stop)).status_code == 200
        replay.step_to(OPEN + 6 * MINUTE)
        filled = None
        while filled is None:
            data = (await heard(account, socket, UpdateFrame))["data"]
            filled = data if data["event"] == "fill" else None
        assert (filled["qty"], filled["position_qty"]) == ("3", "3")
        assert {"price", "execution_id", "timestamp"} <= set(filled)


async def test_wrong_keys_on_the_trading_stream(account: PaperAccount) -> None:
    async with connect(account.trading_stream_url) as socket:
        await say(socket, action="listen", data={"streams": ["trade_updates"]})
        told = await heard(account, socket, AuthorizationFrame)
        assert told["data"] == {"action": "listen", "status": "unauthorized"}
    async with connect(account.trading_stream_url) as socket:
        await say(socket, action="authenticate", data={"key_id": account.key, "secret_key": "a-guess"})
        told = await heard(account, socket, AuthorizationFrame)
        assert told["data"] == {"action": "authenticate", "status": "unauthorized"}


async def test_the_data_streams_own_messages_and_codes(account: PaperAccount) -> None:
    for url, kind in ((account.data_stream_url, StockFrame), (account.crypto_stream_url, CryptoFrame)):
        async with connect(url) as socket:
            assert await heard(account, socket, kind) == [{"T": "success", "msg": "connected"}]
            await say(socket, action="subscribe", bars=["SPY"])
            assert await heard(account, socket, kind) == [{"T": "error", "code": 401, "msg": "not authenticated"}]
            await say(socket, action="auth", key=account.key, secret="a-guess")
            assert await heard(account, socket, kind) == [{"T": "error", "code": 402, "msg": "auth failed"}]


async def test_a_data_stream_from_its_keys_to_its_subscriptions(account: PaperAccount) -> None:
    async with connect(account.data_stream_url) as socket:
        await heard(account, socket, StockFrame)
        await say(socket, action="auth", key=account.key, secret=account.secret)
        assert await heard(account, socket, StockFrame) == [{"T": "success", "msg": "authenticated"}]
        await say(socket, action="auth", key=account.key, secret=account.secret)
        assert await heard(account, socket, StockFrame) == [{"T": "error", "code": 403, "msg": "already authenticated"}]
        await say(socket, action="subscribe", trades=["IBM"], bars=["IBM", "BAC"])
        frame = await heard(account, socket, StockFrame)
        while frame[0]["T"] != "subscription":
            frame = await heard(account, socket, StockFrame)
        assert (sorted(frame[0]["bars"]), frame[0]["trades"], frame[0]["quotes"]) == (["BAC", "IBM"], ["IBM"], [])
        async with connect(account.data_stream_url) as second:
            await heard(account, second, StockFrame)
            await say(second, action="auth", key=account.key, secret=account.secret)
            told = await heard(account, second, StockFrame)
            assert told == [{"T": "error", "code": 406, "msg": "connection limit exceeded"}]


async def test_every_frame_of_a_minute_is_as_published(replay: Embedded, account: PaperAccount) -> None:
    async with connect(account.data_stream_url) as socket:
        await heard(account, socket, StockFrame)
        await say(socket, action="auth", key=account.key, secret=account.secret)
        await heard(account, socket, StockFrame)
        every = {"trades": ["*"], "quotes": ["*"], "bars": ["*"], "dailyBars": ["*"], "statuses": ["*"]}
        await say(socket, action="subscribe", **every)
        kinds: set[str] = set()
        replay.step_to(OPEN + 6 * MINUTE)
        while not {"b", "q", "t", "d"} <= kinds:
            kinds |= {item["T"] for item in await heard(account, socket, StockFrame)}


async def test_the_clients_data_streams_connect(account: PaperAccount) -> None:
    async def take(_item: Any) -> None:
        return None

    stocks = StockDataStream(account.key, account.secret, url_override=account.data_stream_url)
    stocks.subscribe_bars(take, "SPY")
    async with streaming(stocks):
        await eventually(lambda: stocks._running)
    crypto = CryptoDataStream(account.key, account.secret, url_override=account.crypto_stream_url)
    crypto.subscribe_quotes(take, "BTC/USD")
    async with streaming(crypto):
        await eventually(lambda: crypto._running)

"""papermarket's stock data stream: every channel, both encodings, Alpaca's error codes (BR-3, TL-3, TS-3)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
import requests
from alpaca.data.live.stock import StockDataStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from holdfast_exchange.recording import Recording
from holdfast_papermarket import hubs
from holdfast_papermarket.api.data_streams import StreamLimits
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import MINUTE, OPEN, PATIENCE_SECS, ask, eventually, headers, streaming

POLICY = 1008
STOCK_CHANNELS = [
    "statuses",
    "quotes",
    "trades",
    "bars",
    "dailyBars",
    "updatedBars",
    "lulds",
    "corrections",
    "cancelErrors",
]


class Client:
    """A socket that speaks JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def hear(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_SECS):
            frame: list[dict[str, Any]] = json.loads(await self._socket.recv())
            return frame

    async def say(self, message: Any) -> None:
        await self._socket.send(message if isinstance(message, str) else json.dumps(message))

    async def ask(self, message: Any) -> list[dict[str, Any]]:
        await self.say(message)
        return await self.hear()

    async def ended(self) -> None:
        """Reads what is left; the venue closes."""
        with suppress(ConnectionClosed):
            while await self.hear():
                pass
        assert self._socket.close_code == POLICY


@asynccontextmanager
async def client(url: str, **headers: str) -> AsyncIterator[Client]:
    async with connect(
        url, additional_headers={name.replace("_", "-"): text for name, text in headers.items()}
    ) as made:
        opened = Client(made)
        assert await opened.hear() == [{"T": "success", "msg": "connected"}]
        yield opened


def auth(market: Embedded) -> dict[str, str]:
    return {"action": "auth", "key": market.keys.key, "secret": market.keys.secret}


def error(code: int, message: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": message}]


async def test_the_clients_stream_reads_every_channel(market: Embedded) -> None:
    seen: list[Any] = []

    async def on_item(item: Any) -> None:
        seen.append(item)

    stream = StockDataStream(market.keys.key, market.keys.secret, url_override=market.data_stream_url)
    stream.subscribe_bars(on_item, "*")
    stream.subscribe_updated_bars(on_item, "SPY")
    stream.subscribe_daily_bars(on_item, "SPY")
    stream.subscribe_trades(on_item, "SPY")
    stream.subscribe_quotes(on_item, "SPY")
    stream.subscribe_trading_statuses(on_item, "*")
    async with streaming(stream):
        await eventually(lambda: len(seen) == 7)
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: len(seen) == 14)
        assert market.venue.data.sent == market.venue.data_sent == 14
    newest = seen[7:]
    assert [(type(item).__name__, item.symbol) for item in newest] == [
        ("Quote", "SPY"),
        ("Trade", "SPY"),
        ("Bar", "AIG"),
        ("Bar", "BAC"),
        ("Bar", "IBM"),
        ("Bar", "SPY"),
        ("Bar", "SPY"),
    ]
    quote, trade, *_, minute, day = newest
    assert quote.timestamp == trade.timestamp == minute.timestamp + MINUTE == OPEN + 6 * MINUTE
    assert trade.price == minute.close == day.close
    assert (day.timestamp.hour, day.timestamp.minute) == (4, 0)
    assert day.volume > minute.volume


async def test_json_and_msgpack_say_the_same(market: Embedded) -> None:
    subscribe = {"action": "subscribe", "bars": ["SPY"], "trades": ["SPY"], "quotes": ["SPY"], "dailyBars": ["SPY"]}
    async with client(market.data_stream_url) as plain:
        await plain.ask(auth(market))
        await plain.ask(subscribe)
        told = await plain.hear()
    await eventually(lambda: not market.venue.data.full)
    async with connect(market.data_stream_url, additional_headers={"Content-Type": "application/msgpack"}) as packed:
        for message in (auth(market), subscribe):
            await packed.recv()
            await packed.send(msgpack.packb(message))
        await packed.recv()
        async with asyncio.timeout(PATIENCE_SECS):
            items = msgpack.unpackb(await packed.recv(), timestamp=3)
    for item in items:
        item["t"] = item["t"].isoformat().replace("+00:00", "Z")
    assert items == told
    assert [item["T"] for item in told] == ["q", "t", "b", "d"]


async def test_subscriptions_are_told_whole_after_each_change(market: Embedded) -> None:
    async with client(market.data_stream_url) as stream:
        await stream.ask(auth(market))
        [told] = await stream.ask({"action": "subscribe", "trades": ["SPY"], "quotes": ["SPY", "AIG"], "bars": ["*"]})
        assert set(told) == {"T", *STOCK_CHANNELS}
        assert (told["quotes"], told["bars"], told["dailyBars"]) == (["AIG", "SPY"], ["*"], [])
        assert told["trades"] == told["corrections"] == told["cancelErrors"] == ["SPY"]
        await stream.hear()
        [told] = await stream.ask({"action": "unsubscribe", "trades": ["SPY"], "quotes": ["SPY"], "bars": []})
        assert (told["trades"], told["corrections"], told["quotes"], told["bars"]) == ([], [], ["AIG"], ["*"])
        market.step_to(OPEN + 6 * MINUTE)
        assert [(item["T"], item["S"]) for item in await stream.hear()] == [
            ("q", "AIG"),
            *(("b", symbol) for symbol in ("AIG", "BAC", "IBM", "SPY")),
        ]


async def test_a_halt_and_its_end_are_told_as_statuses(market: Embedded) -> None:
    """TL-3, BS-10: per symbol; whoever comes later is told as well."""
    seen: list[Any] = []

    async def on_status(status: Any) -> None:
        seen.append(status)

    def stream() -> Any:
        made = StockDataStream(market.keys.key, market.keys.secret, url_override=market.data_stream_url)
        made.subscribe_trading_statuses(on_status, "*")
        return made

    fault = {"id": "pause", "kind": "halt", "secs": 120, "scope": {"symbol": "SPY"}}
    answer = await ask(
        lambda: requests.post(
            f"{market.url}/papermarket/v1/faults", json=fault, headers=headers(market), timeout=PATIENCE_SECS
        )
    )
    assert answer.status_code == 200
    async with streaming(stream()):
        await eventually(lambda: market.venue.data.sent is not None)
        market.step_to(OPEN + 6 * MINUTE)
        await eventually(lambda: len(seen) == 1)
        market.step_to(OPEN + 9 * MINUTE)
        await eventually(lambda: len(seen) == 2)
    assert [(status.symbol, status.status_message) for status in seen] == [("SPY", "Trading Halt"), ("SPY", "Resume")]
    assert [status.timestamp for status in seen] == [OPEN + 6 * MINUTE, OPEN + 8 * MINUTE]
    await eventually(lambda: not market.venue.data.full)
    async with streaming(stream()):
        await eventually(lambda: len(seen) == 3)
    assert (seen[2].symbol, seen[2].status_message) == ("SPY", "Resume")


NOT_FOLLOWED: tuple[tuple[Any, int, str], ...] = (
    ("no json", 400, "invalid syntax"),
    ("[]", 400, "invalid syntax"),
    ({"action": "dance"}, 400, "invalid syntax"),
    ({"action": "subscribe", "bars": "SPY"}, 400, "invalid syntax"),
    ({"action": "subscribe", "bars": [1]}, 400, "invalid syntax"),
    ({"action": "subscribe", "candles": ["SPY"]}, 400, "invalid syntax"),
    ({"action": "subscribe", "orderbooks": ["SPY"]}, 410, "invalid subscribe action for this feed"),
)


async def test_a_message_that_cannot_be_followed_is_an_error_and_the_stream_goes_on(market: Embedded) -> None:
    async with client(market.data_stream_url) as stream:
        await stream.ask(auth(market))
        for message, code, told in NOT_FOLLOWED:
            assert await stream.ask(message) == error(code, told), message
            assert (await stream.ask({"action": "subscribe", "bars": ["NOSUCH"]}))[0]["bars"] == ["NOSUCH"]


async def test_authentication_comes_first_and_once(market: Embedded) -> None:
    async with client(market.data_stream_url) as stream:
        assert await stream.ask({"action": "subscribe", "bars": ["SPY"]}) == error(401, "not authenticated")
        assert await stream.ask(auth(market)) == [{"T": "success", "msg": "authenticated"}]
        assert await stream.ask(auth(market)) == error(403, "already authenticated")
    async with client(market.data_stream_url) as stranger:
        assert await stranger.ask(auth(market) | {"secret": "wrong"}) == error(402, "auth failed")
        await stranger.ended()


async def test_headers_authenticate_as_well(market: Embedded) -> None:
    names = {"APCA_API_KEY_ID": market.keys.key, "APCA_API_SECRET_KEY": market.keys.secret}
    async with client(market.data_stream_url, **names) as stream:
        assert await stream.hear() == [{"T": "success", "msg": "authenticated"}]
    async with client(market.data_stream_url, **names | {"APCA_API_SECRET_KEY": "wrong"}) as stranger:
        assert await stranger.hear() == error(402, "auth failed")


async def test_a_feed_outside_the_plan_is_409_and_sip_is_in_it(market: Embedded) -> None:
    base = market.data_stream_url.rpartition("/")[0]
    async with client(f"{base}/otc") as stream:
        assert await stream.ask(auth(market)) == error(409, "insufficient subscription")
        await stream.ended()
    async with client(f"{base}/sip") as stream:
        assert await stream.ask(auth(market)) == [{"T": "success", "msg": "authenticated"}]


async def test_who_does_not_authenticate_in_time_is_404(recorded: Recording, tmp_path: Path) -> None:
    limits = StreamLimits(auth_timeout_secs=0.01)
    async with (
        embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08", streams=limits) as market,
        client(market.data_stream_url) as stream,
    ):
        assert await stream.hear() == error(404, "auth timeout")
        await stream.ended()


async def test_symbols_above_the_plan_are_405_and_change_nothing(recorded: Recording, tmp_path: Path) -> None:
    limits = StreamLimits(max_symbols=3)
    refused = error(405, "symbol limit exceeded")
    async with (
        embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08", streams=limits) as market,
        client(market.data_stream_url) as stream,
    ):
        await stream.ask(auth(market))
        await stream.ask({"action": "subscribe", "quotes": ["SPY", "AIG"], "bars": ["*"]})
        assert await stream.ask({"action": "subscribe", "trades": ["SPY", "AIG"]}) == refused
        assert await stream.ask({"action": "subscribe", "quotes": ["*"]}) == refused
        [told] = await stream.ask({"action": "subscribe", "trades": ["SPY"]})
        assert (told["trades"], told["quotes"]) == (["SPY"], ["AIG", "SPY"])


async def test_a_client_that_does_not_read_is_cut_off_with_407(
    market: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MAX_WAITING_FRAMES", 3)
    async with client(market.data_stream_url) as stream:
        await stream.ask(auth(market))
        await stream.ask({"action": "subscribe", "bars": ["SPY"]})
        await stream.hear()
        # Nothing is written between these ticks: the writer has no turn.
        market.step_to(OPEN + 12 * MINUTE)
        heard = [await stream.hear() for _ in range(3)]
        assert [frame[0]["T"] for frame in heard] == ["b", "b", "error"]
        assert heard[-1] == error(407, "slow client")
        await stream.ended()

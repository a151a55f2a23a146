"""papermarket's crypto data, REST and stream, against alpaca-py (BK-1, BR-3, TS-3)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.live.crypto import CryptoDataStream
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from websockets.asyncio.client import connect

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import MINUTE, PATIENCE_SECS, ask, eventually, headers, refused, streaming
from tests.contract.witness import Witness

MIDNIGHT = datetime(2018, 4, 5, tzinfo=UTC)
NOW = MIDNIGHT + 90 * MINUTE
PAIRS = ["BTC/USD", "ETH/USD", "LTC/USD"]


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return recordings.load(default_folder_of("crypto"))


@pytest.fixture
async def market(recorded: Recording, tmp_path: Path) -> AsyncIterator[Embedded]:
    """A venue ninety minutes into Thursday 2018-04-05."""
    async with embedded(recorded, tmp_path, start="2018-04-05T01:25:00Z", end="2018-04-05T02:00:00Z") as running:
        running.step_to(NOW)
        yield running


@pytest.fixture
def history(market: Embedded, witness: Witness) -> CryptoHistoricalDataClient:
    client = CryptoHistoricalDataClient(market.keys.key, market.keys.secret, url_override=market.url)
    followed: CryptoHistoricalDataClient = witness.follow(client)
    return followed


async def test_bars_quotes_and_trades_end_at_the_present_market_time(
    market: Embedded, history: CryptoHistoricalDataClient
) -> None:
    """No look-ahead, although the market never closes; coins come in parts."""
    window = {"symbol_or_symbols": PAIRS, "start": MIDNIGHT, "end": MIDNIGHT + timedelta(days=3)}
    bars = await ask(history.get_crypto_bars, CryptoBarsRequest(**window, timeframe=TimeFrame.Minute))
    quotes = await ask(history.get_crypto_quotes, CryptoQuoteRequest(**window))
    trades = await ask(history.get_crypto_trades, CryptoTradesRequest(**window))
    for symbol in PAIRS:
        assert max(bar.timestamp for bar in bars[symbol]) == NOW - MINUTE
        assert max(row.timestamp for row in quotes[symbol]) == max(row.timestamp for row in trades[symbol]) == NOW
        assert any(bar.volume != int(bar.volume) for bar in bars[symbol])
        assert all(quote.bid_price <= quote.ask_price for quote in quotes[symbol])


async def test_bars_begin_at_midnight_of_utc(market: Embedded, history: CryptoHistoricalDataClient) -> None:
    for timeframe, starts in (
        (TimeFrame(15, TimeFrameUnit.Minute), [MIDNIGHT + n * 15 * MINUTE for n in range(6)]),
        (TimeFrame.Hour, [MIDNIGHT]),
        (TimeFrame(2, TimeFrameUnit.Hour), []),
        (TimeFrame.Day, []),
    ):
        wanted = CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=timeframe, start=MIDNIGHT)
        found = await ask(history.get_crypto_bars, wanted)
        assert [bar.timestamp for bar in found.data.get("BTC/USD", [])] == starts


async def test_crypto_data_needs_no_keys(market: Embedded) -> None:
    keyless = CryptoHistoricalDataClient(url_override=market.url)
    found = await ask(keyless.get_crypto_latest_bar, CryptoLatestBarRequest(symbol_or_symbols="BTC/USD"))
    assert found["BTC/USD"].timestamp == NOW - MINUTE
    stranger = CryptoHistoricalDataClient("who", "knows", url_override=market.url)
    status, _ = await refused(stranger.get_crypto_latest_bar, CryptoLatestBarRequest(symbol_or_symbols="BTC/USD"))
    assert status == 401


async def test_days_of_utc_weeks_from_monday(market: Embedded, history: CryptoHistoricalDataClient) -> None:
    days = CryptoBarsRequest(
        symbol_or_symbols="BTC/USD", timeframe=TimeFrame.Day, start=datetime(2018, 3, 26, tzinfo=UTC)
    )
    weeks = days.model_copy(update={"timeframe": TimeFrame.Week})
    found = (await ask(history.get_crypto_bars, days))["BTC/USD"]
    assert [bar.timestamp for bar in found] == [
        datetime(2018, 3, 26, tzinfo=UTC) + timedelta(days=n) for n in range(10)
    ]
    [week] = (await ask(history.get_crypto_bars, weeks))["BTC/USD"]
    assert week.timestamp == found[0].timestamp
    assert week.volume == pytest.approx(sum(bar.volume for bar in found[:7]))


async def test_latest_and_snapshot_agree(market: Embedded, history: CryptoHistoricalDataClient) -> None:
    of_btc = {"symbol_or_symbols": "BTC/USD"}
    bar = (await ask(history.get_crypto_latest_bar, CryptoLatestBarRequest(**of_btc)))["BTC/USD"]
    quote = (await ask(history.get_crypto_latest_quote, CryptoLatestQuoteRequest(**of_btc)))["BTC/USD"]
    trade = (await ask(history.get_crypto_latest_trade, CryptoLatestTradeRequest(**of_btc)))["BTC/USD"]
    book = (await ask(history.get_crypto_latest_orderbook, CryptoLatestOrderbookRequest(**of_btc)))["BTC/USD"]
    snapshot = (await ask(history.get_crypto_snapshot, CryptoSnapshotRequest(**of_btc)))["BTC/USD"]
    assert (snapshot.minute_bar, snapshot.latest_quote, snapshot.latest_trade) == (bar, quote, trade)
    assert [(level.price, level.size) for level in book.bids] == [(quote.bid_price, quote.bid_size)]
    assert [(level.price, level.size) for level in book.asks] == [(quote.ask_price, quote.ask_size)]
    assert snapshot.daily_bar.timestamp == MIDNIGHT
    assert snapshot.previous_daily_bar.timestamp == MIDNIGHT - timedelta(days=1)


REFUSED: tuple[tuple[str, dict[str, str], str], ...] = (
    ("us/bars", {"symbols": "BTCUSD", "timeframe": "1Day"}, "invalid symbol: BTCUSD does not match"),
    ("us/bars", {"symbols": "BTC/USD"}, "timeframe is required"),
    ("us/trades", {"symbols": "BTC/USD", "feed": "iex"}, "unexpected parameter(s): feed"),
    ("moon/bars", {"symbols": "BTC/USD", "timeframe": "1Day"}, "invalid location: moon"),
    ("us/latest/orderbooks", {}, "symbols is required"),
)


async def test_a_query_that_cannot_be_answered_is_400(market: Embedded) -> None:
    for path, query, told in REFUSED:

        def call(path: str = path, query: dict[str, str] = query) -> requests.Response:
            url = f"{market.url}/v1beta3/crypto/{path}"
            return requests.get(url, params=query, headers=headers(market), timeout=PATIENCE_SECS)

        answer = await ask(call)
        assert answer.status_code == 400, (path, query)
        assert answer.json()["message"].startswith(told)


async def test_the_clients_stream_reads_every_channel(market: Embedded) -> None:
    seen: list[Any] = []

    async def on_item(item: Any) -> None:
        seen.append(item)

    stream = CryptoDataStream(market.keys.key, market.keys.secret, url_override=market.crypto_stream_url)
    stream.subscribe_bars(on_item, "*")
    stream.subscribe_updated_bars(on_item, "*")
    stream.subscribe_daily_bars(on_item, "BTC/USD")
    stream.subscribe_trades(on_item, "BTC/USD")
    stream.subscribe_quotes(on_item, "BTC/USD")
    stream.subscribe_orderbooks(on_item, "ETH/USD")
    async with streaming(stream):
        await eventually(lambda: len(seen) == 7)
        market.step_to(NOW + MINUTE)
        await eventually(lambda: len(seen) == 14)
        assert market.venue.crypto_data.sent == market.venue.data_sent == 14
    assert [(type(item).__name__, item.symbol) for item in seen[7:]] == [
        ("Quote", "BTC/USD"),
        ("Orderbook", "ETH/USD"),
        ("Trade", "BTC/USD"),
        ("Bar", "BTC/USD"),
        ("Bar", "ETH/USD"),
        ("Bar", "LTC/USD"),
        ("Bar", "BTC/USD"),
    ]
    assert seen[8].reset
    assert seen[13].timestamp == MIDNIGHT


async def test_stocks_and_crypto_have_a_connection_each(market: Embedded) -> None:
    async def began(url: str) -> tuple[Any, Any]:
        socket = await connect(url)
        await socket.recv()
        await socket.send(json.dumps({"action": "auth", "key": market.keys.key, "secret": market.keys.secret}))
        return socket, json.loads(await socket.recv())[0]

    async with asyncio.timeout(PATIENCE_SECS):
        crypto, told = await began(market.crypto_stream_url)
        assert told["T"] == "success"
        stocks, told = await began(market.data_stream_url)
        assert told["T"] == "success"
        again, told = await began(market.crypto_stream_url)
        assert (told["T"], told["code"]) == ("error", 406)
        await crypto.send(json.dumps({"action": "subscribe", "statuses": ["*"]}))
        assert json.loads(await crypto.recv())[0]["code"] == 410
        for socket in (crypto, stocks, again):
            await socket.close()

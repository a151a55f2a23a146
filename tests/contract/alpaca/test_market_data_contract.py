"""Market data of stocks and crypto by alpaca-py, and its pages (BR-7, BR-8, BK-1)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.data.enums import DataFeed
from alpaca.data.requests import (
    CryptoBarsRequest,
    CryptoLatestBarRequest,
    CryptoLatestOrderbookRequest,
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    CryptoQuoteRequest,
    CryptoSnapshotRequest,
    CryptoTradesRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from tests.contract.alpaca.account import PaperAccount, ask

IEX = {"feed": DataFeed.IEX}
PAIR = "BTC/USD"


async def week(account: PaperAccount) -> dict[str, datetime]:
    """Long enough to have a session in it, and old enough for an account without a subscription."""
    now = (await ask(account.trading.get_clock)).timestamp
    return {"start": now - timedelta(days=6), "end": now - timedelta(minutes=1)}


async def test_bars_of_stocks_in_every_unit(account: PaperAccount) -> None:
    window = await week(account)
    for unit in (TimeFrame(5, TimeFrameUnit.Minute), TimeFrame.Hour, TimeFrame.Day, TimeFrame.Week):
        asked = StockBarsRequest(symbol_or_symbols=["SPY", "IBM"], timeframe=unit, limit=50, **window, **IEX)
        found = await ask(account.stocks.get_stock_bars, asked)
        for bars in found.data.values():
            times = [bar.timestamp for bar in bars]
            assert times == sorted(set(times))
            assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)


async def test_quotes_and_trades_of_stocks(account: PaperAccount) -> None:
    window = await week(account)
    asked: dict[str, Any] = {"symbol_or_symbols": "SPY", "limit": 20, **window, **IEX}
    quotes = (await ask(account.stocks.get_stock_quotes, StockQuotesRequest(**asked)))["SPY"]
    assert 0 < len(quotes) <= 20
    trades = (await ask(account.stocks.get_stock_trades, StockTradesRequest(**asked)))["SPY"]
    assert 0 < len(trades) <= 20


async def test_the_newest_of_stocks(account: PaperAccount) -> None:
    named: dict[str, Any] = {"symbol_or_symbols": ["SPY", "BAC"], **IEX}
    for call, kind in (
        (account.stocks.get_stock_latest_bar, StockLatestBarRequest),
        (account.stocks.get_stock_latest_quote, StockLatestQuoteRequest),
        (account.stocks.get_stock_latest_trade, StockLatestTradeRequest),
    ):
        assert set(await ask(call, kind(**named))) == {"SPY", "BAC"}
    shown = await ask(account.stocks.get_stock_snapshot, StockSnapshotRequest(**named))
    assert shown["SPY"].daily_bar.symbol == "SPY"


async def test_endpoints_of_one_symbol(account: PaperAccount) -> None:
    """alpaca-py asks for several at once; others do not."""
    window = await week(account)
    span = {"start": window["start"].isoformat(), "end": window["end"].isoformat(), "limit": "5"}
    queries = {"bars": span | {"timeframe": "1Hour"}, "quotes": span, "trades": span}
    for kind in ("bars", "quotes", "trades", "bars/latest", "quotes/latest", "trades/latest", "snapshot"):
        answer = await account.raw("GET", f"/v2/stocks/SPY/{kind}", params={"feed": "iex"} | queries.get(kind, {}))
        assert (kind, answer.status_code, answer.json()["symbol"]) == (kind, 200, "SPY")


@pytest.mark.parametrize("sort", ["asc", "desc"])
async def test_pages_follow_each_other_without_gap_and_overlap(account: PaperAccount, sort: str) -> None:
    window = await week(account)
    query = {
        "symbols": "BAC,SPY",
        "timeframe": "1Hour",
        "feed": "iex",
        "sort": sort,
        "start": window["start"].isoformat(),
        "end": window["end"].isoformat(),
    }
    whole = (await account.raw("GET", "/v2/stocks/bars", params=query | {"limit": "10000"})).json()["bars"]
    pages: dict[str, list[Any]] = {}
    token: str | None = ""
    while token is not None:
        paged = query | {"limit": "9"} | ({"page_token": token} if token else {})
        page = (await account.raw("GET", "/v2/stocks/bars", params=paged)).json()
        assert sum(len(rows) for rows in page["bars"].values()) <= 9
        for symbol, rows in page["bars"].items():
            pages.setdefault(symbol, []).extend(rows)
        token = page["next_page_token"]
    assert pages == whole


NONSENSE = (
    "timeframe=1Day",
    "symbols=SPY&timeframe=7Parsecs",
    "symbols=SPY&timeframe=61Min",
    "symbols=SPY&timeframe=1Day&start=yesterday",
    "symbols=SPY&timeframe=1Day&limit=0",
    "symbols=SPY&timeframe=1Day&limit=10001",
    "symbols=SPY&timeframe=1Day&limit=many",
    "symbols=SPY&timeframe=1Day&sort=sideways",
    "symbols=SPY&timeframe=1Day&adjustment=guess",
    "symbols=SPY&timeframe=1Day&page_token=not-a-token",
)


async def test_a_query_that_makes_no_sense_is_refused(account: PaperAccount) -> None:
    for query in NONSENSE:
        answer = await account.raw("GET", f"/v2/stocks/bars?{query}")
        assert (query, answer.status_code) == (query, 400)
        assert answer.json()["message"]


async def test_bars_quotes_and_trades_of_crypto(account: PaperAccount) -> None:
    window = await week(account)
    bars = await ask(
        account.crypto.get_crypto_bars,
        CryptoBarsRequest(symbol_or_symbols=PAIR, timeframe=TimeFrame.Hour, limit=30, **window),
    )
    assert len(bars.data.get(PAIR, [])) <= 30
    asked: dict[str, Any] = {"symbol_or_symbols": PAIR, "limit": 10, **window}
    await ask(account.crypto.get_crypto_quotes, CryptoQuoteRequest(**asked))
    await ask(account.crypto.get_crypto_trades, CryptoTradesRequest(**asked))


async def test_the_newest_of_crypto(account: PaperAccount) -> None:
    named = {"symbol_or_symbols": [PAIR]}
    for call, kind in (
        (account.crypto.get_crypto_latest_bar, CryptoLatestBarRequest),
        (account.crypto.get_crypto_latest_quote, CryptoLatestQuoteRequest),
        (account.crypto.get_crypto_latest_trade, CryptoLatestTradeRequest),
        (account.crypto.get_crypto_latest_orderbook, CryptoLatestOrderbookRequest),
        (account.crypto.get_crypto_snapshot, CryptoSnapshotRequest),
    ):
        assert set(await ask(call, kind(**named))) <= {PAIR}

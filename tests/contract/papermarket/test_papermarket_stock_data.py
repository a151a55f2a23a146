"""papermarket's stock data against alpaca-py and over plain HTTP (TS-3, TL-1, BR-3)."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from holdfast_papermarket.embedded import Embedded
from tests.contract.papermarket.client import MINUTE, OPEN, PATIENCE_SECS, ask, headers, refused

LONG_AGO = datetime(2013, 1, 1, tzinfo=UTC)
CLOSE = datetime(2013, 10, 8, 20, tzinfo=UTC)


async def get(market: Embedded, path: str, **query: Any) -> Any:
    def call() -> Any:
        return requests.get(f"{market.url}{path}", params=query, headers=headers(market), timeout=PATIENCE_SECS)

    answer = await ask(call)
    return answer.status_code, answer.json()


async def bars_of(history: StockHistoricalDataClient, timeframe: TimeFrame, **changes: Any) -> list[Any]:
    wanted: dict[str, Any] = {"symbol_or_symbols": "SPY", "timeframe": timeframe, "start": LONG_AGO} | changes
    found = await ask(history.get_stock_bars, StockBarsRequest(**wanted))
    return found.data.get("SPY", [])


async def test_intraday_timeframes_hold_what_has_ended(market: Embedded, history: StockHistoricalDataClient) -> None:
    """Counted from midnight of New York."""
    market.step_to(OPEN + 35 * MINUTE)
    for timeframe, starts in (
        (TimeFrame(5, TimeFrameUnit.Minute), "13:30 13:35 13:40 13:45 13:50 13:55 14:00"),
        (TimeFrame(7, TimeFrameUnit.Minute), "13:27 13:34 13:41 13:48 13:55"),
        (TimeFrame(30, TimeFrameUnit.Minute), "13:30"),
        (TimeFrame(1, TimeFrameUnit.Hour), "13:00"),
        (TimeFrame(3, TimeFrameUnit.Hour), ""),
    ):
        found = await bars_of(history, timeframe, start=OPEN - timedelta(hours=3))
        assert " ".join(bar.timestamp.strftime("%H:%M") for bar in found) == starts


async def test_days_weeks_and_months_hold_the_same_volume(market: Embedded, history: StockHistoricalDataClient) -> None:
    """Up to the last month that has ended, in the shares that were traded."""
    months = {count: await bars_of(history, TimeFrame(count, TimeFrameUnit.Month)) for count in (1, 3)}
    days = await bars_of(history, TimeFrame.Day)
    weeks = await bars_of(history, TimeFrame.Week)
    for count, found in months.items():
        ended = (datetime(2013, 10, 1, 4, tzinfo=UTC), [bar for bar in days if bar.timestamp.month < 10])
        assert sum(bar.volume for bar in found) == sum(bar.volume for bar in ended[1])
        assert found[-1].timestamp < ended[0]
        assert len(found) == -(-len({bar.timestamp.month for bar in ended[1]}) // count)
    assert weeks[-1].timestamp == datetime(2013, 9, 30, 4, tzinfo=UTC), "the week under way is not over"
    assert {bar.timestamp.weekday() for bar in weeks} == {0}


async def test_every_timeframe_the_client_can_ask_is_answered(
    market: Embedded, history: StockHistoricalDataClient
) -> None:
    counts = {"Min": (1, 59), "Hour": (1, 23), "Day": (1,), "Week": (1,), "Month": (1, 2, 3, 6, 12)}
    for unit, found in counts.items():
        for count in found:
            for bar in await bars_of(history, TimeFrame(count, TimeFrameUnit(unit)), limit=3):
                assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


async def test_adjustments_feeds_and_as_of_days_are_taken(market: Embedded, history: StockHistoricalDataClient) -> None:
    """The default recording has no factors: adjusted bars are the raw ones."""
    raw = await bars_of(history, TimeFrame.Day)
    for adjustment in Adjustment:
        assert await bars_of(history, TimeFrame.Day, adjustment=adjustment, feed=DataFeed.IEX, asof="2013-10-01") == raw


async def test_pages_in_either_order_hold_every_row_once(market: Embedded) -> None:
    seen: dict[str, list[Any]] = {"asc": [], "desc": []}
    for sort, size in itertools.product(seen, ("3", "7", "10000")):
        query = {"symbols": "SPY,BAC,IBM", "start": OPEN.isoformat(), "limit": size, "sort": sort}
        rows: list[Any] = []
        while True:
            status, body = await get(market, "/v2/stocks/trades", **query)
            assert status == 200
            page = [(symbol, row["t"]) for symbol, listed in body["trades"].items() for row in listed]
            assert 0 < len(page) <= int(size)
            rows += page
            if body["next_page_token"] is None:
                break
            query["page_token"] = body["next_page_token"]
        seen[sort].append(rows)
    assert seen["asc"][0] == seen["asc"][1] == seen["asc"][2]
    assert seen["desc"][0] == seen["desc"][1] == seen["desc"][2]
    assert sorted(seen["desc"][0]) == seen["asc"][0]
    assert len(seen["asc"][0]) == len(set(seen["asc"][0])) == 15


async def test_pages_over_years_hold_every_day_once(market: Embedded, history: StockHistoricalDataClient) -> None:
    """Weeks and months are whole, wherever a page ends."""
    for timeframe in ("1Day", "1Week", "1Month"):
        for sort in ("asc", "desc"):
            query = {"symbols": "SPY", "timeframe": timeframe, "start": "2000-01-01", "sort": sort}
            _, whole = await get(market, "/v2/stocks/bars", **query, limit="10000")
            rows: list[Any] = []
            while True:
                _, body = await get(market, "/v2/stocks/bars", **query, limit="97")
                rows += body["bars"]["SPY"]
                if body["next_page_token"] is None:
                    break
                query["page_token"] = body["next_page_token"]
            assert rows == whole["bars"]["SPY"]
            assert [row["t"] for row in rows] == sorted({row["t"] for row in rows}, reverse=sort == "desc")


async def test_pages_of_newest_first_stay_whole_while_time_goes_on(market: Embedded) -> None:
    query = {"symbols": "SPY", "start": OPEN.isoformat(), "limit": "3", "sort": "desc"}
    _, first = await get(market, "/v2/stocks/quotes", **query)
    market.step_to(OPEN + 8 * MINUTE)
    _, second = await get(market, "/v2/stocks/quotes", **query, page_token=first["next_page_token"])
    stamps = [row["t"] for page in (first, second) for row in page["quotes"]["SPY"]]
    assert stamps == [f"2013-10-08T13:{minute}:00Z" for minute in (35, 34, 33, 32, 31)]


async def test_rows_are_found_by_the_stamp_they_show(market: Embedded, history: StockHistoricalDataClient) -> None:
    """Start and end are inclusive."""
    window = {"symbol_or_symbols": "SPY", "start": OPEN + 2 * MINUTE, "end": OPEN + 4 * MINUTE}
    expected = [OPEN + n * MINUTE for n in (2, 3, 4)]
    quotes = await ask(history.get_stock_quotes, StockQuotesRequest(**window))
    trades = await ask(history.get_stock_trades, StockTradesRequest(**window))
    bars = await ask(history.get_stock_bars, StockBarsRequest(**window, timeframe=TimeFrame.Minute))
    assert [[row.timestamp for row in found["SPY"]] for found in (quotes, trades, bars)] == [expected] * 3


async def test_a_snapshot_has_every_part_and_looks_at_nothing_later(
    market: Embedded, history: StockHistoricalDataClient
) -> None:
    wanted = StockSnapshotRequest(symbol_or_symbols=["SPY", "NOSUCH"])
    snapshots = await ask(history.get_stock_snapshot, wanted)
    assert set(snapshots) == {"SPY"}
    early = snapshots["SPY"]
    assert early.daily_bar.timestamp == datetime(2013, 10, 8, 4, tzinfo=UTC)
    assert early.previous_daily_bar.timestamp == datetime(2013, 10, 7, 4, tzinfo=UTC)
    market.step_to(CLOSE)
    late = (await ask(history.get_stock_snapshot, wanted))["SPY"]
    assert late.previous_daily_bar == early.previous_daily_bar
    assert late.daily_bar.volume > early.daily_bar.volume
    assert late.latest_trade.timestamp == CLOSE


async def test_one_symbol_has_endpoints_of_its_own(market: Embedded) -> None:
    start = OPEN.isoformat()
    for name in ("quotes", "trades", "bars"):
        extra = {"timeframe": "1Min"} if name == "bars" else {}
        _, single = await get(market, f"/v2/stocks/SPY/{name}", start=start, limit="2", **extra)
        _, many = await get(market, f"/v2/stocks/{name}", start=start, limit="2", symbols="SPY", **extra)
        assert single["symbol"] == "SPY"
        assert single[name] == many[name]["SPY"]
        assert single["next_page_token"] == many["next_page_token"] is not None
        _, newest = await get(market, f"/v2/stocks/SPY/{name}/latest", feed="iex")
        _, newest_of_many = await get(market, f"/v2/stocks/{name}/latest", symbols="SPY")
        assert newest == {"symbol": "SPY", name.rstrip("s"): newest_of_many[name]["SPY"]}
        assert (await get(market, f"/v2/stocks/NOSUCH/{name}/latest"))[0] == 404
        status, nothing = await get(market, f"/v2/stocks/NOSUCH/{name}", **extra)
        assert (status, nothing[name], nothing["next_page_token"]) == (200, [], None)
    _, snapshot = await get(market, "/v2/stocks/SPY/snapshot")
    _, snapshots = await get(market, "/v2/stocks/snapshots", symbols="SPY")
    assert snapshot == {"symbol": "SPY"} | snapshots["SPY"]


REFUSED: tuple[tuple[str, dict[str, str], str], ...] = (
    ("bars", {"timeframe": "1Day"}, "symbols is required"),
    ("bars", {"symbols": "SPY"}, "timeframe is required"),
    ("bars", {"symbols": "SPY", "timeframe": "61Min"}, "invalid timeframe: 61Min"),
    ("bars", {"symbols": "SPY", "timeframe": "1Day", "adjustment": "none"}, "invalid adjustment: none"),
    ("bars", {"symbols": "SPY", "timeframe": "1Day", "limit": "10001"}, "limit must be at most 10000"),
    ("bars", {"symbols": "SPY", "timeframe": "1Day", "limit": "0"}, "limit must be at least 1"),
    ("bars", {"symbols": "SPY", "timeframe": "1Day", "limit": "many"}, "invalid value for limit: 'many'"),
    ("bars", {"symbols": "SPY", "timeframe": "1Day", "asof": "then"}, "invalid asof: then"),
    ("bars", {"symbols": "SPY", "timeframe": "1Day", "currency": "EUR"}, "invalid currency: EUR"),
    ("bars", {"symbols": "spy", "timeframe": "1Day"}, "invalid symbol: spy"),
    ("quotes", {"symbols": "SPY", "feed": "moon"}, "invalid feed: moon"),
    ("quotes", {"symbols": "SPY", "sort": "up"}, "invalid sort: up"),
    ("quotes", {"symbols": "SPY", "start": "yesterday"}, "invalid format for start: 'yesterday'"),
    ("quotes", {"symbols": "SPY", "page_token": "?"}, "invalid page_token"),
    ("quotes", {"symbols": "SPY", "page_token": "U1BZfDIwMTMtMTAtMDg="}, "invalid page_token"),
    ("trades", {"symbols": "SPY", "timeframe": "1Min"}, "unexpected parameter(s): timeframe"),
    ("trades", {"symbols": "SPY", "start": "2013-10-08", "end": "2013-10-07"}, "end should not be before start"),
    ("trades/latest", {}, "symbols is required"),
    ("snapshots", {"symbols": "SPY", "feed": "moon"}, "invalid feed: moon"),
    ("meta/conditions/trade", {}, "invalid tape: A, B or C is required"),
    ("meta/conditions/moon", {"tape": "A"}, "invalid ticktype: moon"),
)


async def test_a_query_that_cannot_be_answered_is_400_with_a_sentence(market: Embedded) -> None:
    for path, query, told in REFUSED:
        status, body = await get(market, f"/v2/stocks/{path}", **query)
        assert (status, body["code"]) == (400, 40010001), (path, query)
        assert body["message"].startswith(told)
    status, body = await get(market, "/v2/stocks/bars", symbols="BTC/USD", timeframe="1Day")
    assert (status, body["bars"]) == (200, {}), "a pair is no stock, nor is it an error"


async def test_the_client_raises_what_the_venue_refuses(market: Embedded, history: StockHistoricalDataClient) -> None:
    status, body = await refused(history.get_stock_latest_bar, StockLatestBarRequest(symbol_or_symbols="spy$"))
    assert (status, body["message"]) == (400, "invalid symbol: spy$")


async def test_codes_of_exchanges_and_conditions_name_what_the_answers_hold(market: Embedded) -> None:
    _, exchanges = await get(market, "/v2/stocks/meta/exchanges")
    _, quotes = await get(market, "/v2/stocks/quotes/latest", symbols="SPY")
    assert exchanges[quotes["quotes"]["SPY"]["ax"]] == "IEX"
    for kind, latest in (
        ("quote", quotes),
        ("trade", (await get(market, "/v2/stocks/trades/latest", symbols="SPY"))[1]),
    ):
        _, conditions = await get(market, f"/v2/stocks/meta/conditions/{kind}", tape="B")
        assert set(latest[f"{kind}s"]["SPY"]["c"]) <= set(conditions)

"""papermarket against the real alpaca-py over real sockets: its models read every answer (BR-1 … BR-8, TS-3).

The same client talks to Alpaca itself; what passes here is what the venue adapter may rely on.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.models import AccountConfiguration, TradeActivity
from alpaca.trading.requests import (
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopOrderRequest,
)

from holdfast_exchange.exchange import ExchangeConfig
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import (
    MINUTE,
    OPEN,
    PATIENCE_SECS,
    ask,
    entry,
    headers,
    market_order,
    protected_entry,
    refused,
)

# Orders


async def test_an_entry_with_its_stop_lives_through_the_client(market: Embedded, trading: TradingClient) -> None:
    order = await ask(trading.submit_order, protected_entry(client_order_id="hf-entry"))
    assert (order.status, order.order_class, order.type) == (OrderStatus.PENDING_NEW, OrderClass.OTO, OrderType.LIMIT)
    assert (order.client_order_id, order.qty, order.limit_price) == ("hf-entry", "10", "170")
    assert [(leg.status, leg.type, leg.stop_price) for leg in order.legs] == [(OrderStatus.HELD, OrderType.STOP, "150")]
    market.step_to(OPEN + 6 * MINUTE)
    filled = await ask(trading.get_order_by_id, order.id, GetOrderByIdRequest(nested=True))
    assert (filled.status, filled.filled_qty) == (OrderStatus.FILLED, "10")
    assert filled.filled_at == OPEN + 6 * MINUTE
    assert filled.legs[0].status is OrderStatus.NEW
    assert (await ask(trading.get_order_by_client_id, "hf-entry")).id == order.id
    position = await ask(trading.get_open_position, "SPY")
    assert (position.qty, position.qty_available) == ("10", "0")
    assert float(position.avg_entry_price) == float(filled.filled_avg_price) < 170


async def test_order_lists_nest_legs_and_filter(market: Embedded, trading: TradingClient) -> None:
    first = await ask(trading.submit_order, protected_entry())
    market.step_to(OPEN + 6 * MINUTE)
    resting = LimitOrderRequest(symbol="BAC", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=10)
    second = await ask(trading.submit_order, resting)
    flat = await ask(trading.get_orders, GetOrdersRequest(status=QueryOrderStatus.OPEN))
    assert [order.id for order in flat] == [second.id, first.legs[0].id], "newest first"
    nested = await ask(trading.get_orders, GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True, direction="asc"))
    assert [order.id for order in nested] == [first.id, second.id]
    assert [leg.id for leg in nested[0].legs] == [first.legs[0].id]
    closed = await ask(trading.get_orders, GetOrdersRequest(status=QueryOrderStatus.CLOSED, symbols=["SPY"]))
    assert [order.id for order in closed] == [first.id]
    later = await ask(trading.get_orders, GetOrdersRequest(status=QueryOrderStatus.ALL, after=first.submitted_at))
    assert [order.id for order in later] == [second.id]


async def test_cancel_answers_204_and_a_second_cancel_422(trading: TradingClient) -> None:
    order = await ask(trading.submit_order, entry(limit=100.0))
    assert await ask(trading.cancel_order_by_id, order.id) is None
    assert (await ask(trading.get_order_by_id, order.id)).status is OrderStatus.CANCELED
    status, body = await refused(trading.cancel_order_by_id, order.id)
    assert (status, body["code"]) == (422, 42210000)
    status, body = await refused(trading.cancel_order_by_id, "00000000-0000-0000-0000-000000000000")
    assert (status, body["code"]) == (404, 40410000)


async def test_cancel_all_answers_207_with_each_order(trading: TradingClient) -> None:
    orders = [await ask(trading.submit_order, entry(1, limit=100.0 + n)) for n in range(3)]
    answers = await ask(trading.cancel_orders)
    assert [(each.id, each.status) for each in answers] == [(order.id, 200) for order in orders]


async def test_a_replacement_is_a_new_order(market: Embedded, trading: TradingClient) -> None:
    """Trap 16: `replaces` and `replaced_by`."""
    parent = await ask(trading.submit_order, protected_entry())
    leg = parent.legs[0].id
    status, body = await refused(trading.replace_order_by_id, leg, ReplaceOrderRequest(time_in_force=TimeInForce.GTC))
    assert (status, "held" in body["message"]) == (422, True)
    market.step_to(OPEN + 6 * MINUTE)
    change = ReplaceOrderRequest(time_in_force=TimeInForce.GTC, client_order_id="hf-leg-r1")
    made = await ask(trading.replace_order_by_id, leg, change)
    assert (made.replaces, made.time_in_force, made.qty) == (leg, TimeInForce.GTC, "10")
    old = await ask(trading.get_order_by_id, leg)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, made.id)
    again = await ask(trading.get_order_by_id, parent.id, GetOrderByIdRequest(nested=True))
    assert [each.id for each in again.legs] == [made.id]


async def test_refusals_carry_alpacas_codes(market: Embedded, trading: TradingClient) -> None:
    """Traps 6, 13, 14."""
    order = await ask(trading.submit_order, protected_entry(client_order_id="hf-1"))
    assert (await refused(trading.submit_order, protected_entry(client_order_id="hf-1")))[0] == 422
    market.step_to(OPEN + 6 * MINUTE)
    status, body = await refused(trading.submit_order, market_order(OrderSide.SELL))
    assert (status, body["code"], body["held_for_orders"]) == (403, 40310000, "10")
    assert body["related_orders"] == [str(order.legs[0].id)]
    status, body = await refused(trading.submit_order, market_order(OrderSide.BUY))
    assert (status, body["code"]) == (403, 40310000)
    assert "wash trade" in body["message"]
    await ask(trading.cancel_order_by_id, order.legs[0].id)
    status, body = await refused(trading.submit_order, entry(100_000))
    assert (status, body["message"]) == (403, "insufficient buying power")
    through = StopOrderRequest(
        symbol="SPY", qty=10, side=OrderSide.SELL, time_in_force=TimeInForce.DAY, stop_price=190.0
    )
    assert (await refused(trading.submit_order, through))[0] == 422
    unknown = MarketOrderRequest(symbol="TSLA", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    assert (await refused(trading.submit_order, unknown))[0] == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("not json", 400),
        ("[]", 400),
        ("{}", 422),
        ('{"symbol":"SPY","qty":"ten","side":"buy","type":"market","time_in_force":"day"}', 422),
        ('{"symbol":"SPY","qty":"NaN","side":"buy","type":"market","time_in_force":"day"}', 422),
        ('{"symbol":"SPY","qty":"1","side":"hold","type":"market","time_in_force":"day"}', 422),
        ('{"symbol":"SPY","qty":"1","side":"buy","type":"market","time_in_force":"never"}', 422),
        ('{"symbol":"SPY","notional":"0.5","side":"buy","type":"market","time_in_force":"day"}', 422),
        ('{"symbol":"SPY","qty":"1","notional":"150","side":"buy","type":"market","time_in_force":"day"}', 422),
        ('{"symbol":"SPY","qty":"1.5","side":"buy","type":"market","time_in_force":"gtc"}', 422),
        ('{"symbol":"SPY","qty":"1.5","side":"sell","type":"market","time_in_force":"day"}', 403),
    ],
)
async def test_a_body_that_cannot_be_traded_is_refused_with_code_and_message(
    market: Embedded, body: str, status: int
) -> None:
    answer = await ask(
        lambda: requests.post(f"{market.url}/v2/orders", data=body, headers=headers(market), timeout=PATIENCE_SECS)
    )
    assert answer.status_code == status
    assert set(answer.json()) >= {"code", "message"}
    assert market.venue.exchange.orders == {}


@pytest.mark.parametrize(("path", "status"), [("/v2/nothing", 404), ("/v2/orders/x?nested=maybe", 400)])
async def test_what_does_not_exist_is_refused_in_the_same_form(market: Embedded, path: str, status: int) -> None:
    answer = await ask(lambda: requests.get(market.url + path, headers=headers(market), timeout=PATIENCE_SECS))
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}


# Account


async def test_account_positions_and_activities_agree_to_the_cent(market: Embedded, trading: TradingClient) -> None:
    """BR-6."""
    await ask(trading.submit_order, market_order(OrderSide.BUY))
    market.step_to(OPEN + 6 * MINUTE)
    account = await ask(trading.get_account)
    positions = await ask(trading.get_all_positions)
    activities = await ask(lambda: trading.get("/account/activities", {"activity_types": "FILL"}))
    fill = TradeActivity(**activities[0])
    assert (fill.qty, fill.cum_qty, fill.leaves_qty) == (10, 10, 0)
    books = market.venue.exchange.books
    assert account.cash == str(books.cash.normalize())
    assert float(account.equity) == pytest.approx(float(account.cash) + float(positions[0].market_value))
    assert account.account_number.startswith("PA")
    assert account.trading_blocked is False
    settings = AccountConfiguration(**await ask(lambda: trading.get("/account/configurations")))
    assert settings.no_shorting is True


async def test_activities_page_by_token(market: Embedded, trading: TradingClient) -> None:
    for minute in range(6, 11):
        await ask(trading.submit_order, market_order(OrderSide.BUY, 1))
        market.step_to(OPEN + minute * MINUTE)
    query = {"direction": "asc", "page_size": "2"}
    pages = []
    while page := await ask(lambda: trading.get("/account/activities/FILL", dict(query))):
        pages.append([item["id"] for item in page])
        query["page_token"] = page[-1]["id"]
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [identity for page in pages for identity in page]
    assert found == sorted(found)
    assert len(set(found)) == 5


async def test_a_position_is_closed_by_request(market: Embedded, trading: TradingClient) -> None:
    await ask(trading.submit_order, market_order(OrderSide.BUY))
    market.step_to(OPEN + 6 * MINUTE)
    closing = await ask(trading.close_position, "SPY")
    assert (closing.side, closing.qty) == (OrderSide.SELL, "10")
    market.step_to(OPEN + 7 * MINUTE)
    assert await ask(trading.get_all_positions) == []
    assert (await refused(trading.get_open_position, "SPY"))[0] == 404


async def test_clock_calendar_and_assets_are_of_market_time(trading: TradingClient) -> None:
    clock = await ask(trading.get_clock)
    assert clock.is_open is True
    assert clock.timestamp == OPEN + 5 * MINUTE
    assert clock.next_close == datetime(2013, 10, 8, 20, tzinfo=UTC)
    days = await ask(trading.get_calendar, GetCalendarRequest(start=date(2013, 10, 5), end=date(2013, 10, 8)))
    assert [(day.date.day, day.open.hour, day.close.hour) for day in days] == [(7, 9, 16), (8, 9, 16)]
    assets = await ask(trading.get_all_assets)
    assert [asset.symbol for asset in assets] == ["AIG", "BAC", "IBM", "SPY"]
    by_id = await ask(trading.get_asset, assets[0].id)
    assert (by_id.symbol, by_id.tradable) == ("AIG", True)
    assert (await refused(trading.get_asset, "TSLA"))[0] == 404


# Access


@pytest.mark.parametrize("wrong", [{}, {"APCA-API-KEY-ID": "embedded-key", "APCA-API-SECRET-KEY": "guess"}])
async def test_without_the_right_keys_every_answer_is_401(market: Embedded, wrong: dict[str, str]) -> None:
    for path in ("/v2/account", "/v2/orders", "/v2/stocks/bars?symbols=SPY"):
        answer = await ask(lambda path=path: requests.get(market.url + path, headers=wrong, timeout=PATIENCE_SECS))
        assert (answer.status_code, answer.json()) == (401, {"message": "unauthorized."})


async def test_more_than_200_requests_a_minute_are_429_with_the_published_headers(
    recorded: Recording, tmp_path: Path
) -> None:
    """Trap 11. At a speed of 1 a minute of market time is one of the wall."""
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08", speed=1.0) as market:
        session = requests.Session()

        def many() -> list[requests.Response]:
            url = f"{market.url}/v2/clock"
            return [session.get(url, headers=headers(market), timeout=PATIENCE_SECS) for _ in range(201)]

        answers = await ask(many)
        assert [answer.status_code for answer in answers] == [200] * 200 + [429]
        assert answers[-1].json() == {"code": 42910000, "message": "rate limit exceeded"}
        assert answers[0].headers["X-RateLimit-Limit"] == "200"
        assert answers[0].headers["X-RateLimit-Remaining"] == "199"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
        assert "X-RateLimit-Reset" in answers[-1].headers

        def many_bars() -> list[requests.Response]:
            url = f"{market.url}/v2/stocks/bars/latest?symbols=SPY"
            return [session.get(url, headers=headers(market), timeout=PATIENCE_SECS) for _ in range(201)]

        bars = await ask(many_bars)
        assert bars[0].headers["X-RateLimit-Remaining"] == "199", "market data has a limit of its own"
        assert [answer.status_code for answer in bars] == [200] * 200 + [429]
        assert bars[-1].json() == {"message": "too many requests."}


# Market data


async def test_bars_end_at_the_present_market_time(market: Embedded, history: StockHistoricalDataClient) -> None:
    """No look-ahead: a bar is visible from its end, a daily bar from its session's close."""
    wanted = StockBarsRequest(
        symbol_or_symbols=["SPY", "BAC"], timeframe=TimeFrame.Minute, start=OPEN, end=OPEN + timedelta(days=3)
    )
    bars = await ask(history.get_stock_bars, wanted)
    assert {symbol: [bar.timestamp for bar in rows] for symbol, rows in bars.data.items()} == {
        symbol: [OPEN + n * MINUTE for n in range(5)] for symbol in ("BAC", "SPY")
    }
    days = StockBarsRequest(
        symbol_or_symbols="SPY", timeframe=TimeFrame.Day, start=datetime(2013, 10, 1, tzinfo=UTC), end=OPEN
    )
    assert [bar.timestamp.day for bar in (await ask(history.get_stock_bars, days))["SPY"]] == [1, 2, 3, 4, 7]
    latest = await ask(history.get_stock_latest_bar, StockLatestBarRequest(symbol_or_symbols="SPY"))
    assert latest["SPY"].timestamp == OPEN + 4 * MINUTE


async def test_long_histories_come_in_pages(market: Embedded) -> None:
    query = {"symbols": "SPY,BAC", "timeframe": "1Day", "start": "2013-09-01", "limit": "17"}
    seen: list[tuple[str, str]] = []
    while True:
        answer = await ask(
            lambda: requests.get(
                f"{market.url}/v2/stocks/bars", params=query, headers=headers(market), timeout=PATIENCE_SECS
            )
        )
        page = answer.json()
        assert sum(len(rows) for rows in page["bars"].values()) <= 17
        seen += [(symbol, row["t"]) for symbol, rows in page["bars"].items() for row in rows]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 2 * 25


async def test_quotes_trades_and_snapshots_parse(market: Embedded, history: StockHistoricalDataClient) -> None:
    window = {"symbol_or_symbols": "SPY", "start": OPEN, "end": OPEN + timedelta(hours=1)}
    quotes = await ask(history.get_stock_quotes, StockQuotesRequest(**window))
    assert [quote.timestamp for quote in quotes["SPY"]] == [OPEN + n * MINUTE for n in range(1, 6)]
    assert all(quote.bid_price <= quote.ask_price for quote in quotes["SPY"])
    trades = await ask(history.get_stock_trades, StockTradesRequest(**window))
    assert len(trades["SPY"]) == 5
    latest_quote = await ask(history.get_stock_latest_quote, StockLatestQuoteRequest(symbol_or_symbols="SPY"))
    latest_trade = await ask(history.get_stock_latest_trade, StockLatestTradeRequest(symbol_or_symbols="SPY"))
    snapshot = (await ask(history.get_stock_snapshot, StockSnapshotRequest(symbol_or_symbols="SPY")))["SPY"]
    assert snapshot.latest_quote.ask_price == latest_quote["SPY"].ask_price
    assert snapshot.latest_trade.price == latest_trade["SPY"].price == snapshot.minute_bar.close
    assert snapshot.previous_daily_bar.timestamp.day == 7


# The venue's own pages, and its death


async def test_the_own_books_equal_what_the_client_sees(market: Embedded, trading: TradingClient) -> None:
    await ask(trading.submit_order, protected_entry())
    market.step_to(OPEN + 6 * MINUTE)
    books = (await ask(lambda: requests.get(f"{market.url}/papermarket/v1/books", timeout=PATIENCE_SECS))).json()
    account = await ask(trading.get_account)
    assert (books["cash"], books["equity"]) == (account.cash, account.equity)
    assert [(each["symbol"], each["qty"]) for each in books["positions"]] == [("SPY", "10")]
    assert len(books["orders"]) == 2
    status = (await ask(lambda: requests.get(f"{market.url}/papermarket/v1/status", timeout=PATIENCE_SECS))).json()
    assert status["market_time"] == "2013-10-08T13:36:00Z"
    assert status["recording"]["symbols"] == ["AIG", "BAC", "IBM", "SPY"]


async def test_a_venue_that_was_killed_shows_the_client_the_same_orders(recorded: Recording, tmp_path: Path) -> None:
    async def seen(market: Embedded) -> list[Any]:
        client = TradingClient(market.keys.key, market.keys.secret, url_override=market.url)
        everything = GetOrdersRequest(status=QueryOrderStatus.ALL)
        return [await ask(client.get_orders, everything), await ask(client.get_account)]

    config = ExchangeConfig()
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08", config=config) as market:
        market.step_to(OPEN + 5 * MINUTE)
        client = TradingClient(market.keys.key, market.keys.secret, url_override=market.url)
        await ask(client.submit_order, protected_entry())
        market.step_to(OPEN + 6 * MINUTE)
        before = await seen(market)
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08", config=config) as again:
        assert await seen(again) == before
        assert again.venue.exchange.now == OPEN + 6 * MINUTE

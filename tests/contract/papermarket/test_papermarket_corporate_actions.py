"""The AAPL split of 2014-06-09 through papermarket's HTTP, read by alpaca-py (BS-2, BR-6)."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.data.enums import CorporateActionsType
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.models.corporate_actions import ForwardSplit
from alpaca.data.requests import CorporateActionsRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    CorporateActionSubType,
    CorporateActionType,
    OrderSide,
    OrderStatus,
    TimeInForce,
)
from alpaca.trading.models import NonTradeActivity
from alpaca.trading.requests import (
    GetCorporateAnnouncementsRequest,
    GetPortfolioHistoryRequest,
    MarketOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import PATIENCE_SECS, ask, eventually, headers, refused, streaming

FOLDER = default_folder_of("equity").parent / "aapl_split_2014"
CLOSE_BEFORE = datetime(2014, 6, 6, 20, tzinfo=UTC)
CLOSE_AFTER = datetime(2014, 6, 9, 20, tzinfo=UTC)


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Embedded]:
    """A venue that ticks through the days around the split."""
    async with embedded(recordings.load(FOLDER), tmp_path) as running:
        yield running


@pytest.fixture
def trading(market: Embedded) -> TradingClient:
    return TradingClient(market.keys.key, market.keys.secret, url_override=market.url)


async def long_with_a_stop(market: Embedded, trading: TradingClient) -> Any:
    """Ten shares since 2014-06-05, and their stop, at the close before the split."""
    market.step_to(datetime(2014, 6, 4, 20, tzinfo=UTC))
    buy = MarketOrderRequest(symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
    await ask(trading.submit_order, buy)
    market.step_to(CLOSE_BEFORE)
    stop = StopOrderRequest(symbol="AAPL", qty=10, side=OrderSide.SELL, time_in_force=TimeInForce.GTC, stop_price=600)
    return await ask(trading.submit_order, stop)


def to_the_morning(market: Embedded) -> None:
    """09:29 on the day of the split: only the clock has moved."""
    market.clock.step()
    assert market.venue.exchange.now == datetime(2014, 6, 9, 13, 29, tzinfo=UTC)


async def test_position_stop_and_equity_over_the_night_of_the_split(market: Embedded, trading: TradingClient) -> None:
    stop = await long_with_a_stop(market, trading)
    before, account = await ask(trading.get_open_position, "AAPL"), await ask(trading.get_account)
    assert (before.qty, before.current_price) == ("10", "645.57")
    to_the_morning(market)
    after, later = await ask(trading.get_open_position, "AAPL"), await ask(trading.get_account)
    assert (after.qty, after.current_price) == ("70", "92.224285714")
    assert (after.market_value, after.cost_basis, after.unrealized_pl) == (
        before.market_value,
        before.cost_basis,
        before.unrealized_pl,
    )
    assert (later.equity, later.cash, later.buying_power) == (account.equity, account.cash, account.buying_power)
    assert later.last_equity == account.equity
    adjusted = await ask(trading.get_order_by_id, stop.id)
    assert (adjusted.qty, adjusted.stop_price, adjusted.client_order_id) == ("70", "85.71", stop.client_order_id)
    market.step_to(CLOSE_AFTER)
    assert (await ask(trading.get_order_by_id, stop.id)).status is OrderStatus.NEW, "not triggered"
    position = await ask(trading.get_open_position, "AAPL")
    assert (position.qty, position.qty_available, position.current_price) == ("70", "0", "93.7")


async def test_the_stream_tells_the_adjusted_order(market: Embedded, trading: TradingClient) -> None:
    stop = await long_with_a_stop(market, trading)
    told: list[Any] = []

    async def keep(update: Any) -> None:
        told.append(update)

    stream = TradingStream(market.keys.key, market.keys.secret, url_override=market.trading_stream_url)
    stream.subscribe_trade_updates(keep)
    async with streaming(stream):
        await eventually(lambda: market.venue.updates.sent is not None)
        to_the_morning(market)
        await eventually(lambda: told)
    assert [(update.event, update.order.id) for update in told] == [("restated", stop.id)]
    assert (told[0].order.qty, told[0].order.stop_price) == ("70", "85.71")


async def test_announcements_activities_and_history_tell_it(market: Embedded, trading: TradingClient) -> None:
    await long_with_a_stop(market, trading)
    market.step_to(CLOSE_AFTER)
    asked = GetCorporateAnnouncementsRequest(
        ca_types=[CorporateActionType.SPLIT, CorporateActionType.DIVIDEND],
        since=date(2014, 5, 1),
        until=date(2014, 6, 30),
    )
    dividend, split = await ask(trading.get_corporate_announcements, asked)
    assert (dividend.cash, dividend.ex_date) == (3.29, date(2014, 5, 8))
    assert split.ca_sub_type is CorporateActionSubType.STOCK_SPLIT
    assert (split.initiating_symbol, split.old_rate, split.new_rate, split.ex_date) == ("AAPL", 1, 7, date(2014, 6, 9))
    assert (await ask(trading.get_corporate_announcement_by_id, split.id)).id == split.id
    activities = await ask(lambda: trading.get("/account/activities/SPLIT", {"direction": "asc"}))
    assert [NonTradeActivity(**each).qty for each in activities] == [-10, 70]
    days = await ask(trading.get_portfolio_history, GetPortfolioHistoryRequest(period="1W", timeframe="1D"))
    bought = 646.25 * 1.0001
    closes = [644.82, 647.35, 645.57, 93.70 * 7]
    expected = [100_000.0, *(100_000 + 10 * (close - bought) for close in closes[1:])]
    assert days.equity == pytest.approx(expected, abs=0.02), "no trace of the split"
    assert days.profit_loss[-1] == pytest.approx(expected[-1] - 100_000, abs=0.02)


async def test_market_data_serves_the_actions_that_are_known(market: Embedded) -> None:
    client = CorporateActionsClient(market.keys.key, market.keys.secret, url_override=market.url)
    asked = CorporateActionsRequest(symbols=["AAPL"], start=date(2014, 5, 1), end=date(2014, 6, 30))
    found = await ask(client.get_corporate_actions, asked)
    (split,) = found.data["forward_splits"]
    assert isinstance(split, ForwardSplit)
    assert (split.new_rate, split.ex_date) == (7, date(2014, 6, 9))
    assert [each.rate for each in found.data["cash_dividends"]] == [3.29]
    one = CorporateActionsRequest(
        symbols=["AAPL"],
        types=[CorporateActionsType.REVERSE_SPLIT],
        start=date(2014, 5, 1),
        end=date(2014, 6, 30),
    )
    assert (await ask(client.get_corporate_actions, one)).data == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/corporate_actions/announcements?ca_types=split", 422),
        ("/v2/corporate_actions/announcements?ca_types=gift&since=2014-05-01&until=2014-06-01", 422),
        ("/v2/corporate_actions/announcements?ca_types=split&since=2014-01-01&until=2014-06-01", 422),
        ("/v2/corporate_actions/announcements/none", 404),
        ("/v1/corporate-actions?types=gift", 400),
        ("/v2/account/activities/GIFT", 422),
        ("/v2/account/activities?activity_types=FILL&category=trade_activity", 422),
        ("/v2/account/portfolio/history?timeframe=2D", 422),
        ("/v2/account/portfolio/history?period=soon", 422),
        ("/v2/account/portfolio/history?start=2014-06-01&end=2014-06-02&period=1D", 422),
        ("/v2/account/portfolio/history?timeframe=1Min&period=1M", 422),
        ("/v2/account/portfolio/history?timeframe=1D&pnl_reset=never", 422),
    ],
)
async def test_what_cannot_be_answered_is_refused(market: Embedded, path: str, status: int) -> None:
    answer = await ask(lambda: requests.get(market.url + path, headers=headers(market), timeout=PATIENCE_SECS))
    assert answer.status_code == status
    assert set(answer.json()) >= {"code", "message"}


async def test_a_configuration_is_changed_and_kept(market: Embedded, trading: TradingClient) -> None:
    settings = await ask(trading.get_account_configurations)
    assert (settings.no_shorting, settings.suspend_trade) == (True, False)
    settings.suspend_trade = True
    assert (await ask(trading.set_account_configurations, settings)).suspend_trade is True
    buy = MarketOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    status, body = await refused(trading.submit_order, buy)
    assert (status, body["code"]) == (403, 40310000)
    assert (await ask(trading.get_account)).trade_suspended_by_user is True

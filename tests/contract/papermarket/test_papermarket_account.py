"""A margin account through alpaca-py: short positions, closing them, fees, history, assets (BR-6, BR-7, RC-4)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import AssetClass, OrderSide, PositionSide
from alpaca.trading.models import NonTradeActivity
from alpaca.trading.requests import ClosePositionRequest, GetAssetsRequest, GetPortfolioHistoryRequest

from holdfast_exchange.account import AccountConfig
from holdfast_exchange.configuration import Configuration
from holdfast_exchange.exchange import ExchangeConfig
from holdfast_exchange.fees import FeeSchedule
from holdfast_exchange.recording import Recording
from holdfast_papermarket.embedded import Embedded, embedded
from tests.contract.papermarket.client import MINUTE, OPEN, ask, market_order, refused

CONFIG = ExchangeConfig(
    slippage_bps=Decimal(0),
    account=AccountConfig(
        multiplier=2,
        configuration=Configuration(no_shorting=False),
        fees=FeeSchedule(per_order=Decimal("0.35")),
    ),
)


@pytest.fixture
async def market(recorded: Recording, tmp_path: Path) -> AsyncIterator[Embedded]:
    """A venue five minutes into Tuesday 2013-10-08, with an account on margin."""
    async with embedded(recorded, tmp_path, start="2013-10-08", end="2013-10-08", config=CONFIG) as running:
        running.step_to(OPEN + 5 * MINUTE)
        yield running


@pytest.fixture
def trading(market: Embedded) -> TradingClient:
    return TradingClient(market.keys.key, market.keys.secret, url_override=market.url)


async def short(market: Embedded, trading: TradingClient, quantity: int = 10) -> None:
    await ask(trading.submit_order, market_order(OrderSide.SELL, quantity))
    market.step_to(OPEN + 6 * MINUTE)


async def test_a_short_position_as_the_client_reads_it(market: Embedded, trading: TradingClient) -> None:
    await short(market, trading)
    position, account = await ask(trading.get_open_position, "SPY"), await ask(trading.get_account)
    assert (position.side, position.qty, position.qty_available) == (PositionSide.SHORT, "-10", "-10")
    assert float(position.market_value) < 0
    assert (account.multiplier, account.shorting_enabled, account.long_market_value) == ("2", True, "0")
    assert account.short_market_value == position.market_value
    worth = -Decimal(position.market_value)
    assert Decimal(account.initial_margin) == worth / 2
    assert Decimal(account.maintenance_margin) == worth * Decimal("0.3")
    assert Decimal(account.buying_power) == (Decimal(account.equity) - worth / 2) * 2
    market.step_to(OPEN + 9 * MINUTE)
    moved = await ask(trading.get_open_position, "SPY")
    gain = Decimal(moved.unrealized_pl)
    assert gain == -Decimal(moved.cost_basis) + Decimal(moved.market_value)
    assert Decimal(moved.unrealized_intraday_pl) == pytest.approx(gain, abs=Decimal("1e-6"))


async def test_an_account_that_its_owner_keeps_from_shorting_is_still_one_that_could(
    market: Embedded, trading: TradingClient
) -> None:
    assert market.venue.exchange.account.configuration.no_shorting is False
    await ask(lambda: trading.patch("/account/configurations", {"no_shorting": True}))
    assert (await ask(trading.get_account)).shorting_enabled is True
    status, _ = await refused(trading.submit_order, market_order(OrderSide.SELL, 10))
    assert status == 403


async def test_a_part_of_a_short_position_and_then_all_of_it_is_bought_back(
    market: Embedded, trading: TradingClient
) -> None:
    await short(market, trading)
    part = await ask(trading.close_position, "SPY", ClosePositionRequest(percentage="40"))
    assert (part.side, part.qty) == (OrderSide.BUY, "4")
    market.step_to(OPEN + 7 * MINUTE)
    assert (await ask(trading.get_open_position, "SPY")).qty == "-6"
    answers = await ask(trading.close_all_positions)
    assert [(each.symbol, each.status, each.body.qty) for each in answers] == [("SPY", 200, "6")]
    market.step_to(OPEN + 8 * MINUTE)
    assert await ask(trading.get_all_positions) == []
    status, _ = await refused(trading.close_position, "SPY")
    assert status == 404
    both = {"qty": "1", "percentage": "1"}
    status, _ = await refused(lambda: trading.delete("/positions/SPY", both))
    assert status in (404, 422)


async def test_commission_is_an_activity_of_its_own(market: Embedded, trading: TradingClient) -> None:
    await short(market, trading)
    told = await ask(lambda: trading.get("/account/activities", {"category": "non_trade_activity"}))
    (fee,) = [NonTradeActivity(**each) for each in told]
    assert (fee.activity_type.value, fee.net_amount, fee.symbol) == ("FEE", -0.35, "SPY")
    everything = await ask(lambda: trading.get("/account/activities"))
    assert [each["activity_type"] for each in everything] == ["FEE", "FILL"], "newest first"
    of_the_day = await ask(lambda: trading.get("/account/activities", {"date": "2013-10-08"}))
    assert of_the_day == everything
    assert await ask(lambda: trading.get("/account/activities", {"date": "2013-10-07"})) == []


async def test_history_by_the_minute_ends_with_the_equity(market: Embedded, trading: TradingClient) -> None:
    await short(market, trading)
    market.step_to(OPEN + 30 * MINUTE)
    asked = GetPortfolioHistoryRequest(period="1D", timeframe="5Min")
    history = await ask(trading.get_portfolio_history, asked)
    account = await ask(trading.get_account)
    assert [datetime.fromtimestamp(each, UTC) for each in history.timestamp] == [
        OPEN + 5 * number * MINUTE for number in range(7)
    ]
    assert history.base_value == 100_000
    assert history.equity[0] == 100_000
    assert history.equity[-1] == pytest.approx(float(account.equity), abs=0.01)
    assert history.profit_loss[-1] == pytest.approx(float(account.equity) - 100_000, abs=0.01)
    assert set(history.cashflow) == {"FEE"}


async def test_assets_are_listed_by_class(market: Embedded, trading: TradingClient) -> None:
    crypto = GetAssetsRequest(asset_class=AssetClass.CRYPTO)
    assert await ask(trading.get_all_assets, crypto) == []
    (spy,) = [each for each in await ask(trading.get_all_assets) if each.symbol == "SPY"]
    assert (spy.marginable, spy.shortable, spy.easy_to_borrow, spy.fractionable) == (True, True, True, True)

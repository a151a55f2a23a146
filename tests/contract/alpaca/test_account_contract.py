"""The account's answers, read by alpaca-py and held against what is published (BR-6, TS-3)."""

from datetime import timedelta

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import AccountStatus, AssetClass, AssetStatus
from alpaca.trading.models import AccountConfiguration
from alpaca.trading.requests import (
    GetAssetsRequest,
    GetCalendarRequest,
)

from tests.contract.alpaca.account import PaperAccount, ask

UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def test_the_account_and_its_settings(account: PaperAccount) -> None:
    found = await ask(account.trading.get_account)
    assert found.status is AccountStatus.ACTIVE
    assert float(found.equity) == pytest.approx(
        float(found.cash) + float(found.long_market_value) + float(found.short_market_value)
    )
    settings = await ask(account.trading.get_account_configurations)
    assert isinstance(settings, AccountConfiguration)
    assert settings.max_margin_multiplier in ("1", "2", "4")


async def test_positions_and_the_one_that_is_not_held(account: PaperAccount) -> None:
    held = {position.symbol for position in await ask(account.trading.get_all_positions)}
    unheld = next(symbol for symbol in ("AIG", "BAC", "IBM") if symbol not in held)
    with pytest.raises(APIError) as error:
        await ask(account.trading.get_open_position, unheld)
    assert (error.value.status_code, error.value.code) == (404, 40410000)


async def test_clock_and_calendar_agree(account: PaperAccount) -> None:
    clock = await ask(account.trading.get_clock)
    assert clock.next_close > clock.timestamp
    today = clock.timestamp.date()
    days = await ask(
        account.trading.get_calendar,
        GetCalendarRequest(start=today - timedelta(days=10), end=today + timedelta(days=10)),
    )
    assert [day.date for day in days] == sorted(day.date for day in days)
    assert clock.next_close.date() in {day.date for day in days}
    assert all((day.close - day.open) <= timedelta(hours=6.5) for day in days)
    every = await ask(account.trading.get_calendar)
    assert len(every) > 5000
    assert {day.date for day in days} <= {day.date for day in every}


async def test_assets_by_class_symbol_and_id(account: PaperAccount) -> None:
    asked = GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY)
    assets = {asset.symbol: asset for asset in await ask(account.trading.get_all_assets, asked)}
    spy = assets["SPY"]
    assert (spy.tradable, spy.asset_class) == (True, AssetClass.US_EQUITY)
    assert (await ask(account.trading.get_asset, "SPY")).id == spy.id
    assert (await ask(account.trading.get_asset, spy.id)).symbol == "SPY"
    with pytest.raises(APIError) as error:
        await ask(account.trading.get_asset, "NOSUCHASSET")
    assert (error.value.status_code, error.value.code) == (404, 40410000)


async def test_activities_come_newest_first_and_page_by_the_last_id(account: PaperAccount) -> None:
    for path in ("/v2/account/activities", "/v2/account/activities/FILL"):
        first = await account.raw("GET", path, params={"page_size": "2"})
        assert first.status_code == 200
        ids = [item["id"] for item in first.json()]
        assert ids == sorted(ids, reverse=True)
        if len(ids) == 2:
            further = await account.raw("GET", path, params={"page_size": "2", "page_token": ids[-1]})
            assert all(item["id"] < ids[-1] for item in further.json())

"""What became of the account and of what it holds: equity over time, corporate actions (BR-6, RC-4)."""

from datetime import UTC, datetime, timedelta

from alpaca.data.requests import CorporateActionsRequest
from alpaca.trading.enums import CorporateActionDateType, CorporateActionType
from alpaca.trading.requests import GetCorporateAnnouncementsRequest, GetPortfolioHistoryRequest

from tests.contract.alpaca.account import PaperAccount, ask

UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def test_portfolio_history_has_columns_of_one_length(account: PaperAccount) -> None:
    for asked in (None, GetPortfolioHistoryRequest(period="1W", timeframe="1D")):
        history = await ask(account.trading.get_portfolio_history, asked)
        lengths = {len(history.timestamp), len(history.equity), len(history.profit_loss), len(history.profit_loss_pct)}
        assert len(lengths) == 1
        assert history.timestamp == sorted(history.timestamp)


async def test_corporate_actions_as_announced(account: PaperAccount) -> None:
    until = (await ask(account.trading.get_clock)).timestamp.astimezone(UTC).date()
    asked = GetCorporateAnnouncementsRequest(
        ca_types=[CorporateActionType.DIVIDEND, CorporateActionType.SPLIT],
        since=until - timedelta(days=80),
        until=until,
        symbol="SPY",
        date_type=CorporateActionDateType.EX_DATE,
    )
    for announced in await ask(account.trading.get_corporate_announcements, asked):
        assert announced.initiating_symbol == "SPY"
    answer = await account.raw("GET", f"/v2/corporate_actions/announcements/{UNKNOWN}")
    assert answer.status_code == 404


async def test_corporate_actions_of_market_data(account: PaperAccount) -> None:
    end: datetime = (await ask(account.trading.get_clock)).timestamp
    asked = CorporateActionsRequest(symbols=["SPY"], start=(end - timedelta(days=80)).date(), end=end.date())
    found = await ask(account.actions.get_corporate_actions, asked)
    assert set(found.data) <= {"cash_dividends", "forward_splits", "reverse_splits", "name_changes"}

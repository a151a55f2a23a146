"""Each figure of a backtest, on numbers that are worked out by hand."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from holdfast_simulation.backtest import metrics
from holdfast_simulation.backtest.metrics import Point

NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2013, 10, 7, 16, 0, tzinfo=UTC)


def dollars(*values: int) -> list[Decimal]:
    return [Decimal(each) for each in values]


def curve(*values: int, hours: int = 24, held: int = 0) -> list[Point]:
    step = timedelta(hours=hours)
    return [Point(NOON + number * step, Decimal(each), Decimal(held)) for number, each in enumerate(values)]


def test_the_return_is_the_last_equity_over_the_first_less_one() -> None:
    assert metrics.total_return(dollars(100, 80, 110)) == pytest.approx(0.1)


def test_a_day_counts_with_its_last_equity_and_ends_at_midnight_of_the_exchange() -> None:
    """16:00, 22:00, 04:00 and 10:00 of UTC are 12:00, 18:00, midnight and 06:00 in New York."""
    points = curve(100, 101, 102, 103, hours=6)

    assert metrics.closes(points, UTC) == dollars(101, 103)
    assert metrics.closes(points, NEW_YORK) == dollars(102, 103)


def test_volatility_is_the_sample_deviation_of_daily_returns_for_a_year() -> None:
    """+10 % and -10 %: mean 0, sum of squares 0.02, over one degree of freedom."""
    assert metrics.returns(dollars(100, 110, 99)) == pytest.approx([0.1, -0.1])
    assert metrics.volatility([0.1, -0.1], 252) == pytest.approx(math.sqrt(0.02 * 252))


def test_sharpe_is_the_mean_over_the_deviation() -> None:
    """+3 % and +1 %: mean 0.02, deviation sqrt(0.0002)."""
    assert metrics.sharpe([0.03, 0.01], 252) == pytest.approx(0.02 / math.sqrt(0.0002) * math.sqrt(252))


def test_sortino_counts_losses_alone_but_every_day() -> None:
    """+3 % and -1 %: mean 0.01, mean square of losses 0.0001 / 2."""
    assert metrics.sortino([0.03, -0.01], 252) == pytest.approx(0.01 / math.sqrt(0.00005) * math.sqrt(252))


def test_what_is_not_defined_is_not_guessed() -> None:
    assert metrics.volatility([0.1], 252) is None
    assert metrics.sharpe([0.1], 252) is None
    assert metrics.sharpe([0.1, 0.1], 252) is None
    assert metrics.sortino([0.1, 0.2], 252) is None
    assert metrics.profit_factor([]) is None
    assert metrics.profit_factor(dollars(5, 1)) is None
    assert metrics.win_rate([]) is None


def test_the_drawdown_is_the_way_down_from_the_highest_so_far() -> None:
    assert metrics.drawdowns(dollars(100, 120, 90, 130, 117)) == pytest.approx([0, 0, 0.25, 0, 0.1])


def test_the_profit_factor_is_gains_over_losses() -> None:
    assert metrics.profit_factor(dollars(30, -10, 15, -5, 0)) == pytest.approx(3.0)


def test_the_win_rate_is_the_share_of_trades_that_made_money() -> None:
    assert metrics.win_rate(dollars(30, -10, 0, 5)) == pytest.approx(0.5)


def test_turnover_is_what_was_traded_over_the_mean_equity() -> None:
    assert metrics.turnover(Decimal(300), curve(100, 200)) == pytest.approx(2.0)


def test_exposure_is_what_was_held_of_equity() -> None:
    assert metrics.exposure(curve(100, 200, held=50)) == pytest.approx((0.5 + 0.25) / 2)


def test_all_figures_of_a_run() -> None:
    found = metrics.figures(
        curve(110, 99, held=11),
        starting_cash=Decimal(100),
        profits=dollars(10, -11),
        traded=Decimal(209),
        costs=Decimal("0.50"),
        zone=NEW_YORK,
        days_a_year=252,
    )

    assert found.total_return == pytest.approx(-0.01)
    assert found.volatility == pytest.approx(math.sqrt(0.02 * 252))
    assert found.max_drawdown == pytest.approx(0.1)
    assert found.turnover == pytest.approx(2.0)
    assert (found.trades, found.win_rate, found.costs) == (2, 0.5, Decimal("0.50"))

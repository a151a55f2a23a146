"""What a run has earned and what it has cost. Pure: every figure is defined in its docstring.

Ratios are fractions (0.01 is one percent). A figure is None where it is not defined: nothing is guessed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import groupby, pairwise
from statistics import fmean, stdev
from typing import NamedTuple

ZERO = Decimal(0)
MOMENT = timedelta(microseconds=1)
EQUITY_DAYS, CRYPTO_DAYS = 252, 365
"""Days of trading in a year."""


class Point(NamedTuple):
    """The account after an instant's data, in dollars."""

    at: datetime
    equity: Decimal
    held: Decimal
    """What the positions were worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one run."""

    total_return: float
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    profit_factor: float | None
    win_rate: float | None
    trades: int
    turnover: float
    exposure: float
    costs: Decimal


def figures(
    curve: Sequence[Point],
    *,
    starting_cash: Decimal,
    profits: Sequence[Decimal],
    traded: Decimal,
    costs: Decimal,
    zone: tzinfo,
    days_a_year: int,
) -> Figures:
    """All figures. `profits`: of each closing order, in dollars; `traded`: dollars bought and sold; `zone`: whose
    midnight ends a day."""
    daily = returns([starting_cash, *closes(curve, zone)])
    equity = [starting_cash, *(point.equity for point in curve)]
    return Figures(
        total_return=total_return(equity),
        volatility=volatility(daily, days_a_year),
        sharpe=sharpe(daily, days_a_year),
        sortino=sortino(daily, days_a_year),
        max_drawdown=max(drawdowns(equity)),
        profit_factor=profit_factor(profits),
        win_rate=win_rate(profits),
        trades=len(profits),
        turnover=turnover(traded, curve),
        exposure=exposure(curve),
        costs=costs,
    )


def closes(curve: Iterable[Point], zone: tzinfo) -> list[Decimal]:
    """The last equity of each day that has one, oldest first. Midnight is the end of a day, not a day of its own."""
    days = groupby(curve, key=lambda point: (point.at.astimezone(zone) - MOMENT).date())
    return [list(points)[-1].equity for _, points in days]


def returns(equity: Sequence[Decimal]) -> list[float]:
    """The change from each value to the next, as a fraction of the former."""
    return [float(after / before - 1) for before, after in pairwise(equity)]


def total_return(equity: Sequence[Decimal]) -> float:
    """The last value over the first, less one."""
    return float(equity[-1] / equity[0] - 1)


def volatility(daily: Sequence[float], days_a_year: int) -> float | None:
    """Sample standard deviation of daily returns, for a year: times the root of its days. None below two days."""
    return stdev(daily) * math.sqrt(days_a_year) if len(daily) > 1 else None


def sharpe(daily: Sequence[float], days_a_year: int) -> float | None:
    """Mean daily return over its sample standard deviation, for a year; cash earns nothing. None below two days, or
    where every day returned the same."""
    spread = stdev(daily) if len(daily) > 1 else 0.0
    return fmean(daily) / spread * math.sqrt(days_a_year) if spread else None


def sortino(daily: Sequence[float], days_a_year: int) -> float | None:
    """As Sharpe, over the downside deviation: the root of the mean square of all days' losses, a gain counting as zero.
    None below two days, or where no day lost."""
    downside = math.sqrt(fmean(min(each, 0.0) ** 2 for each in daily)) if len(daily) > 1 else 0.0
    return fmean(daily) / downside * math.sqrt(days_a_year) if downside else None


def drawdowns(equity: Sequence[Decimal]) -> list[float]:
    """At each value: how far below the highest so far, as a fraction of that. The maximum drawdown is the largest."""
    found, peak = [], equity[0]
    for value in equity:
        peak = max(peak, value)
        found.append(float(1 - value / peak))
    return found


def profit_factor(profits: Iterable[Decimal]) -> float | None:
    """What winning trades made over what losing ones lost. None where none lost."""
    listed = list(profits)
    lost = -sum((each for each in listed if each < 0), ZERO)
    return float(sum((each for each in listed if each > 0), ZERO) / lost) if lost else None


def win_rate(profits: Sequence[Decimal]) -> float | None:
    """Trades that made money, of all; a trade is an order that closed something. None where there was none."""
    return sum(each > 0 for each in profits) / len(profits) if profits else None


def turnover(traded: Decimal, curve: Sequence[Point]) -> float:
    """Dollars bought and sold over the mean equity: 2 is the whole account bought once and sold once."""
    return float(traded / (sum((point.equity for point in curve), ZERO) / len(curve)))


def exposure(curve: Sequence[Point]) -> float:
    """What was held, as a fraction of equity, on average over the instants."""
    return fmean(float(point.held / point.equity) for point in curve)

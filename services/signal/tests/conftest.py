"""Bars to test with."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast_core.sessions import xnys
from holdfast_runtime.ports.venue import Bar

MINUTE = timedelta(minutes=1)


def minute_bar(symbol: str, start: datetime, close: str | float | Decimal) -> Bar:
    price = Decimal(str(close))
    return Bar(
        symbol=symbol, start=start, end=start + MINUTE, open=price, high=price, low=price, close=price,
        volume=Decimal(100),
    )  # fmt: skip


def daily_bar(symbol: str, day: date, close: str | float | Decimal) -> Bar:
    session = xnys().session_of(day)
    assert session is not None
    price = Decimal(str(close))
    midnight = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
    return Bar(
        symbol=symbol, start=midnight, end=session.close, open=price, high=price, low=price, close=price,
        volume=Decimal(100),
    )  # fmt: skip


def session_bars(symbol: str, day: date, closes: Sequence[float | str | Decimal]) -> list[Bar]:
    """Consecutive minute bars from the open of `day`."""
    session = xnys().session_of(day)
    assert session is not None
    return [minute_bar(symbol, session.open + MINUTE * number, close) for number, close in enumerate(closes)]


@pytest.fixture
def bars_of() -> Callable[..., list[Bar]]:
    return session_bars


@pytest.fixture
def bar_at() -> Callable[..., Bar]:
    return minute_bar


@pytest.fixture
def day_bar() -> Callable[..., Bar]:
    return daily_bar

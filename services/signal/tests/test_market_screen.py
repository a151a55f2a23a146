"""What is not believed is named with its reason: wrong symbol, no number, impossible, crossed, another unit (BS-8)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast_runtime.ports.venue import Quote
from holdfast_signal.screen import Screen

START = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=1)


@pytest.fixture
def screen(bar_at) -> Screen:
    made = Screen(("SPY",), max_move=Decimal(5))
    assert made.fault(bar_at("SPY", START, 100), NOW) is None
    return made


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "IBM"}, "SYMBOL_WRONG"),
        ({"close": Decimal("NaN")}, "NUMBER_MISSING"),
        ({"volume": Decimal("Infinity")}, "NUMBER_MISSING"),
        ({"low": Decimal(0)}, "PRICE_IMPOSSIBLE"),
        ({"low": Decimal(-1)}, "PRICE_IMPOSSIBLE"),
        ({"high": Decimal(99)}, "BAR_INCOHERENT"),
        ({"end": START + timedelta(hours=1)}, "TIME_WRONG"),
        ({"end": START}, "TIME_WRONG"),
    ],
)
def test_a_bar_that_is_not_believed(screen, bar_at, changes, code):
    assert screen.fault(replace(bar_at("SPY", START, 100), **changes), NOW).startswith(f"{code}: ")


@pytest.mark.parametrize(("close", "believed"), [("499.99", True), ("500", False), ("20.01", True), ("20", False)])
def test_a_price_of_another_magnitude_is_another_unit(screen, bar_at, close, believed):
    """BS-8."""
    fault = screen.fault(bar_at("SPY", START, close), NOW)
    assert (fault is None) == believed
    assert believed or fault == f"PRICE_MAGNITUDE: SPY price={close} last=100"


def quote(bid: str, ask: str) -> Quote:
    return Quote(
        symbol="SPY", at=NOW, bid=Decimal(bid), ask=Decimal(ask), bid_size=Decimal(1), ask_size=Decimal(1)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bid", "ask", "code"),
    [
        ("101", "100", "QUOTE_CROSSED"),
        ("0", "100", "PRICE_IMPOSSIBLE"),
        ("100", "NaN", "NUMBER_MISSING"),
        ("1000", "1001", "PRICE_MAGNITUDE"),
    ],
)
def test_a_quote_that_is_not_believed(screen, bid, ask, code):
    assert screen.fault(quote(bid, ask), NOW).startswith(f"{code}: ")


def test_a_locked_quote_is_believed(screen):
    assert screen.fault(quote("100", "100"), NOW) is None


def test_a_quarantined_bar_is_not_what_the_next_one_is_compared_with(screen, bar_at):
    assert screen.fault(bar_at("SPY", START, 10_000), NOW) is not None
    assert screen.fault(bar_at("SPY", START, 101), NOW) is None

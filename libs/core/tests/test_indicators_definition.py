"""Indicators equal TA-Lib on any values, and say None where there are too few (SY-1)."""

import numpy
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from holdfast_core.indicators import Rsi, Sma, rsi, sma

PRICES = st.lists(st.integers(1, 1_000_000).map(lambda cents: cents / 100), min_size=2, max_size=120)


def same(found: float | None, wanted: float) -> bool:
    return found is None if numpy.isnan(wanted) else found == pytest.approx(wanted, rel=1e-9, abs=1e-7)


@given(PRICES, st.integers(2, 30))
def test_the_moving_average_equals_ta_lib_at_every_value(prices, period):
    wanted = talib.SMA(numpy.array(prices), timeperiod=period)
    average = Sma(period)
    for number, price in enumerate(prices):
        assert same(average.update(price), wanted[number])
        assert sma(prices[: number + 1], period) == average.value


@given(PRICES, st.integers(2, 30))
def test_relative_strength_equals_ta_lib_at_every_value(prices, period):
    wanted = talib.RSI(numpy.array(prices), timeperiod=period)
    index = Rsi(period)
    for number, price in enumerate(prices):
        assert same(index.update(price), wanted[number])
    assert rsi(prices, period) == index.value


@given(PRICES, PRICES, st.integers(1, 30))
def test_the_average_does_not_remember_what_left_its_window(before, prices, period):
    """A warm and a cold start give the same digits (TL-10)."""
    warm, cold = Sma(period), Sma(period)
    for price in before + prices:
        warm.update(price)
    for price in prices:
        cold.update(price)
    assert cold.value is None or warm.value == cold.value


@pytest.mark.parametrize(("prices", "wanted"), [([1, 2, 3, 4], 100.0), ([4, 3, 2, 1], 0.0), ([2, 2, 2, 2], 0.0)])
def test_relative_strength_at_its_ends(prices, wanted):
    assert rsi(prices, 3) == wanted


def test_a_period_that_means_nothing_is_refused():
    for made in (lambda: Sma(0), lambda: Rsi(1), lambda: sma([1.0], 0)):
        with pytest.raises(ValueError, match="period"):
            made()

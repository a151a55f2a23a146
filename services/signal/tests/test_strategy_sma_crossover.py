"""The moving-average crossover: one signal for a crossing, none from noise, none from a gap (TL-1, TL-8, TL-10)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_core.sessions import xnys
from holdfast_signal.runners import Draft, MinuteRunner
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import InvalidStrategy, StrategyMaker, Wish, prepare

MONDAY, TUESDAY = date(2013, 10, 7), date(2013, 10, 8)
END = datetime(2013, 10, 12, tzinfo=UTC)


def crossover(
    fast: int = 2, slow: int = 4, band_bps: float = 5.0, symbols: tuple[str, ...] = ("SPY",)
) -> StrategyMaker:
    return prepare(
        SmaCrossover, id="sma", book="equity", symbols=symbols, stop_fraction=Decimal("0.05"),
        parameters={"fast": fast, "slow": slow, "band_bps": band_bps},
    )  # fmt: skip


def drafts(bars, maker=None) -> list[Draft]:
    return MinuteRunner(maker or crossover(), xnys(), grace=timedelta(seconds=5)).rebuild(bars, END)


def wishes(bars, maker=None) -> list[tuple[Wish, str]]:
    return [(each.wish, each.symbol) for draft in drafts(bars, maker) for each in draft.desires]


def test_a_rise_enters_and_a_fall_exits(bars_of):
    bars = bars_of("SPY", MONDAY, [100, 100, 100, 100, 101, 102, 103, 102, 100, 98, 96])
    assert wishes(bars) == [(Wish.ENTER_LONG, "SPY"), (Wish.EXIT_LONG, "SPY")]


def test_a_draft_is_valid_for_one_minute_and_carries_the_price_that_was_seen(bars_of):
    (draft,) = drafts(bars_of("SPY", MONDAY, [100, 100, 100, 100, 101]))
    assert draft.market_time == datetime(2013, 10, 7, 13, 35, tzinfo=UTC)
    assert draft.valid_until == datetime(2013, 10, 7, 13, 36, tzinfo=UTC)
    assert draft.prices == {"SPY": Decimal(101)}
    assert draft.desires[0].features["sma_fast"] == 100.5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=120))
def test_noise_around_the_crossing_gives_one_signal(bars_of, noise):
    """TL-8: prices within ±4 bps of a level reached by one rise; the band is 10 bps."""
    closes = [100.0] * 4 + [101.0] * 4 + [101.0 * (1 + step / 10_000) for step in noise]
    assert wishes(bars_of("SPY", MONDAY, closes), crossover(band_bps=10)) == [(Wish.ENTER_LONG, "SPY")]


def test_without_a_band_the_same_noise_gives_many(bars_of):
    """What the band is for."""
    closes = [100.0] * 4 + [101.0] * 4 + [101.02, 100.98] * 20
    assert len(wishes(bars_of("SPY", MONDAY, closes), crossover(fast=3, band_bps=0))) > 5


def test_no_signal_comes_from_a_window_with_a_missing_bar(bars_of):
    """TL-1: after a gap the window fills anew before the strategy is asked again."""
    bars = bars_of("SPY", MONDAY, [100, 100, 100, 100, 105, 106, 107, 108, 109])
    gapped = [bar for number, bar in enumerate(bars) if number != 3]
    assert [draft.market_time for draft in drafts(bars)] == [bars[4].end]
    assert [draft.market_time for draft in drafts(gapped)] == [bars[7].end]


def test_a_gap_in_one_symbol_leaves_the_others_alone(bars_of):
    maker = crossover(symbols=("BAC", "SPY"))
    spy = bars_of("SPY", MONDAY, [100, 100, 100, 100, 105])
    bac = [bar for number, bar in enumerate(bars_of("BAC", MONDAY, [10, 10, 10, 10, 11])) if number != 2]
    assert wishes(spy + bac, maker) == [(Wish.ENTER_LONG, "SPY")]


def test_the_night_is_no_gap(bars_of):
    """Windows reach back into the session before."""
    bars = bars_of("SPY", MONDAY, [100.0] * 390) + bars_of("SPY", TUESDAY, [103])
    assert [draft.market_time.date() for draft in drafts(bars)] == [TUESDAY]


def test_a_last_minute_that_is_missing_is_a_gap_over_the_night(bars_of):
    bars = bars_of("SPY", MONDAY, [100.0] * 389) + bars_of("SPY", TUESDAY, [103])
    assert drafts(bars) == []


def test_a_session_begins_without_the_side_of_yesterday(bars_of):
    """TL-10: the side is told again at the first bar outside the band."""
    rise = [100 + number * 0.1 for number in range(390)]
    found = drafts(bars_of("SPY", MONDAY, rise) + bars_of("SPY", TUESDAY, [140, 141]))
    assert [(draft.market_time.date(), draft.desires[0].wish) for draft in found] == [
        (MONDAY, Wish.ENTER_LONG),
        (TUESDAY, Wish.ENTER_LONG),
    ]


def test_bars_outside_a_session_are_nothing_to_a_strategy(bars_of, bar_at):
    early = bar_at("SPY", datetime(2013, 10, 7, 13, 0, tzinfo=UTC), 50)
    bars = bars_of("SPY", MONDAY, [100, 100, 100, 100])
    assert drafts([early, *bars]) == []


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"fast": 30, "slow": 10}, "fast 30 must be below slow 10"),
        ({"fast": 0}, "parameters.fast: 0 is not allowed; allowed: an integer from 2"),
        ({"fats": 3}, "parameters.fats: unknown key; did you mean fast?"),
        ({"colour": 3}, "parameters.colour: unknown key; known here: fast, slow"),
        ({"band_bps": "wide"}, "parameters.band_bps: 'wide' is not allowed; allowed: a number from 0 to 1000"),
    ],
)
def test_wrong_parameters_are_refused_by_key_value_and_range(parameters, told):
    with pytest.raises(InvalidStrategy, match="strategy sma") as refused:
        prepare(
            SmaCrossover, id="sma", book="equity", symbols=("SPY",), stop_fraction=Decimal("0.05"),
            parameters=parameters,
        )  # fmt: skip
    assert told in str(refused.value)

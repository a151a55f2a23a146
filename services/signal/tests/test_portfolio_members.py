"""A portfolio of strategies: their own entries and exits say which weights count in the one target (SY-2)."""

from datetime import date, time, timedelta
from decimal import Decimal
from random import Random

import pytest

from holdfast_core.schedules import Schedule
from holdfast_core.sessions import xnys
from holdfast_signal.runners import TimedRunner
from holdfast_signal.strategies.portfolio import Portfolio
from holdfast_signal.strategy import Wish, prepare

FRIDAY, MONDAY = date(2013, 10, 4), date(2013, 10, 7)
BUYS = (time(9, 45), time(10, 30))
SYMBOLS = ("AIG", "BAC", "SPY")
TREND = {"kind": "sma_crossover", "parameters": {"fast": 2, "slow": 4, "band_bps": 2.0}}
SLEEVES = {
    "trend": {"share": "0.6", "weights": {"SPY": "0.5", "BAC": "0.5"}, **TREND},
    "core": {"share": "0.4", "weights": {"SPY": "0.25", "AIG": "0.5"}},
}
PRICES = dict.fromkeys(SYMBOLS, Decimal(100))
UP = [100 + number / 10 for number in range(60)]
DOWN = [100 - number / 10 for number in range(60)]


def runner(sleeves=SLEEVES) -> TimedRunner:
    schedule = Schedule("equity", BUYS, (), timedelta(minutes=5))
    maker = prepare(
        Portfolio, id="core", book="equity", symbols=SYMBOLS, stop_fraction=Decimal("0.05"),
        parameters={"sleeves": sleeves}, schedule=schedule,
    )  # fmt: skip
    return TimedRunner(maker, schedule, xnys())


def targets(draft, wish=Wish.REDUCE_LONG) -> dict[str, str]:
    return {each.symbol: str(each.target_weight) for each in draft.desires if each.wish is wish}


def fired(found: TimedRunner, bars, number=0):
    """The draft of the session's buy of that number, once `bars` came."""
    for bar in bars:
        found.take(bar)
    buy = found.buys(xnys().session_of(MONDAY))[number]
    return found.fire(buy, PRICES)


def walk(bars_of, seed: int) -> list:
    """Two sessions' mornings of all symbols, a random walk, about one bar in forty missing."""
    chance = Random(seed)
    bars = []
    for symbol in SYMBOLS:
        price = 100.0
        for day, count in ((FRIDAY, 390), (MONDAY, 90)):
            closes = []
            for _ in range(count):
                price *= 1 + chance.gauss(0, 0.0008)
                closes.append(round(price, 2))
            bars += [bar for bar in bars_of(symbol, day, closes) if chance.random() > 0.025]
    return sorted(bars, key=lambda bar: (bar.end, bar.symbol))


def test_a_weight_counts_while_its_strategy_is_long(bars_of):
    draft = fired(runner(), [*bars_of("SPY", MONDAY, UP), *bars_of("BAC", MONDAY, DOWN)])
    assert targets(draft) == {"AIG": "0.20", "BAC": "0", "SPY": "0.400"}
    assert targets(draft, Wish.ENTER_LONG) == {"AIG": "0.20", "SPY": "0.400"}


def test_a_strategy_that_has_left_since_counts_no_more(bars_of):
    """The last of its wishes before the buy time holds."""
    turning = [*UP[:30], *DOWN[:30]]
    bars = [*bars_of("SPY", MONDAY, turning), *bars_of("BAC", MONDAY, UP)]
    assert targets(fired(runner(), bars, 0))["SPY"] == "0.400"
    assert targets(fired(runner(), bars, 1))["SPY"] == "0.100"


def test_what_a_strategy_has_not_spoken_of_is_left_as_it_is(bars_of):
    """Silence, or bars that are missing, are no wish to sell (TL-1)."""
    assert targets(fired(runner(), bars_of("BAC", MONDAY, UP))) == {"AIG": "0.20", "BAC": "0.30"}
    assert targets(fired(runner(), [])) == {"AIG": "0.20"}
    yesterday = bars_of("SPY", FRIDAY, UP)
    assert "SPY" not in targets(fired(runner(), yesterday))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_of_the_future_is_in_a_target(bars_of, seed, number):
    """Whatever ends at the buy time or after it: shuffled, the draft is the same one."""
    bars = walk(bars_of, seed)
    planned_at = runner().buys(xnys().session_of(MONDAY))[number].planned_at
    past = [bar for bar in bars if bar.end < planned_at]
    future = [bar for bar in bars if bar.end >= planned_at]
    closes = [bar.close for bar in future]
    Random(seed).shuffle(closes)
    shuffled = [
        type(bar)(**{name: getattr(bar, name) for name in ("symbol", "start", "end", "volume")},
                  **dict.fromkeys(("open", "high", "low", "close"), close))
        for bar, close in zip(future, closes, strict=True)
    ]  # fmt: skip
    assert fired(runner(), [*past, *shuffled], number) == fired(runner(), bars, number) == fired(runner(), past, number)


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_from_history_and_a_late_bar_find_the_same_target(bars_of, seed):
    """TL-10: a function of the recorded bars of the previous and the present session."""
    bars = walk(bars_of, seed)
    undisturbed = fired(runner(), bars, 1)
    restarted = runner()
    restarted.rebuild(bars[: len(bars) // 2])
    restarted.rebuild(bars)
    assert fired(restarted, [], 1) == undisturbed
    thursday = bars_of("SPY", date(2013, 10, 3), DOWN)
    assert fired(runner(), [*thursday, *bars], 1) == undisturbed
    late = [bar for bar in bars if bar.start.date() == MONDAY and bar.symbol == "SPY"][20]
    assert fired(runner(), [*(bar for bar in bars if bar is not late), late, late], 1) == undisturbed


def test_it_keeps_no_more_than_two_sessions(bars_of):
    """Everything is bounded."""
    found = runner()
    for day in (date(2013, 10, 2), date(2013, 10, 3), FRIDAY, MONDAY):
        for bar in bars_of("SPY", day, UP):
            found.take(bar)
    assert len(found.kept) == 120


def test_members_need_their_bars_and_their_history():
    strategy = runner().maker.make()
    assert strategy.lookback == 4
    assert strategy.data_symbols == SYMBOLS

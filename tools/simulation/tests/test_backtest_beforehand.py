"""What a strategy says of a whole recording at once is what signal's runner hears from it bar by bar (TS-3, TL-10)."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from holdfast_core.sessions import xnys
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_signal.runners import MinuteRunner
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import Desire, Strategy, StrategyMaker, Window, Wish, prepare
from holdfast_simulation.backtest.beforehand import is_steady, said_at
from holdfast_simulation.world.market import told_bar

FIRST, LAST = date(2013, 10, 9), date(2013, 10, 15)
CENT = Decimal("0.01")


class Talker(Strategy):
    """Says something at each bar, and nothing beforehand."""

    def on_bar(self, window: Window) -> Desire | None:
        return Desire(symbol=window.symbol, wish=Wish.ENTER_LONG)


def made(kind: type[Strategy] = SmaCrossover, **parameters: float) -> StrategyMaker:
    return prepare(
        kind, id="one", book="equity", symbols=("SPY",), stop_fraction=Decimal("0.05"), parameters=parameters
    )


def walk(chance: Random) -> list[Bar]:
    """Five sessions, a weekend among them, and bars before and after each."""
    price, bars = Decimal(100), []
    for session in xnys().sessions_between(FIRST, LAST):
        start = session.open - 5 * MINUTE
        while start < session.close + 5 * MINUTE:
            closed = price + CENT * chance.randint(-6, 6)
            low, high = min(price, closed), max(price, closed)
            bars.append(Bar("SPY", start, start + MINUTE, price, high, low, closed, Decimal(100)))
            price, start = closed, start + MINUTE
    return bars


def heard(maker: StrategyMaker, bars: list[Bar]) -> list[datetime]:
    """By the runner of signal."""
    runner = MinuteRunner(maker, xnys(), grace=timedelta(0))
    return [draft.market_time for bar in bars for draft in runner.take(told_bar(bar))]


@pytest.mark.parametrize("band_bps", [0.0, 2.0, 1_000.0])
def test_it_is_told_beforehand_when_a_strategy_will_speak(band_bps: float) -> None:
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    maker, bars = made(fast=5, slow=20, band_bps=band_bps), walk(Random(seed))
    expected = heard(maker, bars)
    assert bool(expected) == (band_bps < 1_000)
    assert said_at(maker, bars, xnys()) == expected


def test_after_a_session_without_bars_windows_begin_anew() -> None:
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    maker = made(fast=5, slow=20, band_bps=0.0)
    left = [bar for bar in walk(Random(seed)) if bar.start.date() != date(2013, 10, 11)]
    assert said_at(maker, left, xnys()) == heard(maker, left)


def test_after_a_session_that_ended_early_or_began_late_windows_begin_anew() -> None:
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    maker, bars = made(fast=5, slow=20, band_bps=0.0), walk(Random(seed))
    session = xnys().session_of(date(2013, 10, 10))
    assert session is not None
    for missing in (session.close - 30 * MINUTE, session.open):
        left = [bar for bar in bars if not missing <= bar.start < missing + 30 * MINUTE]
        assert said_at(maker, left, xnys()) == heard(maker, left)


def test_nothing_is_told_beforehand_where_a_bar_is_missing_or_wrong_or_the_strategy_cannot() -> None:
    bars = walk(Random(1))
    assert said_at(made(Talker), bars, xnys()) is None
    assert said_at(made(fast=5, slow=20), [*bars[:100], *bars[101:]], xnys()) is None
    wrong = Bar("SPY", bars[100].start, bars[100].end, *(Decimal(each) for each in (100, 99, 98, 100, 1)))
    assert said_at(made(fast=5, slow=20), [*bars[:100], wrong, *bars[101:]], xnys()) is None


def test_prices_are_steady_where_none_is_so_far_from_another_that_it_would_not_be_believed() -> None:
    """BS-8."""
    bars = walk(Random(1))
    assert is_steady(bars, Decimal(5))
    far = Bar("SPY", bars[-1].start, bars[-1].end, *(Decimal(each) for each in (900, 900, 900, 900, 1)))
    assert not is_steady([*bars, far], Decimal(5))

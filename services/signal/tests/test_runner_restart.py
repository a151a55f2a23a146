"""Running on and starting anew give the same drafts: state is a function of recorded bars alone (TL-10)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from holdfast_core.sessions import xnys
from holdfast_runtime.ports.venue import Bar, Timeframe
from holdfast_signal.runners import DailyRunner, MinuteRunner
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import Desire, Strategy, Window, Wish, prepare

DAYS = (date(2013, 10, 4), date(2013, 10, 7), date(2013, 10, 8))
SYMBOLS = ("AIG", "BAC", "SPY")
GRACE = timedelta(seconds=5)


def runner() -> MinuteRunner:
    maker = prepare(
        SmaCrossover, id="sma", book="equity", symbols=SYMBOLS, stop_fraction=Decimal("0.05"),
        parameters={"fast": 3, "slow": 9, "band_bps": 2.0},
    )  # fmt: skip
    return MinuteRunner(maker, xnys(), grace=GRACE)


def walk(bars_of, seed: int) -> list[Bar]:
    """Three sessions of three symbols, a random walk, about one bar in forty missing."""
    chance = Random(seed)
    bars = []
    for symbol in SYMBOLS:
        price = 100.0
        for day in DAYS:
            closes = []
            for _ in range(390):
                price *= 1 + chance.gauss(0, 0.0008)
                closes.append(round(price, 2))
            bars += [bar for bar in bars_of(symbol, day, closes) if chance.random() > 0.025]
    return sorted(bars, key=lambda bar: (bar.end, bar.symbol))


def live(found: MinuteRunner, bars: list[Bar]) -> list:
    """As they come: every minute's deadline passes before the next bar."""
    drafts = []
    for number, bar in enumerate(bars):
        drafts += found.take(bar)
        last_of_minute = number + 1 == len(bars) or bars[number + 1].end != bar.end
        if last_of_minute:
            drafts += found.expire(bar.end + GRACE)
    return drafts


def told(drafts: list) -> list[tuple]:
    return [(draft.market_time, draft.valid_until, draft.desires, dict(draft.prices)) for draft in drafts]


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_at_any_instant_goes_on_as_if_nothing_had_happened(bars_of, seed):
    bars = walk(bars_of, seed)
    undisturbed = told(live(runner(), bars))
    assert len(undisturbed) > 20
    chance = Random(seed + 1_000)
    for _ in range(8):
        cut = chance.randrange(len(bars))
        now = bars[cut].end
        session = xnys().session_at(bars[cut].start)
        anchor = xnys().previous_session(session.open).open
        restarted = runner()
        seen = [bar for bar in bars if anchor <= bar.start and bar.end <= now]
        warm = told(restarted.rebuild(seen, now + GRACE))
        later = told(live(restarted, [bar for bar in bars if bar.end > now]))
        assert [each for each in warm if each[0] >= session.open] + later == [
            each for each in undisturbed if each[0] >= session.open
        ]


def test_a_late_bar_is_put_in_its_place_without_a_late_signal(bars_of):
    """Live and replayed state agree again after it; what it would have said is past."""
    bars = [bar for bar in walk(bars_of, 9) if bar.symbol == "SPY"]
    bars = [bar for bar in bars if bar.start.date() == DAYS[1]]
    late = bars.pop(100)
    found = runner()
    first = live(found, bars[:140])
    assert found.take(late) == []
    rest = live(found, bars[140:])
    complete = sorted([*bars, late], key=lambda bar: bar.end)
    undisturbed = told(live(runner(), complete))
    assert told(rest) == [each for each in undisturbed if each[0] > bars[139].end]
    assert told(first) == told(live(runner(), bars[:140]))


def test_the_same_bar_twice_changes_nothing(bars_of):
    bars = walk(bars_of, 4)
    twice = [bar for bar in bars for _ in range(2)]
    assert told(live(runner(), twice)) == told(live(runner(), bars))


def test_a_minute_waits_for_all_symbols_and_at_most_for_its_grace(bars_of):
    found = runner()
    spy, bac = bars_of("SPY", DAYS[1], [100])[0], bars_of("BAC", DAYS[1], [10])[0]
    found.take(spy)
    assert found.deadline() == spy.end + GRACE
    found.take(bac)
    assert found.deadline() == spy.end + GRACE
    found.take(bars_of("AIG", DAYS[1], [50])[0])
    assert found.deadline() is None


def test_the_next_minute_closes_the_one_before(bars_of):
    found = runner()
    first, second = bars_of("SPY", DAYS[1], [100, 101])
    found.take(first)
    found.take(second)
    assert found.deadline() == second.end + GRACE


class LastDay(Strategy):
    """Enters whatever it sees whole."""

    timeframe = Timeframe.DAY

    @property
    def lookback(self) -> int:
        return 3

    def on_session_open(self, windows: Mapping[str, Window]) -> list[Desire]:
        return [Desire(symbol=symbol, wish=Wish.ENTER_LONG) for symbol in windows]


def daily() -> DailyRunner:
    maker = prepare(
        LastDay, id="last", book="equity", symbols=("BAC", "SPY"), stop_fraction=Decimal("0.05"), parameters={}
    )
    return DailyRunner(maker, xnys())


def test_a_daily_strategy_sees_the_sessions_before_the_open_and_is_valid_until_the_close(day_bar):
    session = xnys().session_of(date(2013, 10, 8))
    days = [date(2013, 10, 3), date(2013, 10, 4), date(2013, 10, 7)]
    assert daily().days(session) == days
    bars = {symbol: [day_bar(symbol, day, 10 + day.day) for day in days] for symbol in ("SPY", "BAC")}
    draft = daily().open(session, bars)
    assert (draft.market_time, draft.valid_until) == (session.open, session.close)
    assert draft.prices == {"SPY": Decimal(17), "BAC": Decimal(17)}


def test_a_daily_window_with_a_missing_day_is_not_shown(day_bar):
    """TL-1."""
    session = xnys().session_of(date(2013, 10, 8))
    whole = [day_bar("SPY", day, 10) for day in daily().days(session)]
    gapped = [day_bar("BAC", day, 10) for day in daily().days(session)][1:]
    draft = daily().open(session, {"SPY": whole, "BAC": gapped})
    assert [each.symbol for each in draft.desires] == ["SPY"]
    assert daily().open(session, {"BAC": gapped}) is None


def test_a_strategy_cannot_trade_what_it_was_not_given(day_bar):
    session = xnys().session_of(date(2013, 10, 8))
    bars = {"IBM": [day_bar("IBM", day, 10) for day in daily().days(session)]}
    assert daily().open(session, bars) is None


def test_days_reach_back_over_holidays():
    session = xnys().session_of(date(2013, 9, 4))
    assert daily().days(session) == [date(2013, 8, 29), date(2013, 8, 30), date(2013, 9, 3)]


def test_the_instant_of_a_minute_is_utc(bars_of):
    (bar,) = bars_of("SPY", DAYS[0], [1])
    assert bar.end == datetime(2013, 10, 4, 13, 31, tzinfo=UTC)

"""Bars of any timeframe at market time: their intervals, no look-ahead, splits and dividends (TL-1, TL-2, BS-2)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast_core.new_york import NEW_YORK
from holdfast_exchange import adjustments
from holdfast_exchange.adjustments import Adjustment, AdjustmentsInvalid, AdjustmentTable, Factors
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.history import BarHistory
from holdfast_exchange.market import Market
from holdfast_exchange.recording import MINUTE, Bar, Recording
from holdfast_exchange.timeframes import Timeframe, TimeframeInvalid, Unit, parse

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
CLOSE = datetime(2013, 10, 7, 20, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SPLIT = frozenset({Adjustment.SPLIT})
DIVIDEND = frozenset({Adjustment.DIVIDEND})


def minute(symbol: str, start: datetime, price: int = 10) -> Bar:
    prices = (Decimal(price), Decimal(price + 1), Decimal(price - 1), Decimal(price))
    return Bar(symbol, start, start + MINUTE, *prices, Decimal(100))


def daily(symbol: str, day: date, price: str) -> Bar:
    start = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
    close = start.replace(hour=16)
    return Bar(symbol, start.astimezone(UTC), close.astimezone(UTC), *[Decimal(price)] * 4, Decimal(700))


def history(
    at: datetime, minutes: list[Bar], days: list[Bar] | None = None, table: AdjustmentTable | None = None
) -> BarHistory:
    symbols = tuple(sorted({bar.symbol for bar in [*minutes, *(days or [])]}))
    recording = Recording(
        symbols=symbols,
        minute_bars=tuple(minutes),
        minute_quotes=(),
        daily_bars=tuple(days or []),
        quarantined=(),
    )
    return BarHistory(Market(recording, at), table or AdjustmentTable())


@pytest.mark.parametrize(
    "text", ["1Min", "59T", "1Hour", "23H", "1Day", "1D", "1Week", "1W", "1Month", "3M", "12Month"]
)
def test_every_timeframe_that_alpaca_has_is_known(text: str) -> None:
    assert parse(text).count == int("".join(char for char in text if char.isdigit()))


@pytest.mark.parametrize(
    "text", ["", "60Min", "24Hour", "2Day", "2Week", "5Month", "0Min", "1min", "Min", "1Year", "-1D"]
)
def test_other_timeframes_are_refused(text: str) -> None:
    with pytest.raises(TimeframeInvalid):
        parse(text)


def test_hours_begin_at_new_yorks_midnight_on_both_sides_of_a_clock_change() -> None:
    """TL-2: 2013-11-03 is the end of daylight saving time."""
    four = Timeframe(4, Unit.HOUR)
    for day, offset in ((1, 4), (4, 5)):
        instant = datetime(2013, 11, day, 10, tzinfo=NEW_YORK)
        start, end = four.interval(instant, NEW_YORK)
        assert (start, end) == (
            datetime(2013, 11, day, 8 + offset, tzinfo=UTC),
            datetime(2013, 11, day, 12 + offset, tzinfo=UTC),
        )


def test_weeks_begin_on_monday_and_quarters_in_january() -> None:
    assert Timeframe(1, Unit.WEEK).days(date(2013, 10, 13)) == (date(2013, 10, 7), date(2013, 10, 14))
    assert Timeframe(3, Unit.MONTH).days(date(2013, 12, 31)) == (date(2013, 10, 1), date(2014, 1, 1))
    assert Timeframe(12, Unit.MONTH).days(date(2013, 5, 5)) == (date(2013, 1, 1), date(2014, 1, 1))


@settings(max_examples=60, deadline=None, print_blob=True)
@given(
    passed=st.integers(0, 400),
    timeframe=st.sampled_from([Timeframe(n, Unit.MINUTE) for n in (1, 2, 5, 7, 30, 59)] + [Timeframe(1, Unit.HOUR)]),
)
def test_intraday_bars_hold_exactly_what_has_ended(passed: int, timeframe: Timeframe) -> None:
    """TL-1: no bar has a minute that is not over, none is missing, and the volume of all is that of their minutes."""
    at = min(OPEN + MINUTE * passed, CLOSE + MINUTE * (passed - 390) if passed > 390 else CLOSE)
    minutes = [minute("SPY", OPEN + MINUTE * n) for n in range(390)]
    found = history(at, minutes).bars("SPY", timeframe, OPEN - timedelta(days=1), OPEN + timedelta(days=1))
    assert all(min(bar.end, CLOSE) <= at for bar in found)
    assert sum(bar.volume for bar in found) == 100 * sum(
        1 for bar in minutes if min(timeframe.interval(bar.start, NEW_YORK)[1], CLOSE) <= at
    )


def test_a_week_is_there_from_the_close_of_its_last_session() -> None:
    """Friday 2013-10-11 closes at 20:00 UTC; the calendar week ends two days later."""
    days = [daily("SPY", date(2013, 10, day), str(day)) for day in range(7, 12)]
    friday = datetime(2013, 10, 11, 20, tzinfo=UTC)
    week = Timeframe(1, Unit.WEEK)
    assert history(friday - MINUTE, [], days).bars("SPY", week, LONG_AGO, friday) == []
    [bar] = history(friday, [], days).bars("SPY", week, LONG_AGO, friday)
    assert (bar.open, bar.close, bar.volume) == (7, 11, 3500)


def test_pairs_have_hours_of_utc() -> None:
    midnight = datetime(2018, 4, 5, tzinfo=UTC)
    minutes = [minute("BTC/USD", midnight + timedelta(hours=n)) for n in range(24)]
    at = midnight + timedelta(hours=23)
    found = history(at, minutes).bars("BTC/USD", Timeframe(6, Unit.HOUR), LONG_AGO, at)
    assert [(bar.start - midnight, bar.volume) for bar in found] == [(timedelta(hours=n), 600) for n in (0, 6, 12)]


FACTORS = AdjustmentTable(
    [
        Factors("AAPL", date(2014, 6, 4), Decimal("0.9"), Decimal("0.1428571428571428571428571429")),
        Factors("AAPL", date(2014, 6, 6), Decimal(1), Decimal("0.1428571428571428571428571429")),
        Factors("AAPL", date(2050, 12, 31), Decimal(1), Decimal(1)),
    ]
)
AAPL = [
    daily("AAPL", date(2014, 6, 4), "630"),
    daily("AAPL", date(2014, 6, 6), "644"),
    daily("AAPL", date(2014, 6, 9), "93"),
]


def closes(at: datetime, kinds: frozenset[Adjustment]) -> list[Decimal]:
    found = history(at, [], AAPL, FACTORS).bars("AAPL", Timeframe(1, Unit.DAY), LONG_AGO, at, kinds)
    return [bar.close for bar in found]


def test_a_split_is_in_the_history_from_its_day_on_and_not_before() -> None:
    """BS-2: 7:1 on 2014-06-09. On the evening before, nobody adjusts for it."""
    before, after = datetime(2014, 6, 7, tzinfo=UTC), datetime(2014, 6, 9, 21, tzinfo=UTC)
    assert closes(before, SPLIT) == [630, 644]
    assert closes(after, frozenset()) == [630, 644, 93]
    assert closes(after, SPLIT) == [90, 92, 93]
    assert closes(after, DIVIDEND) == [567, 644, 93]
    assert closes(after, SPLIT | DIVIDEND) == [81, 92, 93]


def test_a_splits_volume_is_in_the_shares_of_today() -> None:
    at = datetime(2014, 6, 9, 21, tzinfo=UTC)
    found = history(at, [], AAPL, FACTORS).bars("AAPL", Timeframe(1, Unit.DAY), LONG_AGO, at, SPLIT)
    assert [bar.volume for bar in found] == [4900, 4900, 700]


def test_a_split_that_the_venue_carried_out_is_adjusted_for_once() -> None:
    """BS-2: the recording's action and its factors tell of one split; a split of the venue's own is in neither."""
    at = datetime(2014, 6, 9, 21, tzinfo=UTC)
    split = CorporateAction(
        kind=ActionKind.FORWARD_SPLIT, symbol="AAPL", ex_date=date(2014, 6, 9), old_rate=Decimal(1), new_rate=Decimal(7)
    )
    for actions, expected in (((split,), [90, 92, 93]), ((), [Decimal("12.8571"), Decimal("13.1429"), 93])):
        recording = Recording(
            symbols=("AAPL",),
            minute_bars=(),
            minute_quotes=(),
            daily_bars=tuple(AAPL),
            quarantined=(),
            corporate_actions=actions,
        )
        market = Market(recording, at)
        market.restatements.add("AAPL", Decimal(1) / 7, datetime(2014, 6, 9, 4, tzinfo=UTC))
        found = BarHistory(market, FACTORS).bars("AAPL", Timeframe(1, Unit.DAY), LONG_AGO, at, SPLIT)
        assert [bar.close for bar in found] == expected


RENAMED = CorporateAction(kind=ActionKind.NAME_CHANGE, symbol="OLD", new_symbol="NEW", ex_date=date(2013, 10, 9))


def renamed(at: datetime) -> BarHistory:
    days = [daily("OLD", date(2013, 10, day), str(day)) for day in (7, 8)]
    days += [daily("NEW", date(2013, 10, day), str(day)) for day in (7, 9, 10, 11)]
    recording = Recording(
        symbols=("NEW", "OLD"),
        minute_bars=(),
        minute_quotes=(),
        daily_bars=tuple(days),
        quarantined=(),
        corporate_actions=(RENAMED,),
    )
    return BarHistory(Market(recording, at), AdjustmentTable())


@pytest.mark.parametrize(
    ("symbol", "asof", "closes"),
    [
        ("NEW", date(2013, 10, 12), [7, 8, 9, 10, 11]),
        ("NEW", date(2013, 10, 8), [7, 9, 10, 11]),
        ("OLD", date(2013, 10, 8), [7, 8, 9, 10, 11]),
        ("OLD", date(2013, 10, 12), [7, 8]),
        ("OLD", None, [7, 8]),
        ("NEW", None, [7, 9, 10, 11]),
    ],
)
def test_a_symbol_means_the_company_that_had_it_on_the_as_of_day(
    symbol: str, asof: date | None, closes: list[int]
) -> None:
    """BS-2: on 2013-10-09 OLD became NEW; somebody else had been called NEW before."""
    at = datetime(2013, 10, 12, tzinfo=UTC)
    found = renamed(at).bars(symbol, Timeframe(1, Unit.DAY), LONG_AGO, at, asof=asof)
    assert [bar.close for bar in found] == closes
    assert {bar.symbol for bar in found} == {symbol}


def test_a_week_in_which_a_company_was_renamed_is_one_bar_and_nothing_is_known_before() -> None:
    at = datetime(2013, 10, 12, tzinfo=UTC)
    [week] = renamed(at).bars("NEW", Timeframe(1, Unit.WEEK), LONG_AGO, at, asof=at.date())
    assert (week.open, week.close, week.volume) == (7, 11, 3500)
    early = datetime(2013, 10, 8, 21, tzinfo=UTC)
    found = renamed(early).bars("OLD", Timeframe(1, Unit.DAY), LONG_AGO, early, asof=date(2013, 10, 8))
    assert [bar.close for bar in found] == [7, 8]


def test_factors_are_read_from_the_recordings_file(tmp_path: Path) -> None:
    heading = "symbol,last_date,price_factor,split_factor,reference_close\n"
    (tmp_path / "adjustment_factors.csv").write_text(f"{heading}AAPL,20140606,0.9,0.25,645.57\nAAPL,20501231,1,1,0\n")
    table = adjustments.load(tmp_path)
    assert table.on("AAPL", date(2014, 6, 6)) == (Decimal("0.9"), Decimal("0.25"))
    assert table.on("AAPL", date(2014, 6, 7)) == table.on("SPY", date(2014, 6, 7)) == (1, 1)
    assert adjustments.load(tmp_path / "nowhere").on("AAPL", date(2014, 6, 6)) == (1, 1)


@pytest.mark.parametrize("line", ["AAPL,2014,1,1,0", "AAPL,20140606,x,1,0", "AAPL,20140606,1,0,0", ",20140606,1,1,0"])
def test_a_line_of_factors_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    heading = "symbol,last_date,price_factor,split_factor,reference_close\n"
    (tmp_path / "adjustment_factors.csv").write_text(f"{heading}{line}\n")
    with pytest.raises(AdjustmentsInvalid, match="line 2"):
        adjustments.load(tmp_path)

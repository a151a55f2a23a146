"""Every kind of file, and which one drives the replay: the finest of each symbol and day (TS-3, TS-4)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_exchange import recording
from holdfast_exchange.market import Market
from holdfast_exchange.recording import RecordingInvalid
from holdfast_exchange.recording_told import notes, told
from holdfast_exchange.replay import Replay, plan
from libs.exchange.tests.recording_files_made import (
    CLOSE,
    DAY,
    HOUR,
    MIDNIGHT,
    MINUTE,
    OPEN,
    SECOND,
    bar,
    option,
    quote,
    write,
)


def instants(replay: Replay) -> list[datetime]:
    found = [replay.begin]
    while (following := replay.after(found[-1])) is not None:
        found.append(following.at)
    return found


def test_seconds_drive_and_make_minutes_and_days(tmp_path: Path) -> None:
    rows = [bar(OPEN + SECOND * n, close=9.5 + n / 100, volume=n) for n in (0, 30, 59, 60)]
    loaded = recording.load(write(tmp_path, "bars_1s", rows))
    assert loaded.steps == {"SPY": ("1s",)}
    assert [(each.start, each.close, each.volume) for each in loaded.minute_bars] == [
        (OPEN, Decimal("10.09"), Decimal(89)),
        (OPEN + MINUTE, Decimal("10.10"), Decimal(60)),
    ]
    assert [(each.start, each.end, each.volume) for each in loaded.daily_bars] == [(MIDNIGHT, CLOSE, Decimal(149))]
    market = Market(loaded, OPEN)
    market.release(OPEN + SECOND * 31)
    assert market.trading_bars_ending(OPEN + SECOND * 31)["SPY"].close == Decimal("9.8")
    assert market.bars_ending(OPEN + SECOND * 31) == {}, "the stream speaks of minutes"
    assert market.price("SPY") == Decimal("9.8")
    assert market.last_bar("SPY") is None, "the minute is not over"


def test_seconds_are_instants_only_where_a_bar_ends(tmp_path: Path) -> None:
    loaded = recording.load(write(tmp_path, "bars_1s", [bar(OPEN + SECOND * n) for n in (0, 30)]))
    found = instants(plan(loaded, start="2013-10-07", end="2013-10-07"))
    assert found[:5] == [OPEN - MINUTE, OPEN, OPEN + SECOND, OPEN + SECOND * 31, OPEN + MINUTE]
    assert len(found) == 1 + 391 + 2
    hour = plan(loaded, start="2013-10-07T13:30:20Z", end="2013-10-07T13:30:40Z")
    assert instants(hour)[1:] == [OPEN + SECOND * 20, OPEN + SECOND * 31]


def test_the_finest_of_each_day_wins_and_recorded_minutes_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, "bars_1s", [bar(OPEN, close=9.5)])
    write(tmp_path, "bars_1m", [bar(OPEN), bar(OPEN + DAY)])
    write(tmp_path, "bars_1h", [bar(OPEN - HOUR / 2 + DAY * n) for n in (0, 1, 2)])
    write(tmp_path, "bars_1d", [bar(MIDNIGHT + DAY * n) for n in (0, 3)])
    loaded = recording.load(tmp_path)
    assert loaded.steps == {"SPY": ("1s", "1m", "1h", "1d")}
    lengths = [each.end - each.start for each in loaded.driving]
    assert lengths == [SECOND, MINUTE, HOUR / 2, CLOSE - OPEN]
    assert [each.close for each in loaded.minute_bars] == [Decimal(11), Decimal(11)]
    assert [each.start for each in loaded.daily_bars] == [MIDNIGHT + DAY * n for n in range(4)]


def test_days_alone_replay_with_their_open_and_their_close(tmp_path: Path) -> None:
    """At its open a day shows its first price, and nothing else until its close."""
    days = [bar(MIDNIGHT + DAY * n, open=10.0 + n, close=11.0 + n, high=20.0) for n in range(2)]
    loaded = recording.load(write(tmp_path, "bars_1d", days))
    replay = plan(loaded)
    tuesday = OPEN + DAY, CLOSE + DAY
    assert instants(replay) == [OPEN - MINUTE, OPEN, CLOSE, tuesday[0] - MINUTE, *tuesday]
    market = Market(loaded, OPEN - MINUTE)
    assert market.price("SPY") is None
    market.release(OPEN)
    assert market.quotes_ending(OPEN)["SPY"].ask_close == Decimal(10), "the first price is known at the open"
    assert market.price("SPY") == Decimal(10)
    assert market.daily_bars("SPY", MIDNIGHT, CLOSE) == [], "and nothing else of the day"
    market.release(CLOSE)
    met = market.trading_bars_ending(CLOSE)["SPY"]
    assert (met.start, met.end, met.high) == (OPEN, CLOSE, Decimal(20))
    assert market.quotes_ending(CLOSE)["SPY"].bid_close == Decimal(11)
    market.release(tuesday[0])
    assert (market.price("SPY"), market.previous_close("SPY")) == (Decimal(11), Decimal(11))


def test_hours_count_with_their_part_of_the_session(tmp_path: Path) -> None:
    hours = [bar(OPEN - HOUR / 2 - HOUR), bar(OPEN - HOUR / 2), bar(OPEN + HOUR / 2)]
    loaded = recording.load(write(tmp_path, "bars_1h", hours))
    assert [(each.start, each.end) for each in loaded.driving] == [
        (OPEN, OPEN + HOUR / 2),
        (OPEN + HOUR / 2, OPEN + HOUR * 1.5),
    ]
    assert [each.start for each in loaded.hourly_bars] == [OPEN - HOUR / 2, OPEN + HOUR / 2]
    assert loaded.files[0].extended == 1
    assert instants(plan(loaded)) == [OPEN - MINUTE, OPEN, OPEN + HOUR / 2, OPEN + HOUR * 1.5, CLOSE]


def test_a_quote_of_a_minute_says_nothing_about_a_second_in_it(tmp_path: Path) -> None:
    write(tmp_path, "bars_1s", [bar(OPEN + SECOND * 59)])
    write(tmp_path, "quotes_1m", [quote(OPEN)])
    market = Market(recording.load(tmp_path), OPEN + MINUTE)
    assert market.trading_quote(market.trading_bars_ending(OPEN + MINUTE)["SPY"]) is None
    assert market.last_quote("SPY") is not None


def test_extended_hours_are_kept_apart_and_not_replayed(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN - MINUTE), bar(OPEN), bar(CLOSE - MINUTE), bar(CLOSE)])
    write(tmp_path, "quotes_1m", [quote(OPEN - MINUTE), quote(OPEN)])
    loaded = recording.load(tmp_path)
    assert [each.start for each in loaded.minute_bars] == [OPEN, CLOSE - MINUTE]
    assert [each.start for each in loaded.extended_bars] == [OPEN - MINUTE, CLOSE]
    assert [each.start for each in loaded.extended_quotes] == [OPEN - MINUTE]
    assert [each.start for each in loaded.driving] == [OPEN, CLOSE - MINUTE]


def test_option_trades_are_visible_when_their_interval_is_over(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN)])
    write(tmp_path, "option_trades_1m_aapl", [option(OPEN), option(OPEN, right="put"), option(OPEN + MINUTE)])
    write(tmp_path, "option_trades_1d", [option(MIDNIGHT)])
    loaded = recording.load(tmp_path)
    market = Market(loaded, OPEN + MINUTE)
    assert market.underlyings == ("AAPL",)
    seen = market.option_bars("AAPL", OPEN, CLOSE)
    assert [(each.right, each.strike, each.end) for each in seen] == [
        ("call", Decimal(700), OPEN + MINUTE),
        ("put", Decimal(700), OPEN + MINUTE),
    ]
    assert market.option_days("AAPL", MIDNIGHT, CLOSE) == []
    market.release(CLOSE)
    assert len(market.option_days("AAPL", MIDNIGHT, CLOSE)) == 1
    assert market.option_bars("SPY", OPEN, CLOSE) == []


def test_several_files_of_a_prefix_are_one(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m_b", [bar(OPEN)])
    write(tmp_path, "bars_1m_a", [bar(OPEN + MINUTE), bar(OPEN + MINUTE * 2, symbol="IBM")])
    write(tmp_path, "prices", [bar(OPEN)])
    loaded = recording.load(tmp_path)
    assert loaded.symbols == ("IBM", "SPY")
    assert [(each.symbol, each.start.minute) for each in loaded.minute_bars] == [("IBM", 32), ("SPY", 30), ("SPY", 31)]
    assert loaded.quarantined == ()
    assert [(each.file, each.rows) for each in loaded.files] == [("bars_1m_a.parquet", 2), ("bars_1m_b.parquet", 1)]
    assert loaded.unread == ("prices.parquet",)


def test_gaps_are_counted_and_never_filled(tmp_path: Path) -> None:
    rows = [bar(OPEN + MINUTE * n) for n in range(390) if n not in (0, 10, 11, 389)]
    rows += [bar(OPEN + DAY * 2 + MINUTE * n) for n in range(390)]
    loaded = recording.load(write(tmp_path, "bars_1m", rows))
    [report] = loaded.files
    assert (report.missing, report.gaps, report.days_missing) == (4, 4, 1)
    assert len(loaded.minute_bars) == 386 + 390
    tuesday = instants(plan(loaded, start="2013-10-08", end="2013-10-08"))
    assert tuesday == [OPEN + DAY - MINUTE, OPEN + DAY, CLOSE + DAY]


@pytest.mark.parametrize(
    ("name", "message"),
    [("quotes_1m", "no file of bars: bars_1s"), ("bars_1m", "no bar in it is usable; 1 rows are quarantined")],
)
def test_nothing_to_replay_is_told_in_a_sentence(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path, name, [quote(OPEN) if name == "quotes_1m" else bar(OPEN, close=-1.0)])
    with pytest.raises(RecordingInvalid, match=message):
        recording.load(tmp_path)


def test_many_rows_take_little_room_and_are_made_when_asked_for(tmp_path: Path) -> None:
    """200,000 seconds are columns of numbers, not objects: a bar is made when it is asked for, and soon forgotten."""
    day = [bar(OPEN + SECOND * n) for n in range(2_000)]
    loaded = recording.load(write(tmp_path, "bars_1s", day))
    first = loaded.driving[10]
    later = [loaded.driving[place] for place in range(11, 40)]
    assert later[0].start == first.end
    assert loaded.driving[10] == first
    assert loaded.driving[10] is not first
    assert loaded.driving[-1].start == OPEN + timedelta(seconds=1_999)
    assert datetime(2013, 10, 7, 13, 30, 5, tzinfo=UTC) in {each.start for each in loaded.driving[:10]}


def test_a_replay_is_told_with_what_drives_it_and_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, "bars_1m", [bar(OPEN), bar(OPEN + MINUTE, close=-1.0)])
    write(tmp_path, "bars_1h", [bar(OPEN + HOUR / 2, "IBM"), bar(OPEN + DAY, "SPY", ts=OPEN + DAY + HOUR / 2)])
    write(tmp_path, "bars_1d", [bar(MIDNIGHT + DAY * 4, "BAC")])
    write(tmp_path, "prices", [bar(OPEN)])
    loaded = recording.load(tmp_path)
    replay = plan(loaded, start="2013-10-07", end="2013-10-08")
    found = told(loaded, replay)
    assert found["driven_by"] == {"BAC": [], "IBM": ["1h"], "SPY": ["1m", "1h"]}
    assert (found["bars"], found["quarantined"]["rules"]) == (3, {"PRICE_NOT_POSITIVE": 1})
    assert found["quarantined"]["first"] == [{"file": "bars_1m.parquet", "row": 1, "reason": "PRICE_NOT_POSITIVE"}]
    assert notes(loaded, replay) == (
        "1 rows of the recording are quarantined and not replayed",
        "not read, no prefix fits the name: prices.parquet",
        "only hours or days are recorded of IBM: strategies on daily bars trade them, strategies on minute bars do not",
        "nothing is recorded of BAC in the time that is replayed",
    )

"""Recordings: bad rows are quarantined with their reason, never dropped, never traded (BS-8, TS-3)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from holdfast_exchange import recording
from holdfast_exchange.market import Market
from holdfast_exchange.recording import RecordingInvalid

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def row(minute: int, **changes: Any) -> dict[str, Any]:
    start = OPEN + timedelta(minutes=minute)
    return {"symbol": "SPY", "ts": start, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5} | changes


def write(folder: Path, rows: list[dict[str, Any]], name: str = "bars_1m.parquet") -> Path:
    pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("ms", "UTC")}).write_parquet(folder / name)
    return folder


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"close": float("nan")}, "VALUE_NOT_FINITE"),
        ({"high": float("inf")}, "VALUE_NOT_FINITE"),
        ({"open": None}, "VALUE_MISSING"),
        ({"low": 0.0}, "PRICE_NOT_POSITIVE"),
        ({"close": -1.0}, "PRICE_NOT_POSITIVE"),
        ({"high": 8.0}, "HIGH_BELOW_LOW"),
        ({"close": 13.0}, "PRICE_OUTSIDE_RANGE"),
        ({"volume": -1}, "COUNT_NEGATIVE"),
        ({"ts": OPEN}, "ROW_DUPLICATE"),
        ({"ts": OPEN + timedelta(minutes=1)}, "ROW_UNORDERED"),
    ],
)
def test_a_bad_row_is_quarantined_with_file_row_and_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    loaded = recording.load(write(tmp_path, [row(0), row(2), row(3, **changes), row(4)]))
    assert [(q.file, q.row, q.reason) for q in loaded.quarantined] == [("bars_1m.parquet", 2, reason)]
    assert [bar.start.minute for bar in loaded.minute_bars] == [30, 32, 34]


def test_a_crossed_quote_is_quarantined(tmp_path: Path) -> None:
    write(tmp_path, [row(0)])
    good = {f"bid_{p}": 10.0 for p in ("open", "high", "low", "close")}
    good |= {f"ask_{p}": 10.1 for p in ("open", "high", "low", "close")}
    quotes = [
        {"symbol": "SPY", "ts": OPEN + timedelta(minutes=n), "bid_size": 1, "ask_size": 1} | good for n in range(2)
    ]
    quotes[1] |= {"bid_close": 10.2, "bid_high": 10.2}
    write(tmp_path, quotes, "quotes_1m.parquet")
    loaded = recording.load(tmp_path)
    assert [(q.row, q.reason) for q in loaded.quarantined] == [(1, "QUOTE_CROSSED")]
    assert len(loaded.minute_quotes) == 1


def test_minute_rows_outside_the_session_are_left_out(tmp_path: Path) -> None:
    loaded = recording.load(write(tmp_path, [row(-1), row(0), row(389), row(390)]))
    assert [bar.start for bar in loaded.minute_bars] == [OPEN, OPEN + timedelta(minutes=389)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{key: value for key, value in row(0).items() if key != "low"}], "columns missing: low"),
        ([row(0) | {"open": "ten"}], "open is String"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused_by_name(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(RecordingInvalid, match=rf"bars_1m\.parquet: .*{message}"):
        recording.load(write(tmp_path, rows))


def test_a_symbol_that_is_not_recorded_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match="no bars of TSLA"):
        recording.load(write(tmp_path, [row(0)]), symbols=("SPY", "TSLA"))


def test_an_instant_without_zone_is_refused(tmp_path: Path) -> None:
    pl.DataFrame([row(0)], schema_overrides={"ts": pl.Datetime("ms")}).write_parquet(tmp_path / "bars_1m.parquet")
    with pytest.raises(RecordingInvalid, match="not a UTC instant"):
        recording.load(tmp_path)


def test_the_default_recording_is_clean_and_narrows_by_symbol() -> None:
    loaded = recording.load(recording.default_folder(), symbols=("SPY", "BAC"))
    assert loaded.symbols == ("BAC", "SPY")
    assert loaded.quarantined == ()
    assert {bar.start.date() for bar in loaded.minute_bars} == {date(2013, 10, day) for day in (4, 7, 8, 9, 10, 11)}
    assert sum(file.stat().st_size for file in recording.default_folder().iterdir()) <= 4_000_000


def test_a_bar_is_visible_from_its_end_and_a_daily_bar_from_the_close() -> None:
    """TS-2: no look-ahead."""
    loaded = recording.load(recording.default_folder(), symbols=("SPY",))
    market = Market(loaded, OPEN)
    long_ago = datetime(2011, 1, 1, tzinfo=UTC)
    assert market.minute_bars("SPY", OPEN, OPEN + timedelta(hours=1)) == []
    assert market.daily_bars("SPY", long_ago, OPEN + timedelta(days=1))[-1].start.date() == date(2013, 10, 4)
    market.release(OPEN + timedelta(minutes=1))
    assert len(market.minute_bars("SPY", OPEN, OPEN + timedelta(hours=1))) == 1
    market.release(datetime(2013, 10, 7, 20, tzinfo=UTC))
    assert market.daily_bars("SPY", long_ago, OPEN + timedelta(days=1))[-1].start.date() == date(2013, 10, 7)
    hours = market.grouped_bars("SPY", timedelta(hours=1), OPEN, OPEN + timedelta(days=1))
    assert [bar.start.hour for bar in hours] == [14, 15, 16, 17, 18, 19]
    assert sum((bar.volume for bar in hours), Decimal(0)) > 0
    with pytest.raises(ValueError, match="go back"):
        market.release(OPEN)

"""Recordings: the default one, narrowing, and what is visible when (TS-2, TS-3)."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from holdfast_exchange import recording
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.market import Market
from holdfast_exchange.recording import RecordingInvalid

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def row(minute: int, **changes: Any) -> dict[str, Any]:
    start = OPEN + timedelta(minutes=minute)
    return {"symbol": "SPY", "ts": start, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5} | changes


def write(folder: Path, rows: list[dict[str, Any]], name: str = "bars_1m.parquet") -> Path:
    pl.DataFrame(rows, schema_overrides={"ts": pl.Datetime("ms", "UTC")}).write_parquet(folder / name)
    return folder


def test_a_symbol_that_is_not_recorded_is_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path, [row(0)])
    for wanted in (("SPY", "TSLA"), ("TSLA",)):
        with pytest.raises(RecordingInvalid, match=r"no bars of TSLA in .*; recorded are SPY"):
            recording.load(folder, symbols=wanted)


def test_the_default_recording_is_clean_and_narrows_by_symbol() -> None:
    loaded = recording.load(default_folder_of("equity"), symbols=("SPY", "BAC"))
    assert loaded.symbols == ("BAC", "SPY")
    assert loaded.quarantined == ()
    assert {bar.start.date() for bar in loaded.minute_bars} == {date(2013, 10, day) for day in (4, 7, 8, 9, 10, 11)}
    assert sum(file.stat().st_size for file in default_folder_of("equity").iterdir()) <= 4_000_000


def test_a_bar_is_visible_from_its_end_and_a_daily_bar_from_the_close() -> None:
    """TS-2: no look-ahead."""
    loaded = recording.load(default_folder_of("equity"), symbols=("SPY",))
    market = Market(loaded, OPEN)
    long_ago = datetime(2011, 1, 1, tzinfo=UTC)
    assert market.minute_bars("SPY", OPEN, OPEN + timedelta(hours=1)) == []
    assert market.daily_bars("SPY", long_ago, OPEN + timedelta(days=1))[-1].start.date() == date(2013, 10, 4)
    market.release(OPEN + timedelta(minutes=1))
    assert len(market.minute_bars("SPY", OPEN, OPEN + timedelta(hours=1))) == 1
    market.release(datetime(2013, 10, 7, 20, tzinfo=UTC))
    assert market.daily_bars("SPY", long_ago, OPEN + timedelta(days=1))[-1].start.date() == date(2013, 10, 7)
    with pytest.raises(ValueError, match="go back"):
        market.release(OPEN)

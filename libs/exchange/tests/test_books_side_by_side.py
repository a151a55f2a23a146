"""The recordings of both books, replayed at once (TL-3, TS-3)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from holdfast_core.sessions import xnys
from holdfast_exchange import combining, replay
from holdfast_exchange.combining import combine, default_folder_of, load_defaults, load_folder
from holdfast_exchange.recording import Recording, RecordingInvalid, load

PAIRS = ("BTC/USD", "ETH/USD", "LTC/USD")


def test_the_crypto_recording_is_replayed_round_the_clock_from_midnight_to_midnight() -> None:
    """TL-3: three days of UTC, every minute of them, also those in which nothing traded."""
    found = load_defaults(["crypto"])
    planned = replay.plan(found.recording)
    assert found.recording.symbols == PAIRS
    assert found.notes == ()
    assert not found.recording.quarantined
    assert planned.progress(planned.end) == (3 * 1440 + 2, 3 * 1440 + 2), "the lead-in, and both midnights"
    assert planned.begin == datetime(2018, 4, 3, 23, 59, tzinfo=UTC)
    assert planned.end == datetime(2018, 4, 7, tzinfo=UTC)


def test_crypto_days_are_moved_by_whole_weeks_beside_the_equity_week_and_that_is_told() -> None:
    """Weekday and hour of UTC of every row stay; prices stay; no row is lost; equities stay where they were."""
    crypto, equity = load_defaults(["crypto"]).recording, load_defaults(["equity"]).recording
    found = load_defaults(["equity", "crypto"])
    both = found.recording
    assert both.symbols == tuple(sorted((*crypto.symbols, *equity.symbols)))
    assert (both.start, both.end) == ("2013-10-09", "2013-10-11")
    assert len(found.notes) == 1
    assert "recorded 2018-04-04 … 2018-04-06, replayed as 2013-10-09 … 2013-10-11" in found.notes[0]
    moved = sorted((bar.start, bar.symbol, bar.close) for bar in both.minute_bars if "/" in bar.symbol)
    as_recorded = sorted((bar.start, bar.symbol, bar.close) for bar in crypto.minute_bars)
    assert len(moved) == len(as_recorded) == 10_223
    for (start, symbol, close), (was, *rest) in zip(moved, as_recorded, strict=True):
        assert [symbol, close] == rest
        assert (start.weekday(), start.time()) == (was.weekday(), was.time())
        assert was - start == timedelta(weeks=234)
    kept = sorted((bar.start, bar.symbol) for bar in both.minute_bars if "/" not in bar.symbol)
    assert kept == sorted((bar.start, bar.symbol) for bar in equity.minute_bars)


def test_both_books_at_once_have_the_instants_of_both() -> None:
    """Every minute of three days of UTC; the equity sessions lie among them."""
    both = load_defaults(["equity", "crypto"]).recording
    planned = replay.plan(both)
    assert planned.progress(planned.end)[1] == 3 * 1440 + 2
    for day in (9, 10, 11):
        session = xnys().session_of(date(2013, 10, day))
        assert session is not None
        assert planned.at(session.open) is not None
        assert planned.at(session.close) is not None


def test_symbols_narrow_both_books_and_strangers_are_named() -> None:
    """CF-3: a symbol of a book that is not traded is refused by name."""
    assert load_defaults(["equity", "crypto"], symbols=("SPY", "LTC/USD")).recording.symbols == ("LTC/USD", "SPY")
    assert load_defaults(["equity", "crypto"], symbols=("LTC/USD",)).recording.symbols == ("LTC/USD",)
    with pytest.raises(RecordingInvalid, match=r"replay\.symbols: SPY: not of a book of this run: crypto"):
        load_defaults(["crypto"], symbols=("SPY", "BTC/USD"))


def test_recordings_that_meet_are_left_where_they_are_and_equities_are_never_moved() -> None:
    equity = load(default_folder_of("equity"), symbols=("SPY",))
    assert combine([equity, equity]).notes == ()
    elsewhere = _shifted(equity, timedelta(weeks=52))
    with pytest.raises(RecordingInvalid, match="no day in common, and equities are not moved"):
        combine([equity, elsewhere])


def test_a_folder_is_narrowed_to_the_books_that_are_traded(tmp_path: Path) -> None:
    """A stream that nobody listens to would hold a lock-step: what is of no traded book is left out, and told."""
    for book in ("equity", "crypto"):
        for file in default_folder_of(book).glob("*_1[md].parquet"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    equities = load_folder(tmp_path, ["equity"])
    assert equities.recording.symbols == ("AIG", "BAC", "IBM", "SPY")
    assert equities.notes == ("BTC/USD, ETH/USD, LTC/USD: recorded, of a book that is not traded",)
    assert load_folder(tmp_path, ["equity", "crypto"], symbols=("SPY", "BTC/USD")).notes == ()
    with pytest.raises(RecordingInvalid, match="nothing of the crypto book; allowed: --book equity"):
        load_folder(default_folder_of("equity"), ["crypto"])


def test_all_default_recordings_together_stay_small() -> None:
    """At most 4 MB in the package, the crypto days at most 1.5 MB of it."""
    sizes = {book: _size(default_folder_of(book)) for book in combining.DEFAULTS}
    assert sizes["crypto"] <= 1_500_000
    assert sum(sizes.values()) <= 4_000_000


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _shifted(recording: Recording, by: timedelta) -> Recording:
    return replace(
        recording,
        minute_bars=tuple(replace(bar, start=bar.start + by, end=bar.end + by) for bar in recording.minute_bars),
        start="",
        end="",
    )

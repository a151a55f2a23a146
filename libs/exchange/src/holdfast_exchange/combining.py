"""One replay from several recordings: one of each book, brought to the same days.

Recordings of different years cannot be traded side by side, and one after the other the books would never meet, while
stops and cash lay for years in between. So a recording that runs round the clock is moved by whole weeks until it ends
in the week in which the first one ends: weekdays and hours of UTC stay as they were, and the move is told in a note.
A recording of equities is never moved: its sessions, holidays and daylight saving belong to its dates.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TypeVar

from holdfast_exchange.assets import AssetClass
from holdfast_exchange.recording import Bar, QuoteBar, Recording, RecordingInvalid, load

DEFAULTS = {"equity": "us_equities_2013w41", "crypto": "crypto_20180404"}
"""Book → name of the recording that is part of this package."""
WEEK_DAYS = 7
Row = TypeVar("Row", Bar, QuoteBar)


@dataclass(frozen=True, slots=True)
class Combined:
    """A recording, and what a person must know of how it came about."""

    recording: Recording
    notes: tuple[str, ...] = ()


def default_folder_of(book: str) -> Path:
    """The package's own recording of a book. Raises KeyError for a book without one."""
    return Path(str(resources.files(__package__).joinpath("recordings", DEFAULTS[book])))


def load_defaults(books: Sequence[str], *, symbols: Iterable[str] = ()) -> Combined:
    """The package's own recordings of `books`, as one, narrowed to `symbols` (empty: all).

    Raises RecordingInvalid where `symbols` names what is not recorded, or of a book that is not traded.
    """
    wanted = tuple(symbols)
    if strangers := [symbol for symbol in wanted if _book_of(symbol) not in books]:
        raise RecordingInvalid(f"replay.symbols: {', '.join(strangers)}: not of a book of this run: {', '.join(books)}")
    loaded = []
    for book in books:
        own = tuple(symbol for symbol in wanted if _book_of(symbol) == book)
        if own or not wanted:
            loaded.append(load(default_folder_of(book), symbols=own))
    return combine(loaded)


def load_folder(
    folder: Path, books: Sequence[str], *, symbols: Iterable[str] = (), now: datetime | None = None
) -> Combined:
    """The recording in `folder`, narrowed to `symbols` and to what `books` trade. `now`: see recording.load.

    Raises RecordingInvalid where nothing of it belongs to any of the books.
    """
    recording = load(folder, symbols=symbols, now=now)
    others = [symbol for symbol in recording.symbols if _book_of(symbol) not in books]
    if not others:
        return Combined(recording)
    rest = [symbol for symbol in recording.symbols if symbol not in others]
    if not rest:
        raise RecordingInvalid(
            f"{folder} holds {', '.join(others)}: nothing of the {' and '.join(books)} book; "
            f"allowed: --book {_book_of(others[0])}"
        )
    return Combined(
        load(folder, symbols=rest, now=now), (f"{', '.join(others)}: recorded, of a book that is not traded",)
    )


def combine(recordings: Sequence[Recording]) -> Combined:
    """One recording of all, on the days that all of them have. Raises RecordingInvalid where they have none."""
    first, *others = recordings
    notes: list[str] = []
    moved = [first, *(_beside(first, other, notes) for other in others)]
    if not others:
        return Combined(first)
    days = [_days(each) for each in moved]
    start, end = max(day for day, _ in days), min(day for _, day in days)
    if start > end:
        raise RecordingInvalid(f"the recordings have no day in common: {', '.join(f'{a} … {b}' for a, b in days)}")
    together = replace(
        first,
        symbols=tuple(sorted({symbol for each in moved for symbol in each.symbols})),
        minute_bars=_all(each.minute_bars for each in moved),
        minute_quotes=_all(each.minute_quotes for each in moved),
        daily_bars=_all(each.daily_bars for each in moved),
        driving=_all(each.driving or each.minute_bars for each in moved),
        hourly_bars=_all(each.hourly_bars for each in moved),
        quarantined=tuple(row for each in moved for row in each.quarantined),
        files=tuple(file for each in moved for file in each.files),
        unread=tuple(file for each in moved for file in each.unread),
        steps={symbol: steps for each in moved for symbol, steps in each.steps.items()},
        start=start.isoformat(),
        end=end.isoformat(),
    )
    return Combined(together, tuple(notes))


def _book_of(symbol: str) -> str:
    return "crypto" if "/" in symbol else "equity"


def _beside(first: Recording, other: Recording, notes: list[str]) -> Recording:
    """`other`, moved by whole weeks to end in the week in which `first` ends; as it is where they meet already."""
    (first_start, first_end), (start, end) = _days(first), _days(other)
    if start <= first_end and end >= first_start:
        return other
    if other.asset_classes != {AssetClass.CRYPTO}:
        raise RecordingInvalid(
            f"{first_start} … {first_end} and {start} … {end} have no day in common, and equities are not moved"
        )
    weeks = (first_end - end).days // WEEK_DAYS
    by = timedelta(weeks=weeks)
    notes.append(
        f"{', '.join(other.symbols)}: recorded {start} … {end}, replayed as {start + by} … {end + by} "
        f"(moved by {weeks:+d} weeks)"
    )
    return replace(
        other,
        minute_bars=_moved(other.minute_bars, by),
        minute_quotes=_moved(other.minute_quotes, by),
        daily_bars=_moved(other.daily_bars, by),
        driving=_moved(other.driving, by),
        hourly_bars=_moved(other.hourly_bars, by),
        start=(start + by).isoformat(),
        end=(end + by).isoformat(),
    )


def _moved(rows: Sequence[Row], by: timedelta) -> tuple[Row, ...]:
    return tuple(replace(row, start=row.start + by, end=row.end + by) for row in rows)


def _all(tables: Iterable[Sequence[Row]]) -> tuple[Row, ...]:
    """The rows of all, oldest first."""
    return tuple(sorted((row for rows in tables for row in rows), key=lambda row: (row.end, row.symbol)))


def _days(recording: Recording) -> tuple[date, date]:
    """First and last day to be replayed, as the recording says, else as its bars do."""
    first = min(bar.start for bar in recording.minute_bars).astimezone(UTC).date()
    last = max(bar.start for bar in recording.minute_bars).astimezone(UTC).date()
    return (
        datetime.fromisoformat(recording.start).date() if recording.start else first,
        datetime.fromisoformat(recording.end).date() if recording.end else last,
    )

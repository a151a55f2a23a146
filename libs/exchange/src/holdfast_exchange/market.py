"""What the market shows at an instant: everything that has become visible, and nothing later.

A bar is visible at its end, a daily bar at its session's close (no look-ahead).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

from holdfast_core.sessions import Calendar
from holdfast_exchange.assets import AssetClass
from holdfast_exchange.recording import Bar, QuoteBar, Recording, calendar_for

Row = TypeVar("Row", Bar, QuoteBar)


@dataclass(slots=True)
class _Series(Generic[Row]):
    """Rows of one symbol, oldest first, with their starts and ends beside them for searching."""

    rows: list[Row] = field(default_factory=list)
    starts: list[datetime] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.starts.append(row.start)
        self.ends.append(row.end)

    def last(self, visible: datetime) -> Row | None:
        at = bisect_right(self.ends, visible)
        return self.rows[at - 1] if at else None

    def between(self, start: datetime, end: datetime, visible: datetime) -> list[Row]:
        first = bisect_left(self.starts, start)
        last = min(bisect_left(self.starts, end), bisect_right(self.ends, visible))
        return self.rows[first:last]


class Market:
    """The recording as it is seen at `released`. Pure: it has no clock, `release` moves it."""

    def __init__(self, recording: Recording, released: datetime) -> None:
        self.symbols = recording.symbols
        self.released = released
        self.asset_classes = {symbol: recording.asset_class(symbol) for symbol in recording.symbols}
        self._minutes = _by_symbol(recording.symbols, recording.minute_bars)
        self._quotes = _by_symbol(recording.symbols, recording.minute_quotes)
        self._days = _by_symbol(recording.symbols, recording.daily_bars)
        self._bars_ending: dict[datetime, dict[str, Bar]] = {}
        for bar in recording.minute_bars:
            self._bars_ending.setdefault(bar.end, {})[bar.symbol] = bar
        self._quotes_ending: dict[datetime, dict[str, QuoteBar]] = {}
        for quote in recording.minute_quotes:
            self._quotes_ending.setdefault(quote.end, {})[quote.symbol] = quote

    def asset_class(self, symbol: str) -> AssetClass:
        """Raises KeyError for a symbol that is not recorded."""
        return self.asset_classes[symbol]

    def calendar(self, symbol: str) -> Calendar:
        """When the symbol trades: New York's sessions, or round the clock in days of UTC."""
        return calendar_for(symbol)

    def release(self, instant: datetime) -> None:
        """Makes everything that ends up to `instant` visible. Market time never goes back."""
        if instant < self.released:
            raise ValueError(f"market time would go back from {self.released} to {instant}")
        self.released = instant

    def bars_ending(self, instant: datetime) -> dict[str, Bar]:
        """Minute bars that become visible exactly at `instant`, by symbol in order."""
        return self._bars_ending.get(instant, {})

    def quotes_ending(self, instant: datetime) -> dict[str, QuoteBar]:
        """Quotes that become visible exactly at `instant`, by symbol in order."""
        return self._quotes_ending.get(instant, {})

    def last_bar(self, symbol: str) -> Bar | None:
        """Newest visible minute bar."""
        return self._minutes[symbol].last(self.released)

    def last_quote(self, symbol: str) -> QuoteBar | None:
        """Newest visible quote: bid_close and ask_close at its end."""
        return self._quotes[symbol].last(self.released)

    def price(self, symbol: str) -> Decimal | None:
        """Newest visible trade price; None before the first."""
        newest = max(
            (bar for bar in (self.last_bar(symbol), self._days[symbol].last(self.released)) if bar is not None),
            key=lambda bar: bar.end,
            default=None,
        )
        return None if newest is None else newest.close

    def previous_close(self, symbol: str) -> Decimal | None:
        """Close of the last session that ended before the present day's."""
        calendar = self.calendar(symbol)
        under_way = calendar.session_at(self.released)
        bars = self._days[symbol]
        if under_way is not None:
            bar = bars.last(self.released)
        else:
            ended = calendar.previous_session(self.released)
            at = bisect_left(bars.ends, ended.close)
            bar = bars.rows[at - 1] if at else None
        return None if bar is None else bar.close

    def minute_bars(self, symbol: str, start: datetime, end: datetime) -> list[Bar]:
        """Visible minute bars that start in [start, end), oldest first."""
        return self._minutes[symbol].between(start, end, self.released)

    def minute_quotes(self, symbol: str, start: datetime, end: datetime) -> list[QuoteBar]:
        """Visible minute quotes whose interval starts in [start, end), oldest first."""
        return self._quotes[symbol].between(start, end, self.released)

    def daily_bars(self, symbol: str, start: datetime, end: datetime) -> list[Bar]:
        """Visible daily bars that start in [start, end), oldest first."""
        return self._days[symbol].between(start, end, self.released)

    def grouped_bars(self, symbol: str, size: timedelta, start: datetime, end: datetime) -> list[Bar]:
        """Bars of `size` (aligned to midnight UTC) made of minute bars, complete ones only."""
        groups: dict[datetime, list[Bar]] = {}
        for bar in self.minute_bars(symbol, _floor(start, size), end):
            groups.setdefault(_floor(bar.start, size), []).append(bar)
        return [
            merged(bars, begin, begin + size)
            for begin, bars in groups.items()
            if start <= begin < end and begin + size <= self.released
        ]

    def day_so_far(self, symbol: str) -> Bar | None:
        """The newest session's bar from its visible minutes; None where there are none."""
        last = self.last_bar(symbol)
        if last is None:
            return None
        session = self.calendar(symbol).session_at(last.start)
        if session is None:
            return None
        return merged(self.minute_bars(symbol, session.open, session.close), session.open, session.close)


def merged(bars: list[Bar], start: datetime, end: datetime) -> Bar:
    """One bar over [start, end) from the bars in it (at least one)."""
    return Bar(
        bars[0].symbol,
        start,
        end,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum((bar.volume for bar in bars), Decimal(0)),
    )


def _by_symbol(symbols: Iterable[str], rows: Iterable[Row]) -> dict[str, _Series[Row]]:
    series: dict[str, _Series[Row]] = {symbol: _Series() for symbol in symbols}
    for row in rows:
        if row.symbol in series:
            series[row.symbol].add(row)
    return series


def _floor(instant: datetime, size: timedelta) -> datetime:
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (instant - midnight) // size * size

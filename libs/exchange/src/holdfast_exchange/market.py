"""What the market shows at an instant: everything that has become visible, and nothing later.

A bar is visible at its end, a daily bar at its session's close (no look-ahead). Orders meet the finest bars that are
recorded (`trading_bars_ending`); history and the stream speak of minutes and days. An hour or a day without quotes of
its own shows its first price when it begins and its last when it ends, as a quote without a spread: nothing else of it
is known until it is over.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from holdfast_core.sessions import Calendar
from holdfast_exchange.assets import AssetClass
from holdfast_exchange.corporate_actions import CorporateAction
from holdfast_exchange.recording import MINUTE, Bar, OptionBar, QuoteBar, Recording, calendar_for
from holdfast_exchange.restatements import Restatements
from holdfast_exchange.rows import Row, Rows, Table, tabled
from holdfast_exchange.timeframes import merged

ZERO = Decimal(0)
PRICE_STEP = Decimal("0.0001")


class Market:
    """The recording as it is seen at `released`. Pure: it has no clock, `release` moves it."""

    def __init__(self, recording: Recording, released: datetime) -> None:
        self.symbols = recording.symbols
        self.released = released
        self.asset_classes = {symbol: recording.asset_class(symbol) for symbol in recording.symbols}
        self.corporate_actions: tuple[CorporateAction, ...] = recording.corporate_actions
        self.restatements = Restatements()
        """Of prices that were seen before a split."""
        self.scaled: list[tuple[str, Decimal, datetime, datetime]] = []
        """What `scale` was told, in order."""
        minutes = tabled(recording.minute_bars, _symbol)
        self._minutes = self._of_symbols(minutes)
        self._driving = self._of_symbols(tabled(recording.driving or minutes, _symbol))
        self._quotes = self._of_symbols(tabled(recording.minute_quotes, _symbol))
        self._hours = self._of_symbols(tabled(recording.hourly_bars, _symbol))
        self._days = self._of_symbols(tabled(recording.daily_bars, _symbol))
        # Underlyings need no bars of their own.
        self._options = tabled(recording.option_bars, _underlying).by_symbol
        self._option_days = tabled(recording.option_days, _underlying).by_symbol
        self._coarse = [symbol for symbol in self.symbols if _has_coarse(self._driving[symbol])]

    def _of_symbols(self, table: Table[Row]) -> dict[str, Rows[Row]]:
        empty: Rows[Row] = Rows.of(())
        return {symbol: table.by_symbol.get(symbol, empty) for symbol in sorted(self.symbols)}

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

    def scale(self, symbol: str, factor: Decimal, *, after: datetime, until: datetime) -> None:
        """Multiplies every price of bars and quotes that end in (after, until]: they are no longer as recorded."""
        bars, quotes = partial(scaled_bar, factor=factor), partial(scaled_quote, factor=factor)
        for each in (self._minutes, self._driving, self._hours, self._days):
            each[symbol] = each[symbol].changed(after, until, bars)
        self._quotes[symbol] = self._quotes[symbol].changed(after, until, quotes)
        self.scaled.append((symbol, factor, after, until))

    # What becomes visible

    def bars_ending(self, instant: datetime) -> dict[str, Bar]:
        """Minute bars that become visible exactly at `instant`, by symbol in order."""
        return _ending(self._minutes, instant)

    def trading_bars_ending(self, instant: datetime) -> dict[str, Bar]:
        """The bars that orders meet at `instant`, by symbol in order: the finest recorded, from a second to a day."""
        return _ending(self._driving, instant)

    def trading_quote(self, bar: Bar) -> QuoteBar | None:
        """The recorded quotes of exactly the bar's interval; None where there are none."""
        quote = self._quotes[bar.symbol].ending(bar.end)
        return quote if quote is not None and quote.start == bar.start else None

    def quotes_ending(self, instant: datetime) -> dict[str, QuoteBar]:
        """Quotes that become visible exactly at `instant`, by symbol in order; recorded, or of an hour or a day."""
        found = _ending(self._quotes, instant)
        made = {symbol: quote for symbol in self._coarse if (quote := self._edge(symbol, instant)) is not None}
        return dict(sorted((made | found).items())) if made else found

    def _edge(self, symbol: str, instant: datetime) -> QuoteBar | None:
        """The first price of a coarse bar that begins at `instant`, else the last of one that ends."""
        rows = self._driving[symbol]
        begun, ended = rows.starting(instant), rows.ending(instant)
        if begun is not None and _is_coarse(begun):
            return _flat(symbol, instant, begun.open)
        if ended is not None and _is_coarse(ended):
            return _flat(symbol, instant, ended.close)
        return None

    # The newest

    def last_bar(self, symbol: str) -> Bar | None:
        """Newest visible minute bar."""
        return self._minutes[symbol].last(self.released)

    def last_trading_bar(self, symbol: str) -> Bar | None:
        """Newest visible one of the bars that orders meet."""
        return self._driving[symbol].last(self.released)

    def last_quote(self, symbol: str) -> QuoteBar | None:
        """Newest visible quote: bid_close and ask_close at its end."""
        recorded = self._quotes[symbol].last(self.released)
        made = self._last_edge(symbol, self.released) if symbol in self._coarse else None
        if recorded is None or made is None:
            return recorded or made
        return recorded if recorded.end >= made.end else made

    def _last_edge(self, symbol: str, at: datetime) -> QuoteBar | None:
        rows = self._driving[symbol]
        place = rows.place_after(at)
        if place < len(rows) and _is_coarse(bar := rows[place]) and bar.start <= at:
            return _flat(symbol, bar.start, bar.open)
        return _flat(symbol, bar.end, bar.close) if place and _is_coarse(bar := rows[place - 1]) else None

    def price(self, symbol: str) -> Decimal | None:
        """Newest visible trade price, in present shares; None before the first."""
        seen = self._newest_price(symbol, self.released)
        return None if seen is None else self.restatements.price(symbol, *seen)

    def touch(self, symbol: str, *, buying: bool) -> Decimal | None:
        """What a present share costs (not `buying`: brings) now: ask or bid, or the last trade where that is newer."""
        quote, seen = self.last_quote(symbol), self._newest_price(symbol, self.released)
        if quote is not None and (seen is None or quote.end >= seen[1]):
            seen = (quote.ask_close if buying else quote.bid_close), quote.end
        return None if seen is None else self.restatements.price(symbol, *seen)

    def value(self, symbol: str, quantity: Decimal, at: datetime | None = None) -> Decimal | None:
        """What `quantity` shares were worth at the newest price of `at` (None: now), in dollars; None before the first.

        The shares are those of that instant, after the splits that had taken effect.
        """
        seen = self._newest_price(symbol, self.released if at is None else min(at, self.released))
        return None if seen is None else self.restatements.value(symbol, quantity, *seen, as_of=at)

    def _newest_price(self, symbol: str, at: datetime) -> tuple[Decimal, datetime] | None:
        edge = self._last_edge(symbol, at) if symbol in self._coarse else None
        newest = max(
            (bar for bar in (self._driving[symbol].last(at), self._days[symbol].last(at)) if bar is not None),
            key=lambda bar: bar.end,
            default=None,
        )
        if edge is not None and (newest is None or edge.end > newest.end):
            return edge.bid_close, edge.end
        return None if newest is None else (newest.close, newest.end)

    def previous_close(self, symbol: str) -> Decimal | None:
        """Close of the last session that ended before the present day's, in present shares."""
        calendar = self.calendar(symbol)
        days = self._days[symbol]
        if calendar.session_at(self.released) is not None:
            bar = days.last(self.released)
        else:
            bar = days.last(calendar.previous_session(self.released).close - timedelta(microseconds=1))
        return None if bar is None else self.restatements.price(symbol, bar.close, bar.end)

    # History

    def minute_bars(self, symbol: str, start: datetime, end: datetime) -> list[Bar]:
        """Visible minute bars that start in [start, end), oldest first."""
        return self._minutes[symbol].between(start, end, self.released)

    def minute_quotes(self, symbol: str, start: datetime, end: datetime) -> list[QuoteBar]:
        """Visible minute quotes whose interval starts in [start, end), oldest first."""
        return self._quotes[symbol].between(start, end, self.released)

    def hourly_bars(self, symbol: str, start: datetime, end: datetime) -> list[Bar]:
        """Visible recorded hours that start in [start, end), oldest first; none is made of minutes."""
        return self._hours[symbol].between(start, end, self.released)

    def daily_bars(self, symbol: str, start: datetime, end: datetime) -> list[Bar]:
        """Visible daily bars that start in [start, end), oldest first."""
        return self._days[symbol].between(start, end, self.released)

    def trading_bars(self, symbol: str, start: datetime, end: datetime) -> list[Bar]:
        """Visible ones of the bars that orders meet that start in [start, end), oldest first."""
        return self._driving[symbol].between(start, end, self.released)

    def option_bars(self, underlying: str, start: datetime, end: datetime) -> list[OptionBar]:
        """Visible minutes of all contracts that start in [start, end), oldest first; no underlying: nothing."""
        rows = self._options.get(underlying)
        return [] if rows is None else rows.between(start, end, self.released)

    def option_days(self, underlying: str, start: datetime, end: datetime) -> list[OptionBar]:
        """Visible days of all contracts that start in [start, end), oldest first; no underlying: nothing."""
        rows = self._option_days.get(underlying)
        return [] if rows is None else rows.between(start, end, self.released)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Symbols of which option trades are recorded."""
        return tuple(sorted({*self._options, *self._option_days}))

    def day_so_far(self, symbol: str) -> Bar | None:
        """The newest session's bar from its visible minutes, else hours; None where there are none."""
        last = self.last_bar(symbol) or self.last_trading_bar(symbol)
        session = None if last is None else self.calendar(symbol).session_at(last.start)
        if session is None:
            return None
        bars = self.minute_bars(symbol, session.open, session.close)
        return merged(bars or self.trading_bars(symbol, session.open, session.close), session.open, session.close)


def scaled_bar(bar: Bar, factor: Decimal) -> Bar:
    """The bar at `factor` times its prices, in steps of a hundredth of a cent."""
    open_, high, low, close = (_stepped(price * factor) for price in (bar.open, bar.high, bar.low, bar.close))
    return replace(bar, open=open_, high=high, low=low, close=close)


def scaled_quote(quote: QuoteBar, factor: Decimal) -> QuoteBar:
    """The quotes at `factor` times their prices, in steps of a hundredth of a cent."""
    names = [f"{side}_{word}" for side in ("bid", "ask") for word in ("open", "high", "low", "close")]
    scaled: dict[str, Any] = {name: _stepped(getattr(quote, name) * factor) for name in names}
    return replace(quote, **scaled)


def _stepped(price: Decimal) -> Decimal:
    return max(price.quantize(PRICE_STEP), PRICE_STEP)


def _symbol(row: Bar | QuoteBar) -> str:
    return row.symbol


def _underlying(row: OptionBar) -> str:
    return row.underlying


def _ending(by_symbol: dict[str, Rows[Row]], instant: datetime) -> dict[str, Row]:
    return {symbol: row for symbol, rows in by_symbol.items() if (row := rows.ending(instant)) is not None}


def _is_coarse(bar: Bar) -> bool:
    return bar.end - bar.start > MINUTE


def _has_coarse(rows: Rows[Bar]) -> bool:
    minute = MINUTE // timedelta(microseconds=1)
    return any(end - start > minute for start, end in zip(rows.starts, rows.ends, strict=True))


def _flat(symbol: str, instant: datetime, price: Decimal) -> QuoteBar:
    return QuoteBar(symbol, instant, instant, price, price, price, price, ZERO, price, price, price, price, ZERO)

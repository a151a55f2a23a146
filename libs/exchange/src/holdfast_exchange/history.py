"""Bars of any timeframe as they could be known at market time (TL-1, TS-3): nothing of it looks ahead.

A bar is there once nothing can come into it any more: a minute bar at its end, the last bar of a day at the session's
close, a week's or month's at the close of its last session. It is made of the finest rows that are recorded.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal

from holdfast_core.new_york import NEW_YORK
from holdfast_core.sessions import OutsideCalendar
from holdfast_exchange.adjustments import Adjustment, AdjustmentTable
from holdfast_exchange.corporate_actions import SPLITS
from holdfast_exchange.lineage import under_one_name
from holdfast_exchange.market import Market
from holdfast_exchange.recording import Bar, calendar_for, day_of
from holdfast_exchange.restatements import Restatements
from holdfast_exchange.timeframes import Timeframe, Unit, grouped

RAW: frozenset[Adjustment] = frozenset()
_DAY = timedelta(days=1)


class BarHistory:
    """Bars of one market, adjusted with `table`."""

    def __init__(self, market: Market, table: AdjustmentTable) -> None:
        self._market = market
        self._table = table

    def bars(
        self,
        symbol: str,
        timeframe: Timeframe,
        start: datetime,
        end: datetime,
        adjustment: frozenset[Adjustment] = RAW,
        asof: date | None = None,
    ) -> list[Bar]:
        """Bars that start in [start, end], both included, oldest first.

        `asof`: the symbol means the company that had it that day, under all its names; None: what is recorded under it.
        """
        zone = zone_of(symbol)
        begins = timeframe.interval(start, zone)[0]
        ends = timeframe.interval(end, zone)[1]

        def find(name: str) -> list[Bar]:
            if timeframe.intraday:
                found = self._intraday(name, timeframe, begins, ends)
            else:
                found = self._market.daily_bars(name, begins, ends)
            return self._adjusted(name, found, adjustment) if adjustment else found

        rows = under_one_name(self._market, find, symbol, asof)
        if timeframe != Timeframe(1, Unit.DAY) and not _is_minute(timeframe):
            rows = [bar for bar in grouped(rows, timeframe, zone) if self._complete(symbol, timeframe, bar)]
        return [bar for bar in rows if start <= bar.start <= end]

    def _intraday(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar]:
        minutes = self._market.minute_bars(symbol, start, end)
        if timeframe.unit is not Unit.HOUR:
            return minutes
        # Days of which there are minutes are made of them, the others of recorded hours.
        covered = {day_of(symbol, bar.start) for bar in minutes}
        hours = self._market.hourly_bars(symbol, start, end)
        return sorted(
            [*minutes, *(bar for bar in hours if day_of(symbol, bar.start) not in covered)], key=lambda bar: bar.start
        )

    def _adjusted(self, symbol: str, rows: list[Bar], kinds: frozenset[Adjustment]) -> list[Bar]:
        today = day_of(symbol, self._market.released)
        if Adjustment.SPLIT not in kinds:
            return [self._table.adjusted(bar, day_of(symbol, bar.start), today, kinds) for bar in rows]
        # Splits that the venue itself has carried out; those of the table are of the recording's history.
        by_table = kinds
        if any(action.symbol == symbol and action.kind in SPLITS for action in self._market.corporate_actions):
            by_table = kinds - {Adjustment.SPLIT}
        return [
            restated(self._market.restatements, self._table.adjusted(bar, day_of(symbol, bar.start), today, by_table))
            for bar in rows
        ]

    def _complete(self, symbol: str, timeframe: Timeframe, bar: Bar) -> bool:
        """True where no further row can belong to `bar`."""
        if bar.end <= self._market.released:
            return True
        first = bar.start.astimezone(zone_of(symbol)).date()
        last = first if timeframe.intraday else timeframe.days(first)[1] - _DAY
        closed = _last_close(symbol, first, last)
        return closed is not None and closed <= self._market.released


def zone_of(symbol: str) -> tzinfo:
    """Whose midnight begins the symbol's day: New York's for equities, UTC's for pairs."""
    return UTC if "/" in symbol else NEW_YORK


def restated(restatements: Restatements, bar: Bar) -> Bar:
    """A bar of old shares in present ones."""
    one = Decimal(1)
    factor = restatements.price(bar.symbol, one, bar.end)
    if factor == one:
        return bar
    step = Decimal("0.0001")
    open_, high, low, close = ((price * factor).quantize(step) for price in (bar.open, bar.high, bar.low, bar.close))
    return replace(bar, open=open_, high=high, low=low, close=close, volume=(bar.volume / factor).quantize(one))


def _is_minute(timeframe: Timeframe) -> bool:
    return timeframe == Timeframe(1, Unit.MINUTE)


def _last_close(symbol: str, first: date, last: date) -> datetime | None:
    try:
        sessions = calendar_for(symbol).sessions_between(first, last)
    except OutsideCalendar:
        return None
    return sessions[-1].close if sessions else None

"""Timeframes of bars and the intervals they cut time into (TL-1, TL-2).

Minutes and hours are counted from midnight of the market's own zone, so a bar never reaches into the next day; a week
begins on Monday, a group of months in January.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum

from holdfast_exchange.recording import Bar


class TimeframeInvalid(ValueError):
    """Not a timeframe that can be asked for."""


class Unit(StrEnum):
    """What a timeframe counts."""

    MINUTE = "Min"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


_SHORT = {"T": Unit.MINUTE, "H": Unit.HOUR, "D": Unit.DAY, "W": Unit.WEEK, "M": Unit.MONTH}
_ALLOWED: dict[Unit, Iterable[int]] = {
    Unit.MINUTE: range(1, 60),
    Unit.HOUR: range(1, 24),
    Unit.DAY: (1,),
    Unit.WEEK: (1,),
    Unit.MONTH: (1, 2, 3, 4, 6, 12),
}
_FORM = re.compile(r"^([1-9][0-9]?)(Min|Hour|Day|Week|Month|T|H|D|W|M)$")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timeframe:
    """`count` units: 5 minutes, 1 day."""

    count: int
    unit: Unit

    @property
    def intraday(self) -> bool:
        """True where a day holds several bars."""
        return self.unit in (Unit.MINUTE, Unit.HOUR)

    def interval(self, instant: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
        """The interval [start, end) that holds `instant`, as UTC instants."""
        local = instant.astimezone(zone)
        if self.intraday:
            size = timedelta(minutes=self.count) if self.unit is Unit.MINUTE else timedelta(hours=self.count)
            midnight = datetime.combine(local.date(), time.min)
            begins = midnight + (local.replace(tzinfo=None) - midnight) // size * size
            return _utc(begins, zone), _utc(min(begins + size, midnight + _DAY), zone)
        first, following = self.days(local.date())
        return _utc(datetime.combine(first, time.min), zone), _utc(datetime.combine(following, time.min), zone)

    def days(self, day: date) -> tuple[date, date]:
        """First day of the interval that holds `day`, and the first day after it. Not for minutes and hours."""
        if self.unit is Unit.WEEK:
            monday = day - _DAY * day.weekday()
            return monday, monday + 7 * _DAY
        if self.unit is Unit.MONTH:
            begins = (day.month - 1) // self.count * self.count
            following = begins + self.count
            return date(day.year, begins + 1, 1), date(day.year + following // 12, following % 12 + 1, 1)
        return day, day + _DAY


def parse(text: str) -> Timeframe:
    """`5Min`, `5T`, `1Day`, `3Month` … Raises TimeframeInvalid."""
    found = _FORM.match(text)
    if found is None:
        raise TimeframeInvalid(text)
    unit = _SHORT.get(found[2]) or Unit(found[2])
    count = int(found[1])
    if count not in _ALLOWED[unit]:
        raise TimeframeInvalid(text)
    return Timeframe(count, unit)


def merged(bars: list[Bar], start: datetime, end: datetime) -> Bar:
    """One bar over [start, end) from the bars in it (at least one), oldest first."""
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


def grouped(bars: Iterable[Bar], timeframe: Timeframe, zone: tzinfo) -> list[Bar]:
    """One bar for each interval of `timeframe` that holds any of `bars`, which come oldest first."""
    groups: list[tuple[datetime, datetime, list[Bar]]] = []
    for bar in bars:
        if groups and bar.start < groups[-1][1]:
            groups[-1][2].append(bar)
            continue
        start, end = timeframe.interval(bar.start, zone)
        groups.append((start, end, [bar]))
    return [merged(found, start, end) for start, end, found in groups]


def _utc(naive: datetime, zone: tzinfo) -> datetime:
    return naive.replace(tzinfo=zone).astimezone(UTC)

"""The account's worth over time, from its bookings and the recorded prices (Alpaca: portfolio history).

Each point is labelled with the beginning of its window and valued at the window's end, or now where that is to come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast_core.new_york import NEW_YORK, new_york_day, new_york_midnight
from holdfast_core.sessions import session_of, sessions_between
from holdfast_exchange.books import Activity, EntryKind
from holdfast_exchange.orders import ZERO, Fill
from holdfast_exchange.rules import unprocessable

if TYPE_CHECKING:
    from holdfast_exchange.state import State

WINDOWS = {
    "1Min": timedelta(minutes=1),
    "5Min": timedelta(minutes=5),
    "15Min": timedelta(minutes=15),
    "1H": timedelta(hours=1),
}
DAILY = "1D"
LONGEST_BY_MINUTE = timedelta(days=7)
LONGEST_INTRADAY = timedelta(days=30)
DEPOSITS = frozenset({EntryKind.JOURNAL_CASH, EntryKind.JOURNAL_STOCK})
"""What comes and goes by these is no profit."""


class Hours(StrEnum):
    """For which part of a day points are given, of windows shorter than a day."""

    MARKET = "market_hours"
    EXTENDED = "extended_hours"
    CONTINUOUS = "continuous"


class Baseline(StrEnum):
    """From what profit is reckoned, for windows shorter than a day."""

    PER_DAY = "per_day"
    """The close of the session before each day."""
    NO_RESET = "no_reset"
    """The close of the session before the first point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """What is asked for; instants are aware. Raises Refusal 422 where it cannot be answered."""

    timeframe: str
    start: datetime
    end: datetime
    hours: Hours = Hours.MARKET
    baseline: Baseline = Baseline.PER_DAY

    def __post_init__(self) -> None:
        if self.timeframe not in (*WINDOWS, DAILY):
            raise unprocessable(f"invalid timeframe: {self.timeframe!r}")
        if self.end < self.start:
            raise unprocessable("end must not be before start")
        longest = LONGEST_BY_MINUTE if self.timeframe == "1Min" else LONGEST_INTRADAY
        if self.timeframe != DAILY and self.end - self.start > longest + timedelta(days=1):
            raise unprocessable(f"{self.timeframe} can be asked for {longest.days} days at most")


@dataclass(frozen=True, slots=True)
class Point:
    """`at` is the beginning of the window; amounts are dollars."""

    at: datetime
    equity: Decimal
    profit: Decimal
    profit_ratio: Decimal


@dataclass(frozen=True, slots=True)
class History:
    points: Sequence[Point]
    base_value: Decimal
    base_day: date | None
    """The day at whose close `base_value` was reached; None where the account began with it."""
    cashflow: dict[EntryKind, list[Decimal]]
    """Dollars by kind and point: everything booked from the first point's beginning to the point's end."""


def history(state: "State", opened_at: datetime, query: HistoryQuery) -> History:
    """The history of an account that was opened at `opened_at`. No point lies before that or after now."""
    latest, earliest = min(query.end, state.now), max(query.start, _day_start(opened_at, query.timeframe))
    windows = [window for window in _windows(query) if window[0] <= latest and window[1] > earliest]
    past = _Past(state)
    if not windows:
        return History([], past.equity(min(query.start, state.now)), None, {})
    first = windows[0][0]
    before = _close_before(first)
    base = past.equity(before)
    begun = before > opened_at
    points: list[Point] = []
    reference, deposits, day = base, past.deposits(before), new_york_day(first)
    for start, end in windows:
        if query.timeframe != DAILY and query.baseline is Baseline.PER_DAY and new_york_day(start) != day:
            day = new_york_day(start)
            closed = _close_before(start)
            reference, deposits = past.equity(closed), past.deposits(closed)
        at = min(end, state.now)
        equity = past.equity(at)
        profit = equity - reference - (past.deposits(at) - deposits)
        points.append(Point(start, equity, profit, profit / reference if reference else ZERO))
    ends = [min(end, state.now) for _, end in windows]
    return History(points, base, new_york_day(before) if begun else None, past.cashflow(first, ends))


class _Past:
    """The account at any instant up to now."""

    def __init__(self, state: "State") -> None:
        self._state = state
        self._books = state.books
        self._restart()

    def _restart(self) -> None:
        self._next, self._cash = 0, self._books.starting_cash
        self._held: dict[str, Decimal] = {}
        self._cost: dict[str, Decimal] = {}

    def equity(self, at: datetime) -> Decimal:
        """Everything that was booked up to `at`, at the prices of `at`. Quickest where instants ascend."""
        activities = self._books.activities
        if self._next and activities[self._next - 1].at > at:
            self._restart()
        while self._next < len(activities) and activities[self._next].at <= at:
            self._take(activities[self._next])
        return self._cash + sum((self._worth(symbol, at) for symbol, held in self._held.items() if held), ZERO)

    def _take(self, each: Activity) -> None:
        if isinstance(each, Fill):
            change, paid = each.signed_quantity, each.signed_quantity * each.price
        else:
            change, paid = each.shares, each.cost
        self._held[each.symbol] = self._held.get(each.symbol, ZERO) + change
        self._cost[each.symbol] = self._cost.get(each.symbol, ZERO) + paid
        self._cash = self._books.cash_after[self._next]
        self._next += 1

    def _worth(self, symbol: str, at: datetime) -> Decimal:
        recorded = symbol in self._state.market.symbols
        value = self._state.market.value(symbol, self._held[symbol], at) if recorded else None
        return self._cost[symbol] if value is None else value

    def deposits(self, at: datetime) -> Decimal:
        return sum(
            (
                each.outside
                for each in self._books.activities
                if not isinstance(each, Fill) and each.kind in DEPOSITS and each.at <= at
            ),
            ZERO,
        )

    def cashflow(self, since: datetime, ends: Sequence[datetime]) -> dict[EntryKind, list[Decimal]]:
        booked = [
            each for each in self._books.activities if not isinstance(each, Fill) and each.cash and each.at >= since
        ]
        return {
            kind: [sum((each.cash for each in booked if each.kind is kind and each.at <= end), ZERO) for end in ends]
            for kind in sorted({each.kind for each in booked})
        }


def _windows(query: HistoryQuery) -> Iterator[tuple[datetime, datetime]]:
    first, last = new_york_day(query.start), new_york_day(query.end)
    if query.timeframe == DAILY:
        if query.hours is Hours.CONTINUOUS:
            for day in _days(first, last):
                yield new_york_midnight(day), new_york_midnight(day + timedelta(days=1))
        else:
            for session in sessions_between(first, last):
                yield new_york_midnight(session.day), session.close
        return
    size = WINDOWS[query.timeframe]
    for opens, closes in _stretches(query.hours, first, last):
        at = opens
        while at < closes:
            yield at, min(at + size, closes)
            at += size


def _stretches(hours: Hours, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    if hours is Hours.CONTINUOUS:
        yield new_york_midnight(first), new_york_midnight(last + timedelta(days=1))
        return
    for session in sessions_between(first, last):
        if hours is Hours.MARKET:
            yield session.open, session.close
        else:
            yield (
                datetime.combine(session.day, time(4), NEW_YORK).astimezone(UTC),
                datetime.combine(session.day, time(20), NEW_YORK).astimezone(UTC),
            )


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _day_start(at: datetime, timeframe: str) -> datetime:
    return new_york_midnight(new_york_day(at)) if timeframe == DAILY else at


def _close_before(at: datetime) -> datetime:
    """The close of the last session of a day before `at`'s."""
    day = new_york_day(at)
    for number in range(1, 15):
        session = session_of(day - timedelta(days=number))
        if session is not None:
            return session.close
    return new_york_midnight(day)

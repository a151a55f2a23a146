"""Trades by the clock: at which instants the buys and sales of a strategy fire in one session (SQ-13, TL-2, TL-3).

Times are the exchange's: New York's for shares, UTC for coins. A firing has an id of its own, a function of strategy,
day, kind and time, so that whoever meets it again, in a replay or after a restart, meets the same one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from holdfast_core.new_york import NEW_YORK
from holdfast_core.sessions import Session

SALE_BEFORE_EARLY_CLOSE = timedelta(minutes=10)
"""Before an early close a sale keeps its distance from the usual close, at most this much (TL-3)."""
MARKET_CLOSED = "MARKET_CLOSED"
SOLD_BEFORE = "SOLD_BEFORE"


@dataclass(frozen=True, slots=True)
class Hours:
    """The usual hours of a book, in the time of its exchange: [open, open + length)."""

    zone: ZoneInfo
    open: time
    length: timedelta

    def instant(self, day: date, at: time) -> datetime:
        """`at` of an exchange day as UTC, whatever the daylight saving of that day is."""
        return datetime.combine(day, at, self.zone).astimezone(UTC)

    def contain(self, at: time) -> bool:
        """True for a time of the usual hours after their begin."""
        since_open = datetime.combine(date.min, at) - datetime.combine(date.min, self.open)
        return timedelta(0) <= since_open < self.length


HOURS: Mapping[str, Hours] = MappingProxyType(
    {
        "equity": Hours(NEW_YORK, time(9, 30), timedelta(hours=6, minutes=30)),
        "crypto": Hours(ZoneInfo("UTC"), time(), timedelta(days=1)),
    }
)


class TradeKind(StrEnum):
    """What fires."""

    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a strategy of `book` buys and sells, each day anew; `grace`: how late a buy may still be."""

    book: str
    buy_at: tuple[time, ...]
    sell_at: tuple[time, ...]
    grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One buy or sale of one session."""

    firing_id: str
    strategy: str
    kind: TradeKind
    planned_at: datetime
    due_at: datetime
    """As planned; of a sale before an early close: moved ahead of it."""
    ends_at: datetime
    """A buy: nothing is bought at or after this instant. A sale: from here on it is late."""
    void: str = ""
    """Why it does not fire in this session: MARKET_CLOSED, SOLD_BEFORE; empty: it does."""


def firings(strategy: str, schedule: Schedule, session: Session) -> tuple[Firing, ...]:
    """Every firing of `session`, those that are void too, in the order in which they are due.

    A buy outside the session's hours is void, and so is one that an early close would leave after the last sale: what
    it bought would stay for the night.
    """
    sales = [_sale(strategy, schedule, session, at) for at in schedule.sell_at]
    buys = [_buy(strategy, schedule, session, at, sales) for at in schedule.buy_at]
    return tuple(sorted((*buys, *sales), key=lambda each: (each.due_at, each.firing_id)))


def _sale(strategy: str, schedule: Schedule, session: Session, at: time) -> Firing:
    hours = HOURS[schedule.book]
    planned_at = hours.instant(session.day, at)
    usual_close = hours.instant(session.day, hours.open) + hours.length
    distance = min(usual_close - planned_at, SALE_BEFORE_EARLY_CLOSE)
    due_at = max(min(planned_at, session.close - distance), session.open)
    return Firing(
        firing_id=_identity(strategy, session, TradeKind.SELL, at),
        strategy=strategy,
        kind=TradeKind.SELL,
        planned_at=planned_at,
        due_at=due_at,
        ends_at=due_at + schedule.grace,
    )


def _buy(strategy: str, schedule: Schedule, session: Session, at: time, sales: list[Firing]) -> Firing:
    planned_at = HOURS[schedule.book].instant(session.day, at)
    void = ""
    if not session.contains(planned_at):
        void = MARKET_CLOSED
    elif sales and all(sale.due_at <= planned_at for sale in sales):
        void = SOLD_BEFORE
    next_sale = min((sale.due_at for sale in sales if sale.due_at > planned_at), default=session.close)
    return Firing(
        firing_id=_identity(strategy, session, TradeKind.BUY, at),
        strategy=strategy,
        kind=TradeKind.BUY,
        planned_at=planned_at,
        due_at=planned_at,
        ends_at=planned_at if void else min(planned_at + schedule.grace, next_sale),
        void=void,
    )


def _identity(strategy: str, session: Session, kind: TradeKind, at: time) -> str:
    return f"{strategy}.{session.day.isoformat()}.{kind}.{at:%H%M}"

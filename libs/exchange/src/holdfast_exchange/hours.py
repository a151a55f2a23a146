"""When a symbol trades: regular and extended hours, early closes, halts, auctions (TL-2, TL-3, TL-5).

Crypto trades always. US equities have New York's sessions from the calendar, pre-market from 04:00 and after-hours
until 20:00 New York. Halts, and early closes that the calendar does not know of, come by command.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from holdfast_core.new_york import NEW_YORK, new_york_day
from holdfast_core.sessions import Session, next_open, session_of
from holdfast_exchange.assets import Asset
from holdfast_exchange.faults.commands import ALL_SYMBOLS
from holdfast_exchange.faults.disturbances import Disturbances

PRE_MARKET_OPEN = time(4)
AFTER_HOURS = timedelta(hours=4)
"""How long after-hours trading lasts after a close: until 20:00 on a full day."""
LONGEST_CLOSURE = 12
"""Days in which there is a session in any case."""
OPENING_CUTOFF = timedelta(minutes=2)
"""Orders for the opening auction are taken until 09:28."""
CLOSING_CUTOFF = timedelta(minutes=10)
"""Orders for the closing auction are taken until 15:50 on a full day."""
AUCTIONS_REOPEN = time(19)
"""From then on orders for the next session's auctions are taken."""


class Phase(StrEnum):
    CLOSED = "closed"
    PRE_MARKET = "pre_market"
    REGULAR = "regular"
    AFTER_HOURS = "after_hours"


@dataclass(frozen=True, slots=True)
class Hours:
    """The calendar with what commands have changed of it."""

    disturbances: Disturbances

    def session_of(self, day: date) -> Session | None:
        """The session of a day of New York, with its early close."""
        found = session_of(day)
        if found is None or found.close not in self.disturbances.early_closes:
            return found
        return Session(day, found.open, self.disturbances.early_closes[found.close])

    def is_halted(self, symbol: str, now: datetime) -> bool:
        """True where orders wait because of a halt."""
        return self.disturbances.halted(symbol, now)

    def resumed_at(self, symbol: str, now: datetime) -> datetime | None:
        """When the newest halt of the symbol that is over ended; None: there was none."""
        halts = self.disturbances.halts
        ends = [halts[name] for name in (symbol, ALL_SYMBOLS) if name in halts]
        return max((end for end in ends if end <= now), default=None)

    def phase(self, asset: Asset, at: datetime) -> Phase:
        if asset.is_crypto:
            return Phase.REGULAR
        day = new_york_day(at)
        session = self.session_of(day)
        if session is None or at < _local(day, PRE_MARKET_OPEN) or at >= session.close + AFTER_HOURS:
            return Phase.CLOSED
        if at < session.open:
            return Phase.PRE_MARKET
        return Phase.REGULAR if at < session.close else Phase.AFTER_HOURS

    def is_open(self, asset: Asset, at: datetime, *, extended: bool = False) -> bool:
        """True in regular hours; `extended`: in those before and after them too."""
        phase = self.phase(asset, at)
        return phase is Phase.REGULAR or (extended and phase is not Phase.CLOSED)

    def opens_after(self, asset: Asset, at: datetime, *, extended: bool = False) -> datetime:
        """`at` itself where it is open then, else the next opening."""
        if self.is_open(asset, at, extended=extended):
            return at
        if not extended:
            return next_open(at)
        day = new_york_day(at)
        while True:
            if session_of(day) is not None and _local(day, PRE_MARKET_OPEN) >= at:
                return _local(day, PRE_MARKET_OPEN)
            day += timedelta(days=1)

    def day_ends(self, at: datetime, *, extended: bool = False) -> datetime:
        """When a DAY order that is taken at `at` expires: the close of the session under way, else of the next one."""
        day = new_york_day(at)
        for number in range(LONGEST_CLOSURE):
            session = self.session_of(day + timedelta(days=number))
            if session is not None:
                ends = session.close + (AFTER_HOURS if extended else timedelta())
                if ends > at:
                    return ends
        raise AssertionError(f"no session in the {LONGEST_CLOSURE} days after {at.isoformat()}")

    def takes_opening_orders(self, at: datetime) -> bool:
        """False between 09:28 and 19:00 on the day of a session."""
        session = self.session_of(new_york_day(at))
        return session is None or at < session.open - OPENING_CUTOFF or at >= _local(session.day, AUCTIONS_REOPEN)

    def takes_closing_orders(self, at: datetime) -> bool:
        """False between ten minutes before the close and 19:00 on the day of a session."""
        session = self.session_of(new_york_day(at))
        return session is None or at < session.close - CLOSING_CUTOFF or at >= _local(session.day, AUCTIONS_REOPEN)

    def is_opening(self, start: datetime) -> bool:
        """True where a bar that starts at `start` begins with the opening auction."""
        session = self.session_of(new_york_day(start))
        return session is not None and start == session.open

    def is_closing(self, end: datetime) -> bool:
        """True where a bar that ends at `end` ends with the closing auction."""
        session = self.session_of(new_york_day(end))
        return session is not None and end == session.close


def _local(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK)

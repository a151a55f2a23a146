"""Exchange sessions from a generated table, and the round-the-clock calendar of the crypto book (TL-2, TL-3, PT-7).

Everything is an aware UTC instant; local time, daylight saving, holidays and half days are in the table already
(`tools/sessions.py` writes it from exchange_calendars, a test compares). A session is the half-open [open, close): at
the instant of the close the market is closed. The functions of this module speak of the equity calendar, XNYS.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import Protocol

_ONE_DAY = timedelta(days=1)


class OutsideCalendar(LookupError):
    """The table does not reach that far: nothing is guessed. `tools/sessions.py` extends it."""


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session. `day` is its date at the exchange, `open` and `close` are UTC."""

    day: date
    open: datetime
    close: datetime

    def contains(self, instant: datetime) -> bool:
        """True in [open, close)."""
        return self.open <= instant < self.close


class Calendar(Protocol):
    """When a book trades. All methods raise OutsideCalendar where the calendar does not reach."""

    def session_of(self, day: date) -> Session | None:
        """The session of an exchange day; None on weekends and holidays."""

    def sessions_between(self, start: date, end: date) -> list[Session]:
        """Every session from day `start` to day `end`, both included, oldest first."""

    def session_at(self, instant: datetime) -> Session | None:
        """The session that is under way; None while closed."""

    def is_open(self, instant: datetime) -> bool:
        """True in a session's [open, close)."""

    def next_open(self, instant: datetime) -> datetime:
        """The first open later than `instant`."""

    def next_close(self, instant: datetime) -> datetime:
        """The first close later than `instant`: the present session's while one is under way."""

    def previous_session(self, instant: datetime) -> Session:
        """The newest session that has ended: its close is at or before `instant`."""


class ExchangeCalendar:
    """A calendar from a table of sessions, oldest first."""

    def __init__(self, sessions: tuple[Session, ...]) -> None:
        self._sessions = sessions
        self._days = [session.day for session in sessions]
        self._opens = [session.open for session in sessions]
        self._closes = [session.close for session in sessions]
        first, last = (day.year for day in self.covers)
        self._covered = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)

    @property
    def covers(self) -> tuple[date, date]:
        """First and last day about which the table says something: whole years."""
        return date(self._days[0].year, 1, 1), date(self._days[-1].year, 12, 31)

    def session_of(self, day: date) -> Session | None:
        self._check(day)
        at = bisect_left(self._days, day)
        return self._sessions[at] if at < len(self._days) and self._days[at] == day else None

    def sessions_between(self, start: date, end: date) -> list[Session]:
        self._check(start)
        self._check(end)
        return list(self._sessions[bisect_left(self._days, start) : bisect_right(self._days, end)])

    def session_at(self, instant: datetime) -> Session | None:
        self._check_instant(instant)
        at = bisect_right(self._opens, instant) - 1
        return self._sessions[at] if at >= 0 and instant < self._closes[at] else None

    def is_open(self, instant: datetime) -> bool:
        return self.session_at(instant) is not None

    def next_open(self, instant: datetime) -> datetime:
        return self._later(self._opens, instant)

    def next_close(self, instant: datetime) -> datetime:
        return self._later(self._closes, instant)

    def previous_session(self, instant: datetime) -> Session:
        at = bisect_right(self._closes, instant) - 1
        if at < 0:
            raise OutsideCalendar(f"no session before {instant.isoformat()} is in the calendar")
        self._check_instant(instant)
        return self._sessions[at]

    def _later(self, instants: list[datetime], instant: datetime) -> datetime:
        self._check_instant(instant)
        at = bisect_right(instants, instant)
        if at == len(instants):
            raise OutsideCalendar(f"no session after {instant.isoformat()} is in the calendar")
        return instants[at]

    def _check(self, day: date) -> None:
        # The table holds whole years, so that every day of them that is not in it is a closed one.
        if not self._days[0].year <= day.year <= self._days[-1].year:
            raise OutsideCalendar(f"{day} is outside the calendar, {self._days[0]} … {self._days[-1]}")

    def _check_instant(self, instant: datetime) -> None:
        begin, end = self._covered
        if not begin <= instant < end:
            self._check(instant.astimezone(UTC).date())


class RoundTheClock:
    """The crypto book's calendar: always open, a session is a UTC day."""

    def session_of(self, day: date) -> Session | None:
        return self._day(day)

    def sessions_between(self, start: date, end: date) -> list[Session]:
        return [self._day(start + _ONE_DAY * number) for number in range((end - start).days + 1)]

    def session_at(self, instant: datetime) -> Session | None:
        return self._day(instant.astimezone(UTC).date())

    def is_open(self, instant: datetime) -> bool:  # noqa: ARG002 - the answer is the same at every instant
        return True

    def next_open(self, instant: datetime) -> datetime:
        return self._day(instant.astimezone(UTC).date()).close

    def next_close(self, instant: datetime) -> datetime:
        return self._day(instant.astimezone(UTC).date()).close

    def previous_session(self, instant: datetime) -> Session:
        return self._day(instant.astimezone(UTC).date() - _ONE_DAY)

    @staticmethod
    def _day(day: date) -> Session:
        opens = datetime.combine(day, time(), UTC)
        return Session(day, opens, opens + _ONE_DAY)


def parse_table(text: str) -> tuple[Session, ...]:
    """Sessions from `day,open,close` lines below a heading."""
    sessions = []
    for line in text.splitlines()[1:]:
        day_text, open_text, close_text = line.split(",")
        day = date.fromisoformat(day_text)
        opens = datetime.combine(day, time.fromisoformat(open_text), UTC)
        sessions.append(Session(day, opens, datetime.combine(day, time.fromisoformat(close_text), UTC)))
    return tuple(sessions)


@cache
def xnys() -> ExchangeCalendar:
    """The New York Stock Exchange, 1998-2030. Read once per process (about 20 ms)."""
    return ExchangeCalendar(parse_table(resources.files(__package__).joinpath("sessions_xnys.csv").read_text("ascii")))


ROUND_THE_CLOCK = RoundTheClock()


def calendar_of(book: str) -> Calendar:
    """The calendar of a book by its name in the configuration: `equity` or `crypto`. Raises KeyError for any other."""
    if book == "crypto":
        return ROUND_THE_CLOCK
    if book == "equity":
        return xnys()
    raise KeyError(book)


def session_of(day: date) -> Session | None:
    """See Calendar.session_of; the equity calendar."""
    return xnys().session_of(day)


def sessions_between(start: date, end: date) -> list[Session]:
    """See Calendar.sessions_between; the equity calendar."""
    return xnys().sessions_between(start, end)


def session_at(instant: datetime) -> Session | None:
    """See Calendar.session_at; the equity calendar."""
    return xnys().session_at(instant)


def is_open(instant: datetime) -> bool:
    """See Calendar.is_open; the equity calendar."""
    return xnys().is_open(instant)


def next_open(instant: datetime) -> datetime:
    """See Calendar.next_open; the equity calendar."""
    return xnys().next_open(instant)


def next_close(instant: datetime) -> datetime:
    """See Calendar.next_close; the equity calendar."""
    return xnys().next_close(instant)


def previous_session(instant: datetime) -> Session:
    """See Calendar.previous_session; the equity calendar."""
    return xnys().previous_session(instant)

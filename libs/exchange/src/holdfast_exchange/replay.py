"""The instants of a replay: each minute of each session, and jumps over what is closed.

Equities have New York's regular sessions, pairs are open round the clock; a recording of both has the instants of both.
What was closed before gives a `lead` instant one minute before its first one, at which only the clock moves; then comes
every minute from the open to the close, both included. Timers of services may ask for further instants in between.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from holdfast_core.sessions import Calendar, OutsideCalendar, calendar_of
from holdfast_exchange.assets import AssetClass
from holdfast_exchange.recording import MINUTE, NEW_YORK, Recording, RecordingInvalid

DAY = timedelta(days=1)
LEAD = timedelta(minutes=1)
"""How long before the first instant of a session the clock is already shown."""
_BOOKS = {AssetClass.US_EQUITY: "equity", AssetClass.CRYPTO: "crypto"}


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment of the replay. `data`: recorded data becomes visible and orders may match."""

    at: datetime
    data: bool


class Replay:
    """Every instant from `start` to `end`, both included: aware instants of market time."""

    def __init__(self, start: datetime, end: datetime, calendars: Sequence[Calendar] = ()) -> None:
        """`calendars`: when what is replayed trades; none given: the equity calendar."""
        if end < start:
            raise RecordingInvalid(f"the replay would end at {end.isoformat()}, before it starts, {start.isoformat()}")
        minutes: set[datetime] = set()
        for calendar in calendars or (calendar_of("equity"),):
            # A session belongs to a date of its own calendar: one day more on both sides covers every time zone.
            days = start.astimezone(UTC).date() - DAY, end.astimezone(UTC).date() + DAY
            for session in calendar.sessions_between(*days):
                first, last = max(session.open, start), min(session.close, end)
                if first <= last:
                    minutes.update(first + MINUTE * number for number in range((last - first) // MINUTE + 1))
        self._instants: list[Instant] = []
        for at in sorted(minutes):
            if not self._instants or at - LEAD > self._instants[-1].at:
                self._instants.append(Instant(at - LEAD, data=False))
            self._instants.append(Instant(at, data=True))
        if not self._instants:
            raise RecordingInvalid(f"no session between {start.isoformat()} and {end.isoformat()}")
        self._at = [instant.at for instant in self._instants]
        self._by_time = {instant.at: instant for instant in self._instants}

    @property
    def begin(self) -> datetime:
        """Market time of tick 0, before anything runs."""
        return self._at[0]

    @property
    def end(self) -> datetime:
        """The last instant."""
        return self._at[-1]

    def at(self, instant: datetime) -> Instant | None:
        """The replay's own instant at exactly this time; None where there is none."""
        return self._by_time.get(instant)

    def progress(self, instant: datetime) -> tuple[int, int]:
        """How many of its instants have passed at `instant`, and how many there are."""
        return bisect_right(self._at, instant), len(self._at)

    def after(self, instant: datetime) -> Instant | None:
        """The first instant later than `instant`; None at the end."""
        place = bisect_right(self._at, instant)
        return self._instants[place] if place < len(self._at) else None


def plan(recording: Recording, *, start: str = "", end: str = "") -> Replay:
    """The replay of `recording` from `start` to `end`, each a day or an aware instant in ISO 8601.

    Empty: what the recording itself says, else all of it. A day means its whole session.
    Raises RecordingInvalid naming the value that cannot be read or lies outside the recording.
    """
    calendars = [calendar_of(_BOOKS[found]) for found in sorted(recording.asset_classes)]
    first_bar, last_bar = recording.minute_bars[0], recording.minute_bars[-1]
    zone = NEW_YORK if AssetClass.US_EQUITY in recording.asset_classes else UTC
    recorded = first_bar.start.astimezone(zone).date(), (last_bar.end - MINUTE).astimezone(zone).date()
    begins = _instant(start or recording.start or recorded[0].isoformat(), "start", calendars, closing=False)
    ends = _instant(end or recording.end or recorded[1].isoformat(), "end", calendars, closing=True)
    if begins > last_bar.end or ends < first_bar.start:
        raise RecordingInvalid(
            f"nothing is recorded between {begins.isoformat()} and {ends.isoformat()}: "
            f"the recording holds {recorded[0]} to {recorded[1]}"
        )
    return Replay(begins, ends, calendars)


def _instant(text: str, what: str, calendars: Sequence[Calendar], *, closing: bool) -> datetime:
    """A day means the whole of it in every calendar: from the earliest open to the latest close."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _aware(text, what)
    try:
        sessions = [session for calendar in calendars if (session := calendar.session_of(day)) is not None]
    except OutsideCalendar as error:
        raise RecordingInvalid(f"replay {what} {text!r}: {error}") from error
    if sessions:
        return max(each.close for each in sessions) if closing else min(each.open for each in sessions)
    return datetime.combine(day, time.max if closing else time.min, NEW_YORK)


def _aware(text: str, what: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise RecordingInvalid(f"replay {what} {text!r} is neither a day nor an instant of ISO 8601") from None
    if instant.tzinfo is None:
        raise RecordingInvalid(f"replay {what} {text!r} has no time zone: write 2013-10-07T13:30:00Z, or the day alone")
    return instant

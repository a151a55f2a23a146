"""The instants of a replay: each minute of each regular session, and jumps over what is closed.

A session gives a `lead` instant one minute before its first one, at which only the clock moves, then every minute from
its open to its close, both included. Timers of services may ask for further instants in between.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from holdfast_core.sessions import OutsideCalendar, session_of, sessions_between
from holdfast_exchange.recording import MINUTE, NEW_YORK, Recording, RecordingInvalid

LEAD = timedelta(minutes=1)
"""How long before the first instant of a session the clock is already shown."""


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment of the replay. `data`: recorded data becomes visible and orders may match."""

    at: datetime
    data: bool


class Replay:
    """Every instant from `start` to `end`, both included: aware instants of market time."""

    def __init__(self, start: datetime, end: datetime) -> None:
        if end < start:
            raise RecordingInvalid(f"the replay would end at {end.isoformat()}, before it starts, {start.isoformat()}")
        self._instants: list[Instant] = []
        for session in sessions_between(start.astimezone(NEW_YORK).date(), end.astimezone(NEW_YORK).date()):
            first, last = max(session.open, start), min(session.close, end)
            if first > last:
                continue
            self._instants.append(Instant(first - LEAD, data=False))
            self._instants.extend(
                Instant(first + MINUTE * number, data=True) for number in range((last - first) // MINUTE + 1)
            )
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
    first_bar, last_bar = recording.minute_bars[0], recording.minute_bars[-1]
    recorded = first_bar.start.astimezone(NEW_YORK).date(), last_bar.end.astimezone(NEW_YORK).date()
    begins = _instant(start or recording.start or recorded[0].isoformat(), "start", closing=False)
    ends = _instant(end or recording.end or recorded[1].isoformat(), "end", closing=True)
    if begins > last_bar.end or ends < first_bar.start:
        raise RecordingInvalid(
            f"nothing is recorded between {begins.isoformat()} and {ends.isoformat()}: "
            f"the recording holds {recorded[0]} to {recorded[1]}"
        )
    return Replay(begins, ends)


def _instant(text: str, what: str, *, closing: bool) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _aware(text, what)
    try:
        session = session_of(day)
    except OutsideCalendar as error:
        raise RecordingInvalid(f"replay {what} {text!r}: {error}") from error
    if session is not None:
        return session.close if closing else session.open
    return datetime.combine(day, time.max if closing else time.min, NEW_YORK)


def _aware(text: str, what: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise RecordingInvalid(f"replay {what} {text!r} is neither a day nor an instant of ISO 8601") from None
    if instant.tzinfo is None:
        raise RecordingInvalid(f"replay {what} {text!r} has no time zone: write 2013-10-07T13:30:00Z, or the day alone")
    return instant

"""The instants of a replay: what the recording shows of each session, and jumps over the rest.

Equities have New York's regular sessions, pairs are open round the clock; a recording of both has the instants of both.
Where minutes are recorded, every minute from the open to the close is an instant; where seconds are, each of them at
which a bar ends as well; where only hours or days are, their edges. After a longer time without any comes a `lead`
instant one minute before the next, at which only the clock moves. Timers of services may ask for more in between.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from holdfast_core.new_york import NEW_YORK
from holdfast_core.sessions import Calendar, OutsideCalendar, Session, calendar_of
from holdfast_exchange.assets import AssetClass
from holdfast_exchange.recording import MINUTE, Bar, Recording, RecordingInvalid
from holdfast_exchange.rows import Rows, instant_of, micros, tabled

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
_MINUTE = MINUTE // timedelta(microseconds=1)
LEAD = timedelta(minutes=1)
"""How long before the first instant of a session the clock is already shown."""
SHORTEST_STEP = timedelta(milliseconds=1)
"""Between two ticks of different market time."""
_BOOKS = {AssetClass.US_EQUITY: "equity", AssetClass.CRYPTO: "crypto"}


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment of the replay. `data`: recorded data becomes visible and orders may match."""

    at: datetime
    data: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A tick of a lock-step. `ends`: the recording has ended."""

    at: datetime
    data: bool
    ends: bool = False


class Replay:
    """Every instant from its `begin` to its `end`, both included: aware instants of market time."""

    def __init__(self, data: Iterable[datetime], firsts: Container[datetime]) -> None:
        """`data`: the instants at which something is shown; `firsts`: those that are the first of a session.

        Raises RecordingInvalid where there are none.
        """
        self._instants: list[Instant] = []
        for at in sorted(data):
            if not self._instants or (at in firsts and at - LEAD > self._instants[-1].at):
                self._instants.append(Instant(at - LEAD, data=False))
            self._instants.append(Instant(at, data=True))
        if not self._instants:
            raise RecordingInvalid("there is no instant to replay")
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

    def between(self, after: datetime, before: datetime) -> list[Instant]:
        """The instants later than `after` and earlier than `before`, oldest first."""
        return self._instants[bisect_right(self._at, after) : bisect_left(self._at, before)]

    def unseen(self, now: datetime, released: datetime) -> Instant | None:
        """The instant of `now`, where the market shows only what was before it (`released`)."""
        present = self.at(now)
        return present if present is not None and present.data and released < now else None

    def next_step(self, now: datetime, released: datetime, timer: datetime | None) -> Step:
        """The tick of a lock-step that comes after `now`; `timer`: the earliest instant that a service sleeps for.

        An instant that brings data is two ticks: at the first only the clock moves, at the second the data is seen.
        """
        if self.unseen(now, released) is not None:
            return Step(now, data=True)
        upcoming = self.after(now)
        if upcoming is None:
            return Step(now, data=False, ends=True)
        if timer is not None:
            wake = max(timer, now + SHORTEST_STEP)
            if wake < upcoming.at:
                return Step(wake, data=False)
        return Step(upcoming.at, data=False)


def plan(recording: Recording, *, start: str = "", end: str = "") -> Replay:
    """The replay of `recording` from `start` to `end`, each a day or an aware instant in ISO 8601.

    Empty: what the recording itself says, else all of it. A day means its whole session.
    Raises RecordingInvalid naming the value that cannot be read or lies outside the recording.
    """
    calendars = [calendar_of(_BOOKS[found]) for found in sorted(recording.asset_classes)]
    driving = tabled(recording.driving or recording.minute_bars, lambda bar: bar.symbol).by_symbol
    first = instant_of(min(rows.starts[0] for rows in driving.values()))
    last = instant_of(max(rows.ends[-1] for rows in driving.values()))
    zone = NEW_YORK if AssetClass.US_EQUITY in recording.asset_classes else UTC
    recorded = first.astimezone(zone).date(), (last - SECOND).astimezone(zone).date()
    begins = _instant(start or recording.start or recorded[0].isoformat(), "start", calendars, closing=False)
    ends = _instant(end or recording.end or recorded[1].isoformat(), "end", calendars, closing=True)
    if begins > last or ends < first:
        given = f"start: {begins.isoformat()} is after" if begins > last else f"end: {ends.isoformat()} is before"
        raise RecordingInvalid(f"replay.{given} all that is recorded: {recorded[0]} to {recorded[1]}")
    if ends < begins:
        raise RecordingInvalid(f"the replay would end at {ends.isoformat()}, before it starts, {begins.isoformat()}")
    instants: set[datetime] = set()
    firsts: set[datetime] = set()
    days = begins.astimezone(UTC).date() - DAY, ends.astimezone(UTC).date() + DAY
    for found, calendar in zip(sorted(recording.asset_classes), calendars, strict=True):
        rows = [each for symbol, each in driving.items() if recording.asset_class(symbol) is found]
        # A session belongs to a date of its own calendar: one day more on both sides covers every time zone.
        for session in calendar.sessions_between(*days):
            if shown := {at for at in _instants_of(session, rows, begins) if begins <= at <= ends}:
                instants |= shown
                firsts.add(min(shown))
    if not instants:
        raise RecordingInvalid(f"no session between {begins.isoformat()} and {ends.isoformat()}")
    return Replay(instants, firsts)


def _instants_of(session: Session, driving: Iterable[Rows[Bar]], begins: datetime) -> Iterator[datetime]:
    """Open and close; where hours are recorded their edges; where minutes or seconds are, every minute, each second."""
    yield session.open
    yield session.close
    every_minute = False
    for rows in driving:
        first, last = bisect_left(rows.starts, micros(session.open)), bisect_right(rows.ends, micros(session.close))
        for place in range(first, last):
            length = rows.ends[place] - rows.starts[place]
            every_minute = every_minute or length <= _MINUTE
            if length == _MINUTE:
                break  # and so are all others of the symbol on that day
            if length > _MINUTE:
                yield instant_of(rows.starts[place])
            yield instant_of(rows.ends[place])
    if every_minute:
        start = max(session.open, begins)
        yield from (start + MINUTE * number for number in range((session.close - start) // MINUTE + 1))


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

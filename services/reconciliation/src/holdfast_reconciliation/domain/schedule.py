"""When the next comparison is due, in market time.

In session every interval, half an interval beside the minutes on which bars and fills arrive, and from one interval and
a half before the open, so that the first entry of a session finds a young verdict. Out of session now and then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast_core.sessions import Calendar


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often, in session and out of it."""

    interval: timedelta
    closed_interval: timedelta


def next_round(now: datetime, cadence: Cadence, calendars: Iterable[Calendar]) -> datetime:
    """The first instant after `now` that a comparison is due at: the earliest of all books' calendars."""
    return min((_of_calendar(now, cadence, each) for each in calendars), default=now + cadence.closed_interval)


def _of_calendar(now: datetime, cadence: Cadence, calendar: Calendar) -> datetime:
    session = calendar.session_at(now)
    opens = session.open if session is not None else calendar.next_open(now)
    first = opens - cadence.interval * 1.5
    if now < first:
        return min(now + cadence.closed_interval, first)
    due = first + ((now - first) // cadence.interval + 1) * cadence.interval
    if session is not None and due >= session.close:
        # The last one of a session falls just after it: what the close left is compared, too.
        return session.close + cadence.interval / 2
    return due

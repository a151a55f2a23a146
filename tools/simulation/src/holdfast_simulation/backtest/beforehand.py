"""What strategies on minute bars will say, of the whole recording at once: by their `speaks_at`, where they have one.

It is for choosing the instants that a backtest shows (quiet): what is said there the services find out by themselves,
bar by bar. Sessions and windows are those of signal's runners; a test compares.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from holdfast_core.sessions import Calendar, Session
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_signal.screen import fault_within
from holdfast_signal.strategy import StrategyMaker


def said_at(maker: StrategyMaker, bars: Sequence[Bar], calendar: Calendar) -> list[datetime] | None:
    """When `maker`'s strategy says something of the symbol of `bars`, oldest first.

    None where that cannot be told: it has no `speaks_at`, a session lacks a bar, or one contradicts itself.
    """
    if any(map(fault_within, bars)):
        return None
    found: list[datetime] = []
    before: Sequence[Bar] = ()
    for session, today in _sessions(bars, calendar):
        if not _follow_each_other(today):
            return None
        window = before if _joins(before, today, session, calendar) else ()
        strategy = maker.make()
        closes = [float(bar.close) for bar in (*window, *today)]
        places = strategy.speaks_at(closes, max(len(window), strategy.lookback - 1))
        if places is None:
            return None
        found += [today[place - len(window)].end for place in places]
        before = today
    return found


def _sessions(bars: Sequence[Bar], calendar: Calendar) -> Iterator[tuple[Session, Sequence[Bar]]]:
    """Every session that has bars, with them; what lies outside of sessions is nothing to a strategy."""
    starts = [bar.start for bar in bars]
    place = 0
    while place < len(bars):
        session = calendar.session_at(starts[place])
        if session is None:
            place = bisect_left(starts, calendar.next_open(starts[place]))
            continue
        end = bisect_left(starts, session.close)
        yield session, bars[place:end]
        place = end


def _follow_each_other(bars: Sequence[Bar]) -> bool:
    spans = bars[-1].end - bars[0].start
    return spans == len(bars) * MINUTE and all(bar.end - bar.start == MINUTE for bar in bars)


def _joins(before: Sequence[Bar], today: Sequence[Bar], session: Session, calendar: Calendar) -> bool:
    """Whether `before` is of the session before, and nothing is missing between it and `today`."""
    if not before or calendar.previous_session(session.open).close != before[-1].end:
        return False
    return today[0].start == session.open


def is_steady(bars: Iterable[Bar], max_move: Decimal) -> bool:
    """Whether a reader believes every close of it, whichever of those before it was the last that he was shown."""
    closes = [bar.close for bar in bars]
    return not closes or max(closes) < min(closes) * max_move

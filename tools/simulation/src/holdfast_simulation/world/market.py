"""A market that wanders, drawn from the seed: minutes of a regular session, now and then a fall through every stop."""

import random
from datetime import date, datetime
from decimal import Decimal

from holdfast_core import sessions
from holdfast_exchange.recording import MINUTE, Bar, Recording
from holdfast_runtime.ports import venue
from holdfast_simulation.world.faults import SYMBOLS, Kind

DAY = date(2013, 10, 7)
CLOCKS_FORWARD, CLOCKS_BACK = date(2013, 3, 11), date(2013, 11, 4)
"""The first sessions after each change of the clocks (TL-2)."""
CLOCK_CHANGES = {CLOCKS_FORWARD: Kind.CLOCKS_FORWARD, CLOCKS_BACK: Kind.CLOCKS_BACK}
CENT = Decimal("0.01")


def open_of(day: date) -> datetime:
    """When the session of that day begins."""
    session = sessions.session_of(day)
    assert session is not None
    return session.open


def recording(chance: random.Random, *, opens_at: datetime, minutes: int) -> Recording:
    """Bars of every symbol from the open on."""
    last = dict.fromkeys(SYMBOLS, Decimal(100))
    bars = []
    for number in range(minutes):
        for symbol in SYMBOLS:
            start = opens_at + number * MINUTE
            step = Decimal(94) if chance.random() < 0.03 else Decimal(chance.randint(994, 1006)) / 10
            opened = max((last[symbol] * step / 100).quantize(CENT), Decimal(5))
            closed = (opened * Decimal(chance.randint(994, 1006)) / 1000).quantize(CENT)
            high, low = max(opened, closed) + 5 * CENT, min(opened, closed) - 5 * CENT
            volume = Decimal(chance.choice((3, 8, 40, 100_000, 100_000)))
            bars.append(Bar(symbol, start, start + MINUTE, opened, high, low, closed, volume))
            last[symbol] = closed
    bars.sort(key=lambda bar: (bar.symbol, bar.start))
    return Recording(symbols=SYMBOLS, minute_bars=tuple(bars), minute_quotes=(), daily_bars=(), quarantined=())


def told_bar(bar: Bar) -> venue.Bar:
    """A recorded bar as a feed tells it."""
    return venue.Bar(
        symbol=bar.symbol,
        start=bar.start,
        end=bar.end,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
    )

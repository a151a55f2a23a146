"""What signal's sentinel looks at: the feed, and what waits for the bus."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from holdfast_catalogue.gauges import Growth, Lasting, total
from holdfast_catalogue.registry import point
from holdfast_catalogue.sentinel import Watch
from holdfast_catalogue.standing import Finding, error, ok, warn
from holdfast_core.sessions import Calendar
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.settings import Settings, VenueKind
from holdfast_runtime.telemetry import metrics
from holdfast_signal.feed import FeedReader
from holdfast_signal.outbox import CAPACITY, Outbox
from holdfast_signal.prices import Prices

DISCONNECTED_AFTER_SECS = 3.0
LATELY_SECS = 300.0
QUARANTINED_TO_ALARM = 20
WAITING_TO_WARN = 1_000
WAITING_TO_ALARM = CAPACITY * 4 // 5
BAR_SECS = 60.0
MISSED_TO_WARN, MISSED_TO_ALARM = 3, 10
"""Intervals without a decision: a pair may trade in none of a few minutes."""
MIN_WALL_STALE_SECS = 2.0
"""Nothing is called stale within so much wall time, whatever the pace of a replay."""


def watches(
    *,
    readers: Sequence[FeedReader],
    prices: Prices,
    outbox: Outbox,
    calendars: Mapping[str, Calendar],
    settings: Settings,
    clock: MarketClock,
    monotonic: MonotonicClock,
) -> list[Watch]:
    """One watch for each of signal's points."""
    return [
        Watch(point=point("feed.disconnected"), detect=_disconnected(readers, monotonic)),
        Watch(point=point("feed.stale"), detect=_stale(readers, prices, calendars, clock, bar_bound(settings))),
        Watch(point=point("feed.gap"), detect=_gap(monotonic)),
        Watch(point=point("feed.quarantined"), detect=_quarantined(monotonic)),
        Watch(point=point("market.behind"), detect=lambda: _behind(outbox)),
        Watch(point=point("schedule.missed"), detect=_missed(readers, clock, monotonic, bar_bound(settings))),
        Watch(point=point("cycle.never_published"), detect=_never_published(monotonic)),
    ]


def bar_bound(settings: Settings) -> timedelta:
    """Age in market time beyond which a symbol's newest datum is stale."""
    speed = settings.replay.speed if settings.venue.kind is VenueKind.PAPERMARKET else 1.0
    return timedelta(seconds=max(BAR_SECS + settings.feed.bar_grace_secs, MIN_WALL_STALE_SECS * speed))


def _disconnected(readers: Sequence[FeedReader], monotonic: MonotonicClock) -> Callable[[], Finding]:
    down = Lasting(monotonic)

    def detect() -> Finding:
        away = [reader for reader in readers if not reader.connected]
        secs = down(bool(away))
        if not away:
            return ok("connected and caught up")
        loaded = all(reader.loaded for reader in away)
        books = ", ".join(reader.name for reader in away)
        text = f"{books}: not connected for {secs:.0f} s" if loaded else "history is being read for the first time"
        return error(text) if secs >= DISCONNECTED_AFTER_SECS else warn(text)

    return detect


def _stale(
    readers: Sequence[FeedReader],
    prices: Prices,
    calendars: Mapping[str, Calendar],
    clock: MarketClock,
    bound: timedelta,
) -> Callable[[], Finding]:
    def detect() -> Finding:
        if not all(reader.loaded for reader in readers):
            return ok("history is being read for the first time")
        now = clock.now()
        ages = {symbol: age for symbol in sorted(calendars) if (age := _age(symbol, now)) is not None}
        shown = {symbol: f"{age.total_seconds():.0f} s" for symbol, age in ages.items()}
        late = [symbol for symbol, age in ages.items() if age > bound]
        for symbol in calendars:
            metrics.FEED_STALE.labels("prices", symbol).set(symbol in late)
        if not late:
            return ok("the market is closed" if not ages else "every symbol is fresh", **shown)
        text = f"older than {bound.total_seconds():.0f} s: {', '.join(late)}"
        return error(text, **shown) if len(late) == len(ages) else warn(text, **shown)

    def _age(symbol: str, now: datetime) -> timedelta | None:
        """Since the newest datum, or since the open where there was none after it; None while the market is closed."""
        session = calendars[symbol].session_at(now)
        return None if session is None else now - max(prices.seen_at(symbol), session.open)

    return detect


def _gap(monotonic: MonotonicClock) -> Callable[[], Finding]:
    gaps = Growth(lambda: total(metrics.FEED_GAPS), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = gaps()
        return warn(f"gaps lately: {count:.0f}", gaps=f"{count:.0f}") if count else ok("no gap lately", gaps="0")

    return detect


def _quarantined(monotonic: MonotonicClock) -> Callable[[], Finding]:
    items = Growth(lambda: total(metrics.QUARANTINED, source="feed"), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = items()
        text = f"{count:.0f} items put aside lately"
        if count >= QUARANTINED_TO_ALARM:
            return error(text, items=f"{count:.0f}")
        return warn(text, items=f"{count:.0f}") if count else ok("everything is believed", items="0")

    return detect


def _behind(outbox: Outbox) -> Finding:
    waiting = len(outbox)
    text = f"{waiting} messages wait"
    if waiting >= WAITING_TO_ALARM:
        return error(text, waiting=waiting, capacity=CAPACITY)
    if waiting >= WAITING_TO_WARN:
        return warn(text, waiting=waiting, capacity=CAPACITY)
    return ok(text, waiting=waiting, capacity=CAPACITY)


def _missed(
    readers: Sequence[FeedReader], clock: MarketClock, monotonic: MonotonicClock, bound: timedelta
) -> Callable[[], Finding]:
    missed = Lasting(monotonic)

    def detect() -> Finding:
        if not all(reader.loaded for reader in readers):
            return ok("history is being read for the first time")
        now = clock.now()
        ages = {name: age for reader in readers for name, age in sorted(reader.undecided_for(now).items())}
        shown = {name: f"{age.total_seconds():.0f} s" for name, age in ages.items()}
        late = [name for name, age in ages.items() if age > bound * MISSED_TO_WARN]
        # Market time may leap: what is due then is done in a moment.
        if missed(bool(late)) < MIN_WALL_STALE_SECS:
            return ok("the market is closed" if not ages else "every strategy is asked in time", **shown)
        text = f"not asked for {max(ages.values()).total_seconds():.0f} s of market time: {', '.join(late)}"
        grave = any(ages[name] > bound * MISSED_TO_ALARM for name in late)
        return error(text, **shown) if grave else warn(text, **shown)

    return detect


def _never_published(monotonic: MonotonicClock) -> Callable[[], Finding]:
    expired = Growth(lambda: total(metrics.CYCLES, outcome="expired"), monotonic, within_secs=LATELY_SECS)

    def detect() -> Finding:
        count = expired()
        text = f"{count:.0f} cycles expired before the bus took them"
        return error(text, cycles=f"{count:.0f}") if count else ok("every cycle left in time", cycles="0")

    return detect

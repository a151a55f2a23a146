"""The clocks. This module alone reads the time of the machine.

| duration | clock |
| --- | --- |
| sessions, validity, cooldowns, rate windows of rules, schedules, reconciliation cadence, freshness | market |
| timeouts, backoff, look-ups of unknown orders, leases, reconnects, heartbeats of loops | monotonic |
"""

import asyncio
import contextlib
import heapq
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path


class SystemMonotonicClock:
    """Seconds since an arbitrary start."""

    def now_secs(self) -> float:
        return time.monotonic()

    async def sleep(self, secs: float) -> None:
        await asyncio.sleep(secs)


def process_age_secs() -> float | None:
    """Seconds since this process was started, its imports included (IN-1); None where the system does not say."""
    try:
        words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # Field 22 of proc(5): clock ticks between boot and start.
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) / os.sysconf("SC_CLK_TCK")


class WallMarketClock:
    """Market time of a live venue: the machine's own UTC time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, instant: datetime) -> None:
        # In pieces: the wall clock may be set while this sleeps.
        while (left_secs := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 it waits for a time
            await asyncio.sleep(min(left_secs, 60.0))


class VenueMarketClock:
    """Market time as the venue's ticks give it: scaled (runs between ticks) or in lock-step (stands between ticks)."""

    def __init__(self) -> None:
        self._anchor = datetime.fromtimestamp(0, UTC)
        self._anchor_secs = 0.0
        self._speed = 0.0
        self._timers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0
        self._moved = asyncio.Event()
        self.started = asyncio.Event()
        """Set with the first tick: before it there is no market time."""

    def now(self) -> datetime:
        if self._speed == 0:
            return self._anchor
        return self._anchor + timedelta(seconds=(time.monotonic() - self._anchor_secs) * self._speed)

    def set(self, market_time: datetime, *, speed: float) -> bool:
        """Takes over a tick: `speed` market seconds a second from here on, 0 to stand still.

        Market time never goes back. True where timers fired."""
        self._anchor = max(market_time, self._anchor) if self.started.is_set() else market_time
        self._anchor_secs = time.monotonic()
        self._speed = speed
        self.started.set()
        self._moved.set()
        return self._fire()

    def _fire(self) -> bool:
        fired = False
        while self._timers and (self._timers[0][0] <= self._anchor or self._timers[0][2].done()):
            _, _, future = heapq.heappop(self._timers)
            if not future.done():
                future.set_result(None)
                fired = True
        return fired

    def next_timer(self) -> datetime | None:
        """The earliest instant that somebody sleeps for."""
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def sleep_until(self, instant: datetime) -> None:
        await self.started.wait()
        while self.now() < instant:
            if self._speed == 0:
                await self._wait_for_tick(instant)
            else:
                await self._wait_scaled(instant)

    async def _wait_for_tick(self, instant: datetime) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._timers, (instant, self._count, future))
        await future

    async def _wait_scaled(self, instant: datetime) -> None:
        left_secs = (instant - self.now()).total_seconds() / self._speed
        self._moved.clear()
        # Not wait_for: in Python 3.11 that may swallow a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(left_secs, 0.001), 60.0)):
                await self._moved.wait()

"""Market and monotonic time of the simulated world, both from the loop's virtual seconds."""

import asyncio
from datetime import datetime, timedelta


class WorldMarketClock:
    """MarketClock of the world: `speed` market seconds pass in one virtual second, from `start` on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime, speed: float) -> None:
        self._loop = loop
        self._start = start
        self._speed = speed

    def now(self) -> datetime:
        """See ports.clock.MarketClock."""
        return self._start + timedelta(seconds=self._loop.time() * self._speed)

    async def sleep_until(self, instant: datetime) -> None:
        """See ports.clock.MarketClock."""
        while True:
            left = instant - self.now()
            if left <= timedelta(0):
                return
            # Never less than a step that both clocks can show.
            await asyncio.sleep(max(left.total_seconds() / self._speed, 1e-6))


class WorldMonotonicClock:
    """MonotonicClock of one node: every host began to count at another instant."""

    def __init__(self, loop: asyncio.AbstractEventLoop, offset_secs: float) -> None:
        self._loop = loop
        self._offset_secs = offset_secs

    def now_secs(self) -> float:
        """See ports.clock.MonotonicClock."""
        return self._loop.time() + self._offset_secs

    async def sleep(self, secs: float) -> None:
        """See ports.clock.MonotonicClock."""
        await asyncio.sleep(secs)

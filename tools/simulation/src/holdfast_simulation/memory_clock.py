"""Market time that stands still until it is moved, as in lock-step."""

import asyncio
import heapq
import itertools
from datetime import datetime


class ManualMarketClock:
    """MarketClock whose sleepers wake when `set` reaches their instant. Market time never goes back."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        while self._now < instant:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (instant, next(self._numbers), woken))
            await woken

    def next_timer(self) -> datetime | None:
        """The earliest instant that somebody sleeps for."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def set(self, instant: datetime) -> None:
        """Moves time to `instant` and wakes who is due, in order."""
        self._now = max(self._now, instant)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

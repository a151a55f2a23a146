"""Monotonic time that stands still until it is moved."""

import asyncio
import heapq
import itertools


class ManualMonotonicClock:
    """MonotonicClock whose sleepers wake when `advance` passes their instant."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now_secs(self) -> float:
        return self._now

    async def sleep(self, secs: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + secs, next(self._numbers), woken))
        await woken

    def advance(self, secs: float) -> None:
        """Moves time on and wakes who is due, in order."""
        self._now += secs
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

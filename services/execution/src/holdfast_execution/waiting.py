"""Small helpers of the loops: waiting for the first of several things, and backoff by name."""

import asyncio
from collections.abc import Hashable
from datetime import datetime

from holdfast_execution.domain.outcomes import MAX_BACKOFF_SECS, backoff_secs
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock

IDLE_TURN_SECS = 2.0
"""A loop that has nothing to do turns so often all the same: its liveness is its progress."""


class Alarm:
    """Wakes a loop: at a change, at an instant of market time, or after seconds of monotonic time."""

    def __init__(self, market_clock: MarketClock, monotonic_clock: MonotonicClock) -> None:
        self._market_clock = market_clock
        self._monotonic_clock = monotonic_clock
        self._tasks: list[asyncio.Task[object]] = []

    async def set(self, changed: asyncio.Event, *, after_secs: float, at: datetime | None) -> None:
        """Starts to wait. The timers are registered with their clocks when this returns."""
        waits = [changed.wait(), self._monotonic_clock.sleep(min(after_secs, IDLE_TURN_SECS))]
        if at is not None:
            waits.append(self._market_clock.sleep_until(at))
        self._tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0)

    async def ring(self) -> None:
        """Returns at the first of what was set."""
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks = []


class Backoffs:
    """When something that failed may be tried again, by name, on monotonic time."""

    def __init__(self, clock: MonotonicClock, *, first_secs: float, limit_secs: float = MAX_BACKOFF_SECS) -> None:
        self._clock = clock
        self._first_secs = first_secs
        self._limit_secs = limit_secs
        self._failures: dict[Hashable, int] = {}
        self._due_secs: dict[Hashable, float] = {}

    def failed(self, name: Hashable, *, at_least_secs: float = 0.0) -> None:
        """One more failure of `name` in a row."""
        count = self._failures.get(name, 0)
        wait_secs = max(backoff_secs(count, first_secs=self._first_secs, limit_secs=self._limit_secs), at_least_secs)
        self._failures[name] = count + 1
        self._due_secs[name] = self._clock.now_secs() + wait_secs

    def succeeded(self, name: Hashable) -> None:
        """The next failure of `name` is a first one again."""
        self._failures.pop(name, None)
        self._due_secs.pop(name, None)

    def wait_secs(self, name: Hashable) -> float:
        """Seconds until `name` may be tried; zero where it may be now."""
        return max(self._due_secs.get(name, 0.0) - self._clock.now_secs(), 0.0)

    def failures(self, name: Hashable) -> int:
        """Failures in a row."""
        return self._failures.get(name, 0)

"""Small helpers of the loops: waiting for the first of several things, and backoff by name."""

import asyncio
from collections.abc import Callable, Container, Coroutine, Hashable
from datetime import datetime
from typing import Any

from holdfast_execution.domain.outcomes import MAX_BACKOFF_SECS, backoff_secs
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock

POSITIONS_SECS = 1.0
"""A stop, or the sale of a part, waits no longer for what the broker says it holds."""
IDLE_TURN_SECS = 2.0
"""A loop that has nothing to do turns so often all the same: its liveness is its progress."""


class Alarm:
    """Wakes a loop: at a change, at an instant of market time, or after seconds of monotonic time.

    A timer that still serves is kept: most rounds of a loop are begun by a change, long before any timer is due.
    """

    def __init__(self, market_clock: MarketClock, monotonic_clock: MonotonicClock) -> None:
        self._market_clock = market_clock
        self._monotonic_clock = monotonic_clock
        self._rung = asyncio.Event()
        self._idle: asyncio.Task[None] | None = None
        self._idle_due_secs = 0.0
        self._market: asyncio.Task[None] | None = None
        self._market_at: datetime | None = None
        self.wake: Callable[[], None] = self._rung.set
        """Something has changed."""

    def clear(self) -> None:
        """Before the loop looks: what changes from here on wakes it."""
        self._rung.clear()

    async def set(self, *, after_secs: float, at: datetime | None) -> None:
        """Starts to wait. The timers are registered with their clocks when this returns."""
        due_secs = self._monotonic_clock.now_secs() + min(after_secs, IDLE_TURN_SECS)
        began = False
        if self._idle is None or self._idle.done() or due_secs < self._idle_due_secs:
            _cancel(self._idle)
            self._idle_due_secs = due_secs
            self._idle = self._begin(self._monotonic_clock.sleep(min(after_secs, IDLE_TURN_SECS)))
            began = True
        if at != self._market_at or self._market is None or self._market.done():
            _cancel(self._market)
            self._market_at = at
            self._market = None if at is None else self._begin(self._market_clock.sleep_until(at))
            began = began or at is not None
        if began:
            await asyncio.sleep(0)

    async def ring(self) -> None:
        """Returns at the first of what was set, or at once where something has changed since `clear`."""
        await self._rung.wait()

    def close(self) -> None:
        """Forgets the timers."""
        _cancel(self._idle)
        _cancel(self._market)

    def _begin(self, wait: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(wait)
        task.add_done_callback(lambda ended: None if ended.cancelled() else self._rung.set())
        return task


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()


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

    def clear(self) -> None:
        """Whatever failed may be tried at once, and its next failure is a first one."""
        self.keep(())

    def keep(self, names: Container[Hashable]) -> None:
        """Every other name has not failed."""
        for name in [each for each in self._failures if each not in names]:
            self.succeeded(name)

    def wait_secs(self, name: Hashable) -> float:
        """Seconds until `name` may be tried; zero where it may be now."""
        return max(self._due_secs.get(name, 0.0) - self._clock.now_secs(), 0.0)

    def failures(self, name: Hashable) -> int:
        """Failures in a row."""
        return self._failures.get(name, 0)

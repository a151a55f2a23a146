"""Requests stay below the venue's limit, and protection never waits behind a poll (controls; trap 11)."""

import asyncio
import heapq
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import IntEnum

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import Throttled

WINDOW_SECS = 60.0
UNTOLD_RESET_SECS = 5.0
"""Waited after a 429 that does not say until when."""
MAX_WAITERS = 256
HTTP_THROTTLED = 429


class Priority(IntEnum):
    """Who goes first: the smaller number."""

    PROTECTION = 0
    ENTRY = 1
    POLL = 2


RESERVED = {Priority.PROTECTION: 0.0, Priority.ENTRY: 1 / 6, Priority.POLL: 1 / 3}
"""Share of the bucket that a class leaves to those before it."""


class RateLimiter:
    """A token bucket on monotonic time. In any `window_secs` no more than `limit` requests leave; None: no limit."""

    def __init__(self, *, limit: float | None, clock: MonotonicClock, window_secs: float = WINDOW_SECS) -> None:
        self._clock = clock
        self._unlimited = limit is None
        requests = limit or 0.0
        # A full bucket and what flows in within the window are together the limit.
        self._capacity = max(1.0, requests / 10)
        self._per_sec = max(requests - self._capacity, 1.0) / window_secs
        self._tokens = self._capacity
        self._refilled_at_secs = clock.now_secs()
        self._blocked_until_secs = 0.0
        self._waiters: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, priority: Priority, *, give_up_at_secs: float) -> None:
        """Returns when one request may leave. Raises Throttled where that is not before `give_up_at_secs`."""
        if self._unlimited:
            return
        self._refill()
        if not self._waiters and self._affordable(priority):
            self._tokens -= 1
            return
        if len(self._waiters) >= MAX_WAITERS:
            raise Throttled("too many requests wait for the venue's rate limit", after_secs=self._delay_secs(priority))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiters, (priority, self._count, future))
        self._pump()
        try:
            await asyncio.wait_for(future, timeout=max(0.0, give_up_at_secs - self._clock.now_secs()))
        except TimeoutError:
            raise Throttled("the venue's rate limit is used up", after_secs=self._delay_secs(priority)) from None
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._tokens += 1
            raise

    def observe(self, status: int, headers: Mapping[str, str]) -> float:
        """Takes over what an answer says of the limit; returns the seconds until the reset where it was a 429, or 0."""
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        if remaining is not None:
            self._refill()
            self._tokens = min(self._tokens, remaining)
        if status != HTTP_THROTTLED:
            return 0.0
        reset_secs = reset_after_secs(headers)
        self._blocked_until_secs = max(self._blocked_until_secs, self._clock.now_secs() + reset_secs)
        return reset_secs

    def _refill(self) -> None:
        now = self._clock.now_secs()
        self._tokens = min(self._capacity, self._tokens + (now - self._refilled_at_secs) * self._per_sec)
        self._refilled_at_secs = now

    def _affordable(self, priority: Priority) -> bool:
        floor = int(self._capacity * RESERVED[priority])
        return self._clock.now_secs() >= self._blocked_until_secs and self._tokens >= 1 + floor

    def _delay_secs(self, priority: Priority) -> float:
        lacking = max(0.0, 1 + int(self._capacity * RESERVED[priority]) - self._tokens)
        return max(0.01, lacking / self._per_sec, self._blocked_until_secs - self._clock.now_secs())

    def _pump(self) -> None:
        """Lets the first waiters go, and wakes up again when the next one could."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._refill()
        while self._waiters:
            priority, _, future = self._waiters[0]
            if future.done():
                heapq.heappop(self._waiters)
            elif self._affordable(priority):
                heapq.heappop(self._waiters)
                self._tokens -= 1
                future.set_result(None)
            else:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._delay_secs(priority), self._pump)
                return


def reset_after_secs(headers: Mapping[str, str]) -> float:
    """Seconds until the venue's limit opens again, by the venue's own clock, between 0.1 and 60."""
    reset, date = _number(headers.get("X-RateLimit-Reset")), headers.get("Date")
    after = _number(headers.get("Retry-After"))
    if after is None and reset is not None and date:
        try:
            after = reset - parsedate_to_datetime(date).timestamp()
        except ValueError:
            after = None
    return min(WINDOW_SECS, max(0.1, UNTOLD_RESET_SECS if after is None else after))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None

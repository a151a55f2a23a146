"""Time comes from here and from nowhere else."""

from datetime import datetime
from typing import Protocol


class MarketClock(Protocol):
    """Market time: decides sessions, cooldowns, validity, rate windows of rules and schedules."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""

    async def sleep_until(self, instant: datetime) -> None:
        """Returns at `instant` of market time, at once where that has passed. In lock-step it is a timer of the run."""


class MonotonicClock(Protocol):
    """Monotonic time: decides timeouts, backoff and leases, on one host only."""

    def now_secs(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    async def sleep(self, secs: float) -> None:
        """Returns after `secs` seconds."""

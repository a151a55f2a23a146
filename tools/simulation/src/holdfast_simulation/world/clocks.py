"""Market and monotonic time of the simulated world, both from the loop's virtual seconds."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

STEADY_SECS = 0.5
"""Before an order leaves: whoever sends it has read the clock within them."""
LONGEST_SLEEP = timedelta(seconds=60)
"""As in production (runtime.clock.WallMarketClock): after so long a sleeper looks at its clock again."""


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


class HostClock:
    """MarketClock of one host: the world's, but for the `offset` by which it is off."""

    def __init__(self, world: WorldMarketClock, speed: float, *, jumps: bool) -> None:
        """`jumps`: it may be set while somebody sleeps."""
        self.offset = timedelta(0)
        self._world = world
        self._speed = speed
        self._longest = LONGEST_SLEEP if jumps else timedelta.max

    def now(self) -> datetime:
        """See ports.clock.MarketClock."""
        return self._world.now() + self.offset

    async def sleep_until(self, instant: datetime) -> None:
        """See ports.clock.MarketClock."""
        while (left := instant - self.now()) > timedelta(0):  # noqa: ASYNC110 - it waits for a time
            await asyncio.sleep(max(min(left, self._longest).total_seconds() / self._speed, 1e-6))


@dataclass(slots=True)
class HostClocks:
    """The clocks of all hosts, and what a judge must know of their jumps: limits in time hold by the clock of whoever
    keeps them, and not across a jump."""

    by_host: Mapping[str, HostClock]
    most_off: timedelta = timedelta(0)
    """The furthest that any clock has been off."""
    _jumped_secs: float = float("-inf")

    @classmethod
    def of(cls, hosts: Iterable[str], world: WorldMarketClock, speed: float, *, jumps: bool) -> "HostClocks":
        """One for each host, all right. `jumps`: whether any will jump."""
        return cls({host: HostClock(world, speed, jumps=jumps) for host in hosts})

    def jump(self, host: str, by: timedelta, *, now_secs: float) -> None:
        """From now on the host's clock is further off."""
        clock = self.by_host[host]
        clock.offset += by
        self.most_off = max(self.most_off, abs(clock.offset))
        self._jumped_secs = now_secs

    def jumped_since(self, secs: float) -> bool:
        """True where some clock has jumped since shortly before that virtual second."""
        return self._jumped_secs >= secs - STEADY_SECS


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

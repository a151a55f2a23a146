"""Monotonic time that nobody has to wait for."""

import asyncio


class HurriedClock:
    """A sleeper's time passes at once, and everybody else has a turn before it goes on."""

    def __init__(self) -> None:
        self._secs = 0.0

    def now_secs(self) -> float:
        """See ports.clock.MonotonicClock."""
        return self._secs

    async def sleep(self, secs: float) -> None:
        """See ports.clock.MonotonicClock."""
        self._secs += secs
        await asyncio.sleep(0)

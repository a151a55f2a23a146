"""Instants of market time at which something is due, so that lock-step knows of each before the service is settled."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.clock import MarketClock
from holdfast_signal.idle import wait_for

Work = Callable[[], Awaitable[None]]

IDLE_SECS = 2.0


class Timers:
    """Runs work at its instant, held busy. The same (name, instant) is armed once."""

    def __init__(self, *, clock: MarketClock, activity: Activity, progress: Callable[[], None]) -> None:
        self._clock = clock
        self._activity = activity
        self._progress = progress
        self._armed: dict[tuple[str, datetime], asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._starting: set[tuple[str, datetime]] = set()
        self._failed: dict[tuple[str, datetime], Work] = {}
        # A timer that is wanted but not yet asleep is not seen by the clock: not settled until then.
        activity.settled_when(lambda: not self._starting and not self._failed)

    def at(self, name: str, instant: datetime, work: Work) -> None:
        """Runs `work` at `instant`, at once where that has passed."""
        key = (name, instant)
        if key not in self._armed:
            self._starting.add(key)
            task = asyncio.create_task(self._wait(key, work), name=f"{name} {instant.isoformat()}")
            self._armed[key] = task
            self._tasks.add(task)
            self._changed.set()

    def cancel(self, name: str) -> None:
        """Forgets every timer of that name that has not fired; one that is at work goes on."""
        present = asyncio.current_task()
        for key in [each for each in self._armed if each[0] == name]:
            if self._armed[key] is not present:
                self._starting.discard(key)
                self._armed.pop(key).cancel()

    async def run(self) -> None:
        """Collects what has ended; raises the failure of a work, which is tried again when this runs again."""
        for (name, instant), work in sorted(self._failed.items(), key=lambda each: each[0]):
            self.at(name, instant, work)
        self._failed.clear()
        while True:
            self._progress()
            self._changed.clear()
            for task in [each for each in self._tasks if each.done()]:
                self._tasks.discard(task)
                if not task.cancelled():
                    task.result()
            await wait_for(self._changed, IDLE_SECS)

    async def stop(self) -> None:
        """Cancels everything."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._armed.clear()
        self._starting.clear()

    async def _wait(self, key: tuple[str, datetime], work: Work) -> None:
        try:
            self._starting.discard(key)
            self._activity.changed()
            await self._clock.sleep_until(key[1])
            # The sleeper is woken and enters here in one step: nobody can find the service settled in between.
            with self._activity.busy():
                await self._do(key, work)
        finally:
            if self._armed.get(key) is asyncio.current_task():
                del self._armed[key]
            self._changed.set()

    async def _do(self, key: tuple[str, datetime], work: Work) -> None:
        try:
            await work()
        except Exception:
            # Not the end of the work: `run` raises this to its supervisor, and tries again when it is restarted.
            self._failed[key] = work
            raise

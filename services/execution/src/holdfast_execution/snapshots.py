"""The ledger's snapshots for the gates: one after each change, the newest one only, for as many as watch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.books import Books
from holdfast_execution.messages import SnapshotMaker
from holdfast_execution.waiting import IDLE_TURN_SECS
from holdfast_runtime import flows
from holdfast_runtime.ports.clock import MonotonicClock

_Key = tuple[int, str]


class Snapshots:
    """Reads a snapshot where the ledger or the lock of entries has changed, once a turn of the event loop."""

    def __init__(self, books: Books, *, monotonic_clock: MonotonicClock) -> None:
        self._books = books
        self._clock = monotonic_clock
        self._maker = SnapshotMaker()
        self._watchers = 0
        self._latest: execution.LedgerSnapshot | None = None
        self._latest_key: _Key = (-1, "")
        self._pushed = asyncio.Event()

    @property
    def settled(self) -> bool:
        """What was committed has been handed to every watcher."""
        return self._is_present(self._latest_key)

    def _is_present(self, key: _Key) -> bool:
        # May be ahead of what the event loop was told: the writer's thread commits, and tells it a little later.
        version, reason = key
        return version >= self._books.version and reason == self._books.locked_reason

    async def run(self, progress: Callable[[], None]) -> None:
        """Publishes until cancelled."""
        while True:
            changed = self._books.listen()
            if not self.settled:
                with self._books.activity.busy():
                    await self._publish()
            progress()
            if self.settled:
                await self._wait(changed)
            else:
                await asyncio.sleep(0)

    async def _publish(self) -> None:
        if self._watchers:
            self._latest, key = await self._read()
        else:
            self._latest, key = None, (self._books.version, self._books.locked_reason)
        self._latest_key = key
        self._books.activity.sent(flows.SNAPSHOT, key[0])
        self._pushed.set()
        self._pushed = asyncio.Event()

    async def _read(self) -> tuple[execution.LedgerSnapshot, _Key]:
        now, reason = self._books.now, self._books.locked_reason
        parts = await self._books.parts()
        return self._maker.make(parts, now, entries_locked_reason=reason), (parts.version, reason)

    async def _wait(self, changed: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self._clock.sleep(IDLE_TURN_SECS))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*waits, return_exceptions=True)

    async def watch(self) -> AsyncIterator[execution.WatchSnapshotResponse]:
        """A snapshot at once, then one after each change. Raises Refused(NOT_HOLDER) when the lease is lost."""
        self._watchers += 1
        try:
            self._books.require_holder()
            seen: _Key = (-1, "")
            while True:
                pushed = self._pushed
                snapshot = self._latest
                key = self._latest_key
                if snapshot is None or not self._is_present(key):
                    snapshot, key = await self._read()
                self._books.require_holder()
                if key != seen:
                    seen = key
                    yield execution.WatchSnapshotResponse(snapshot=snapshot)
                if pushed is self._pushed:
                    await pushed.wait()
        finally:
            self._watchers -= 1

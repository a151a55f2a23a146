"""The ledger's snapshots for the gates: whole at first, then what has changed, for as many as watch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.books import Books
from holdfast_execution.messages import to_changes, to_snapshot
from holdfast_execution.parts import Parts
from holdfast_execution.waiting import IDLE_TURN_SECS, Alarm
from holdfast_runtime import flows
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock


@dataclass(frozen=True, slots=True)
class _Told:
    """What a watcher was told last."""

    parts: Parts
    locked_reason: str
    at: datetime


class Snapshots:
    """Wakes its watchers where the ledger or the lock of entries has changed. Each gets the newest, none all."""

    def __init__(self, books: Books, *, market_clock: MarketClock, monotonic_clock: MonotonicClock) -> None:
        self._books = books
        self._market_clock = market_clock
        self._clock = monotonic_clock
        self._pushed_key = (-1, "", 0)
        self._pushed = asyncio.Event()

    @property
    def settled(self) -> bool:
        """What was committed has been handed to every watcher."""
        return self._pushed_key == self._key

    @property
    def _key(self) -> tuple[int, str, int]:
        # With the epoch: a beat that comes late locks entries before the lease is known to be lost, and whoever watches
        # must be told of both, or it would wait for the next word of a process that has none any more.
        return self._books.version, self._books.locked_reason, self._books.tenure.epoch

    async def run(self, progress: Callable[[], None]) -> None:
        """Publishes until cancelled."""
        alarm = Alarm(self._market_clock, self._clock)
        with self._books.waking(alarm.wake):
            try:
                while True:
                    alarm.clear()
                    if not self.settled:
                        self._push()
                    progress()
                    await alarm.set(after_secs=IDLE_TURN_SECS, at=None)
                    await alarm.ring()
            finally:
                alarm.close()

    def _push(self) -> None:
        self._pushed_key = self._key
        self._pushed.set()
        self._pushed = asyncio.Event()
        self._books.activity.sent(flows.SNAPSHOT, self._books.version)

    async def watch(self) -> AsyncIterator[execution.WatchSnapshotResponse]:
        """A snapshot at once, then what changes. Raises Refused(NOT_HOLDER) when the lease is lost."""
        self._books.require_holder()
        told: _Told | None = None
        while True:
            pushed = self._pushed
            now = _Told(await self._books.parts(), self._books.locked_reason, self._books.now)
            self._books.require_holder()
            if told is None or (now.parts.version, now.locked_reason) != (told.parts.version, told.locked_reason):
                response = _response(told, now)
                told = now
                yield response
            if pushed is self._pushed:
                await pushed.wait()


def _response(before: _Told | None, now: _Told) -> execution.WatchSnapshotResponse:
    # Entries are counted by the day, and forgotten with time: a new day is told whole.
    if before is None or before.at.date() != now.at.date() or before.parts.assets != now.parts.assets:
        whole = to_snapshot(now.parts, now.at, entries_locked_reason=now.locked_reason)
        return execution.WatchSnapshotResponse(snapshot=whole)
    return to_changes(before.parts, now.parts, now.at, entries_locked_reason=now.locked_reason)

"""Keeps the newest ledger snapshot that execution streams."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import structlog

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_gate.changes import Changes, with_idle_turns
from holdfast_gate.domain.ledger import LedgerView
from holdfast_runtime.errors import Malformed, Refused, Retry
from holdfast_runtime.flows import SNAPSHOT
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.ports.clock import MonotonicClock

RECONNECT_SECS = 0.1

log = structlog.get_logger()


class Snapshots:
    """One connection to execution's snapshots, built again whenever it breaks. `view` is None until the first came."""

    def __init__(self, calls: ExecutionCalls, *, activity: Activity, clock: MonotonicClock, changes: Changes) -> None:
        self._calls = calls
        self._activity = activity
        self._clock = clock
        self._changes = changes
        self.view: LedgerView | None = None
        self.connected = False
        """True from the first answer of a connection to its end."""

    async def run(self, progress: Callable[[], None]) -> None:
        """Follows until cancelled. A snapshot that cannot be read ends the loop with Malformed: it is recorded and the
        stream is asked anew; until then the last readable one stays, and grows old in plain sight."""
        away = False
        while True:
            try:
                await self._follow(self._calls.watch_snapshot(execution.WatchSnapshotRequest()), progress)
            except (Retry, Refused) as error:
                # Told once an outage: it is tried ten times a second.
                if self.connected or not away:
                    log.info("snapshots.reconnecting", reason=str(error))
                away = True
            finally:
                self.connected = False
            progress()
            await self._clock.sleep(RECONNECT_SECS)

    async def _follow(
        self, stream: AsyncIterator[execution.WatchSnapshotResponse], progress: Callable[[], None]
    ) -> None:
        told: LedgerView | None = None
        async with aclosing(with_idle_turns(stream)) as responses:
            async for response in responses:
                if response is not None:
                    with self._activity.busy():
                        told = _told_by(response, told)
                        self._take(told)
                progress()

    def _take(self, told: LedgerView) -> None:
        # An old holder may still be streaming while the new one is: the ledger never goes back.
        if self.view is None or told.version >= self.view.version:
            self.view = told
        self.connected = True
        self._activity.received(SNAPSHOT, self.view.version)
        self._changes.happened()


def _told_by(response: execution.WatchSnapshotResponse, before: LedgerView | None) -> LedgerView:
    """The ledger after an answer of one stream. Raises Malformed where the first one is not whole."""
    if not response.changes_only:
        return LedgerView.of(response.snapshot)
    if before is None:
        raise Malformed("WatchSnapshotResponse.changes_only: there was no whole snapshot before it")
    return before.after(response)

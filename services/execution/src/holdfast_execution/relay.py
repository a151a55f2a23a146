"""The outbox: what the ledger has recorded goes out as facts, at least once, in order, under the lease.

It selects the rows that are not published yet, never a cursor: a row that was committed late is not skipped. A repeated
publish carries the same message id, and consumers apply by aggregate version.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.ledger import EventRow, LedgerRunner, StaleFence
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.bus import Bus, Letter
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()

FACTS = "facts.v1"
_BATCH = 32
"""Rows at a time: a cycle's decisions are one row, of up to 256 KiB."""
_IDLE_SECS = 1.0
_GATHER_SECS = 0.01
"""After news it waits so long for more: one batch for several commits, and none in the way of an order."""


class Relay:
    """Publishes facts. Losing the bus loses nothing: they wait in the ledger."""

    def __init__(self, *, runner: LedgerRunner, bus: Bus, lease: LeaseKeeper, clock: MonotonicClock) -> None:
        self._runner = runner
        self._bus = bus
        self._lease = lease
        self._clock = clock
        self._drained = False
        """The last batch was not full: only news can bring more."""
        self._news = asyncio.Event()
        runner.on_commit(lambda _version: self._news.set())

    async def run(self, progress: Callable[[], None]) -> None:
        """Works until cancelled; wakes on each commit."""
        while True:
            self._news.clear()
            wait = _IDLE_SECS
            try:
                while self._lease.is_holder and await self.turn():
                    progress()
                    if self._drained:
                        break
            except Retry as error:
                wait = min(error.after_secs, _IDLE_SECS * 5)
                log.warning("relay.waits", error=str(error))
                await self._clock.sleep(wait)
            except StaleFence:
                await self._lease.lost()
            progress()
            await self._idle(wait)
            if self._news.is_set():
                await self._clock.sleep(_GATHER_SECS)

    async def turn(self) -> bool:
        """Publishes one batch; False where nothing was left. Raises Retry or StaleFence."""
        rows = await self._runner.read(lambda ledger: ledger.unpublished(_BATCH))
        metrics.OUTBOX_BACKLOG.set(len(rows))
        self._drained = len(rows) < _BATCH
        if not rows:
            return False
        done = await self._publish(rows)
        epoch = self._lease.epoch
        await self._runner.run(lambda ledger: ledger.mark_published(epoch, done))
        if len(done) < len(rows):
            raise Retry(f"the bus took {len(done)} of {len(rows)} facts")
        return True

    async def _publish(self, rows: Sequence[EventRow]) -> list[int]:
        """In order, without waiting for each acknowledgement; returns what was acknowledged."""
        answers = await self._bus.publish_all([_letter(row) for row in rows])
        return [row.event_id for row, published in zip(rows, answers, strict=True) if published]

    async def _idle(self, secs: float) -> None:
        """Until news or for `secs`."""
        news = asyncio.create_task(self._news.wait())
        pause = asyncio.create_task(self._clock.sleep(secs))
        try:
            await asyncio.wait((news, pause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            pause.cancel()


def _letter(row: EventRow) -> Letter:
    return Letter(
        subject=f"{FACTS}.{row.kind}",
        payload=row.fact,
        message_id=f"fact-{row.event_id}",
        headers={"traceparent": row.traceparent} if row.traceparent else {},
    )

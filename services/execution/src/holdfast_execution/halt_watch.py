"""Notices the halts that admin inserted, and turns them into facts (kill switch: at most 2 s to no new entries).

New sends are refused without this: open halts are read in the transaction that stores SENDING. This makes the halt
known, and lets the engine cancel the entries that are working.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.ledger import HaltRow, LedgerRunner, StaleFence
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.clock import MonotonicClock

log = structlog.get_logger()

POLL_SECS = 0.25


class HaltWatch:
    """Polls under the lease; `on_halts` gets what is new."""

    def __init__(
        self,
        *,
        runner: LedgerRunner,
        lease: LeaseKeeper,
        clock: MonotonicClock,
        market_now: Callable[[], datetime],
        on_halts: Callable[[list[HaltRow]], Awaitable[None]],
    ) -> None:
        self._runner = runner
        self._lease = lease
        self._clock = clock
        self._market_now = market_now
        self._on_halts = on_halts

    async def run(self, progress: Callable[[], None]) -> None:
        """Works until cancelled."""
        while True:
            try:
                if self._lease.is_holder:
                    await self.turn()
            except Retry as error:
                log.warning("halt_watch.waits", error=str(error))
            except StaleFence:
                await self._lease.lost()
            progress()
            await self._clock.sleep(POLL_SECS)

    async def turn(self) -> None:
        """One look. Raises Retry or StaleFence."""
        if not await self._runner.read(lambda ledger: ledger.has_unnoticed_halts()):
            return
        epoch, now = self._lease.epoch, self._market_now()
        found = await self._runner.run(lambda ledger: ledger.notice_halts(epoch, now))
        for row in found:
            log.warning("halt.engaged", halt=row.halt_id, kind=row.kind, reason=row.reason, set_by=row.set_by)
        if found:
            await self._on_halts(found)

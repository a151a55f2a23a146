"""The lease on the broker account: one active writer, the others stand by (SQ-5, order protocol points 3 and 4).

All of it runs on monotonic time. A standby takes over after it has seen the beat unchanged for the take-over time on
its own clock; the holder makes its last socket write no later than the margin after its last committed beat.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from holdfast_execution.ledger import LeaseRow, LedgerRunner, StaleFence
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()

Hook = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


class LeaseKeeper:
    """Takes, beats and gives up the lease.

    `holder` names this process and no other, ever: a restarted process has a new name. The hooks must not raise.
    """

    def __init__(
        self,
        *,
        runner: LedgerRunner,
        holder: str,
        clock: MonotonicClock,
        market_now: Callable[[], datetime],
        takeover_secs: float = 3.0,
        beat_secs: float = 0.5,
        margin_secs: float = 2.0,
        on_acquired: Hook = _nothing,
        on_lost: Hook = _nothing,
    ) -> None:
        if not beat_secs < margin_secs < takeover_secs:
            raise ValueError("a beat must come before the margin ends, and the margin before a take-over")
        self._runner = runner
        self._holder = holder
        self._clock = clock
        self._market_now = market_now
        self._takeover_secs = takeover_secs
        self._beat_secs = beat_secs
        self._margin_secs = margin_secs
        self._on_acquired = on_acquired
        self._on_lost = on_lost
        self._epoch = 0
        self._beat_at = 0.0
        self._seen: LeaseRow | None = None
        self._seen_at = 0.0
        self._stopped = False

    @property
    def epoch(self) -> int:
        """Fence for every write; 0 without the lease."""
        return self._epoch

    @property
    def is_holder(self) -> bool:
        """Holds the lease, and no standby can have taken it over yet."""
        return self._epoch > 0 and self._clock.now_secs() < self._beat_at + self._takeover_secs

    @property
    def holder(self) -> str:
        """Who holds it, as last seen; empty: nobody."""
        if self._epoch:
            return self._holder
        return "" if self._seen is None else self._seen.holder

    @property
    def last_write_at_secs(self) -> float:
        """Monotonic time after which nothing may be written to the broker's socket; 0 without the lease."""
        return self._beat_at + self._margin_secs if self._epoch else 0.0

    @property
    def margin_secs(self) -> float:
        """What is left until then; negative: none. Entries are refused where it is too small (invariant 10)."""
        return self.last_write_at_secs - self._clock.now_secs() if self._epoch else 0.0

    async def run(self, progress: Callable[[], None]) -> None:
        """Keeps the lease, or watches whoever has it, until cancelled or stopped."""
        while not self._stopped:
            try:
                await self.turn()
                metrics.LEDGER_REACHABLE.set(1)
            except Retry as error:
                metrics.LEDGER_REACHABLE.set(0)
                log.warning("lease.ledger_unavailable", error=str(error), holder=self._holder)
            progress()
            await self._clock.sleep(self._beat_secs)

    async def turn(self) -> None:
        """One beat as the holder, or one look as a standby."""
        if self._epoch:
            await self._beat()
        else:
            await self._watch()

    async def stop(self) -> None:
        """Gives the lease up, so that a standby need not wait."""
        self._stopped = True
        epoch, self._epoch = self._epoch, 0
        if not epoch:
            return
        now = self._market_now()
        try:
            await self._runner.run(lambda ledger: ledger.release_lease(now, self._holder, epoch))
        except Retry as error:
            log.warning("lease.not_released", error=str(error), holder=self._holder, epoch=epoch)
            return
        log.info("lease.released", holder=self._holder, epoch=epoch)

    async def lost(self) -> None:
        """A write was refused with StaleFence: whoever saw it first says so here."""
        if not self._epoch:
            return
        log.error("lease.lost", holder=self._holder, epoch=self._epoch)
        self._epoch = 0
        self._seen = None
        await self._on_lost()

    async def _beat(self) -> None:
        # From before the commit: a standby can have seen the new beat no earlier.
        began = self._clock.now_secs()
        epoch = self._epoch
        try:
            await self._runner.run(lambda ledger: ledger.beat_lease(self._holder, epoch))
        except StaleFence:
            await self.lost()
            return
        self._beat_at = began

    async def _watch(self) -> None:
        row = await self._runner.read(lambda ledger: ledger.lease())
        looked = self._clock.now_secs()
        if self._seen != row:
            self._seen, self._seen_at = row, looked
        if row.holder and looked - self._seen_at < self._takeover_secs:
            return
        now = self._market_now()
        began = self._clock.now_secs()
        taken = await self._runner.run(lambda ledger: ledger.acquire_lease(now, self._holder, row))
        if taken is None or self._stopped:
            return
        self._epoch, self._beat_at, self._seen = taken.epoch, began, taken
        log.info("lease.acquired", holder=self._holder, epoch=taken.epoch, after=row.holder)
        await self._on_acquired()

"""A lane: one serial loop over the mirror, which knows when it has nothing left to do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from holdfast_execution.books import Books, Mirror
from holdfast_execution.ledger import StaleFence
from holdfast_execution.waiting import IDLE_TURN_SECS, Alarm
from holdfast_runtime.errors import AskBroker, Refused, Retry
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock

log = structlog.get_logger()

_NO_LEASE_SECS = 0.1
_RETRY_SECS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a turn leaves. `did`: look again at once; else at a change, after seconds, or at an instant."""

    did: bool = False
    pending: bool = False
    """Work that waits for monotonic time: the lane is not idle."""
    after_secs: float = IDLE_TURN_SECS
    at: datetime | None = None


class Lane:
    """Turns whenever something has changed or is due, one turn at a time."""

    def __init__(
        self,
        name: str,
        books: Books,
        turn: Callable[[Mirror], Awaitable[Rest]],
        *,
        market_clock: MarketClock,
        monotonic_clock: MonotonicClock,
    ) -> None:
        self._name = name
        self._books = books
        self._turn = turn
        self._market_clock = market_clock
        self._monotonic_clock = monotonic_clock
        self._idle_mark = -1
        self._next_at: datetime | None = None
        self._turned = asyncio.Event()

    @property
    def idle(self) -> bool:
        """True where nothing has changed since the last turn that found nothing to do, and nothing is due."""
        return self._idle_mark == self._books.mark and (self._next_at is None or self._books.now < self._next_at)

    async def run(self, progress: Callable[[], None]) -> None:
        """Turns until cancelled. Without the lease it only waits."""
        alarm = Alarm(self._market_clock, self._monotonic_clock)
        with self._books.waking(alarm.wake):
            try:
                await self._run(alarm, progress)
            finally:
                alarm.close()

    async def _run(self, alarm: Alarm, progress: Callable[[], None]) -> None:
        while True:
            alarm.clear()
            mark = self._books.mark
            rest = await self._one_turn()
            progress()
            self._tell_turned()
            if rest.did:
                await asyncio.sleep(0)
                continue
            await alarm.set(after_secs=rest.after_secs, at=rest.at)
            self._next_at = rest.at
            self._idle_mark = -1 if rest.pending else mark
            self._tell_turned()
            self._books.activity.changed()
            await alarm.ring()

    async def _one_turn(self) -> Rest:
        if not self._books.working or not self._books.tenure.is_holder:
            # A beat that came late gives the lease back without a word: what waits here is not settled before that.
            return Rest(pending=True, after_secs=_NO_LEASE_SECS)
        try:
            with self._books.activity.busy():
                return await self._turn(await self._books.look())
        except StaleFence as error:
            log.warning("lane.lease_lost", lane=self._name, error=str(error))
            await self._books.tenure.lost()
        except (Retry, AskBroker) as error:
            log.warning("lane.retried", lane=self._name, error=str(error))
            return Rest(pending=True, after_secs=_RETRY_SECS)
        except Refused as error:
            if error.reason != "NOT_HOLDER":
                raise
        return Rest(after_secs=_NO_LEASE_SECS)

    def _tell_turned(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()

    async def quiet(self, *, at_most_secs: float) -> None:
        """Returns when the lane is idle, or after the bound."""
        if self.idle:
            return
        bound = asyncio.ensure_future(self._monotonic_clock.sleep(at_most_secs))
        try:
            while not self.idle and not bound.done():
                turned = asyncio.ensure_future(self._turned.wait())
                await asyncio.wait({bound, turned}, return_when=asyncio.FIRST_COMPLETED)
                turned.cancel()
        finally:
            bound.cancel()

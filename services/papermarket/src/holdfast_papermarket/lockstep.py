"""The market clock: which tick comes next and when, in both paces (DESIGN, Time).

Lock-step: the next tick goes out when the present one is settled (barrier.py). An instant that brings data is two ticks
of the same market time: at the first only the clock moves, so that timers run before the data and no service meets data
of a time that its own clock has not reached; at the second the data is seen and orders match.
Scaled: market time runs with the wall; instants are released when they are due and nobody is waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from holdfast.papermarket.v1 import market_clock_pb2 as pb
from holdfast_exchange.replay import LEAD, SHORTEST_STEP, Instant, Step
from holdfast_papermarket.barrier import Barrier, Report
from holdfast_papermarket.venue import PaperVenue
from holdfast_runtime.flows import DATA, TRADE_UPDATES
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.wire import to_timestamp

IDLE_SECS = 2.0
MAX_WAITING_TICKS = 100

log = structlog.get_logger()


class _Follower:
    """Ticks on their way to one follower; None ends it. A tick says all there is to say: old ones may be dropped."""

    def __init__(self) -> None:
        self.ticks: asyncio.Queue[pb.FollowResponse | None] = asyncio.Queue(MAX_WAITING_TICKS)

    def give(self, tick: pb.FollowResponse | None) -> None:
        if self.ticks.full():
            self.ticks.get_nowait()
        self.ticks.put_nowait(tick)


class MarketClock:
    """Implements ports.calls.MarketClockCalls, and drives the venue."""

    def __init__(
        self,
        venue: PaperVenue,
        *,
        run_id: str,
        roster: tuple[str, ...],
        speed: float,
        monotonic_clock: MonotonicClock,
        progress: Callable[[], None] = lambda: None,
        on_tick: Callable[[datetime, float], None] = lambda _at, _speed: None,
    ) -> None:
        """`speed`: market seconds a second, 0 for lock-step. `on_tick` is told market time and its present speed."""
        self._venue = venue
        self._run_id = run_id
        self._speed = speed
        self._clock = monotonic_clock
        self._progress = progress
        self._on_tick = on_tick
        self.barrier = Barrier(roster)
        self.barrier.number = venue.exchange.tick
        self._followers: list[_Follower] = []
        self._changed = asyncio.Event()
        self._anchor_secs = 0.0
        self._anchor = venue.exchange.now
        venue.changed = self._changed.set
        if not self.lockstep:
            venue.market_now = self._scaled_now

    @property
    def lockstep(self) -> bool:
        return self._speed == 0

    @property
    def running(self) -> bool:
        """False until the whole roster was ready once."""
        return self._venue.exchange.tick > 0

    async def sleep(self, secs: float) -> None:
        """Wall seconds."""
        await self._clock.sleep(secs)

    async def run(self) -> None:
        """Until the recording has ended, and then until cancelled. Raises AskPerson where the venue cannot go on."""
        self._on_tick(self._venue.exchange.now, 0.0)
        if self.lockstep:
            await self._run_lockstep()
        else:
            await self._run_scaled()

    async def follow(self, requests: AsyncIterator[pb.FollowRequest]) -> AsyncIterator[pb.FollowResponse]:
        """One follower: the present tick at once, then each one as it comes."""
        follower = _Follower()
        report = self.barrier.join()
        follower.give(self._tick())
        self._followers.append(follower)
        reader = asyncio.create_task(self._read(requests, report))
        reader.add_done_callback(lambda _task: follower.give(None))
        try:
            while (response := await follower.ticks.get()) is not None:
                yield response
        finally:
            reader.cancel()
            self._followers.remove(follower)
            self.barrier.leave(report)
            log.info("market_clock.follower_left", service=report.service)
            self._changed.set()

    async def stop(self) -> None:
        """Ends every follower's stream, so that they look for the venue anew."""
        for follower in self._followers:
            follower.give(None)

    def step(self) -> None:
        """Takes the next tick of a lock-step now, whoever has not settled."""
        self._take(self._next(self.barrier.next_timer()))

    def waiting_for(self) -> Iterator[str]:
        """What holds the next tick, in words."""
        if not self.lockstep:
            return iter(()) if self.running else self.barrier.missing()
        if self._venue.faults.desk.in_maintenance:
            return self.barrier.waiting_for({})
        return self.barrier.waiting_for({DATA: self._venue.data_sent, TRADE_UPDATES: self._venue.updates.sent})

    async def _read(self, requests: AsyncIterator[pb.FollowRequest], report: Report) -> None:
        async for request in requests:
            if not report.service:
                log.info("market_clock.follower_joined", service=request.done.service)
            self.barrier.take(report, request.done)
            self._changed.set()

    # Lock-step

    async def _run_lockstep(self) -> None:
        while True:
            self._progress()
            self._check()
            self._changed.clear()
            if self._venue.ended or any(self.waiting_for()):
                await self._idle()
                continue
            self.step()
            await asyncio.sleep(0)

    def _next(self, timer: datetime | None) -> Step:
        exchange = self._venue.exchange
        return self._venue.replay.next_step(exchange.now, exchange.market.released, timer)

    def _unseen(self) -> Instant | None:
        """The present instant, where its data is not seen yet."""
        exchange = self._venue.exchange
        return self._venue.replay.unseen(exchange.now, exchange.market.released)

    # Scaled

    async def _run_scaled(self) -> None:
        while not self.running and any(self.barrier.missing()):
            self._progress()
            self._changed.clear()
            await self._idle()
        self._set_anchor()
        while True:
            self._progress()
            self._check()
            if self._venue.ended:
                self._changed.clear()
                await self._idle()
                continue
            # A venue that was killed between a fault of an instant and its tick still owes the tick.
            upcoming = self._unseen() or self._venue.replay.after(self._venue.exchange.now)
            if upcoming is None:
                self._take(Step(self._venue.exchange.now, data=False, ends=True))
                continue
            left_secs = self._due_secs(upcoming) - self._clock.now_secs()
            if left_secs > 0:
                await self._clock.sleep(min(left_secs, IDLE_SECS))
                continue
            self._take(Step(upcoming.at, data=upcoming.data))
            if not upcoming.data:
                # A session's lead-in: the closed hours before it were jumped over.
                self._set_anchor()
            await asyncio.sleep(0)

    def _due_secs(self, upcoming: Instant) -> float:
        market_secs = (upcoming.at - self._anchor).total_seconds()
        if not upcoming.data:
            # The clock goes on for one lead-in after a close, and then jumps.
            elapsed = (self._venue.exchange.now - self._anchor) + LEAD
            market_secs = min(market_secs, elapsed.total_seconds())
        return self._anchor_secs + market_secs / self._speed

    def _set_anchor(self) -> None:
        self._anchor, self._anchor_secs = self._venue.exchange.now, self._clock.now_secs()

    def _scaled_now(self) -> datetime:
        """Market time between two instants, never at or past the one that is due next."""
        now = self._venue.exchange.now
        upcoming = self._venue.replay.after(now)
        if not self.running or upcoming is None:
            return now
        ran = self._anchor + timedelta(seconds=(self._clock.now_secs() - self._anchor_secs) * self._speed)
        return max(now, min(ran, upcoming.at - SHORTEST_STEP))

    # Both

    def _take(self, step: Step) -> None:
        """Commits the tick, then lets it out. Updates and data are handed over first, so their counts already stand."""
        number = self._venue.exchange.tick + 1
        self.barrier.begin(number)
        self._venue.advance(number, step.at, data=step.data)
        speed = 0.0 if self._venue.ended else self._speed
        self._on_tick(step.at, speed)
        tick = self._tick()
        for follower in self._followers:
            follower.give(tick)
        if step.ends:
            log.info("market_clock.ended", tick=number)

    def _tick(self) -> pb.FollowResponse:
        return pb.FollowResponse(
            tick=pb.Tick(
                number=self._venue.exchange.tick,
                market_time=to_timestamp(self._venue.market_now()),
                pace=pb.PACE_LOCKSTEP if self.lockstep else pb.PACE_SCALED,
                speed=self._speed,
                run_id=self._run_id,
                running=self.running,
                ended=self._venue.ended,
            )
        )

    def _check(self) -> None:
        if self._venue.failure is not None:
            raise self._venue.failure

    async def _idle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECS):
                await self._changed.wait()

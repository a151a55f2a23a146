"""A service's side of the venue's ticks: takes market time over, and answers Done when it has settled.

The services themselves know nothing of this: they report to Activity and sleep on the market clock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from holdfast.papermarket.v1 import market_clock_pb2 as pb
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import VenueMarketClock
from holdfast_runtime.errors import Refused, Retry
from holdfast_runtime.ports.calls import MarketClockCalls
from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.wire import from_timestamp, to_timestamp

RECONNECT_SECS = 0.1
REPORT_EVERY_SECS = 2.0
"""A report is repeated after so long, so that a lost one holds nothing up."""
LOOP_TURNS = 6

log = structlog.get_logger()


class TickFollower:
    """Follows MarketClockService for one process, for ever."""

    def __init__(
        self,
        *,
        service: str,
        venue: MarketClockCalls,
        market_clock: VenueMarketClock,
        monotonic_clock: MonotonicClock,
        activity: ActivityTracker,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._venue = venue
        self._market_clock = market_clock
        self._monotonic_clock = monotonic_clock
        self._activity = activity
        self._progress = progress
        self._number: int | None = None
        self._heard = True
        """False once market time runs with the wall: the venue waits for nobody then."""
        self._dirty = asyncio.Event()
        self.ended = asyncio.Event()
        """Set when the recording has ended."""
        self.ready: Callable[[], bool] = lambda: True
        """Until this holds no report goes out, so the run does not begin."""
        self.takes_part: Callable[[], bool] = lambda: True
        """While this does not hold the process hears the clock and is not waited for: it stands by for another one."""
        activity.on_change = self._dirty.set

    async def run(self) -> None:
        """Follows until cancelled; a venue that is away is waited for."""
        away = False
        while True:
            try:
                async for response in self._venue.follow(self._reports()):
                    away = False
                    self._take(response.tick)
            except (Retry, Refused) as error:
                if not away:
                    log.info("market_clock.venue_away", reason=str(error))
                away = True
            self._number = None
            self._progress()
            await self._monotonic_clock.sleep(RECONNECT_SECS)

    def _take(self, tick: pb.Tick) -> None:
        scaled = tick.pace == pb.PACE_SCALED and tick.running and not tick.ended
        self._market_clock.set(from_timestamp(tick.market_time), speed=tick.speed if scaled else 0.0)
        self._number = tick.number
        self._heard = not scaled
        self._progress()
        self._dirty.set()
        if tick.ended:
            self.ended.set()

    async def _reports(self) -> AsyncIterator[pb.FollowRequest]:
        while not self.takes_part():
            await self._something_changes()
        # The first message names the follower; its number can match no tick.
        yield pb.FollowRequest(done=pb.Done(service=self._service, number=2**63))
        self._dirty.set()
        last: pb.Done | None = None
        while True:
            if not await self._something_changes():
                last = None
            if not self.takes_part():
                # The next connection is a new one, which nobody knows by name.
                return
            if not self._heard:
                await self._monotonic_clock.sleep(REPORT_EVERY_SECS)
                continue
            if self._activity.busy_now:
                # Whatever ends it sets this off again.
                continue
            # Woken sleepers and finished handlers run, through their layers of tasks, before this looks.
            for _ in range(LOOP_TURNS):
                await asyncio.sleep(0)
            report = self._report()
            if report is not None and report != last:
                last = report
                yield pb.FollowRequest(done=report)

    async def _something_changes(self) -> bool:
        """Waits for a change of the activity, or for the next repetition; False for the latter."""
        try:
            async with asyncio.timeout(REPORT_EVERY_SECS):
                await self._dirty.wait()
        except TimeoutError:
            return False
        finally:
            self._dirty.clear()
            self._progress()
        return True

    def _report(self) -> pb.Done | None:
        if self._number is None or not self.ready() or not self._activity.settled:
            return None
        sent, received = self._activity.positions
        return pb.Done(
            service=self._service,
            number=self._number,
            sent=sent,
            received=received,
            next_timer=to_timestamp(self._market_clock.next_timer()),
        )

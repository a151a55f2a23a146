"""A process that stands by hears the market's clock, and a lock-step waits for the active one alone (SQ-5)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from holdfast.papermarket.v1 import market_clock_pb2 as pb
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import SystemMonotonicClock, VenueMarketClock
from holdfast_runtime.lockstep import TickFollower

TICK = pb.Tick(number=7, pace=pb.PACE_LOCKSTEP, running=True)


class Venue:
    """Says one tick to each connection and keeps what it is told."""

    def __init__(self) -> None:
        self.connections: list[list[pb.Done]] = []
        self.told = asyncio.Event()

    async def follow(self, requests: AsyncIterator[pb.FollowRequest]) -> AsyncIterator[pb.FollowResponse]:
        said: list[pb.Done] = []
        self.connections.append(said)
        self.told.set()
        yield pb.FollowResponse(tick=TICK)
        async for request in requests:
            said.append(request.done)
            self.told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.told.clear()
                await self.told.wait()


@asynccontextmanager
async def following(
    venue: Venue, activity: ActivityTracker, takes_part: Callable[[], bool]
) -> AsyncIterator[VenueMarketClock]:
    clock = VenueMarketClock()
    follower = TickFollower(
        service="execution",
        venue=venue,
        market_clock=clock,
        monotonic_clock=SystemMonotonicClock(),
        activity=activity,
    )
    follower.takes_part = takes_part
    task = asyncio.create_task(follower.run())
    try:
        yield clock
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_standby_hears_ticks_and_says_nothing_until_it_is_the_active_one() -> None:
    venue, activity = Venue(), ActivityTracker()
    active = False
    async with following(venue, activity, lambda: active) as clock:
        await asyncio.wait_for(clock.started.wait(), 30)
        assert venue.connections == [[]]
        active = True
        activity.changed()
        await venue.until(lambda: any(done.number == TICK.number for done in venue.connections[0]))
    assert {done.service for done in venue.connections[0]} == {"execution"}


async def test_one_that_stands_by_again_leaves_without_a_name() -> None:
    venue, activity = Venue(), ActivityTracker()
    active = True
    async with following(venue, activity, lambda: active):
        await venue.until(lambda: any(done.number == TICK.number for said in venue.connections for done in said))
        active = False
        activity.changed()
        await venue.until(lambda: len(venue.connections) > 1)
    assert venue.connections[1] == []

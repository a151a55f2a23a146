"""What is published for everyone waits for a bus that is away, in order, and never without bound."""

import asyncio
from contextlib import asynccontextmanager

from holdfast_runtime.activity import ActivityTracker
from holdfast_signal.outbox import CAPACITY, Letter, Outbox
from holdfast_simulation.hurried_clock import HurriedClock
from holdfast_simulation.memory_bus import MemoryBus


def letter(number: int, size: int = 1) -> Letter:
    return Letter(subject="market.v1.bar.SPY", payload=b"x" * size, message_id=f"bar-{number}")


class Post:
    def __init__(self) -> None:
        self.activity = ActivityTracker()
        self.bus = MemoryBus(HurriedClock())
        self.outbox = Outbox(bus=self.bus, clock=HurriedClock(), activity=self.activity, progress=lambda: None)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.outbox.run())
        try:
            yield
        finally:
            task.cancel()

    async def empty(self) -> None:
        for _ in range(10_000):
            if self.activity.settled:
                return
            await asyncio.sleep(0)
        raise AssertionError("the outbox never empties")

    async def ids(self) -> list[str]:
        return [each.message_id for each in await self.bus.stored("MARKET", "market.v1.>", limit=100_000)]


async def test_letters_keep_their_order_over_an_outage():
    post = Post()
    post.bus.away = True
    async with post.running():
        for number in range(200):
            post.outbox.put(letter(number))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not post.activity.settled
        post.bus.away = False
        await post.empty()
    assert await post.ids() == [f"bar-{number}" for number in range(200)]


async def test_a_letter_that_the_bus_refuses_for_good_holds_up_nothing():
    post = Post()
    async with post.running():
        post.outbox.put(letter(1, size=2_000_000))
        post.outbox.put(letter(2))
        await post.empty()
    assert await post.ids() == ["bar-2"]


async def test_the_oldest_give_way_when_it_is_full():
    post = Post()
    for number in range(CAPACITY + 5):
        post.outbox.put(letter(number))
    assert len(post.outbox) == CAPACITY
    async with post.running():
        await post.empty()
    assert (await post.ids())[0] == "bar-5"

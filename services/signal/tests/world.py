"""A signal service over a market in memory, in lock-step, that can be killed at any instant."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from holdfast.gate.v1 import gate_pb2
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_core.sessions import xnys
from holdfast_runtime import flows
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import VenueMarketClock
from holdfast_runtime.ports.bus import Message
from holdfast_runtime.settings import FeedSettings
from holdfast_signal.cycles import CycleDesk
from holdfast_signal.engine import Engine
from holdfast_signal.feed import FeedReader
from holdfast_signal.outbox import Outbox
from holdfast_signal.prices import Prices
from holdfast_signal.strategy import StrategyMaker
from holdfast_signal.timers import Timers
from holdfast_simulation.hurried_clock import HurriedClock
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.memory_feed import MemoryFeed
from holdfast_simulation.scripted import ScriptedGate, ScriptedLedger

QUIET_TURNS = 30
MAX_TURNS = 20_000


async def turns(until, what: str) -> None:
    """Lets everything run until `until` has held for a while."""
    quiet = 0
    for _ in range(MAX_TURNS):
        await asyncio.sleep(0)
        quiet = quiet + 1 if until() else 0
        if quiet >= QUIET_TURNS:
            return
    raise AssertionError(f"never: {what}")


class Service:
    """One process of signal."""

    def __init__(self, world: "World") -> None:
        self.activity = ActivityTracker()
        clock, monotonic = world.clock, world.monotonic
        calendars = {symbol: xnys() for maker in world.makers for symbol in maker.make().data_symbols}
        self.timers = Timers(clock=clock, activity=self.activity, progress=nothing)
        self.outbox = Outbox(bus=world.bus, clock=monotonic, activity=self.activity, progress=nothing)
        self.prices = Prices(calendars, clock=clock, activity=self.activity, first_sequence=world.sequence())
        self.desk = CycleDesk(
            bus=world.bus, execution=world.ledger, clock=clock, monotonic=monotonic, activity=self.activity,
            timers=self.timers, progress=nothing,
        )  # fmt: skip
        self.engine = Engine(
            world.makers, feed=world.feed, settings=world.settings, prices=self.prices, desk=self.desk,
            timers=self.timers, clock=clock, monotonic=monotonic, progress=nothing,
        )  # fmt: skip
        self.reader = FeedReader(
            calendars, feed=world.feed, settings=world.settings, prices=self.prices, engine=self.engine,
            outbox=self.outbox, timers=self.timers, clock=clock, monotonic=monotonic, activity=self.activity,
            progress=nothing,
        )  # fmt: skip
        loops = (self.reader.run(), self.timers.run(), self.desk.watch(), self.outbox.run())
        self.tasks = [asyncio.create_task(loop) for loop in loops]

    async def kill(self) -> None:
        await self.timers.stop()
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError):
                await task


class World:
    """The venue, the bus and the ledger, which outlive the service, and the service."""

    def __init__(self, makers: Iterable[StrategyMaker], start: datetime, **recorded) -> None:
        self.makers = tuple(makers)
        self.clock = VenueMarketClock()
        self.clock.set(start, speed=0.0)
        self.monotonic = HurriedClock()
        self.bus = MemoryBus(self.monotonic)
        self.feed = MemoryFeed(self.clock, **recorded)
        self.feed.release(start)
        self.gate = ScriptedGate()
        self.ledger = ScriptedLedger(self.gate)
        self.settings = FeedSettings()
        self.decides = True
        self._sequences = 0
        self.service: Service

    def sequence(self) -> int:
        self._sequences += 1_000_000
        return self._sequences

    async def start(self) -> None:
        self.service = Service(self)
        await turns(lambda: self.service.reader.loaded, "warm")
        await self.settle()

    async def restart(self) -> None:
        await self.service.kill()
        await self.start()

    def settled(self) -> bool:
        for task in self.service.tasks:
            if task.done():
                task.result()
        received = self.service.activity.positions[1].get(flows.DATA, 0)
        return self.service.activity.settled and received == self.feed.position

    async def settle(self) -> None:
        """What happens inside one tick, the decisions of the chain behind included."""
        await turns(self.settled, "settled")
        if self.decides:
            await self.decide()

    async def decide(self) -> None:
        """The chain decides every cycle that is in the stream."""
        for cycle in await self.cycles():
            for signal in cycle.signals:
                self.gate.stored.setdefault(signal.signal_id, _decision(signal.signal_id))

    async def tick(self, at: datetime) -> None:
        """The next tick, and before it every timer that is earlier."""
        await self.timers_before(at)
        self.clock.set(at, speed=0.0)
        self.feed.release(at)
        await self.settle()

    async def timers_before(self, at: datetime) -> None:
        while (timer := self.clock.next_timer()) is not None and timer < at:
            self.clock.set(timer, speed=0.0)
            await self.settle()

    async def messages(self, stream: str, subject: str) -> list[Message]:
        return await self.bus.stored(stream, subject, limit=100_000)

    async def cycles(self) -> list[pb.Cycle]:
        return [pb.Cycle.FromString(each.payload) for each in await self.messages("CYCLES", "cycles.v1.>")]

    async def told(self) -> list[tuple]:
        """The cycles without what differs between two runs by nature."""
        return [
            (
                each.cycle_id,
                each.valid_until.ToDatetime(),
                [
                    (signal.signal_id, signal.direction, signal.reference_price.value, signal.target_weight.value)
                    for signal in each.signals
                ],
            )
            for each in await self.cycles()
        ]


def _decision(signal_id: str):
    return gate_pb2.Decision(signal_id=signal_id, allowed=True, reason="ALLOWED")


def nothing() -> None:
    """Progress that nobody watches."""

"""Cycles are published whole, in order, once, and again while undecided where the bus lost them."""

import importlib.util
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_runtime import flows
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import VenueMarketClock
from holdfast_runtime.errors import Retry
from holdfast_signal.cycles import SETTLE, CycleDesk
from holdfast_signal.runners import MINUTE, Draft
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import Desire, Wish, prepare
from holdfast_signal.timers import Timers
from holdfast_simulation.hurried_clock import HurriedClock
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.scripted import ScriptedGate, ScriptedLedger

_spec = importlib.util.spec_from_file_location("signal_world", Path(__file__).parent / "world.py")
world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world)

AT = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)


def draft(strategy: str = "sma", at: datetime = AT, symbols: tuple[str, ...] = ("SPY",)) -> Draft:
    maker = prepare(
        SmaCrossover, id=strategy, book="equity", symbols=symbols, stop_fraction=Decimal("0.05"), parameters={}
    )
    return Draft(
        strategy=maker, market_time=at, valid_until=at + MINUTE,
        desires=tuple(Desire(symbol=symbol, wish=Wish.ENTER_LONG) for symbol in symbols),
        prices=dict.fromkeys(symbols, Decimal(100)),
    )  # fmt: skip


class Office:
    """A desk with everything it needs, and a chain behind that decides nothing by itself."""

    def __init__(self) -> None:
        self.clock = VenueMarketClock()
        self.clock.set(AT, speed=0.0)
        self.monotonic = HurriedClock()
        self.bus = MemoryBus(self.monotonic)
        self.activity = ActivityTracker()
        self.gate = ScriptedGate()
        self.ledger = ScriptedLedger(self.gate)
        self.timers = Timers(clock=self.clock, activity=self.activity, progress=world.nothing)
        self.desk = CycleDesk(
            bus=self.bus, execution=self.ledger, clock=self.clock, monotonic=self.monotonic,
            activity=self.activity, timers=self.timers, progress=world.nothing,
        )  # fmt: skip

    async def settle(self) -> None:
        await world.turns(lambda: self.activity.settled, "settled")

    async def pass_to(self, at: datetime) -> None:
        self.clock.set(at, speed=0.0)
        await self.settle()

    async def published(self) -> list[str]:
        return [each.message_id for each in await self.bus.stored("CYCLES", "cycles.v1.>")]

    def decide(self, *signal_ids: str) -> None:
        for each in signal_ids:
            self.gate.stored[each] = world._decision(each)


@pytest.fixture
async def office():
    made = Office()
    yield made
    await made.timers.stop()


async def test_a_cycle_leaves_after_its_instant_has_settled(office):
    """Prices of the same instant have then reached every service."""
    office.desk.offer([draft()])
    await office.settle()
    assert await office.published() == []
    assert office.clock.next_timer() == AT + SETTLE
    await office.pass_to(AT + SETTLE)
    assert await office.published() == ["sma.20131007T140000Z"]
    assert office.activity.positions[0][flows.CYCLES] == 1


async def test_cycles_of_one_instant_leave_in_the_order_of_strategies(office):
    office.desk.offer([draft("zeta"), draft("beta")])
    office.desk.offer([draft("alpha")])
    await office.pass_to(AT + SETTLE)
    assert [each.split(".")[0] for each in await office.published()] == ["alpha", "beta", "zeta"]


async def test_a_cycle_is_offered_once(office):
    office.desk.offer([draft()])
    office.desk.offer([draft()])
    await office.pass_to(AT + SETTLE)
    office.desk.offer([draft()], replayed=True)
    await office.pass_to(AT + 3 * SETTLE)
    assert len(await office.published()) == 1


async def test_what_is_no_longer_valid_is_not_published(office):
    office.desk.offer([draft(at=AT - MINUTE)])
    await office.settle()
    assert office.clock.next_timer() is None
    assert await office.published() == []


async def test_while_the_bus_is_away_the_cycle_waits_and_the_service_is_unsettled(office):
    office.bus.away = True
    office.desk.offer([draft()])
    office.clock.set(AT + SETTLE, speed=0.0)
    await world.turns(lambda: not office.activity.settled, "unsettled")
    office.bus.away = False
    await office.settle()
    assert await office.published() == ["sma.20131007T140000Z"]


async def test_a_replayed_cycle_that_was_decided_is_not_published_again(office):
    office.decide("sma.SPY.20131007T140000Z.ENTER_LONG")
    office.desk.offer([draft()], replayed=True)
    await office.pass_to(AT + SETTLE)
    assert await office.published() == []


async def test_a_replayed_cycle_that_was_decided_in_part_is_published_whole(office):
    office.decide("sma.SPY.20131007T140000Z.ENTER_LONG")
    office.desk.offer([draft(symbols=("BAC", "SPY"))], replayed=True)
    await office.pass_to(AT + SETTLE)
    assert len((await office.bus.stored("CYCLES", "cycles.v1.>"))[0].payload) > 0


async def test_a_replayed_cycle_is_published_where_the_ledger_cannot_be_asked(office):
    """The chain gives a cycle that comes twice its stored decisions back."""
    office.ledger.errors.append(Retry("execution is away"))
    office.desk.offer([draft()], replayed=True)
    await office.pass_to(AT + SETTLE)
    assert len(await office.published()) == 1


async def test_undecided_cycles_are_published_again_when_the_store_is_lost(office):
    decided, undecided = draft("alpha"), draft("beta")
    office.desk.offer([decided, undecided])
    await office.pass_to(AT + SETTLE)
    office.decide("alpha.SPY.20131007T140000Z.ENTER_LONG")
    office.bus.lose()
    watching = world.asyncio.create_task(office.desk.watch())
    await world.turns(lambda: not office.activity.settled, "unsettled while nobody has decided")
    assert await office.published() == ["beta.20131007T140000Z"]
    office.decide("beta.SPY.20131007T140000Z.ENTER_LONG")
    await office.settle()
    assert await office.published() == ["beta.20131007T140000Z"]
    watching.cancel()


async def test_a_new_cycle_in_a_lost_stream_holds_lock_step_until_it_is_decided(office):
    """Positions begin anew and would compare as reached."""
    for number in range(3):
        office.desk.offer([draft(f"s{number}")])
    await office.pass_to(AT + SETTLE)
    for number in range(3):
        office.decide(f"s{number}.SPY.20131007T140000Z.ENTER_LONG")
    office.bus.lose()
    office.desk.offer([draft(at=AT + MINUTE)])
    office.clock.set(AT + MINUTE + SETTLE, speed=0.0)
    watching = world.asyncio.create_task(office.desk.watch())
    await world.turns(lambda: not office.activity.settled, "unsettled")
    assert office.activity.positions[0][flows.CYCLES] == 1
    office.decide("sma.SPY.20131007T140100Z.ENTER_LONG")
    await office.settle()
    watching.cancel()


async def test_a_cycle_that_the_bus_never_took_expires_and_is_told(office):
    office.bus.away = True
    office.desk.offer([draft()])
    office.clock.set(AT + SETTLE, speed=0.0)
    await world.turns(lambda: not office.activity.settled, "unsettled")
    office.clock.set(AT + MINUTE + timedelta(seconds=1), speed=0.0)
    await office.settle()
    office.bus.away = False
    assert await office.published() == []

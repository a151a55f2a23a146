"""Each of scoring's failure points: brought about on a running consumer, seen by its detector, gone when it heals."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.gate.v1 import gate_pb2
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_catalogue.registry import EVERY_SERVICE, of_service
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.errors import Retry
from holdfast_runtime.wire import to_timestamp
from holdfast_scoring.consumer import CycleConsumer
from holdfast_scoring.domain.components import initial_weights
from holdfast_scoring.scorer import Scorer
from holdfast_scoring.watches import watches
from holdfast_scoring.weights import WeightKeeper
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.scripted import ScriptedGate, ScriptedLedger

AT = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
TURNS = 5_000


def cycle_of(number: int, **features: float) -> pb.Cycle:
    signal = pb.Signal(
        signal_id=f"s{number}", symbol="SPY", direction=common.DIRECTION_ENTER_LONG, strength=1.0,
        target_weight=common.Decimal(value="1"), reference_price=common.Decimal(value="100"),
        stop_fraction=common.Decimal(value="0.05"), features=features,
    )  # fmt: skip
    at = AT + timedelta(minutes=number)
    return pb.Cycle(
        cycle_id=f"sma.{number}", strategy="sma", book=common.BOOK_EQUITY, market_time=to_timestamp(at),
        valid_until=to_timestamp(at + timedelta(minutes=1)), signals=[signal],
    )  # fmt: skip


class Station:
    """A consumer and a weight keeper at work, and the sentinel that looks at them."""

    def __init__(self):
        self.clock = ManualMonotonicClock()
        self.bus = MemoryBus(self.clock)
        self.gate = ScriptedGate()
        self.activity = ActivityTracker()
        self.consumer = CycleConsumer(
            bus=self.bus, gate=self.gate, execution=ScriptedLedger(self.gate), scorer=Scorer(initial_weights),
            clock=self.clock, activity=self.activity, progress=lambda: None,
        )  # fmt: skip
        self.bucket = self.bus.bucket("weights")
        self.weights = WeightKeeper(self.bucket, clock=self.clock, progress=lambda: None)
        self.watches = watches(consumer=self.consumer, weights=self.weights, monotonic=self.clock)
        self.lookout = Lookout("scoring", self.watches, self.clock)

    async def publish(self, number: int, payload: bytes | None = None, **features: float) -> None:
        body = payload or cycle_of(number, **features).SerializeToString()
        await self.bus.publish("cycles.v1.sma", body, message_id=f"m{number}")

    async def until(self, condition) -> None:
        for turn in range(TURNS):
            if condition():
                return
            if turn % 20 == 19:
                self.clock.advance(0.1)
            await asyncio.sleep(0)
        raise AssertionError("never")

    async def finished(self, count: int) -> None:
        await self.until(lambda: self.activity.positions[1].get("cycles", 0) >= count)

    async def status(self, identity: str, after_secs: float = 2.0) -> str:
        return await self.lookout.status(identity, after_secs=after_secs)


@pytest.fixture
async def station():
    made = Station()
    tasks = [asyncio.create_task(made.consumer.run()), asyncio.create_task(made.weights.run())]
    await made.until(lambda: made.weights.read_at_secs is not None)
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_every_point_of_scoring_is_watched_and_ok_while_all_is_well(station):
    assert [each.point for each in station.watches] == [
        each for each in of_service("scoring") if each.owner != EVERY_SERVICE
    ]
    await station.publish(1)
    await station.finished(1)
    await station.status("chain.away")
    assert {each.id for each in station.lookout.sentinel.messages() if each.status != 1} == set()


async def test_a_chain_that_is_away_shows_until_it_answers(station):
    """NW-1, IN-2: the present cycle waits, and it is said for how long and for what."""
    station.gate.errors.extend(Retry("the gate is away", after_secs=2.0) for _ in range(1_000))
    await station.publish(1)
    await station.until(lambda: station.consumer.waiting_since_secs is not None)
    assert await station.status("chain.away") == "OK"
    assert await station.status("chain.away", after_secs=5) == "WARN"
    message = await station.lookout.look("chain.away", after_secs=30)
    assert (message.status, "the gate is away" in message.evidence) == (3, True)
    station.gate.errors.clear()
    await station.finished(1)
    message = await station.lookout.look("chain.away")
    assert (message.status, message.heals) == (1, 1)


async def test_an_expired_cycle_shows(station):
    """IN-2: the gate decides it as expired; several of them are an alarm, since only a person can tell what is slow."""
    for number in range(1, 6):
        station.gate.stored[f"s{number}"] = gate_pb2.Decision(signal_id=f"s{number}", reason="CYCLE_EXPIRED")
    await station.publish(1)
    await station.finished(1)
    assert await station.status("cycles.expired") == "WARN"
    for number in range(2, 6):
        await station.publish(number)
    await station.finished(5)
    assert await station.status("cycles.expired") == "ERROR"
    assert [each.id for each in station.lookout.alerts] == ["cycles.expired"]
    assert await station.status("cycles.expired", after_secs=400) == "OK"


async def test_a_malformed_cycle_shows_as_undecidable(station):
    """DI-3, DC-2."""
    await station.publish(1, b"\xff\xff\xff")
    await station.finished(1)
    assert await station.status("cycle.undecidable") == "ERROR"
    assert [each.id for each in station.lookout.alerts] == ["cycle.undecidable"]


async def test_a_feature_that_is_no_number_shows(station):
    """FP-2.2, FP-2.4."""
    await station.publish(1, options_flow=float("nan"))
    await station.finished(1)
    assert await station.status("score.failing") == "WARN"
    assert await station.status("score.failing", after_secs=400) == "OK"


async def test_weights_that_cannot_be_read_show(station):
    """FP-2.1, CF-2: the last ones stay in use, and it is said how old they are."""
    station.bucket.away = True
    await station.until(lambda: station.clock.now_secs() - station.weights.read_at_secs > 12)
    assert await station.status("weights.unread") == "WARN"
    station.bucket.away = False
    read_at_secs = station.weights.read_at_secs
    await station.until(lambda: station.weights.read_at_secs > read_at_secs)
    assert await station.status("weights.unread") == "OK"

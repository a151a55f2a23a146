"""A cycle at a time: decided, then acknowledged; nothing lost, decided twice, or let in malformed (BS-3)."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_runtime import flows
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.bus.dead_letters import list_dead_letters
from holdfast_runtime.errors import Code, Refused, Retry
from holdfast_runtime.wire import to_timestamp
from holdfast_scoring.consumer import CONSUMER, CycleConsumer
from holdfast_scoring.domain.components import initial_weights
from holdfast_scoring.scorer import Scorer
from holdfast_simulation.hurried_clock import HurriedClock
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.scripted import ScriptedGate, ScriptedLedger

AT = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)
MAX_TURNS = 50_000


def signal_of(name: str = "a", **fields) -> pb.Signal:
    known = {
        "signal_id": name, "symbol": "SPY", "direction": common.DIRECTION_ENTER_LONG, "strength": 1.0,
        "target_weight": common.Decimal(value="1"), "reference_price": common.Decimal(value="100"),
        "stop_fraction": common.Decimal(value="0.05"),
    }  # fmt: skip
    return pb.Signal(**(known | fields))


def cycle_of(number: int = 0, **fields) -> pb.Cycle:
    at = AT + timedelta(minutes=number)
    known = {
        "cycle_id": f"sma.{number}", "strategy": "sma", "book": common.BOOK_EQUITY, "market_time": to_timestamp(at),
        "valid_until": to_timestamp(at + timedelta(minutes=1)), "signals": [signal_of(f"s{number}")],
    }  # fmt: skip
    return pb.Cycle(**(known | fields))


class Desk:
    def __init__(self) -> None:
        self.clock = HurriedClock()
        self.bus = MemoryBus(self.clock)
        self.gate = ScriptedGate()
        self.ledger = ScriptedLedger(self.gate)
        self.activity = ActivityTracker()

    def consumer(self) -> CycleConsumer:
        return CycleConsumer(
            bus=self.bus, gate=self.gate, execution=self.ledger, scorer=Scorer(initial_weights), clock=self.clock,
            activity=self.activity, progress=lambda: None,
        )  # fmt: skip

    async def publish(self, cycle: pb.Cycle | bytes, subject: str = "cycles.v1.sma", message_id: str = "") -> int:
        payload = cycle if isinstance(cycle, bytes) else cycle.SerializeToString()
        identity = message_id or (cycle.cycle_id if isinstance(cycle, pb.Cycle) else "garbage")
        return await self.bus.publish(subject, payload, message_id=identity)

    async def finished(self, position: int) -> None:
        for _ in range(MAX_TURNS):
            if await self.bus.acknowledged(CONSUMER) >= position:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"position {position} is never finished")

    @property
    def received(self) -> int:
        return self.activity.positions[1].get(flows.CYCLES, 0)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.consumer().run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def letters(self):
        return await list_dead_letters(self.bus)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_cycles_reach_the_gate_one_by_one_in_order_with_their_scores(desk):
    async with desk.running():
        for number in range(5):
            position = await desk.publish(cycle_of(number))
        await desk.finished(position)
    assert [each.cycle_id for each in desk.gate.requests] == [f"sma.{number}" for number in range(5)]
    assert desk.gate.requests[0].signals[0].score.value == pytest.approx(2.5)
    assert len(desk.gate.requests[0].signals[0].score.components) == 21
    assert desk.received == 5
    assert desk.activity.settled


async def test_a_decided_cycle_binds_execution_to_the_ledger_version_of_its_answer(desk):
    """In lock-step scoring's report may overtake the gate's: the tick must wait for what was stored all the same."""
    async with desk.running():
        for number in range(3):
            position = await desk.publish(cycle_of(number))
        await desk.finished(position)
    assert desk.activity.positions[0][flows.LEDGER] == 3


async def test_a_cycle_is_acknowledged_only_after_the_chain_answered(desk):
    desk.gate.errors.extend(Retry("away", after_secs=0.1) for _ in range(6))
    async with desk.running():
        position = await desk.publish(cycle_of())
        await asyncio.sleep(0)
        assert await desk.bus.acknowledged(CONSUMER) == 0
        await desk.finished(position)
    assert len(desk.gate.requests) == 7
    assert desk.received == 1


async def test_a_chain_that_is_away_for_minutes_loses_no_cycle(desk):
    desk.gate.errors.extend(Retry("away", after_secs=2.0) for _ in range(150))
    async with desk.running():
        await desk.finished(await desk.publish(cycle_of()))
    assert set(desk.gate.stored) == {"s0"}
    assert await desk.letters() == []


async def test_a_lost_answer_is_asked_for_again_and_decided_once(desk):
    desk.gate.loses_answers = 1
    async with desk.running():
        await desk.finished(await desk.publish(cycle_of()))
    assert len(desk.gate.requests) == 2
    assert list(desk.gate.stored) == ["s0"]


async def test_a_crash_after_the_decision_gets_the_stored_decisions_back(desk):
    """The redelivered cycle is not evaluated a second time."""
    message = None

    class Crash(BaseException):
        pass

    consumer = desk.consumer()

    async def crash_before_acknowledging(delivery):
        nonlocal message
        await consumer.handle(delivery)
        message = delivery
        raise Crash

    await desk.publish(cycle_of())
    with pytest.raises(Crash):
        await desk.bus.consume(CONSUMER, crash_before_acknowledging)
    assert message.deliveries == 1
    async with desk.running():
        await desk.finished(1)
    assert len(desk.gate.requests) == 1
    assert desk.ledger.asked == 1


async def test_a_redelivery_is_evaluated_where_the_ledger_cannot_be_asked(desk):
    desk.ledger.errors.append(Retry("away"))
    consumer = desk.consumer()
    await desk.publish(cycle_of())
    (message,) = await desk.bus.stored("CYCLES", "cycles.v1.>")
    await consumer.handle(replace(message, deliveries=2))
    assert len(desk.gate.requests) == 1


async def test_an_expired_cycle_is_decided_too(desk):
    """Scoring drops nothing: the gate decides it as expired."""
    async with desk.running():
        await desk.finished(await desk.publish(cycle_of(-600)))
    assert [each.cycle_id for each in desk.gate.requests] == ["sma.-600"]


async def test_after_a_restart_what_was_finished_before_counts(desk):
    async with desk.running():
        await desk.finished(await desk.publish(cycle_of()))
    desk.activity = ActivityTracker()
    async with desk.running():
        for _ in range(100):
            await asyncio.sleep(0)
    assert desk.received == 1


async def test_a_refusal_that_would_come_again_is_put_aside(desk):
    desk.gate.errors.append(Refused(Code.INVALID_ARGUMENT, "BATCH_TOO_LARGE", "257 signals"))
    async with desk.running():
        await desk.finished(await desk.publish(cycle_of()))
    (letter,) = await desk.letters()
    assert (letter.kind, letter.message_id) == ("Refused", "sma.0")
    assert desk.received == 1


MALFORMED = [
    (b"\xff\xff\xff", "no cycle"),
    (b"", "cycle_id is missing"),
    (cycle_of(strategy="other"), "came on subject"),
    (cycle_of(signals=[]), "signals is missing"),
    (cycle_of(book=9), "book 9 is not known"),
    (cycle_of(signals=[signal_of(str(number)) for number in range(257)]), "257, at most 256"),
    (cycle_of(signals=[signal_of(), signal_of()]), "comes twice"),
    (cycle_of(valid_until=to_timestamp(AT)), "not after its market_time"),
    (cycle_of(signals=[signal_of(direction=0)]), "direction is missing"),
    (cycle_of(signals=[signal_of(direction=7)]), "direction 7 is not known"),
    (cycle_of(signals=[signal_of(symbol="")]), "symbol is missing"),
    (cycle_of(signals=[signal_of(reference_price=common.Decimal(value="NaN"))]), "is not finite"),
    (cycle_of(signals=[signal_of(reference_price=common.Decimal(value="-1"))]), "is outside 0 to"),
    (cycle_of(signals=[signal_of(reference_price=common.Decimal(value="1e10"))]), "reference_price 1E+10 is outside"),
    (cycle_of(signals=[signal_of(reference_price=common.Decimal(value="1e999999"))]), "is no amount"),
    (cycle_of(signals=[signal_of(strength=float("nan"))]), "strength nan is outside 0 to 1"),
    (cycle_of(signals=[signal_of(target_weight=common.Decimal(value="2"))]), "outside 0 to 1"),
    (cycle_of(signals=[signal_of(stop_fraction=common.Decimal(value="1"))]), "outside 0 to 1"),
]


@pytest.mark.parametrize(("payload", "told"), MALFORMED, ids=[told for _, told in MALFORMED])
async def test_a_malformed_message_is_kept_with_its_reason_and_the_next_one_is_decided(desk, payload, told):
    async with desk.running():
        await desk.publish(payload, message_id="broken")
        await desk.finished(await desk.publish(cycle_of(1)))
    (letter,) = await desk.letters()
    assert letter.kind == "Malformed"
    assert told in letter.reason
    assert [each.cycle_id for each in desk.gate.requests] == ["sma.1"]
    assert desk.received == 2

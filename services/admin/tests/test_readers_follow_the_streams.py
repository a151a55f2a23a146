"""What is shown follows the streams and the ledger, through losses of either (IN-1, RP-1)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.signal.v1 import signal_pb2 as signal
from holdfast_admin.domain.sources import Sources
from holdfast_admin.readers import Readers
from holdfast_core.sessions import calendar_of
from holdfast_runtime.bus.streams import DEADLETTERS
from holdfast_runtime.errors import Retry
from holdfast_runtime.settings import Settings
from holdfast_runtime.wire import to_timestamp
from holdfast_simulation.memory_bus import MemoryBus

from .conftest import NOW, Clock, Execution, Facts, amount

EMPTY_FILL = pb.Fact(event_id=1, kind="fill", aggregate="f", fill=pb.Fill()).SerializeToString()


class Prices:
    """One answer, then the stream breaks for good."""

    def __init__(self) -> None:
        self.broken = False

    async def watch(self, _: signal.WatchRequest) -> AsyncIterator[signal.WatchResponse]:
        if self.broken:
            raise Retry("signal does not answer")
        self.broken = True
        price = signal.Price(symbol="SPY", last=amount("12"), bar_time=to_timestamp(NOW), feed_connected=True)
        yield signal.WatchResponse(sequence=1, snapshot=True, prices=[price])


class Desk:
    """Readers on a bus in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.bus = MemoryBus(self.clock)
        self.sources = Sources()
        self.execution = Execution()
        self.readers = Readers(
            self.sources, settings=Settings(), bus=self.bus,
            execution=self.execution,  # type: ignore[arg-type]  # only what readers call
            prices=Prices(), market_clock=self.clock, monotonic_clock=self.clock, wall_clock=self.clock,
            calendar=calendar_of("equity"),
        )  # fmt: skip

    async def publish(self, fact: pb.Fact) -> None:
        await self.bus.publish(
            f"facts.v1.{fact.kind}", fact.SerializeToString(), message_id=f"fact-{fact.event_id}"
        )  # fmt: skip

    async def bar(self, close: str, minute: int) -> None:
        end = NOW + timedelta(minutes=minute)
        bar = signal.Bar(
            symbol="SPY", start=to_timestamp(end - timedelta(minutes=1)), end=to_timestamp(end), close=amount(close)
        )
        await self.bus.publish("market.v1.bar.SPY", bar.SerializeToString(), message_id=f"bar-{minute}")


@pytest.fixture
def desk() -> Desk:
    return Desk()


@contextmanager
def working(*loops: Callable[[Callable[[], None]], object]) -> Iterator[None]:
    tasks = [asyncio.ensure_future(loop(lambda: None)) for loop in loops]  # type: ignore[arg-type]  # coroutines
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 conditions of many parts
            await asyncio.sleep(0)


async def test_a_started_admin_shows_what_happened_before(desk: Desk, facts: Facts) -> None:
    """Rebuilt from the stream's start, the curve included."""
    for fact in (facts.account("1000"), facts.position("SPY", "10"), facts.decision("s1")):
        await desk.publish(fact)
    for minute, close in enumerate(("11", "12", "13")):
        await desk.bar(close, minute)
    with working(desk.readers.read_facts, desk.readers.read_bars):
        await eventually(lambda: desk.sources.projection.last_event_id == 3 and desk.sources.curve.latest("SPY") == 13)
    assert [point.equity for point in desk.sources.curve.points()] == [Decimal(each) for each in (1110, 1120, 1130)]


async def test_the_curve_is_whole_where_the_ledger_was_read_first(desk: Desk, facts: Facts) -> None:
    told = [facts.account("1000"), facts.account("900", NOW + timedelta(minutes=1))]
    desk.execution.ledger = pb.GetLedgerResponse(account=told[1].account, last_event_id=2)
    with working(desk.readers.watch_execution):
        await eventually(lambda: desk.sources.projection.ledger_as_of == 2)
    for fact in told:
        await desk.publish(fact)
    for minute in range(3):
        await desk.bar("11", minute)
    with working(desk.readers.read_facts, desk.readers.read_bars):
        await eventually(lambda: len(desk.sources.curve.points()) == 3)
    assert [point.equity for point in desk.sources.curve.points()] == [Decimal(each) for each in (1000, 900, 900)]


async def test_a_ledger_that_was_just_made_is_no_account_without_money(desk: Desk) -> None:
    desk.execution.ledger = pb.GetLedgerResponse(account=pb.Account(cash=amount("0")), last_event_id=1)
    await desk.bar("11", 0)
    with working(desk.readers.watch_execution, desk.readers.read_bars):
        await eventually(lambda: desk.execution.readings and desk.sources.curve.latest("SPY"))
    assert desk.sources.projection.account is None
    assert desk.sources.curve.points() == []


async def test_a_lost_stream_is_read_anew_and_the_ledger_with_it(desk: Desk, facts: Facts) -> None:
    await desk.publish(facts.account("1000"))
    with working(desk.readers.read_facts, desk.readers.watch_execution):
        await eventually(lambda: desk.sources.projection.last_event_id == 1 and desk.execution.readings)
        desk.bus.lose()
        lost = facts.position("SPY", "10")
        desk.execution.ledger = pb.GetLedgerResponse(
            account=facts.account("900").account, positions=[lost.position], last_event_id=3
        )
        before = desk.execution.readings
        await desk.publish(facts.decision("s1"))
        await eventually(lambda: desk.execution.readings > before and len(desk.sources.projection.decisions) == 1)
    assert [each.symbol for each in desk.sources.projection.held()] == ["SPY"]


async def test_while_the_bus_is_away_the_ledger_is_read_again_and_again(desk: Desk) -> None:
    with working(desk.readers.watch_execution, desk.readers.watch_bus):
        await eventually(lambda: desk.sources.bus.up and desk.execution.readings)
        desk.bus.away = True
        await eventually(lambda: not desk.sources.bus.up)
        before = desk.execution.readings
        await eventually(lambda: desk.execution.readings >= before + 3)


async def test_an_execution_that_goes_away_is_told_and_the_last_state_stays(desk: Desk, facts: Facts) -> None:
    desk.execution.ledger = pb.GetLedgerResponse(account=facts.account("900").account, last_event_id=1)
    with working(desk.readers.watch_execution):
        await eventually(lambda: desk.sources.execution.up)
        desk.execution.away = True
        await eventually(lambda: not desk.sources.execution.up)
    assert desk.sources.projection.account is not None


async def test_prices_of_a_signal_that_goes_away_stay_and_are_not_live(desk: Desk) -> None:
    with working(desk.readers.watch_prices):
        await eventually(lambda: desk.sources.prices and not desk.sources.signal.up and desk.sources.signal.asked)
    assert desk.sources.prices["SPY"].last == 12


@pytest.mark.parametrize("payload", [b"\xff\xff", b"", EMPTY_FILL])
async def test_a_malformed_fact_is_put_aside_and_the_next_one_taken(desk: Desk, facts: Facts, payload: bytes) -> None:
    await desk.bus.publish("facts.v1.fill", payload, message_id="broken")
    await desk.publish(facts.account("1000"))
    with working(desk.readers.read_facts):
        await eventually(lambda: desk.sources.projection.account is not None)
    assert await desk.bus.last_position(DEADLETTERS) == 1


async def test_a_strategy_that_fails_by_itself_is_shown_without_being_asked_for(desk: Desk) -> None:
    """SQ-3, SQ-14: what execution has decided is read again and again."""
    desk.execution.strategies["sma"] = pb.Strategy(strategy="sma", state="running")
    with working(desk.readers.watch_execution):
        await eventually(lambda: desk.sources.strategies.by_name)
        desk.execution.strategies["sma"] = pb.Strategy(strategy="sma", state="failed")
        desk.execution.version += 1
        await eventually(lambda: desk.sources.strategies.by_name["sma"].state == "failed")

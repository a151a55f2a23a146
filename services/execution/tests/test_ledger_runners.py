"""The writer thread with group commit, the lease, the outbox relay and the halt watch, on a real SQLite file."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.adapters.sql import plain, queries
from holdfast_execution.adapters.sql.sql_ledger import open_ledger
from holdfast_execution.adapters.sql.writer import Inline, Writer
from holdfast_execution.halt_watch import HaltWatch
from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.ledger import HaltRow, Ledger, LedgerRunner, StaleFence, UnknownRow
from holdfast_execution.relay import Relay
from holdfast_runtime.errors import Retry
from holdfast_runtime.ledger_halts import engage_kill_switch
from holdfast_simulation.manual_clock import ManualMonotonicClock
from holdfast_simulation.memory_bus import MemoryBus

NOW = datetime(2013, 10, 7, 14, 0, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
async def runner(url: str) -> AsyncIterator[Writer]:
    database, ledger = open_ledger(url, "paper")
    writer = Writer(ledger)
    await writer.start()
    yield writer
    await writer.close()
    database.close()


@pytest.fixture
def clock() -> ManualMonotonicClock:
    return ManualMonotonicClock()


async def _nothing() -> None:
    return None


def keeper(
    runner: LedgerRunner, clock: ManualMonotonicClock, holder: str, on_lost: Callable[[], Awaitable[None]] = _nothing
) -> LeaseKeeper:
    return LeaseKeeper(runner=runner, holder=holder, clock=clock, market_now=lambda: NOW, on_lost=on_lost)


async def held(runner: LedgerRunner, clock: ManualMonotonicClock) -> LeaseKeeper:
    lease = keeper(runner, clock, "pod-a")
    await lease.turn()
    assert lease.is_holder
    return lease


async def test_a_connection_that_is_lost_within_a_group_is_a_reason_to_try_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DI-1: whoever shares the commit is told to try again, as where the commit itself is lost."""
    database, ledger = open_ledger(url, "paper")
    writer = Writer(ledger)
    await writer.start()
    monkeypatch.setattr(database.write.dialect, "is_disconnect", lambda *_: True)
    queued = threading.Event()

    def broken(_: Ledger) -> None:
        with ledger.session.transaction() as transaction:
            plain.command(transaction.connection, "SELECT nothing FROM nowhere")

    first = asyncio.ensure_future(writer.run(lambda _: queued.wait(5)))
    group = [asyncio.ensure_future(writer.run(broken)) for _ in range(3)]
    await asyncio.sleep(0)
    queued.set()
    # The first one may have gone alone.
    _, *outcomes = await asyncio.gather(first, *group, return_exceptions=True)
    assert [type(each) for each in outcomes] == [Retry] * 3
    monkeypatch.undo()
    assert await writer.run(lambda each: each.version()) == 0
    await writer.close()
    database.close()


async def test_queued_writes_share_a_commit_and_a_refused_one_undoes_itself_alone(
    runner: Writer, clock: ManualMonotonicClock
) -> None:
    lease = await held(runner, clock)
    versions: list[int] = []
    runner.on_commit(versions.append)

    def noted(name: str) -> Callable[[Ledger], int]:
        def call(ledger: Ledger) -> int:
            ledger.note(lease.epoch, NOW, name, name)
            if name == "bad":
                ledger.intent("none")
            return ledger.version()

        return call

    names = ["a", "b", "bad", "c", *(f"n{number}" for number in range(40))]
    answers = await asyncio.gather(*(runner.run(noted(name)) for name in names), return_exceptions=True)
    assert isinstance(answers[2], UnknownRow)
    good = [answer for answer in answers if isinstance(answer, int)]
    assert good == list(range(good[0], good[0] + len(names) - 1))
    events = await runner.read(lambda ledger: ledger.unpublished(100))
    assert [event.aggregate for event in events if event.kind == "note"] == [name for name in names if name != "bad"]
    assert [event.event_id for event in events] == list(range(1, len(events) + 1))
    assert versions[-1] == good[-1]
    assert len(versions) < len(good)


async def test_a_cancelled_wait_does_not_stop_the_write(runner: Writer, clock: ManualMonotonicClock) -> None:
    lease = await held(runner, clock)
    waiting = asyncio.create_task(runner.run(lambda ledger: ledger.note(lease.epoch, NOW, "x", "said")))
    await asyncio.sleep(0)
    waiting.cancel()
    await runner.run(lambda ledger: ledger.note(lease.epoch, NOW, "y", "after"))
    told = [event.summary for event in await runner.read(lambda ledger: ledger.unpublished(10))]
    assert told[-2:] == ["said", "after"]


async def test_a_database_that_is_away_is_a_retry(url: str) -> None:
    database, ledger = open_ledger(url, "paper")
    writer = Writer(ledger)
    with pytest.raises(Retry):
        await writer.run(lambda each: each.version())
    database.close()


async def test_the_simulation_runs_the_same_ledger_in_memory(clock: ManualMonotonicClock) -> None:
    _, ledger = open_ledger("sqlite://", "paper")
    runner = Inline(ledger)
    lease = await held(runner, clock)
    versions: list[int] = []
    runner.on_commit(versions.append)
    await runner.run(lambda each: each.note(lease.epoch, NOW, "x", "said"))
    assert versions == [await runner.read(lambda each: each.version())]


async def test_a_standby_takes_over_only_after_the_beat_stood_still(
    runner: Writer, clock: ManualMonotonicClock
) -> None:
    """SQ-5: 3 s on its own clock; the holder's last write comes 2 s after its last committed beat at the latest."""
    lost: list[str] = []

    async def on_lost() -> None:
        lost.append("pod-a")

    active, standby = keeper(runner, clock, "pod-a", on_lost), keeper(runner, clock, "pod-b")
    await active.turn()
    beaten = clock.now_secs()
    for _ in range(10):
        await active.turn()
        await standby.turn()
        beaten = clock.now_secs()
        clock.advance(0.5)
    assert not standby.is_holder
    assert standby.holder == "pod-a"
    assert active.last_write_at_secs == beaten + 2.0
    clock.advance(2.4)
    assert active.margin_secs < 0
    await standby.turn()
    assert not standby.is_holder
    clock.advance(0.2)
    assert not active.is_holder
    await standby.turn()
    assert standby.is_holder
    assert standby.epoch == active.epoch + 1
    await active.turn()
    assert (active.epoch, lost) == (0, ["pod-a"])
    with pytest.raises(StaleFence):
        await runner.run(lambda ledger: ledger.note(1, NOW, "x", "too late"))


async def test_a_lease_given_up_at_stop_is_free_at_once(runner: Writer, clock: ManualMonotonicClock) -> None:
    active, standby = await held(runner, clock), keeper(runner, clock, "pod-b")
    await standby.turn()
    assert not standby.is_holder
    await active.stop()
    assert (active.epoch, active.margin_secs) == (0, 0.0)
    await standby.turn()
    assert standby.is_holder


async def published(bus: MemoryBus) -> list[execution.Fact]:
    return [execution.Fact.FromString(each.payload) for each in await bus.stored("FACTS", "facts.v1.>", limit=1000)]


async def test_facts_are_published_once_in_order_and_survive_a_bus_that_is_away(
    runner: Writer, clock: ManualMonotonicClock
) -> None:
    """Losing the bus loses nothing: what is not published waits in the ledger."""
    lease, bus = await held(runner, clock), MemoryBus(clock)
    relay = Relay(runner=runner, bus=bus, lease=lease, clock=clock)
    bus.away = True
    await runner.run(lambda ledger: ledger.note(lease.epoch, NOW, "x", "first"))
    with pytest.raises(Retry):
        await relay.turn()
    assert len(await runner.read(lambda ledger: ledger.unpublished(10))) == 2
    bus.away = False
    await runner.run(lambda ledger: ledger.note(lease.epoch, NOW, "x", "second"))
    assert await relay.turn()
    assert not await relay.turn()
    told = await published(bus)
    assert [(fact.event_id, fact.kind) for fact in told] == [(1, "lease"), (2, "note"), (3, "note")]
    assert [each.message_id for each in await bus.stored("FACTS", "facts.v1.note")] == ["fact-2", "fact-3"]


def test_reading_what_is_unpublished_does_not_grow_with_what_is_published(url: str) -> None:
    """By the partial index: without it every event that there ever was is read."""
    database, _ = open_ledger(url, "paper")
    with database.read.begin() as connection:
        statement = queries.UNPUBLISHED.compile(dialect=database.read.dialect)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("paper", 100, 0)).fetchall()
    assert "events_unpublished" in str(plan)
    database.close()


async def test_the_relay_wakes_on_a_commit_and_rests_without_the_lease(
    runner: Writer, clock: ManualMonotonicClock
) -> None:
    lease, bus = await held(runner, clock), MemoryBus(clock)
    relay = Relay(runner=runner, bus=bus, lease=lease, clock=clock)
    turned = asyncio.Event()
    working = asyncio.create_task(relay.run(turned.set))
    try:
        async with asyncio.timeout(60):
            await turned.wait()
            await runner.run(lambda ledger: ledger.note(lease.epoch, NOW, "x", "news"))
            while await runner.read(lambda ledger: ledger.unpublished(10)):
                clock.advance(0.05)
            assert len(await published(bus)) == 2
            await lease.stop()
            turned.clear()
            while not turned.is_set():
                clock.advance(0.5)
                await asyncio.sleep(0)
        waiting = await runner.read(lambda ledger: ledger.unpublished(10))
        assert [event.summary for event in waiting] == ["pod-a gave the lease up, epoch 1"]
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_a_kill_switch_row_becomes_a_fact_and_is_handed_on(
    runner: Writer, clock: ManualMonotonicClock, url: str
) -> None:
    lease = await held(runner, clock)
    seen: list[HaltRow] = []

    async def on_halts(rows: list[HaltRow]) -> None:
        seen.extend(rows)

    watch = HaltWatch(runner=runner, lease=lease, clock=clock, market_now=lambda: NOW, on_halts=on_halts)
    await watch.turn()
    assert seen == []
    halt_id = await asyncio.to_thread(engage_kill_switch, url, "paper", "drill", "alice", NOW)
    await watch.turn()
    await watch.turn()
    assert [row.halt_id for row in seen] == [halt_id]
    events = await runner.read(lambda ledger: ledger.unpublished(10))
    assert [event.kind for event in events] == ["lease", "halt"]

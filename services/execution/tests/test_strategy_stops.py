"""What a stop does to orders under way: entries end, protection goes on (SQ-10; order protocol, "Timers and stop")."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault


async def stop(desk: Any) -> execution.Strategy:
    request = execution.StopStrategyRequest(strategy="sma", stopped_by="ann", note="earnings")
    return (await desk.service.stop_strategy(request)).strategy


async def start(desk: Any) -> execution.Strategy:
    request = execution.StartStrategyRequest(strategy="sma", started_by="ann", note="looked up at the broker")
    return (await desk.service.start_strategy(request)).strategy


def sends(desk: Any) -> int:
    return sum(call.startswith("submit_order") for call in desk.broker.calls)


async def listed(desk: Any) -> execution.Strategy:
    (strategy,) = (await desk.service.list_strategies(execution.ListStrategiesRequest())).strategies
    return strategy


async def test_an_entry_that_waits_for_its_turn_is_never_sent(desk: Any) -> None:
    """It ends in the very transaction of the stop."""
    await desk.submit(desk.decision("IBM", score=4.0), desk.decision("SPY"))
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY, "SPY")).state is IntentState.PENDING
    await stop(desk)
    stopped = await desk.one(Purpose.ENTRY, "SPY")
    assert (stopped.state, stopped.reason) == (IntentState.NOT_SENT, "STRATEGY_STOPPED")
    await desk.at(desk.clock.now() + timedelta(seconds=2))
    assert [post.symbol for post in desk.broker.posts] == ["IBM"]


async def test_a_working_entry_is_cancelled_and_what_was_filled_stays_protected(make_desk: Callable[..., Any]) -> None:
    """The stop stays, over a restart too, until the position is closed."""
    desk = make_desk(volume=20)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await desk.enter(quantity=50)
    await desk.minute(1)
    entry = await desk.one(Purpose.ENTRY)
    assert 0 < entry.filled_quantity < 50
    assert entry.open
    await stop(desk)
    await desk.settled()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.reason) == (IntentState.CANCELLED, "STRATEGY_STOPPED")
    await desk.kill()
    await desk.start()
    assert (await listed(desk)).state == "stopped"
    position = await desk.position()
    assert (position.quantity, position.protection) == (entry.filled_quantity, "active")
    assert [order.type.value for order in desk.resting()] == ["stop"]


async def test_an_unknown_entry_is_only_looked_up(desk: Any) -> None:
    """Its retries are cancelled at once: no second POST, until there is evidence."""
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", Fault.GATED)
    await desk.submit(desk.decision())
    await desk.until(lambda: "order_by_client_id" in desk.broker.calls, advancing=True)
    await stop(desk)
    desk.broker.open_gate()
    await desk.pass_secs(20.0)
    assert len(desk.broker.posts) == 1
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.UNKNOWN


async def test_an_unknown_entry_that_is_found_is_withdrawn(desk: Any) -> None:
    desk.broker.drop_updates = 1
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", Fault.GATED)
    await desk.submit(desk.decision())
    await desk.until(lambda: "order_by_client_id" in desk.broker.calls, advancing=True)
    await stop(desk)
    desk.broker.open_gate()
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.CANCELLED
    assert desk.resting() == []


async def test_a_refused_entry_has_no_next_leg(desk: Any) -> None:
    """SQ-10: if the stop comes while an order is being retried, its retries end."""
    desk.broker.script("submit_order", Fault.REFUSED)
    await desk.submit(desk.decision())
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).leg == 2
    await stop(desk)
    await desk.at(desk.clock.now() + timedelta(seconds=5))
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.NOT_SENT
    assert sends(desk) == 1


async def test_an_entry_that_is_refused_after_the_stop_is_not_sent_again(desk: Any) -> None:
    """SQ-10: a refusal that is heard after the stop begins no retry, which a start might find waiting."""
    desk.broker.script("submit_order", Fault.GATED)
    await desk.submit(desk.decision())
    await desk.until(lambda: sends(desk) == 1)
    await stop(desk)
    desk.broker.exchange.books.cash = Decimal(500)
    desk.broker.open_gate()
    await desk.settled()
    await desk.at(desk.clock.now() + timedelta(seconds=5))
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.reason) == (IntentState.REJECTED, 1, "BROKER_BUYING_POWER")
    assert sends(desk) == 1


async def test_exits_and_stops_go_on(desk: Any) -> None:
    await desk.enter()
    await desk.minute(1)
    await stop(desk)
    assert [each.purpose for each in (await listed(desk)).open_intents] == [execution.PURPOSE_STOP]
    answer = await desk.submit(desk.decision(exit_=True))
    assert answer.decisions[0].allowed
    await desk.settled()
    await desk.minute(2)
    found = await listed(desk)
    assert (found.state, found.trade_state) == ("stopped", "sold")
    assert desk.resting() == []


async def test_a_safety_abort_fails_the_strategy_until_a_person_starts_it(desk: Any) -> None:
    """SQ-3: at once, without a retry. Its halt is cleared by the start, with who and why."""
    desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await desk.submit(desk.decision())
    await desk.until(lambda: desk.engine.guard.shut)
    await desk.pass_secs(1.0)
    failed = await listed(desk)
    assert (failed.state, failed.set_by) == ("failed", "execution")
    assert failed.reason.startswith("CREDENTIALS_REFUSED: sma.SPY.")
    assert [halt.kind for halt in failed.halts] == ["safety_abort"]
    (credentials,) = [halt for halt in await desk.halts() if halt.kind == "credentials"]
    await desk.service.clear_halt(execution.ClearHaltRequest(halt_id=credentials.halt_id, cleared_by="ann"))
    started = await start(desk)
    assert (started.state, started.set_by, list(started.halts)) == ("running", "ann", [])
    facts = [
        execution.Fact.FromString(row.fact) for row in await desk.runner.read(lambda ledger: ledger.unpublished(1_000))
    ]
    (cleared,) = [fact for fact in facts if fact.cleared and fact.halt.kind == "safety_abort"]
    assert cleared.summary == "safety abort no longer halts sma: cleared by ann, looked up at the broker"
    (told,) = [fact for fact in facts if fact.strategy.state == "running"]
    assert (told.kind, told.strategy.reason) == ("strategy", "looked up at the broker")


async def test_a_cleared_halt_alone_starts_nothing(desk: Any) -> None:
    """One that failed stays so until a person starts it."""
    desk.broker.script("submit_order", *[Fault.LOST_BEFORE] * 4)
    await desk.submit(desk.decision())
    await desk.until(lambda: bool(desk.engine.books.last_seen.not_running), advancing=True)
    for halt in await desk.halts():
        await desk.service.clear_halt(execution.ClearHaltRequest(halt_id=halt.halt_id, cleared_by="ann"))
    answer = await desk.submit(desk.decision("IBM"))
    assert [each.reason for each in answer.decisions] == ["STRATEGY_STOPPED"]
    assert (await start(desk)).state == "running"
    await desk.verdict()
    answer = await desk.submit(desk.decision("BAC"))
    assert [each.reason for each in answer.decisions] == ["ALLOWED"]


@pytest.mark.parametrize("damage", ["state = 'paused'", "last_decided_cycle_time = 'yesterday'", "since = 'never'"])
async def test_a_state_that_cannot_be_read_fails_its_strategy_alone(desk: Any, damage: str) -> None:
    """SQ-8, DI-3: SAFETY_ABORT, failed, with a visible record; the position keeps its stop."""
    import sqlalchemy as sa

    await desk.enter()
    await desk.minute(1)
    await desk.kill()
    engine = sa.create_engine(desk.url)
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO strategies (account, strategy, state) VALUES ('paper', 'b', 'running')")
        )
        connection.execute(sa.text(f"UPDATE strategies SET {damage} WHERE strategy = 'sma'"))
    engine.dispose()
    await desk.start()
    answer = await desk.service.list_strategies(execution.ListStrategiesRequest())
    found = {each.strategy: each for each in answer.strategies}
    assert {name: each.state for name, each in found.items()} == {"sma": "failed", "b": "running"}
    assert found["sma"].reason.startswith("STATE_UNREADABLE")
    assert [halt.kind for halt in found["sma"].halts] == ["safety_abort"]
    assert (await desk.position()).protection == "active"
    assert (await start(desk)).state == "running"

"""The table of the order protocol's point 6, and points 7 to 9, on the whole engine."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_runtime.errors import Retry
from holdfast_runtime.ledger_halts import CREDENTIALS
from holdfast_simulation.memory_venue import Fault


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.MISMATCHED])
async def test_an_order_whose_answer_is_lost_is_found_and_adopted(desk: Any, fault: Fault) -> None:
    """2xx that does not match, timeout, 504: UNKNOWN, looked up, adopted; never sent again."""
    desk.broker.drop_updates = 1
    desk.broker.script("submit_order", fault)
    await desk.enter()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.attempts) == (IntentState.ACKED, 1)
    assert len(desk.broker.posts) == 1
    assert len(desk.resting()) == 2  # the entry and its sleeping leg


async def test_an_order_that_never_arrived_is_sent_again_under_the_same_id(desk: Any) -> None:
    """Point 7: so that a late first POST and the retry cannot both live."""
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    await desk.enter()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.attempts) == (IntentState.ACKED, 2)
    assert len({post.client_order_id for post in desk.broker.posts}) == 1


async def test_a_late_acceptance_and_the_retry_are_one_order(desk: Any) -> None:
    """422 duplicate client id: looked up, matches, adopted."""
    desk.broker.script("submit_order", Fault.LATE)
    desk.broker.script("order_by_client_id", Fault.GATED)
    await desk.submit(desk.decision())
    await desk.until(lambda: "order_by_client_id" in desk.broker.calls, advancing=True)
    desk.broker.script("submit_order", Fault.GATED)
    desk.broker._gate.set()
    desk.broker.arrive()
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED
    assert len([order for order in desk.orders() if order.parent is None]) == 1


async def test_a_duplicate_refusal_is_no_rejection(desk: Any) -> None:
    """Accept, 504, re-POST, 422: the first order lives and is ours."""
    desk.broker.drop_updates = 1
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", Fault.ABSENT)
    await desk.enter()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.attempts) == (IntentState.ACKED, 2)
    assert len([order for order in desk.orders() if order.parent is None]) == 1


async def test_a_rate_limit_waits_and_counts_as_a_retry(desk: Any) -> None:
    desk.broker.script("submit_order", Fault.THROTTLED)
    began = desk.monotonic.now_secs()
    await desk.enter()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.attempts) == (IntentState.ACKED, 2)
    assert desk.monotonic.now_secs() - began >= 3.0


async def test_refused_buying_power_is_a_rejection_without_a_retry(desk: Any) -> None:
    desk.broker.exchange.books.cash = desk.broker.exchange.books.cash / 1000
    await desk.enter()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.reason) == (IntentState.REJECTED, "BROKER_BUYING_POWER")
    assert len(desk.broker.posts) == 1
    assert desk.resting() == []


async def test_refused_credentials_end_all_calls_until_they_are_cleared(desk: Any) -> None:
    """401: invariant 5. The intent stays UNKNOWN, the strategy is aborted."""
    desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await desk.submit(desk.decision())
    await desk.until(lambda: desk.engine.guard.shut)
    asked = len(desk.broker.calls)
    await desk.pass_secs(10.0)
    assert len(desk.broker.calls) == asked
    halts = {halt.kind: halt for halt in await desk.halts()}
    assert set(halts) == {"credentials", "safety_abort"}
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.UNKNOWN
    await desk.put_right()
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED


async def test_a_credentials_halt_that_could_not_be_stored_is_stored_later(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 while the ledger is away: without the halt execution would stay shut with nothing for a person to clear."""

    def away(ledger: SqlLedger, epoch: int, now: datetime, kind: str, *rest: Any) -> bool:
        if kind == CREDENTIALS:
            raise Retry("the database is away")
        return add_halt(ledger, epoch, now, kind, *rest)

    add_halt = SqlLedger.add_halt
    desk.broker.script("submit_order", Fault.UNAUTHORISED)
    with monkeypatch.context() as patch:
        patch.setattr(SqlLedger, "add_halt", away)
        await desk.submit(desk.decision())
        await desk.until(lambda: desk.engine.guard.shut)
        await desk.pass_secs(2.0)
        assert CREDENTIALS not in {halt.kind for halt in await desk.halts()}
    await desk.pass_secs(2.0)
    halts = await desk.halts()
    assert [halt.kind for halt in halts].count(CREDENTIALS) == 1
    await desk.put_right()
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED


async def test_a_halt_that_was_cleared_without_execution_hearing_it_opens_the_door_all_the_same(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clear is committed and its answer lost: no halt stands that a person could clear again (simulation)."""
    desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await desk.submit(desk.decision())
    await desk.until(lambda: desk.engine.guard.shut)
    await desk.pass_secs(1.0)
    halts = {halt.kind: halt.halt_id for halt in await desk.halts()}
    commit = desk.runner.run

    async def unheard(call: Any) -> Any:
        await commit(call)
        raise Retry("the database did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(desk.runner, "run", unheard)
        request = execution.ClearHaltRequest(halt_id=halts[CREDENTIALS], cleared_by="person")
        with pytest.raises(Retry):
            await desk.service.clear_halt(request)
    assert desk.engine.guard.shut
    await desk.pass_secs(2.0)
    assert not desk.engine.guard.shut
    await desk.put_right()
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED


async def test_three_failed_lookups_abort_the_strategy_and_the_reading_goes_on(desk: Any) -> None:
    """Point 9: what is found of the strategy that failed is withdrawn."""
    desk.broker.drop_updates = 1
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 3)
    await desk.enter()
    assert [(halt.kind, halt.strategy) for halt in await desk.halts()] == [("safety_abort", "sma")]
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.CANCELLED
    await desk.verdict()
    answer = await desk.submit(desk.decision("IBM"))
    assert not answer.decisions[0].allowed


async def test_four_lost_sends_are_the_last(desk: Any) -> None:
    """Invariant 4: at most 1 + 3 sends per client order id, then SAFETY_ABORT."""
    desk.broker.script("submit_order", *[Fault.LOST_BEFORE] * 10)
    await desk.submit(desk.decision())
    await desk.pass_secs(20.0)
    assert len(desk.broker.posts) == 4
    assert "safety_abort" in {halt.kind for halt in await desk.halts()}
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.UNKNOWN


async def test_an_expired_unknown_is_only_read_and_buried_after_a_minute(desk: Any) -> None:
    """Point 8: two 404s, by client id and in the list, at least 60 s after the last POST's deadline."""
    desk.broker.script("submit_order", Fault.LATE)
    await desk.submit(desk.decision(valid_secs=1))
    await desk.until(lambda: len(desk.broker.posts) == 1)
    desk.clock.set(desk.clock.now() + timedelta(seconds=2))
    await desk.pass_secs(55.0)
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.UNKNOWN
    await desk.pass_secs(15.0)
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.TOMBSTONED
    assert len(desk.broker.posts) == 1


async def test_a_zombie_is_cancelled(desk: Any) -> None:
    """Point 8: an order that appears after its burial does not live."""
    desk.broker.script("submit_order", Fault.LATE)
    await desk.submit(desk.decision(valid_secs=1))
    await desk.until(lambda: len(desk.broker.posts) == 1)
    desk.clock.set(desk.clock.now() + timedelta(seconds=2))
    await desk.pass_secs(75.0)
    desk.broker.arrive()
    await desk.settled()
    assert desk.resting() == []
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.TOMBSTONED


async def test_nothing_is_written_after_the_leases_margin(desk: Any) -> None:
    """Point 4: the attempt is given back."""
    desk.lease._beat_at -= 2.5
    await desk.submit(desk.decision())
    for _ in range(3):
        await desk.until(lambda: True)
    assert desk.broker.posts == []
    await desk.settled()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.attempts) == (IntentState.ACKED, 1)


async def test_an_entry_waits_for_the_leases_next_beat_without_a_claim(desk: Any) -> None:
    """Invariant 10: a claim that would be given back is not made, however long the margin is short."""
    desk.lease._beat_at -= 2.5
    await desk.submit(desk.decision())
    decided = desk.engine.books.version
    for _ in range(200):
        await asyncio.sleep(0)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.attempts, desk.engine.books.version) == (IntentState.PENDING, 0, decided)
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED


async def test_refused_credentials_outlive_a_restart(desk: Any) -> None:
    """Invariant 5: a process that begins with the halt standing asks the broker nothing; cleared, the stop is made."""
    await desk.enter()
    await desk.minute(1)
    desk.broker.script("submit_order", Fault.UNAUTHORISED)
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.until(lambda: desk.engine.guard.shut)
    for _ in range(20):
        await asyncio.sleep(0)
    assert "credentials" in {halt.kind for halt in await desk.halts()}
    await desk.kill()
    asked = len(desk.broker.calls)
    await desk.start()
    await desk.pass_secs(10.0)
    assert len(desk.broker.calls) == asked
    await desk.put_right()
    await desk.settled()
    assert (await desk.position()).protection == "active"
    assert len(desk.resting()) == 1

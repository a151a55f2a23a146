"""Outcomes that nobody knows yet: what may be sent meanwhile, what may not, and what keeps going on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_runtime.errors import Retry
from holdfast_runtime.ports.venue import StreamDown
from holdfast_simulation.memory_venue import Fault

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


async def held(desk: Any, symbol: str = "SPY") -> None:
    """A protected position of 10."""
    await desk.enter(symbol)
    await desk.minute(1)
    assert (await desk.position(symbol)).quantity == 10


@pytest.mark.parametrize("method", ["record_ack", "record_unknown"])
async def test_an_answer_that_could_not_be_written_down_is_asked_for_again(desk: Any, method: str) -> None:
    """SENDING ends by evidence under the same lease, too: the database was away when the answer came (point 7)."""
    run, failures = desk.runner.run, []

    async def fail_once(call: Any) -> Any:
        rows = await desk.runner.read(lambda ledger: ledger.open_intents())
        if rows and rows[0].state is IntentState.SENDING and not failures:
            failures.append(method)
            raise Retry("the ledger's database did not answer")
        return await run(call)

    desk.runner.run = fail_once
    fault = {"record_ack": [], "record_unknown": [Fault.LOST_AFTER]}[method]
    desk.broker.drop_updates = 1
    desk.broker.script("submit_order", *fault)
    await desk.submit(desk.decision())
    await desk.settled()
    assert failures
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED
    assert len(desk.broker.posts) == 1


async def test_no_entry_is_sent_again_while_entries_are_locked(desk: Any) -> None:
    """Invariant 10: a retry is an entry like any other."""
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", Fault.GATED)
    await desk.submit(desk.decision())
    await desk.until(lambda: "order_by_client_id" in desk.broker.calls, advancing=True)
    desk.engine.books.lock_entries("MERGE_DISCREPANT", passing=False)
    desk.broker.open_gate()
    await desk.pass_secs(3.0)
    assert len(desk.broker.posts) == 1
    desk.engine.books.unlock_entries("MERGE_DISCREPANT")
    await desk.pass_secs(6.0)
    assert len(desk.broker.posts) == 2
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED


async def test_a_refused_retry_does_not_bury_a_first_send_that_lives(desk: Any) -> None:
    """Point 7: the first POST took the buying power that the retry is refused for."""
    desk.broker.drop_updates = 99
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", Fault.ABSENT)
    desk.broker.exchange._check_client_id = lambda client_order_id: None
    await desk.submit(desk.decision(quantity=100))
    await desk.until(lambda: len(desk.broker.posts) == 1)
    desk.broker.exchange.books.cash = desk.broker.exchange.books.cash / 10
    await desk.settled()
    entry = await desk.one(Purpose.ENTRY)
    assert entry.state is IntentState.ACKED
    assert len([order for order in desk.orders() if order.parent is None]) == 1


async def test_detail_that_cannot_be_read_holds_up_no_other_look_up(desk: Any) -> None:
    """Point 9: one unreadable order is asked for again, and so are the others."""
    desk.broker.drop_updates = 99
    desk.broker.script("submit_order", Fault.LOST_AFTER, Fault.LOST_AFTER)
    await desk.submit(desk.decision("IBM"))
    await desk.until(lambda: len(desk.broker.posts) == 1)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker.script("fills", *[Fault.LOST_BEFORE] * 3)
    await desk.submit(desk.decision("SPY"))
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY, "IBM")).state is IntentState.FILLED
    assert (await desk.one(Purpose.ENTRY, "SPY")).state is IntentState.ACKED


@pytest.mark.parametrize("call", ["cancel_order", "replace_order"])
async def test_a_venue_that_cannot_be_reached_stops_no_protection(desk: Any, call: str) -> None:
    """Nothing left this machine: that symbol waits, the others go on."""
    await held(desk)
    desk.broker.script(call, *[Fault.NO_CONNECTION] * 3)
    if call == "cancel_order":
        await desk.submit(desk.decision(exit_=True))
        await desk.settled()
        await desk.minute(2)
        assert (await desk.position()).quantity == 0
        return
    await desk.at(desk.clock.now().replace(hour=19, minute=55))
    stop = await desk.one(Purpose.STOP)
    assert (stop.time_in_force.value, stop.state) == ("gtc", IntentState.ACKED)


async def test_an_exit_does_not_wait_for_ever_for_a_stop_that_nobody_knows(desk: Any) -> None:
    """A stop unknown after 5 s: the sale goes on all the same, held shares arbitrate at the broker."""
    await held(desk)
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", *[Fault.ABSENT] * 99)
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.until(lambda: len(desk.broker.posts) == 2)
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(8.0)
    exit_ = await desk.one(Purpose.EXIT)
    assert exit_.state is IntentState.ACKED
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.pass_secs(1.0)
    assert (await desk.position()).quantity == 0


async def test_a_handover_goes_on_while_the_stream_is_down(desk: Any) -> None:
    """Invariant 7: the end of the stop is asked for at once, not when the stream has had its time."""
    await held(desk)
    desk.broker._push(StreamDown(reason="broken by the test"))
    await desk.until(lambda: not desk.engine.stream_up)
    desk.broker.drop_updates = 99
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(5.0)
    assert (await desk.one(Purpose.STOP)).state is IntentState.CANCELLED
    assert (await desk.one(Purpose.EXIT)).state is IntentState.ACKED


async def test_a_sale_of_what_the_broker_does_not_hold_waits_for_the_truth(desk: Any) -> None:
    """A fill that nobody told of: one sale waits, with a growing pause, and ends when the fill is known."""
    await held(desk)
    position = desk.broker.exchange.books.positions.pop("SPY")
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(30.0)
    assert [row.state for row in await desk.intents() if row.purpose is Purpose.EXIT] == [IntentState.PENDING]
    assert desk.broker.calls.count("positions") < 20
    desk.broker.exchange.books.positions["SPY"] = position
    await desk.pass_secs(6.0)
    assert (await desk.one(Purpose.EXIT)).state is IntentState.ACKED


async def test_a_zombie_that_filled_while_nobody_listened_is_counted_and_protected(desk: Any) -> None:
    """Point 8 and invariant 13: buried, accepted late, filled during an outage."""
    desk.broker.script("submit_order", Fault.LATE)
    await desk.submit(desk.decision(valid_secs=1))
    await desk.until(lambda: len(desk.broker.posts) == 1)
    desk.clock.set(desk.clock.now() + timedelta(seconds=2))
    await desk.pass_secs(75.0)
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.TOMBSTONED
    await desk.kill()
    desk.broker.arrive()
    desk.broker.tick(desk.clock.now() + timedelta(seconds=58))
    # Without its leg the order is in no list of open ones: only the fill tells of it.
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.start()
    position = await desk.position()
    assert (position.quantity, position.protection) == (10, "active")
    assert len(desk.resting()) == 1
    assert await desk.halts() == []


async def test_a_lease_that_is_late_for_a_moment_decides_for_no_entry(desk: Any) -> None:
    """Beats that do not commit are no verdict on a decision: the caller asks again."""
    desk.lease._beat_at -= 3.5
    assert desk.engine.books.locked_reason == "NOT_HOLDER"
    with pytest.raises(Retry):
        await desk.submit(desk.decision())
    await desk.settled()
    await desk.enter()


async def test_the_kill_switch_does_not_wait_for_a_pause_after_failures(desk: Any) -> None:
    """At most 2 s: the symbol's last cancel failed, and the next is not due for a while."""
    await desk.enter(limit_price="98")
    desk.engine._protective._turn.__self__._backoffs._due_secs["SPY"] = desk.monotonic.now_secs() + 5.0
    epoch, now = desk.lease.epoch, desk.clock.now()
    await desk.runner.run(lambda ledger: ledger.add_halt(epoch, now, "kill_switch", "by hand"))
    await desk.pass_secs(2.0)
    assert desk.resting() == []


async def test_a_stop_that_cannot_be_extended_yet_is_told_as_active(make_desk: Any) -> None:
    """Filled within the sweep before the close, and the PATCH fails: the position is protected, and said to be."""
    close = OPEN + timedelta(hours=6, minutes=30)
    price = [Decimal(each) for each in ("100", "100.5", "99.5", "100")]
    starts = (OPEN, close - 4 * MINUTE, close - 3 * MINUTE)
    desk = make_desk(bars=[Bar("SPY", start, start + MINUTE, *price, Decimal(100_000)) for start in starts])
    desk.broker.tick(close - 3 * MINUTE)
    await desk.start()
    desk.broker.script("replace_order", *[Fault.LOST_BEFORE] * 99)
    await desk.enter()
    desk.broker.tick(close - 2 * MINUTE)
    await desk.pass_secs(20.0)
    assert len(desk.resting()) == 1
    assert (await desk.position()).protection == "active"

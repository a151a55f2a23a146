"""Whose order is it? Legs and replacements are known through what they came from, however late, in whatever order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


async def held(desk: Any) -> None:
    """A protected position of 10 SPY."""
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 10


async def test_the_leg_of_an_entry_whose_answer_was_lost_is_no_foreign_order(desk: Any) -> None:
    """The stream told of the entry alone; its leg is heard of when the entry has filled (protocol, "Protection")."""
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    await desk.enter()
    await desk.minute(1)
    position = await desk.position()
    assert await desk.halts() == []
    assert (position.quantity, position.protection) == (10, "active")
    assert len(desk.resting()) == 1
    assert len(desk.broker.posts) == 1


async def test_a_leg_that_filled_before_it_was_known_is_counted(make_desk: Any) -> None:
    """Invariant 6: each fill once, whoever told of its order first."""
    desk = make_desk(SPY=[("100", "100.5", "99.5", "100")] * 2 + [("94", "94", "93", "93.5")] * 5)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    await desk.enter()
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.until(lambda: True)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.settled()
    assert (await desk.position()).quantity == 0
    assert await desk.halts() == []
    assert desk.resting() == []


async def test_a_leg_that_filled_during_an_outage_is_counted(make_desk: Any) -> None:
    """Point 11: the merge finds it through its parent, which is over."""
    desk = make_desk(SPY=[("100", "100.5", "99.5", "100")] * 2 + [("94", "94", "93", "93.5")] * 5)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    await desk.enter()
    # Of the fill and the leg's awakening only the fill is told.
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker._stream._queue.pop()
    desk.broker.drop_updates = 99
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker.drop_updates = 0
    desk.broker.break_stream()
    await desk.settled()
    assert (await desk.position()).quantity == 0
    assert desk.resting() == []


async def test_a_replacement_that_the_stream_tells_first_is_no_foreign_order(desk: Any) -> None:
    """Point 12: the update overtakes the answer to the PATCH."""
    await held(desk)
    desk.broker.script("replace_order", Fault.HELD_AFTER)
    desk.clock.set(desk.clock.now().replace(hour=19, minute=55))
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    for _ in range(20):
        await desk.until(lambda: True)
    desk.broker.open_gate()
    await desk.settled()
    stop = await desk.one(Purpose.STOP)
    assert (stop.time_in_force.value, stop.state) == ("gtc", IntentState.ACKED)
    assert await desk.halts() == []


async def test_a_crash_between_a_replacement_and_its_answer_leaves_one_known_stop(desk: Any) -> None:
    """Point 12: the chain is followed at the start; our own stop is never taken for somebody else's."""
    await held(desk)
    desk.broker.drop_updates = 99
    desk.broker.script("replace_order", Fault.HELD_AFTER)
    desk.clock.set(desk.clock.now().replace(hour=19, minute=55))
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    await desk.kill()
    desk.broker.drop_updates = 0
    await desk.start()
    stop = await desk.one(Purpose.STOP)
    assert (stop.time_in_force.value, stop.state) == ("gtc", IntentState.ACKED)
    assert (await desk.position()).protection == "active"
    assert len(desk.resting()) == 1
    assert await desk.halts() == []


async def test_a_leg_that_woke_and_ended_at_the_close_halts_nothing(make_desk: Any) -> None:
    """The entry filled in the last minute; when its leg is heard of, the close has ended it: a new stop takes over."""
    close = OPEN + timedelta(hours=6, minutes=30)
    price = [Decimal(each) for each in ("100", "100.5", "99.5", "100")]
    desk = make_desk(
        bars=[
            Bar(symbol, start, start + MINUTE, *price, Decimal(100_000))
            for start in (OPEN, close - MINUTE)
            for symbol in ("BAC", "IBM", "SPY")
        ]
    )
    desk.broker.tick(OPEN + MINUTE)
    desk.clock.set(close - MINUTE)
    await desk.start()
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    await desk.enter(valid_secs=300)
    desk.broker.tick(close)
    await desk.settled()
    position = await desk.position()
    assert await desk.halts() == []
    assert (position.quantity, position.protection) == (10, "active")
    assert [order.time_in_force.value for order in desk.resting()] == ["gtc"]

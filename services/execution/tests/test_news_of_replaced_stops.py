"""What is heard of a stop and its replacement comes late, in another order, or not at all (order protocol, points 11
and 12): nothing that protects is cancelled for it, and nothing is placed beside it (invariants 6, 7, 8 and 11)."""

from typing import Any

import pytest

from holdfast_exchange.orders import Status
from holdfast_exchange.recording import MINUTE
from holdfast_execution.domain.intents import Purpose
from holdfast_runtime import flows
from holdfast_runtime.ports.venue import BrokerOrder
from holdfast_simulation.memory_venue import Fault, MemoryBroker
from services.execution.tests.replaced_stops import (
    SWEEP,
    at_work,
    extended,
    is_sold,
    protects,
    reject,
    statuses,
    stops,
    sweeps,
    takes,
)


async def test_a_rejection_that_overtakes_the_answer_to_the_patch_is_not_lost(make_desk: Any) -> None:
    """The stream told of the rejection of an order that nobody here had heard of yet; then the PATCH's answer came."""
    desk = await at_work(make_desk)
    desk.broker.script("replace_order", Fault.HELD_AFTER)
    desk.broker.drop_updates = 2
    desk.clock.set(SWEEP)
    await desk.until(lambda: statuses(desk) == [Status.PENDING_REPLACE, Status.PENDING_NEW])
    reject(desk)
    await desk.until(lambda: desk.activity.positions[1][flows.TRADE_UPDATES] == desk.broker.position)
    desk.broker.open_gate()
    await desk.settled()
    await protects(desk, 10)


async def test_a_rejected_replacement_whose_patch_had_no_answer_is_found(make_desk: Any) -> None:
    desk = await at_work(make_desk)
    desk.broker.script("replace_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 3)
    desk.broker.drop_updates = 4
    desk.clock.set(SWEEP)
    await desk.until(lambda: statuses(desk) == [Status.PENDING_REPLACE, Status.PENDING_NEW])
    reject(desk)
    await desk.settled()
    await protects(desk, 10)


async def test_the_rejection_that_is_told_before_the_fill_ends_nothing(make_desk: Any) -> None:
    """News in another order: the fill of the old stop is counted, and nothing is placed in its stead."""
    desk = await extended(make_desk, 100)
    desk.broker.drop_updates = 2
    before = len(desk.orders())
    await sweeps(desk, 0)
    assert len(desk.orders()) == before
    await is_sold(desk)


async def filled_unheard(make_desk: Any) -> Any:
    """While nobody listened the old stop filled 2, and the one of 8 took its place."""
    desk = await extended(make_desk, 2, 0, 0)
    desk.broker.drop_updates = 99
    for number in range(3):
        desk.broker.tick(SWEEP + MINUTE * (number + 1))
    assert statuses(desk) == [Status.REPLACED, Status.NEW]
    desk.broker.drop_updates = 0
    return desk


async def test_what_the_old_stop_filled_while_the_stream_was_down_cancels_nothing(make_desk: Any) -> None:
    """The merge counts the fill and knows of the smaller order at once: in between more would seem for sale than is
    held."""
    desk = await filled_unheard(make_desk)
    # The merge stands in the middle, for as long as protection needs to do something about what it sees.
    desk.broker.script("fees", Fault.GATED)
    desk.broker.break_stream()
    await desk.until(lambda: desk.broker.calls[-1] == "fees")
    await desk.pass_secs(1)
    desk.broker.open_gate()
    await desk.settled()
    await protects(desk, 8)
    assert "cancel_order" not in desk.broker.calls


async def test_a_fill_of_an_old_stop_that_no_look_up_finds_is_counted(make_desk: Any) -> None:
    """Invariant 6: an answer of 404 takes no fill away."""
    desk = await filled_unheard(make_desk)
    desk.broker.script("order", *[Fault.ABSENT] * 9)
    desk.broker.break_stream()
    await desk.settled()
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity) == (8, "active", 8)
    assert [order.remaining for order in desk.resting()] == [8]


# --- the old stop's fills


@pytest.mark.parametrize("fault", [Fault.ABSENT, Fault.LOST_BEFORE])
async def test_a_fill_of_the_old_stop_counts_whatever_a_look_up_finds(make_desk: Any, fault: Fault) -> None:
    """What is told of the old stop says enough of the new one: it is about what rests of it."""
    desk = await extended(make_desk, 2, 0, 0)
    for call in ("order", "orders", "fills", "positions"):
        desk.broker.script(call, *[fault] * 40)
    desk.broker.tick(SWEEP + MINUTE)
    await desk.pass_secs(3)
    assert await standing(desk) == (8, "active", 8)
    assert nothing_was_done(desk)
    await sweeps(desk, 1)
    await sweeps(desk, 2)
    await protects(desk, 8)


async def test_a_fill_while_the_answer_to_the_patch_is_on_its_way_is_taken_off_the_new_stop(make_desk: Any) -> None:
    """The answer is older than the fill, which is counted by then; nothing newer can be read."""
    desk = await at_work(make_desk, 2, 0, 0)
    desk.broker.script("replace_order", Fault.HELD_AFTER)
    desk.broker.drop_updates = 2
    desk.clock.set(SWEEP)
    await desk.until(lambda: statuses(desk) == [Status.PENDING_REPLACE, Status.PENDING_NEW])
    desk.broker.tick(SWEEP + MINUTE)
    await all_is_heard(desk)
    desk.broker.script("order", *[Fault.LOST_BEFORE] * 2)
    desk.broker.open_gate()
    await desk.pass_secs(3)
    assert await standing(desk) == (8, "active", 8)
    assert nothing_was_done(desk)


async def test_a_new_stop_that_is_smaller_for_a_fill_nobody_heard_of_leaves_nothing_bare(make_desk: Any) -> None:
    """Of the new stop that is believed which follows from counted fills: 8 of it and 10 held are not 2 bare."""
    desk = await at_work(make_desk, 2, 0, 0)
    desk.broker.script("replace_order", Fault.HELD_AFTER)
    desk.clock.set(SWEEP)
    await desk.until(lambda: statuses(desk) == [Status.PENDING_REPLACE, Status.PENDING_NEW])
    await all_is_heard(desk)
    desk.broker.drop_updates = 1
    desk.broker.tick(SWEEP + MINUTE)
    desk.broker.open_gate()
    await desk.pass_secs(3)
    assert (await standing(desk))[1] == "active"
    assert nothing_was_done(desk)
    desk.broker.break_stream()
    await desk.settled()
    assert await standing(desk) == (8, "active", 8)


async def test_a_patch_that_is_answered_with_less_asks_what_the_old_stop_has_filled(make_desk: Any) -> None:
    """That fill was told to nobody: it counts before the new stop does."""
    desk = await at_work(make_desk, 2, 0, 0)
    takes(desk, 0)
    desk.broker.script("replace_order", Fault.GATED)
    desk.clock.set(SWEEP)
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    desk.broker.drop_updates = 99
    desk.broker.tick(SWEEP + MINUTE)
    desk.broker.open_gate()
    await desk.settled()
    await protects(desk, 8)
    assert nothing_was_done(desk)


# --- a rejection


async def test_a_fill_of_the_old_stop_tells_that_the_replacement_was_rejected(make_desk: Any) -> None:
    """Nobody heard of the rejection; the old stop works on, and is the present one again."""
    desk = await extended(make_desk, 2, 0, 0)
    desk.broker.drop_updates = 2
    reject(desk)
    desk.broker.tick(SWEEP + MINUTE)
    await desk.pass_secs(3)
    await protects(desk, 8)
    assert nothing_was_done(desk)


async def test_one_404_of_the_old_stop_ends_nothing_when_its_replacement_is_rejected(make_desk: Any) -> None:
    """Invariant 11: the intent stays open, and what became of the old stop is asked again."""
    desk = await extended(make_desk)
    desk.broker.script("order", *[Fault.ABSENT] * 3)
    reject(desk)
    await desk.pass_secs(0.1)
    assert (await desk.one(Purpose.STOP)).open
    await desk.pass_secs(10)
    stop = await protects(desk, 10)
    assert stop.leg == 1
    assert nothing_was_done(desk)


async def test_a_404_that_stays_is_asked_about_ever_more_seldom(
    make_desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question without an answer is no loop."""
    desk = await extended(make_desk)
    old, found = stops(desk)[0].id, MemoryBroker.order

    async def order(broker: MemoryBroker, order_id: str) -> BrokerOrder | None:
        told = await found(broker, order_id)
        return None if order_id == old else told

    monkeypatch.setattr(MemoryBroker, "order", order)
    reject(desk)
    await desk.pass_secs(60)
    assert (await desk.one(Purpose.STOP)).open
    assert 4 < desk.broker.calls.count("order") < 60, "two look-ups each time"
    assert nothing_was_done(desk)


async def all_is_heard(desk: Any) -> None:
    """Everything that the stream told is taken over."""
    await desk.until(lambda: desk.activity.positions[1][flows.TRADE_UPDATES] == desk.broker.position)


async def standing(desk: Any) -> tuple[Any, ...]:
    position = await desk.position()
    return position.quantity, position.protection, position.stop_quantity


def nothing_was_done(desk: Any) -> bool:
    """No stop was cancelled, and beside the entry nothing was placed."""
    return "cancel_order" not in desk.broker.calls and len(desk.broker.posts) == 1

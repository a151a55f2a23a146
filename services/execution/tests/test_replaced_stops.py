"""A DAY stop is replaced before the close, and the broker takes its time over it (order protocol, point 12).

The old order may fill meanwhile, in part or whole, and the replacement may be rejected although its PATCH was answered
well: whatever becomes of it, the ledger knows what is for sale, and what is held is protected (invariants 6, 7, 8, 14).
"""

from datetime import timedelta
from typing import Any

import pytest

from holdfast_exchange.orders import Status
from holdfast_exchange.recording import MINUTE
from holdfast_exchange.venue_commands import RejectReplacement
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault
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


async def test_a_rejected_replacement_leaves_the_old_stop_at_work(make_desk: Any) -> None:
    """A successful PATCH does not guarantee the replacement: the stop that lives on is known, and replaced again."""
    desk = await extended(make_desk)
    desk.broker.script("replace_order", *[Fault.REFUSED] * 99)
    reject(desk)
    await desk.until(lambda: desk.broker.calls.count("replace_order") > 1, advancing=True)
    stop, position = await desk.one(Purpose.STOP), await desk.position()
    assert (stop.state, stop.broker_order_id, stop.leg) == (IntentState.ACKED, stops(desk)[0].id, 1)
    assert (stop.time_in_force.value, position.protection, position.stop_quantity) == ("day", "active", 10)
    assert len(desk.broker.posts) == 1, "the entry: nothing is placed beside the stop"


async def test_after_a_rejected_replacement_the_next_one_holds(make_desk: Any) -> None:
    desk = await extended(make_desk)
    reject(desk)
    await desk.settled()
    stop = await protects(desk, 10)
    assert statuses(desk) == [Status.REPLACED, Status.REJECTED, Status.NEW]
    assert stop.client_order_id.endswith("-r2")


@pytest.mark.parametrize("repeated", [False, True])
async def test_what_the_old_stop_fills_meanwhile_is_taken_off_the_new_one(make_desk: Any, repeated: bool) -> None:
    """At no moment does the ledger believe more to be for sale than is held, or less than the broker's order."""
    desk = await extended(make_desk, 2, 0, 0, 100)
    desk.broker.double_updates = repeated
    await sweeps(desk, 0)
    position, stop = await desk.position(), await desk.one(Purpose.STOP)
    assert (position.quantity, position.protection, position.stop_quantity, stop.remaining) == (8, "active", 8, 8)
    assert "cancel_order" not in desk.broker.calls
    await sweeps(desk, 1)
    await sweeps(desk, 2)
    assert statuses(desk) == [Status.REPLACED, Status.NEW]
    await protects(desk, 8)
    await sweeps(desk, 3)
    stop = await desk.one(Purpose.STOP)
    assert (stop.state, stop.quantity, stop.filled_quantity) == (IntentState.FILLED, 10, 10)
    await is_sold(desk)


async def test_an_old_stop_that_filled_in_part_goes_on_when_its_replacement_is_rejected(make_desk: Any) -> None:
    desk = await extended(make_desk, 2, 0)
    await sweeps(desk, 0)
    reject(desk)
    await desk.settled()
    stop = await protects(desk, 8)
    assert (stop.quantity, stop.filled_quantity) == (10, 2)


async def test_a_stop_that_filled_in_part_before_it_is_replaced_is_no_bare_position(make_desk: Any) -> None:
    """The new order is about what is left: that is all of it, and nothing more is placed."""
    desk = await at_work(make_desk, 2, 0)
    takes(desk, 0)
    desk.broker.script("replace_order", Fault.NO_CONNECTION)
    desk.clock.set(SWEEP)
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    desk.broker.tick(SWEEP + MINUTE)
    await desk.settled()
    stop = await protects(desk, 8)
    assert statuses(desk) == [Status.REPLACED, Status.NEW]
    assert (stop.quantity, stop.filled_quantity) == (10, 2)


async def test_an_old_stop_that_fills_whole_ends_both(make_desk: Any) -> None:
    desk = await extended(make_desk, 100)
    await sweeps(desk, 0)
    assert statuses(desk) == [Status.FILLED, Status.REJECTED]
    stop = await desk.one(Purpose.STOP)
    assert (stop.state, stop.quantity, stop.filled_quantity) == (IntentState.FILLED, 10, 10)
    await is_sold(desk)


async def test_an_exit_sells_what_a_rejected_replacement_left_under_the_old_stop(make_desk: Any) -> None:
    """The handover: a replacement on its way refuses the cancel, the old stop takes it."""
    desk = await extended(make_desk, 100)
    await desk.submit(desk.decision(exit_=True, valid_secs=600))
    await desk.pass_secs(2)
    assert (await desk.one(Purpose.STOP)).state is IntentState.CANCELLING
    reject(desk)
    await desk.pass_secs(12)
    assert statuses(desk) == [Status.CANCELED, Status.REJECTED]
    await sweeps(desk, 0)
    await is_sold(desk)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("what", ["rejected", "in part", "whole", "replaced"])
async def test_a_restart_finds_what_became_of_the_replacement(make_desk: Any, known: bool, what: str) -> None:
    """`known`: its PATCH was answered before the crash."""
    desk = await at_work(make_desk, {"in part": 2, "whole": 100}.get(what, 0), 0, 0)
    if not known:
        desk.broker.drop_updates = 99
        desk.broker.script("replace_order", Fault.HELD_AFTER)
    desk.clock.set(SWEEP)
    await desk.until(lambda: statuses(desk) == [Status.PENDING_REPLACE, Status.PENDING_NEW])
    if known:
        await desk.settled()
    await desk.kill()
    desk.broker.drop_updates = 0
    if what == "rejected":
        reject(desk)
    for number in range(3 if what == "replaced" else 1):
        desk.broker.tick(SWEEP + MINUTE * (number + 1))
    takes(desk, 0)
    await desk.start()
    if what == "whole":
        await is_sold(desk)
    elif what != "in part":
        await protects(desk, 10)
    else:
        assert (await desk.position()).stop_quantity == 8
        await sweeps(desk, 1)
        await sweeps(desk, 2)
        await protects(desk, 8)


async def test_a_broker_that_rejects_every_replacement_is_asked_ever_more_seldom(make_desk: Any) -> None:
    """Whether it says no at once or later; what it leaves alone is the stop for the day, which protects on."""
    desk = await at_work(make_desk)
    await rejecting(desk, 60)
    asked = len(stops(desk)) - 1
    assert 5 <= asked <= 8, "0.25 s, then twice as long each time"
    desk.broker.script("replace_order", *[Fault.REFUSED] * 99)
    before = desk.broker.calls.count("replace_order")
    await desk.pass_secs(60)
    assert 1 <= desk.broker.calls.count("replace_order") - before <= 2
    position, stop = await desk.position(), await desk.one(Purpose.STOP)
    assert (position.protection, position.stop_quantity, stop.time_in_force.value) == ("active", 10, "day")


async def test_an_exit_does_not_wait_until_an_extension_is_tried_again(make_desk: Any) -> None:
    """FP-3.4 and the handover: the pause is of the extension alone."""
    desk = await at_work(make_desk)
    desk.broker.script("replace_order", *[Fault.REFUSED] * 99)
    desk.clock.set(SWEEP)
    await desk.pass_secs(20)
    before = desk.monotonic.now_secs()
    await desk.submit(desk.decision(exit_=True, valid_secs=600))
    await desk.until(lambda: statuses(desk) == [Status.CANCELED])
    assert desk.monotonic.now_secs() == before


async def test_a_stop_that_is_never_extended_is_placed_again_after_the_close(make_desk: Any) -> None:
    """The stop for the day ends at the close: the one that takes its place is good till cancelled."""
    desk = await at_work(make_desk)
    desk.broker.script("replace_order", *[Fault.REFUSED] * 999)
    desk.clock.set(SWEEP)
    await desk.pass_secs(20)
    assert (await desk.position()).protection == "active"
    desk.broker.tick(SWEEP + timedelta(minutes=11))
    await desk.settled()
    assert statuses(desk) == [Status.EXPIRED, Status.ACCEPTED]
    await protects(desk, 10)


async def rejecting(desk: Any, secs: int) -> None:
    """The sweep begins, and each replacement is rejected as soon as it is on its way."""
    desk.clock.set(SWEEP)
    for _ in range(secs * 20):
        await desk.pass_secs(0.05)
        for order in stops(desk):
            if order.status is Status.PENDING_REPLACE:
                desk.broker.carry_out(RejectReplacement(desk.clock.now(), order.id))


async def test_an_exit_is_sent_where_only_the_replaced_stop_has_filled_in_part(make_desk: Any) -> None:
    """The old order sold 2 and the price came back: the new one rests unfilled, and an exit does not wait for it
    (SQ-7)."""
    desk = await extended(make_desk, 2, 0, 0, 0, 0, 0, 0)
    desk.broker.tick(SWEEP + MINUTE)
    await desk.pass_secs(5)
    desk.broker.tick(SWEEP + 3 * MINUTE)
    await desk.pass_secs(5)
    assert (await desk.position()).quantity == 8
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(5)
    exit_ = await desk.one(Purpose.EXIT)
    assert (exit_.state, exit_.quantity) == (IntentState.ACKED, 8)
    assert (await desk.one(Purpose.STOP)).state is IntentState.CANCELLED

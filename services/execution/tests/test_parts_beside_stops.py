"""A stop is made smaller for a part, and the broker takes its time over it (order protocol, point 12; SY-2, SQ-7).

The old stop may fill meanwhile, its replacement may be rejected although its PATCH was answered well, and the process
may end: what is held is protected, and no share is sold twice (invariants 6, 7 and 8).
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault
from services.execution.tests.conftest import STRATEGY
from services.execution.tests.part_sales import reduction
from services.execution.tests.replaced_stops import DIP, FLAT, OPEN, reject, stops, takes

PART = 3


def minutes(*dips: int) -> list[Bar]:
    """Two quiet minutes, and then those in each of which so many shares trade below the stop, or none at all; without
    any such they stay quiet."""
    rows: list[tuple[datetime, tuple[str, ...], int]] = [(OPEN, FLAT, 100_000), (OPEN + MINUTE, FLAT, 100_000)]
    later = [(DIP if dip else FLAT, dip) for dip in dips] or [(FLAT, 100_000)] * 5
    rows += [(OPEN + number * MINUTE, prices, volume) for number, (prices, volume) in enumerate(later, 2)]
    return [
        Bar(symbol, start, start + MINUTE, *[Decimal(each) for each in row], Decimal(volume))
        for start, row, volume in rows
        for symbol in ("BAC", "IBM", "SPY")
    ]


async def shrinking(make_desk: Any, *dips: int, secs: int = 3_600) -> Any:
    """Of 10 protected SPY a part of 3 is to be sold; the smaller stop takes its time."""
    desk = make_desk(bars=minutes(*dips))
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    await desk.enter()
    await desk.minute(1)
    takes(desk, secs)
    await desk.submit(reduction(desk))
    await desk.pass_secs(1)
    assert [each.status.value for each in stops(desk)] == ["pending_replace", "pending_new"]
    return desk


def arrives(desk: Any, secs: int = 3_600) -> None:
    """The replacement is carried out after all."""
    desk.broker.tick(desk.clock.now() + timedelta(seconds=secs))


async def protects(desk: Any, quantity: int) -> None:
    """Held, for sale and protected alike here and there."""
    position = await desk.position()
    open_stops = [row for row in await desk.intents() if row.purpose is Purpose.STOP and row.open]
    assert (position.quantity, position.protection, position.stop_quantity) == (quantity, "active", quantity)
    assert desk.broker.exchange.books.held("SPY") == quantity
    known = {row.broker_order_id: row.remaining for row in open_stops}
    assert known == {order.id: order.remaining for order in desk.resting()}
    assert sum(known.values()) == quantity
    assert await desk.halts() == []


@pytest.mark.parametrize("again", [False, True], ids=["heard", "restarted"])
async def test_what_the_old_stop_fills_is_taken_off_the_smaller_one(make_desk: Any, again: bool) -> None:
    """Of 7 that were asked for the broker's order is about 5 once the old one has sold 2: nothing is left bare."""
    desk = await shrinking(make_desk, 2, 0, 0)
    if again:
        await desk.kill()
    desk.broker.tick(OPEN + 3 * MINUTE)
    if again:
        await desk.start(settles=False)
        await desk.verdict()
    await desk.pass_secs(5)
    assert [each.remaining for each in stops(desk)][:2] == [8, 5]
    stop = next(row for row in await desk.intents() if row.purpose is Purpose.STOP)
    assert (stop.filled_quantity, stop.leg_quantity, stop.remaining) == (2, 5, 5)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.NOT_SENT, "the stop sells by itself now"
    arrives(desk)
    await desk.pass_secs(60)
    await protects(desk, 8)


async def test_a_part_of_what_such_a_stop_has_left_is_sold_beside_it(make_desk: Any) -> None:
    """SY-2, point 12: what an order that was replaced has filled is over; nothing is cancelled for the next part."""
    desk = await shrinking(make_desk, 2, 0, 0, secs=30)
    desk.broker.tick(OPEN + 3 * MINUTE)
    await desk.pass_secs(5)
    arrives(desk, 60)
    await desk.pass_secs(10)
    await protects(desk, 8)
    takes(desk, 0)
    again = reduction(desk, 2, valid_secs=600)
    again.signal_id += ".again"
    await desk.submit(again)
    await desk.pass_secs(10)
    assert "cancel_order" not in desk.broker.calls
    assert sum(each.remaining for each in stops(desk) if each.status.value == "new") == 6
    stop = next(row for row in await desk.intents() if row.purpose is Purpose.STOP)
    assert (stop.quantity, stop.filled_quantity, stop.leg_quantity) == (5, 2, 3)
    sale = next(row for row in await desk.intents() if row.purpose is Purpose.REDUCE and row.open)
    assert (sale.state, sale.remaining, (await desk.position()).protection) == (IntentState.ACKED, 2, "active")


async def test_an_old_stop_that_fills_all_that_the_smaller_one_was_about_protects_the_rest(make_desk: Any) -> None:
    """Nothing is left for the replacement, which is rejected: the old stop goes on, and is known to."""
    desk = await shrinking(make_desk, 7, 0, 0)
    desk.broker.tick(OPEN + 3 * MINUTE)
    await desk.pass_secs(60)
    assert [each.status.value for each in stops(desk)][:2] == ["partially_filled", "rejected"]
    await protects(desk, 3)
    assert "cancel_order" not in desk.broker.calls


async def test_a_rejected_smaller_stop_is_asked_for_again_and_the_part_sold(make_desk: Any) -> None:
    desk = await shrinking(make_desk)
    reject(desk)
    await desk.pass_secs(30)
    await desk.minute(3)
    await desk.pass_secs(30)
    assert (await desk.one(Purpose.REDUCE)).filled_quantity == PART
    await protects(desk, 7)


async def test_a_broker_that_goes_on_rejecting_is_asked_ever_more_seldom(make_desk: Any) -> None:
    """Everything is bounded; the whole position is protected meanwhile, and no part is sold."""
    desk = await shrinking(make_desk)
    for _ in range(200):
        for order in stops(desk):
            if order.status.value == "pending_replace":
                reject(desk)
                takes(desk, 3_600)
        await desk.pass_secs(1)
    assert desk.broker.calls.count("replace_order") < 20
    assert (await desk.position()).quantity == 10
    assert sum(each.remaining for each in desk.resting() if each.status.value != "pending_new") == 10


async def dropped(make_desk: Any, secs: int) -> Any:
    """Its strategy was stopped: the part is not sold, and the smaller stop is not in force for `secs` yet."""
    desk = await shrinking(make_desk, secs=secs)
    request = execution.StopStrategyRequest(strategy=STRATEGY, stopped_by="person", note="enough")
    await desk.service.stop_strategy(request)
    await desk.pass_secs(1)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.NOT_SENT
    return desk


@pytest.mark.parametrize("waited_secs", [2, 9, 14, 17])
async def test_no_stop_is_posted_while_the_replaced_one_holds_the_shares(make_desk: Any, waited_secs: int) -> None:
    """Point 12, SY-2: once the replacement is in force, what the part leaves behind has its stop within 5 s."""
    desk = await dropped(make_desk, 20)
    await desk.pass_secs(waited_secs)
    assert len(desk.broker.posts) == 1, "the entry"
    assert sum(each.remaining for each in desk.resting() if each.status.value == "pending_replace") == 10
    arrives(desk, 20)
    await desk.pass_secs(4)
    assert len(desk.broker.posts) == 2
    await protects(desk, 10)


@pytest.mark.parametrize("waited_secs", [2, 9, 14, 17])
async def test_an_exit_does_not_wait_for_a_replacement_that_is_pending(make_desk: Any, waited_secs: int) -> None:
    """SY-2: the pauses of a stop that cannot be placed yet are its own."""
    desk = await dropped(make_desk, 600)
    await desk.pass_secs(waited_secs)
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(0.2)
    assert (await desk.position()).exit_owner == "exit"


async def test_an_answer_about_another_quantity_is_looked_up(make_desk: Any) -> None:
    """Points 6 and 12: the ledger knows the broker's stop of 6, not the 7 that were asked for; what is bare has one."""
    desk = make_desk(bars=minutes())
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    await desk.enter()
    await desk.minute(1)
    desk.broker.script("replace_order", Fault.MISMATCHED)
    await desk.submit(reduction(desk))
    await desk.settled()
    found = desk.broker.calls.index("order_by_client_id", desk.broker.calls.index("replace_order"))
    assert found < desk.broker.calls.index("positions", found)
    await desk.minute(2)
    await desk.pass_secs(2)
    assert sorted(each.remaining for each in desk.resting()) == [1, 6]
    await protects(desk, 7)


@pytest.mark.parametrize("sent", [False, True], ids=["before", "after"])
async def test_a_crash_between_the_smaller_stop_and_the_sale_sells_the_part_once(make_desk: Any, sent: bool) -> None:
    desk = await shrinking(make_desk, secs=10)
    takes(desk, 0)
    desk.broker.script("submit_order", Fault.LOST_AFTER if sent else Fault.LOST_BEFORE)
    arrives(desk, 10)
    await desk.until(lambda: any(call.startswith("submit_order") for call in desk.broker.calls[-2:]), advancing=True)
    await desk.kill()
    await desk.start(settles=False)
    await desk.pass_secs(60)
    await desk.minute(3)
    await desk.pass_secs(10)
    await protects(desk, 7)

"""Nobody knows what became of the sale of a part: it is looked for, and no share is sold twice (SY-2, SQ-7)."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_runtime.ports.venue import OrderType
from holdfast_simulation.memory_venue import Fault
from services.execution.tests.conftest import CLOSE, MINUTE, OPEN, STRATEGY
from services.execution.tests.part_sales import for_sale, held, reduction


async def lost_part(desk: Any, valid_secs: int = 60) -> None:
    """The sale of a part never arrived, and its first look-ups get no answer: a second POST is due soon."""
    await held(desk)
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 2)
    await desk.submit(reduction(desk, valid_secs=valid_secs))
    await desk.until(lambda: len(desk.broker.posts) == 2)


async def only_read(desk: Any) -> None:
    """Its absence is proven, it is not sent again, and what was to be sold has its stop."""
    await desk.pass_secs(100)
    assert len(desk.broker.posts) == 3, "the stop of what was to be sold"
    assert desk.broker.posts[-1].type is OrderType.STOP
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, sale.attempts) == (IntentState.TOMBSTONED, 1)
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "active", 10)


@pytest.mark.parametrize("case", ["expired", "stopped", "closed"])
async def test_a_part_that_nobody_knows_of_is_not_sent_again_out_of_time(desk: Any, case: str) -> None:
    """SY-2, point 8: no longer valid, it is only read."""
    await lost_part(desk, 60 if case == "expired" else 86_400)
    if case == "expired":
        desk.clock.set(desk.clock.now() + timedelta(seconds=61))
    elif case == "stopped":
        request = execution.StopStrategyRequest(strategy=STRATEGY, stopped_by="person", note="enough")
        await desk.service.stop_strategy(request)
    else:
        desk.clock.set(CLOSE)
    await only_read(desk)


async def test_a_part_that_nobody_knows_of_is_not_sent_again_by_a_successor_after_the_close(desk: Any) -> None:
    """SY-2, point 8."""
    await lost_part(desk, 86_400)
    await desk.kill()
    desk.clock.set(CLOSE + timedelta(minutes=10))
    await desk.start(settles=False)
    await only_read(desk)


async def test_a_part_that_nobody_knows_of_is_sent_again_in_time(desk: Any) -> None:
    """SY-2, point 7: under the same client order id."""
    await lost_part(desk)
    await desk.settled()
    assert [post.quantity for post in desk.broker.posts] == [10, 3, 3]
    assert len({post.client_order_id for post in desk.broker.posts[1:]}) == 1
    await desk.minute(2)
    assert (await desk.position()).quantity == 7


async def test_a_part_whose_sale_nobody_knows_of_counts_as_unprotected(desk: Any) -> None:
    """Invariant 7: the alarm of a position without its stop is not silenced by what may be no sale."""
    await held(desk)
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 2)
    await desk.submit(reduction(desk))
    await desk.until(lambda: len(desk.broker.posts) == 2)
    await desk.pass_secs(0.3)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.UNKNOWN
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "pending", 7)
    await desk.settled()
    await desk.minute(2)
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity) == (7, "active", 7)


async def unknown_part(desk: Any, lookups: int = 40) -> None:
    """A position of 10, of which 3 are for sale: nobody knows, and so many look-ups tell nothing."""
    await held(desk)
    await desk.minute(2)
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * lookups)
    desk.broker.drop_updates = 40
    await desk.submit(reduction(desk))
    await desk.until(lambda: len(desk.broker.posts) == 2)
    desk.broker.drop_updates = 0
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.UNKNOWN


async def test_a_sale_of_all_waits_five_seconds_for_a_part_that_nobody_knows_of_and_leaves_that_to_it(
    desk: Any,
) -> None:
    """As for a stop that nobody knows of: what may be for sale is not sold a second time, nothing else waits for it."""
    await unknown_part(desk)
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(3)
    assert len(desk.broker.posts) == 2
    await desk.pass_secs(5)
    assert [post.quantity for post in desk.broker.posts] == [10, 3, 7]
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.UNKNOWN
    assert for_sale(desk) == 10
    await desk.minute(3)
    assert (await desk.position()).quantity == 0
    assert desk.resting() == []
    assert sum(1 for each in await desk.intents() if each.filled_quantity and each.side.value == "sell") == 2


async def test_a_protective_sale_does_not_wait_at_all(desk: Any) -> None:
    """SQ-7: the broker's stop had its time already when the monitor sells."""
    await unknown_part(desk)
    desk.prices.tell(desk.price("SPY", "94"))
    await desk.pass_secs(0.2)
    desk.clock.set(desk.clock.now() + timedelta(seconds=5))
    await desk.pass_secs(0.5)
    assert [post.quantity for post in desk.broker.posts] == [10, 3, 7]


async def test_what_was_left_to_a_part_that_never_arrived_is_sold_all_the_same(desk: Any) -> None:
    """What is asked for is a sale of all."""
    await held(desk)
    desk.broker.script("submit_order", *[Fault.LOST_BEFORE] * 4)
    await desk.submit(reduction(desk))
    await desk.until(lambda: len(desk.broker.posts) == 5, advancing=True)
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(8)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.pass_secs(1)
    assert (await desk.position()).quantity == 3
    await desk.pass_secs(80)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.TOMBSTONED
    await desk.minute(3)
    assert (await desk.position()).quantity == 0
    assert [post.quantity for post in desk.broker.posts] == [10, 3, 3, 3, 3, 7, 3]


async def fires(desk: Any) -> None:
    """The price trades below the stop, and the broker's stop has had its time (SQ-7)."""
    desk.prices.tell(desk.price("SPY", "94"))
    await desk.pass_secs(0.2)
    desk.clock.set(desk.clock.now() + timedelta(seconds=5))
    await desk.pass_secs(0.5)


async def sales(desk: Any, purpose: Purpose = Purpose.FLATTEN) -> list[Any]:
    return [row for row in await desk.intents() if row.purpose is purpose]


async def test_a_protective_sale_that_is_refused_beside_such_a_part_is_one_with_legs(desk: Any) -> None:
    """SY-2, point 10: its sends are counted together, for the alarm (SQ-7); no intent is added each time."""
    await unknown_part(desk)
    desk.broker.script("submit_order", *[Fault.REFUSED] * 12)
    await fires(desk)
    await desk.pass_secs(40)
    found = await sales(desk)
    assert len(found) <= 2, "the first was about all that is held"
    assert max(row.total_attempts for row in found) >= 4
    await desk.pass_secs(40)
    assert [post.quantity for post in desk.broker.posts] == [10, 3, 7]
    assert for_sale(desk) == 10


async def test_the_rest_of_a_sale_of_all_is_asked_for_once(desk: Any) -> None:
    """SY-2: however long the part is of unknown outcome, one further sale waits for it, and ends with it."""
    await unknown_part(desk, 8)
    await fires(desk)
    await desk.pass_secs(40)
    waiting = [row for row in await sales(desk) if row.state is IntentState.PENDING]
    assert len(waiting) == 1
    desk.broker.tick(OPEN + 6 * MINUTE)
    await desk.pass_secs(40)
    assert (await desk.position()).quantity == 0
    assert not [row for row in await sales(desk) if row.open]
    assert sum(row.filled_quantity for row in await sales(desk)) == 7


@pytest.mark.parametrize("seller", ["monitor", "exit"])
async def test_a_sale_of_all_sells_at_most_what_the_part_leaves(desk: Any, seller: str) -> None:
    """SY-2, invariant 8: never what is held and the part as well, however much of the part has filled unheard."""
    await unknown_part(desk, 8)
    desk.broker.drop_updates = 40
    desk.broker.tick(desk.clock.now() + MINUTE)
    desk.broker.drop_updates = 0
    assert desk.broker.exchange.books.held("SPY") == 7, "the part has sold 3, which nobody knows"
    if seller == "monitor":
        await fires(desk)
    else:
        await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(8)
    assert [post.quantity for post in desk.broker.posts] == [10, 3, 7]
    desk.broker.tick(OPEN + 6 * MINUTE)
    await desk.pass_secs(40)
    assert desk.broker.exchange.books.held("SPY") == (await desk.position()).quantity == 0
    assert desk.resting() == []

"""A part of a position is sold beside its stop: the rest stays protected, no share is sold twice (SY-2, SQ-7)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_exchange.holds import Step
from holdfast_exchange.orders import OrderType, Status
from holdfast_exchange.venue_commands import Hold
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault
from services.execution.tests.conftest import CLOSE, STRATEGY, bars_of
from services.execution.tests.part_sales import for_sale, held, reduction


async def test_the_stop_is_made_smaller_by_a_replacement_before_the_part_is_sold(desk: Any) -> None:
    """Order protocol, point 12 and invariant 7: at no moment is the rest without its stop."""
    await held(desk)
    await desk.submit(reduction(desk))
    await desk.settled()
    stop = await desk.one(Purpose.STOP)
    assert (stop.state, stop.leg, stop.stop_price) == (IntentState.ACKED, 1, 95)
    assert (stop.quantity, stop.leg_quantity) == (7, 7)
    assert "cancel_order" not in desk.broker.calls
    replaced_at = desk.broker.calls.index("replace_order")
    read_at = desk.broker.calls.index("positions", replaced_at)
    assert [call.startswith("submit_order") for call in desk.broker.calls[read_at:]].count(True) == 1
    assert for_sale(desk) == 10
    ledger = await desk.service.get_ledger(execution.GetLedgerRequest())
    (told,) = [each for each in ledger.intents if each.intent_id == stop.intent_id]
    known = {*told.past_order_ids, told.broker_order_id}
    assert {order.id for order in desk.orders() if order.type is OrderType.STOP} == known
    await desk.minute(2)
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, sale.filled_quantity) == (IntentState.FILLED, 3)
    assert (position.quantity, position.protection) == (7, "active")
    assert (position.stop_quantity, for_sale(desk)) == (7, 7)


async def test_no_part_is_sold_while_nobody_knows_of_the_replacement(desk: Any) -> None:
    """Never a sale beyond what is held; the whole stop rests meanwhile."""
    await held(desk)
    desk.broker.script("replace_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", Fault.GATED)
    await desk.submit(reduction(desk))
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.PENDING
    assert [order.remaining for order in desk.resting()] == [10]
    desk.broker.open_gate()
    await desk.settled()
    await desk.minute(2)
    assert (await desk.position()).quantity == 7
    assert for_sale(desk) == 7


async def test_a_replacement_that_nobody_hears_of_is_found_and_the_part_sold(desk: Any) -> None:
    await held(desk)
    desk.broker.script("replace_order", Fault.LOST_AFTER)
    await desk.submit(reduction(desk))
    await desk.settled()
    await desk.minute(2)
    stop, position = await desk.one(Purpose.STOP), await desk.position()
    assert (stop.leg, stop.leg_quantity, position.quantity, for_sale(desk)) == (1, 7, 7, 7)


@pytest.mark.parametrize("price", ["100", "94"], ids=["calm", "below the stop"])
async def test_a_stop_that_the_broker_does_not_replace_stays_and_the_part_is_not_sold(desk: Any, price: str) -> None:
    """SY-2, invariant 7: no live stop is cancelled for the sake of a part."""
    await held(desk)
    await desk.minute(2)
    desk.prices.tell(desk.price("SPY", price))
    desk.broker.script("replace_order", Fault.REFUSED)
    await desk.submit(reduction(desk))
    await desk.pass_secs(3)
    sale, stop = await desk.one(Purpose.REDUCE), await desk.one(Purpose.STOP)
    assert (sale.state, sale.reason) == (IntentState.NOT_SENT, "STOP_NOT_REPLACED")
    assert (stop.state, stop.leg, stop.leg_quantity, stop.stop_price) == (IntentState.ACKED, 1, 10, 95)
    assert "cancel_order" not in desk.broker.calls
    assert desk.broker.calls.count("replace_order") == 1
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity, for_sale(desk)) == (10, "active", 10, 10)


async def test_a_part_that_the_replaced_stop_still_holds_is_not_sold_yet(desk: Any) -> None:
    """A replacement takes the broker a while: until then the old stop holds every share."""
    await held(desk)
    desk.broker.exchange.apply(Hold(desk.clock.now(), Step.REPLACE, Decimal(30)))
    await desk.submit(reduction(desk))
    await desk.pass_secs(2)
    assert [each.status for each in desk.resting()] == [Status.PENDING_REPLACE, Status.PENDING_NEW]
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.PENDING
    assert (await desk.position()).protection == "pending"
    desk.broker.tick(desk.clock.now() + timedelta(seconds=30))
    await desk.pass_secs(10)
    await desk.minute(3)
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, sale.leg, sale.total_attempts) == (IntentState.FILLED, 1, 1)
    assert (position.quantity, position.protection, for_sale(desk)) == (7, "active", 7)


async def test_a_stop_that_fires_while_it_is_being_replaced_sells_all(make_desk: Any) -> None:
    """Point 12: the old order may fill first; its replacement is then rejected, and nothing is sold twice."""
    desk = make_desk(SPY=[("100", "100.5", "99.5", "100")] * 2 + [("94", "94", "93", "93.5")] * 5)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    desk.broker.exchange.apply(Hold(desk.clock.now(), Step.REPLACE, Decimal(3_600)))
    await desk.submit(reduction(desk))
    await desk.pass_secs(2)
    assert [each.status for each in desk.resting()] == [Status.PENDING_REPLACE, Status.PENDING_NEW]
    await desk.minute(2)
    await desk.minute(3)
    sale, stop, position = await desk.one(Purpose.REDUCE), await desk.one(Purpose.STOP), await desk.position()
    assert (position.quantity, sale.state) == (0, IntentState.NOT_SENT)
    assert (stop.filled_quantity, stop.open, desk.resting()) == (10, False, [])


async def test_a_part_that_is_bare_until_it_is_sent_counts_as_unprotected(desk: Any) -> None:
    """SY-2, invariant 7: the smaller stop has its answer, the sale of the part has none yet."""
    await held(desk)
    desk.broker.script("positions", Fault.GATED)
    await desk.submit(reduction(desk))
    await desk.until(lambda: "positions" in desk.broker.calls[-1:] and "replace_order" in desk.broker.calls)
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "pending", 7)
    desk.broker.open_gate()
    await desk.settled()
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "active", 7)


async def test_a_part_that_cannot_be_sent_within_five_seconds_has_its_stop_again(desk: Any) -> None:
    """SY-2, invariant 7: no share is without a stop, and not for sale, for longer."""
    await held(desk)
    await desk.minute(2)
    desk.broker.script("positions", *[Fault.LOST_BEFORE] * 40)
    await desk.submit(reduction(desk, valid_secs=600))
    await desk.pass_secs(4)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.PENDING
    await desk.pass_secs(2)
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, sale.reason, sale.attempts) == (IntentState.NOT_SENT, "PART_NOT_SOLD", 0)
    assert (position.quantity, position.protection, position.stop_quantity, for_sale(desk)) == (10, "active", 10, 10)


async def test_a_refused_part_is_protected_again(desk: Any) -> None:
    await held(desk)
    desk.broker.script("submit_order", Fault.REFUSED)
    await desk.submit(reduction(desk))
    await desk.settled()
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, sale.leg) == (IntentState.REJECTED, 1)
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "active", 10)
    assert for_sale(desk) == 10


async def test_a_crash_in_the_middle_goes_on_from_what_was_stored(desk: Any) -> None:
    await held(desk)
    desk.broker.script("positions", Fault.GATED)
    await desk.submit(reduction(desk))
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    await desk.until(lambda: "positions" in desk.broker.calls[desk.broker.calls.index("replace_order") :])
    await desk.kill()
    desk.broker.open_gate()
    await desk.start()
    await desk.minute(2)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.FILLED
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity) == (7, "active", 7)


async def test_what_was_not_sold_in_time_is_not_sold(desk: Any) -> None:
    """Its size rests on a price of then."""
    await held(desk)
    await desk.kill()
    await desk.start(settles=False)
    await desk.settled()
    desk.broker.script("replace_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", Fault.GATED)
    await desk.submit(reduction(desk))
    await desk.until(lambda: "replace_order" in desk.broker.calls)
    desk.clock.set(desk.clock.now() + timedelta(seconds=61))
    desk.broker.open_gate()
    await desk.settled()
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, sale.reason) == (IntentState.NOT_SENT, "CYCLE_EXPIRED")
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "active", 10)


async def test_an_exit_takes_over_from_a_reduction_that_works(desk: Any) -> None:
    """One owner of the exit: what sells everything goes first."""
    await held(desk)
    await desk.submit(reduction(desk))
    await desk.settled()
    answer = await desk.submit(desk.decision(exit_=True))
    assert answer.decisions[0].allowed
    await desk.settled()
    sale = await desk.one(Purpose.REDUCE)
    assert (sale.state, sale.reason) == (IntentState.CANCELLED, "EXIT_TOOK_OVER")
    await desk.minute(2)
    assert (await desk.position()).quantity == 0
    assert desk.resting() == []


async def test_a_stop_that_has_fired_unheard_is_not_cancelled_for_a_part(make_desk: Any) -> None:
    """A stop outranks a sale by schedule: what refuses to be replaced may be selling."""
    bars = bars_of("SPY", [("100", "100.5", "99.5", "100")] * 2, 100_000)
    bars += [replace(each, volume=Decimal(2)) for each in bars_of("SPY", [("94", "94", "93", "93.5")] * 9, 2)[2:]]
    desk = make_desk(bars=bars)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    desk.broker.drop_updates = 1
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    assert 0 < sum(each.filled_quantity for each in desk.resting()) < 10
    assert (await desk.one(Purpose.STOP)).filled_quantity == 0
    desk.broker.script("replace_order", Fault.REFUSED)
    await desk.submit(reduction(desk))
    await desk.settled()
    assert "cancel_order" not in desk.broker.calls
    sale, stop = await desk.one(Purpose.REDUCE), await desk.one(Purpose.STOP)
    assert (sale.state, sale.reason) == (IntentState.NOT_SENT, "STOP_TRIGGERED")
    assert (stop.leg, stop.state) == (1, IntentState.PARTIALLY_FILLED)


async def test_a_part_that_waits_is_not_sold_once_its_strategy_is_stopped(desk: Any) -> None:
    """SQ-10: what was stopped sells no more by itself, and its stop is about all that is held."""
    await held(desk)
    desk.broker.exchange.apply(Hold(desk.clock.now(), Step.REPLACE, Decimal(30)))
    await desk.submit(reduction(desk, valid_secs=600))
    await desk.pass_secs(2)
    await desk.service.stop_strategy(
        execution.StopStrategyRequest(strategy=STRATEGY, stopped_by="person", note="enough")
    )
    await desk.pass_secs(1)
    sale = await desk.one(Purpose.REDUCE)
    assert (sale.state, sale.reason) == (IntentState.NOT_SENT, "STRATEGY_STOPPED")
    desk.broker.tick(desk.clock.now() + timedelta(seconds=30))
    await desk.pass_secs(10)
    position = await desk.position()
    assert (position.quantity, position.protection, position.stop_quantity, for_sale(desk)) == (10, "active", 10, 10)


async def test_a_part_that_waits_holds_no_sale_of_all_up(desk: Any) -> None:
    """Its pauses are its own: they grow to seconds while the order that was replaced is not over."""
    await held(desk)
    desk.broker.exchange.apply(Hold(desk.clock.now(), Step.REPLACE, Decimal(120)))
    await desk.submit(reduction(desk, valid_secs=600))
    await desk.pass_secs(14)
    assert (await desk.one(Purpose.REDUCE)).state is IntentState.PENDING
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(0.1)
    assert (await desk.position()).exit_owner == "exit"


async def test_no_part_is_sold_after_the_close(desk: Any) -> None:
    """It would be sold at the price of another day."""
    await held(desk)
    await desk.at(CLOSE)
    await desk.submit(reduction(desk, valid_secs=600))
    await desk.settled()
    sale = await desk.one(Purpose.REDUCE)
    assert (sale.state, sale.reason) == (IntentState.NOT_SENT, "SESSION_CLOSED")
    assert "replace_order" not in desk.broker.calls
    assert (await desk.position()).stop_quantity == 10


async def test_a_part_of_all_there_is_is_an_exit(desk: Any) -> None:
    await held(desk)
    await desk.submit(reduction(desk, 10))
    await desk.settled()
    await desk.minute(2)
    assert (await desk.one(Purpose.EXIT)).state is IntentState.FILLED
    assert (await desk.position()).quantity == 0


async def test_one_reduction_at_a_time_and_of_what_is_held_and_its_own(desk: Any) -> None:
    answer = await desk.submit(reduction(desk))
    assert answer.decisions[0].reason == "NOTHING_HELD"
    await held(desk)
    first, second = reduction(desk), reduction(desk)
    second.signal_id += ".2"
    answer = await desk.submit(first, second)
    assert sorted(each.reason for each in answer.decisions) == ["ALLOWED", "EXIT_UNDERWAY"]
    late = reduction(desk, valid_secs=-1)
    late.signal_id += ".3"
    assert not (await desk.submit(late)).decisions[0].allowed


@pytest.mark.parametrize("score", [0, 5])
async def test_in_one_batch_what_sells_all_goes_before_a_part(desk: Any, score: int) -> None:
    """SY-2, point 2: whatever their scores, a part is in the way of no exit."""
    await held(desk)
    part, exit_ = reduction(desk), desk.decision(exit_=True)
    part.score.value = score
    answer = await desk.submit(part, exit_)
    assert [each.reason for each in answer.decisions] == ["EXIT_UNDERWAY", "ALLOWED"]
    await desk.settled()
    await desk.minute(2)
    assert (await desk.position()).quantity == 0


async def test_a_stop_that_fires_meanwhile_sells_the_rest_and_the_part_is_sold_once(make_desk: Any) -> None:
    """Invariant 8."""
    desk = make_desk(SPY=[("100", "100.5", "99.5", "100")] * 3 + [("94", "94", "93", "93.5")] * 5)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    desk.broker.script("positions", Fault.GATED)
    await desk.submit(reduction(desk))
    await desk.until(lambda: len(desk.resting()) == 1 and desk.resting()[0].quantity == 7)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker.open_gate()
    await desk.settled()
    sale, position = await desk.one(Purpose.REDUCE), await desk.position()
    assert (sale.state, position.quantity, position.protection) == (IntentState.NOT_SENT, 3, "none")
    await desk.pass_secs(6)
    await desk.minute(5)
    assert (await desk.position()).quantity == 0
    assert desk.resting() == []

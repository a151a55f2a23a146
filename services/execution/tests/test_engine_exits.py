"""One owner of the exit, and protection that outlives everything (order protocol, "One owner", "Protection")."""

from datetime import timedelta
from typing import Any

from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault

FALL = [("100", "100.5", "99.5", "100")] * 3 + [("94", "94", "93", "93.5")] * 5


async def held(desk: Any, **changes: Any) -> None:
    """A protected position of 10 SPY."""
    await desk.enter(**changes)
    await desk.minute(1)
    assert (await desk.position()).quantity == 10


async def test_an_exit_cancels_the_stop_then_sells_what_is_held(desk: Any) -> None:
    await held(desk)
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    stop = await desk.one(Purpose.STOP)
    assert (stop.state, stop.reason) == (IntentState.CANCELLED, "EXIT_TOOK_OVER")
    cancel_at = desk.broker.calls.index("cancel_order")
    sale_at = max(n for n, call in enumerate(desk.broker.calls) if call.startswith("submit_order"))
    assert cancel_at < desk.broker.calls.index("positions", cancel_at) < sale_at
    assert desk.broker.calls[sale_at].endswith("reducing")
    await desk.minute(2)
    position = await desk.position()
    assert (position.quantity, position.protection) == (0, "none")
    assert (await desk.one(Purpose.EXIT)).state is IntentState.FILLED
    assert desk.resting() == []


async def test_a_stop_that_fires_during_the_handover_leaves_nothing_to_sell(make_desk: Any) -> None:
    """Sell at most the remainder (invariant 8)."""
    desk = make_desk(SPY=FALL)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    desk.broker.script("cancel_order", Fault.LOST_BEFORE)
    desk.broker.script("order", Fault.GATED)
    await desk.submit(desk.decision(exit_=True))
    await desk.until(lambda: "cancel_order" in desk.broker.calls)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    desk.broker.open_gate()
    await desk.settled()
    exit_ = await desk.one(Purpose.EXIT)
    assert (exit_.state, exit_.reason) == (IntentState.NOT_SENT, "NOTHING_HELD")
    assert (await desk.one(Purpose.STOP)).state is IntentState.FILLED
    assert (await desk.position()).quantity == 0


async def test_a_lost_cancel_is_asked_for_until_its_end_is_proven(desk: Any) -> None:
    await held(desk)
    desk.broker.script("cancel_order", Fault.LOST_BEFORE)
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    assert (await desk.one(Purpose.STOP)).state is IntentState.CANCELLED
    await desk.minute(2)
    assert (await desk.position()).quantity == 0


async def test_a_refused_sale_arms_the_stop_again(desk: Any) -> None:
    """A crash or a refusal arms the stop again."""
    await held(desk)
    desk.broker.exchange.config = type(desk.broker.exchange.config)(assets={"SPY": {"tradable": False}})
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(3.0)
    exit_ = await desk.one(Purpose.EXIT)
    assert exit_.state is IntentState.REJECTED
    assert exit_.leg == 4
    desk.broker.exchange.config = type(desk.broker.exchange.config)()
    await desk.settled()
    position = await desk.position()
    assert (position.exit_owner, position.protection, position.quantity) == ("stop", "active", 10)
    assert len(desk.resting()) == 1


async def test_a_crash_in_the_middle_of_the_handover_ends_it(desk: Any) -> None:
    await held(desk)
    desk.broker.script("positions", Fault.GATED)
    await desk.submit(desk.decision(exit_=True))
    await desk.until(lambda: desk.resting() == [])
    await desk.kill()
    desk.broker.open_gate()
    await desk.start()
    await desk.minute(2)
    assert (await desk.position()).quantity == 0
    assert (await desk.one(Purpose.EXIT)).state is IntentState.FILLED


async def test_an_exit_with_nothing_held_is_refused_in_the_submit(desk: Any) -> None:
    answer = await desk.submit(desk.decision(exit_=True))
    assert answer.decisions[0].reason == "NOTHING_HELD"


async def test_a_partial_entry_is_cut_and_protected_after_two_seconds(make_desk: Any) -> None:
    """The leg wakes only after the complete fill."""
    desk = make_desk(volume=4)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 4
    assert (await desk.position()).protection == "none"
    await desk.at(desk.clock.now() + timedelta(seconds=2))
    entry, position = await desk.one(Purpose.ENTRY), await desk.position()
    assert (entry.state, entry.reason) == (IntentState.CANCELLED, "ENTRY_PARTIAL")
    assert (position.quantity, position.protection, position.stop_quantity, position.stop_price) == (4, "active", 4, 95)
    resting = desk.resting()
    assert [(order.quantity, order.time_in_force.value) for order in resting] == [(4, "gtc")]


async def test_day_stops_become_gtc_before_the_close(desk: Any) -> None:
    """The sweep: a total outage between fill and stop leaves nothing naked, nor does the night."""
    await held(desk)
    assert (await desk.one(Purpose.STOP)).time_in_force.value == "day"
    close = desk.clock.now().replace(hour=20, minute=0)
    await desk.at(close - timedelta(seconds=601))
    assert (await desk.one(Purpose.STOP)).time_in_force.value == "day"
    await desk.at(close - timedelta(seconds=600))
    stop = await desk.one(Purpose.STOP)
    assert (stop.time_in_force.value, stop.state, stop.leg) == ("gtc", IntentState.ACKED, 1)
    desk.broker.tick(close)
    await desk.settled()
    assert [order.time_in_force.value for order in desk.resting()] == ["gtc"]
    assert (await desk.position()).protection == "active"


async def test_a_replacement_whose_answer_is_lost_is_found(desk: Any) -> None:
    """Point 12."""
    await held(desk)
    desk.broker.script("replace_order", Fault.LOST_AFTER)
    await desk.at(desk.clock.now().replace(hour=19, minute=55))
    stop = await desk.one(Purpose.STOP)
    assert (stop.time_in_force.value, stop.state) == ("gtc", IntentState.ACKED)
    assert len(desk.resting()) == 1


async def test_a_stop_that_ended_is_placed_again(desk: Any) -> None:
    """Invariant 7: within 5 s in session."""
    await held(desk)
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.settled()
    position = await desk.position()
    assert (position.protection, position.stop_quantity) == ("active", 10)
    stop = await desk.one(Purpose.STOP)
    assert (stop.leg, stop.time_in_force.value) == (2, "gtc")


async def test_a_stop_already_through_the_price_means_flatten_now(make_desk: Any) -> None:
    desk = make_desk(SPY=FALL)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    desk.broker.exchange.market.release(desk.clock.now() + timedelta(minutes=2))
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.settled()
    flatten = await desk.one(Purpose.FLATTEN)
    assert (flatten.state, flatten.reason) == (IntentState.ACKED, "STOP_THROUGH_PRICE")


async def test_an_unknown_stop_is_flattened_after_five_seconds(desk: Any) -> None:
    """Held shares and no_shorting arbitrate at the broker."""
    await held(desk)
    desk.broker.script("submit_order", Fault.LOST_BEFORE)
    desk.broker.script("order_by_client_id", *[Fault.LOST_BEFORE] * 30)
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.pass_secs(7.0)
    flatten = await desk.one(Purpose.FLATTEN)
    assert (flatten.state, flatten.reason) == (IntentState.ACKED, "STOP_UNKNOWN")
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.pass_secs(1.0)
    assert (await desk.position()).quantity == 0


async def test_the_monitor_sells_where_the_brokers_stop_stays_unfilled(desk: Any) -> None:
    """Unfilled 5 s after its price traded."""
    await held(desk)
    await desk.minute(2)
    desk.prices.tell(desk.price("SPY", "94"))
    await desk.settled()
    assert len(desk.resting()) == 1
    await desk.at(desk.clock.now() + timedelta(seconds=5))
    flatten = await desk.one(Purpose.FLATTEN)
    assert (flatten.state, flatten.reason) == (IntentState.ACKED, "MONITOR_STOP_UNFILLED")
    assert (await desk.position()).exit_owner == "monitor"
    await desk.minute(3)
    assert (await desk.position()).quantity == 0


async def test_a_stale_feed_suspends_our_triggers_and_leaves_the_brokers_stop(desk: Any) -> None:
    await held(desk)
    await desk.minute(2)
    desk.prices.tell(desk.price("SPY", "94", feed_connected=False))
    await desk.settled()
    await desk.at(desk.clock.now() + timedelta(seconds=10))
    assert [order.type.value for order in desk.resting()] == ["stop"]
    assert [row.purpose for row in await desk.intents()] == [Purpose.ENTRY, Purpose.STOP]


async def test_a_low_from_before_the_position_was_opened_is_no_trigger(desk: Any) -> None:
    await held(desk)
    desk.prices.tell(desk.price("SPY", "94"))
    await desk.settled()
    await desk.at(desk.clock.now() + timedelta(seconds=10))
    assert [order.type.value for order in desk.resting()] == ["stop"]


async def test_an_exit_ends_an_entry_that_still_works(desk: Any) -> None:
    """Nothing is held yet: the entry and its sleeping leg are cancelled, nothing is sold."""
    await desk.enter(limit_price="98")
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    assert desk.resting() == []
    assert (await desk.one(Purpose.ENTRY)).reason == "EXIT_TOOK_OVER"
    assert (await desk.one(Purpose.EXIT)).reason == "NOTHING_HELD"


async def test_the_sale_is_of_what_the_broker_holds(desk: Any) -> None:
    """Read the broker's position again, sell at most the remainder."""
    await held(desk)
    desk.broker.exchange.books.positions["SPY"].quantity -= 3
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    sales = [row for row in await desk.intents() if row.purpose is Purpose.EXIT]
    assert [(row.state, row.reason, row.leg_quantity) for row in sales] == [
        (IntentState.NOT_SENT, "QUANTITY_CHANGED", 10),
        (IntentState.ACKED, "", 7),
    ]


async def test_an_exit_whose_sends_are_used_up_is_buried_and_the_stop_armed_again(desk: Any) -> None:
    """Invariants 4 and 7: no fifth send, and no position that waits for ever without a stop."""
    await held(desk)
    desk.broker.script("submit_order", *[Fault.LOST_BEFORE] * 4)
    await desk.submit(desk.decision(exit_=True))
    await desk.pass_secs(75.0)
    exit_, position = await desk.one(Purpose.EXIT), await desk.position()
    assert (exit_.state, exit_.attempts) == (IntentState.TOMBSTONED, 4)
    assert [halt.kind for halt in await desk.halts()] == ["safety_abort"]
    assert (position.exit_owner, position.protection, position.quantity) == ("stop", "active", 10)


async def test_the_trace_of_the_signal_is_kept_by_its_stop_and_its_flatten(desk: Any) -> None:
    """Acknowledgement, fills, stop and exit continue under the signal's span."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await held(desk, traceparent=parent)
    await desk.broker.cancel_order(desk.resting()[0].id)
    await desk.settled()
    assert {row.traceparent for row in await desk.intents()} == {parent}


async def test_an_exit_after_an_early_close_keeps_the_stop_and_sells_at_the_next_open(make_desk: Any) -> None:
    """TL-3: our table does not know of the close, the broker's clock does."""
    desk = make_desk()
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    desk.broker.closed_until = opens = desk.clock.now() + timedelta(seconds=90)
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    asked = desk.broker.calls.count("clock")
    await desk.minute(2)
    assert (await desk.one(Purpose.EXIT)).state is IntentState.PENDING
    assert ((await desk.position()).protection, len(desk.resting())) == ("active", 1)
    assert desk.broker.calls.count("clock") == asked, "it said when it opens"
    await desk.at(opens)
    await desk.minute(3)
    assert (await desk.position()).quantity == 0

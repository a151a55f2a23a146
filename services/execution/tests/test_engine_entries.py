"""Entries from the decision to the protected position (order protocol, points 1 to 5, "Protection")."""

from datetime import timedelta
from typing import Any

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.domain.intents import IntentState, Purpose


async def test_an_allowed_entry_is_sent_fills_and_is_protected_by_its_own_leg(desk: Any) -> None:
    """Invariant 7; a leg has an id of the broker's making and is found through its parent."""
    await desk.enter()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED
    await desk.minute(1)
    entry, stop, position = await desk.one(Purpose.ENTRY), await desk.one(Purpose.STOP), await desk.position()
    assert entry.state is IntentState.FILLED
    assert (stop.state, stop.stop_price, stop.leg_quantity) == (IntentState.ACKED, 95, 10)
    assert stop.parent_intent_id == entry.intent_id
    assert (position.quantity, position.protection, position.stop_quantity) == (10, "active", 10)
    assert len(desk.broker.posts) == 1


async def test_the_account_begins_with_the_brokers_cash(desk: Any) -> None:
    account = (await desk.snapshot()).account
    assert account.starting_cash.value == "100000"


async def test_a_redelivered_batch_gets_its_stored_decisions_and_sends_nothing_again(desk: Any) -> None:
    """Order protocol, point 2."""
    decision = desk.decision()
    first = await desk.submit(decision)
    await desk.settled()
    again = await desk.submit(decision)
    await desk.settled()
    assert not first.replayed
    assert again.replayed
    assert list(again.decisions) == list(first.decisions)
    assert len(desk.broker.posts) == 1


async def test_an_answer_of_changes_only_names_what_is_stored_otherwise(desk: Any) -> None:
    """Order protocol, point 2: what was stored first comes back whole, what is stored as it came does not."""
    kept, held = desk.decision("IBM"), desk.decision("SPY", limit_price="1000000", quantity=10_000)
    request = execution.SubmitRequest(
        cycle_id=kept.cycle_id, strategy=kept.strategy, decisions=[kept, held], answer_changes_only=True
    )
    request.market_time.CopyFrom(kept.market_time)
    first = await desk.service.submit(request)
    assert [(each.symbol, each.allowed) for each in first.decisions] == [("SPY", False)]
    again = await desk.service.submit(request)
    assert [(each.symbol, each.allowed) for each in again.decisions] == [("IBM", True), ("SPY", False)]
    assert (first.replayed, again.replayed) == (False, True)


async def test_entries_of_one_strategy_go_out_one_a_second_best_score_first(desk: Any) -> None:
    """Control "order rate"."""
    await desk.submit(desk.decision("BAC", score=2.5), desk.decision("IBM", score=4.0), desk.decision("SPY", score=3.0))
    await desk.settled()
    assert [post.symbol for post in desk.broker.posts] == ["IBM"]
    await desk.at(desk.clock.now() + timedelta(seconds=1))
    assert [post.symbol for post in desk.broker.posts] == ["IBM", "SPY"]
    await desk.at(desk.clock.now() + timedelta(seconds=1))
    assert [post.symbol for post in desk.broker.posts] == ["IBM", "SPY", "BAC"]


async def test_an_entry_whose_turn_does_not_come_in_time_is_not_sent(desk: Any) -> None:
    """Reason RATE."""
    await desk.submit(desk.decision("IBM", score=4.0), desk.decision("SPY", valid_secs=1))
    await desk.settled()
    await desk.at(desk.clock.now() + timedelta(seconds=1))
    waited = await desk.one(Purpose.ENTRY, "SPY")
    assert (waited.state, waited.reason) == (IntentState.NOT_SENT, "RATE")
    assert len(desk.broker.posts) == 1


async def test_an_entry_that_did_not_fill_is_cancelled_soon_after_its_validity(desk: Any) -> None:
    """Entries are short-lived by themselves."""
    await desk.enter(limit_price="98")
    await desk.minute(1)
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED
    await desk.at(desk.clock.now() + timedelta(seconds=6))
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.reason) == (IntentState.CANCELLED, "CYCLE_EXPIRED")
    assert desk.resting() == []


async def test_no_entry_while_unreconciled(make_desk: Any) -> None:
    """Invariant 10."""
    desk = make_desk()
    await desk.start(clean=False)
    answer = await desk.submit(desk.decision())
    assert [(each.allowed, each.reason) for each in answer.decisions] == [(False, "RECONCILIATION_STALE")]
    await desk.settled()
    assert desk.broker.posts == []


async def test_the_kill_switch_stops_an_entry_between_submit_and_send(desk: Any) -> None:
    """Halts are checked in the transaction that stores SENDING."""
    from holdfast_runtime.ledger_halts import engage_kill_switch

    await desk.submit(desk.decision("IBM", score=4.0), desk.decision("SPY"))
    await desk.settled()
    engage_kill_switch(desk.url, "paper", "test", "admin", desk.clock.now())
    await desk.at(desk.clock.now() + timedelta(seconds=1))
    stopped = await desk.one(Purpose.ENTRY, "SPY")
    assert (stopped.state, stopped.reason) == (IntentState.NOT_SENT, "KILL_SWITCH_ENGAGED")
    assert [post.symbol for post in desk.broker.posts] == ["IBM"]


async def test_the_kill_switch_cancels_working_entries_and_keeps_stops(desk: Any) -> None:
    """Control "kill switch": ≤ 2 s, protective stops stay."""
    from holdfast_runtime.ledger_halts import engage_kill_switch

    await desk.enter("SPY")
    await desk.minute(1)
    await desk.verdict()
    await desk.enter("IBM", limit_price="98")
    engage_kill_switch(desk.url, "paper", "test", "admin", desk.clock.now())
    await desk.pass_secs(2.0)
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY, "IBM")).reason == "KILL_SWITCH_ENGAGED"
    assert desk.resting("IBM") == []
    assert [order.type.value for order in desk.resting("SPY")] == ["stop"]


async def test_a_standby_answers_who_holds_the_lease(make_desk: Any) -> None:
    """NOT_HOLDER names the holder."""
    import pytest

    from holdfast_runtime.errors import Refused

    desk = make_desk()
    await desk.start()
    await desk.lease.lost()
    with pytest.raises(Refused) as refused:
        await desk.submit(desk.decision())
    assert refused.value.reason == "NOT_HOLDER"

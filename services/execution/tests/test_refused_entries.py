"""A refused entry: retried under ids of its own, shrunk once, skipped, or the end of its strategy (SQ-2; point 10)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_exchange.exchange import ExchangeConfig
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.next_leg import NextLeg, after_refusal
from holdfast_execution.domain.outcomes import FollowUp
from holdfast_execution.rows import EventRow, OrderRow
from holdfast_simulation.memory_venue import Fault

RULES = {
    (FollowUp.RETRY, 1, False): NextLeg.RETRY,
    (FollowUp.RETRY, 3, False): NextLeg.RETRY,
    (FollowUp.RETRY, 4, False): NextLeg.ABORT,
    (FollowUp.CANCEL_OPPOSITE, 2, False): NextLeg.RETRY,
    (FollowUp.HANDOVER, 4, False): NextLeg.ABORT,
    (FollowUp.SHRINK, 1, False): NextLeg.SHRINK,
    (FollowUp.SHRINK, 2, True): NextLeg.SKIP,
    (FollowUp.SHRINK, 4, True): NextLeg.SKIP,
    (FollowUp.SKIP, 4, False): NextLeg.SKIP,
    (FollowUp.FLATTEN, 1, False): NextLeg.SKIP,
}


@pytest.mark.parametrize("case", RULES)
def test_what_becomes_of_a_refused_entry(case: tuple[FollowUp, int, bool]) -> None:
    follow_up, sends, shrunk = case
    assert after_refusal(follow_up, sends=sends, max_retries=3, shrunk=shrunk) is RULES[case]


async def orders_of(desk: Any, intent_id: str) -> list[OrderRow]:
    found: list[OrderRow] = await desk.runner.read(lambda ledger: ledger.orders(intent_id))
    return found


async def story_of(desk: Any, intent_id: str) -> list[tuple[str, int]]:
    """The states that the log tells of, each with its leg."""
    events: list[EventRow] = await desk.runner.read(lambda ledger: ledger.unpublished(1_000))
    facts = [execution.Fact.FromString(event.fact) for event in events if event.aggregate == intent_id]
    return [
        (execution.IntentState.Name(fact.intent.state).removeprefix("INTENT_STATE_"), fact.intent.leg)
        for fact in facts
        if fact.HasField("intent")
    ]


async def test_a_refused_entry_is_sent_again_as_its_next_leg_after_a_pause(desk: Any) -> None:
    desk.broker.script("submit_order", Fault.REFUSED, Fault.REFUSED)
    began = desk.clock.now()
    await desk.submit(desk.decision())
    await desk.settled()
    waiting = await desk.one(Purpose.ENTRY)
    assert (waiting.state, waiting.leg, waiting.reason) == (IntentState.PENDING, 2, "BROKER_OTHER")
    assert waiting.next_attempt_at == began + timedelta(seconds=1)
    await desk.at(waiting.next_attempt_at)
    waiting = await desk.one(Purpose.ENTRY)
    assert (waiting.leg, waiting.next_attempt_at) == (3, began + timedelta(seconds=3))
    await desk.at(began + timedelta(seconds=2))
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.PENDING
    await desk.at(waiting.next_attempt_at)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.attempts, entry.total_attempts) == (IntentState.ACKED, 3, 1, 3)
    legs = await orders_of(desk, entry.intent_id)
    assert [(each.leg, each.attempts) for each in legs] == [(1, 1), (2, 1), (3, 1)]
    assert len({each.client_order_id for each in legs}) == 3
    assert await story_of(desk, entry.intent_id) == [
        ("SENDING", 1), ("REJECTED", 1), ("PENDING", 2),
        ("SENDING", 2), ("REJECTED", 2), ("PENDING", 3),
        ("SENDING", 3), ("ACKED", 3),
    ]  # fmt: skip
    assert await desk.halts() == []


async def until_retry_refused(desk: Any) -> None:
    seen = desk.engine.books
    await desk.until(
        lambda: any(
            (each.state, each.reason) == (IntentState.UNKNOWN, "RETRY_REFUSED") for each in seen.last_seen.intents
        ),
        advancing=True,
    )


async def refuse_until_aborted(desk: Any, secs: int) -> None:
    for _ in range(secs):
        await desk.at(desk.clock.now() + timedelta(seconds=1))


async def test_the_fourth_refusal_aborts_the_strategy(desk: Any) -> None:
    desk.broker.script("submit_order", *[Fault.REFUSED] * 10)
    await desk.submit(desk.decision())
    await refuse_until_aborted(desk, 20)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.total_attempts) == (IntentState.REJECTED, 4, 4)
    (halt,) = await desk.halts()
    assert (halt.kind, halt.strategy, halt.reason) == (
        "safety_abort", "sma", f"ATTEMPTS_EXHAUSTED: {entry.intent_id}",
    )  # fmt: skip
    assert desk.orders() == []
    await desk.verdict()
    (next_one,) = (await desk.submit(desk.decision("IBM"))).decisions
    assert next_one.reason == "STRATEGY_HALTED"


async def test_refusals_are_counted_across_restarts(desk: Any) -> None:
    """SQ-1, SQ-2, invariant 4: over a process that was killed between them."""
    desk.broker.script("submit_order", *[Fault.REFUSED] * 4)
    await desk.submit(desk.decision())
    await desk.settled()
    await desk.kill()
    await desk.start()
    assert (await desk.one(Purpose.ENTRY)).total_attempts == 1
    await refuse_until_aborted(desk, 20)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.total_attempts) == (IntentState.REJECTED, 4, 4)
    assert [halt.kind for halt in await desk.halts()] == ["safety_abort"]


async def test_an_entry_whose_first_send_may_still_arrive_is_sent_no_more_and_given_up_on_proof(desk: Any) -> None:
    """Invariants 1, 2 and 11: a refusal is proof of its own POST alone; meanwhile nothing is bought in its place."""
    desk.broker.script("submit_order", Fault.LATE, Fault.REFUSED)
    await desk.submit(desk.decision())
    await until_retry_refused(desk)
    await desk.pass_secs(75.0)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.total_attempts) == (IntentState.TOMBSTONED, 1, 2)
    assert await desk.halts() == []


async def test_an_entry_that_arrives_after_its_retry_was_refused_is_the_one_that_was_wanted(desk: Any) -> None:
    desk.broker.script("submit_order", Fault.LATE, Fault.REFUSED)
    await desk.submit(desk.decision())
    await until_retry_refused(desk)
    desk.broker.arrive()
    await desk.settled()
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.total_attempts) == (IntentState.ACKED, 1, 2)
    assert len([order for order in desk.orders() if order.parent is None]) == 1


async def test_a_refused_retry_whose_first_send_is_listed_is_that_order(desk: Any) -> None:
    """Invariant 11: two look-ups that find nothing are no evidence while the list of orders has it."""
    desk.broker.drop_updates = 99
    desk.broker.script("submit_order", Fault.LOST_AFTER, Fault.REFUSED)
    desk.broker.script("order_by_client_id", Fault.ABSENT, Fault.ABSENT)
    await desk.submit(desk.decision())
    await refuse_until_aborted(desk, 5)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.total_attempts) == (IntentState.ACKED, 1, 2)
    assert len([order for order in desk.orders() if order.parent is None]) == 1


async def test_an_entry_that_cannot_be_paid_for_is_shrunk_once(desk: Any) -> None:
    """Buying power: what the account can pay at the limit."""
    desk.broker.exchange.books.cash = Decimal(455)
    await desk.submit(desk.decision())
    await refuse_until_aborted(desk, 2)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.quantity, entry.leg_quantity) == (IntentState.ACKED, 2, 10, 4)
    await desk.minute(1)
    position = await desk.position()
    assert (position.quantity, position.stop_quantity, position.protection) == (4, 4, "active")
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.FILLED


async def test_a_shrunk_entry_that_is_refused_again_is_skipped(desk: Any) -> None:
    desk.broker.exchange.books.cash = Decimal(455)
    await desk.submit(desk.decision())
    await desk.settled()
    desk.broker.exchange.books.cash = Decimal(150)
    await refuse_until_aborted(desk, 10)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.reason, entry.leg) == (IntentState.REJECTED, "BROKER_BUYING_POWER", 2)
    assert (desk.orders(), await desk.halts()) == ([], [])


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.UNAUTHORISED])
async def test_without_word_of_the_account_it_is_skipped(desk: Any, fault: Fault) -> None:
    desk.broker.exchange.books.cash = Decimal(455)
    desk.broker.script("account", fault)
    await desk.submit(desk.decision())
    await desk.until(lambda: "account" in desk.broker.calls[-1:])
    for _ in range(20):
        await desk.pass_secs(0.05)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, len(desk.broker.posts)) == (IntentState.REJECTED, 1, 1)


async def test_what_is_not_tradable_is_skipped(desk: Any) -> None:
    """Closed, untradable: no rule has an adjustment that would help."""
    desk.broker.exchange.config = ExchangeConfig(assets={"SPY": {"tradable": False}})
    await desk.submit(desk.decision())
    await refuse_until_aborted(desk, 10)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.reason, entry.leg) == (IntentState.REJECTED, "BROKER_NOT_TRADABLE", 1)
    assert await desk.halts() == []


async def test_no_retry_outlives_its_signal(desk: Any) -> None:
    """Freshness: the second retry would leave two seconds after the first."""
    desk.broker.script("submit_order", *[Fault.REFUSED] * 10)
    await desk.submit(desk.decision(valid_secs=3))
    await refuse_until_aborted(desk, 10)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.leg, entry.reason) == (IntentState.REJECTED, 2, "BROKER_OTHER")
    assert await desk.halts() == []


async def test_an_exit_takes_the_place_of_a_retry_that_waits(desk: Any) -> None:
    """SQ-10: no entry after the signal that ends it."""
    desk.broker.script("submit_order", Fault.REFUSED)
    await desk.submit(desk.decision())
    await desk.settled()
    await desk.submit(desk.decision(exit_=True))
    await refuse_until_aborted(desk, 5)
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.NOT_SENT
    assert desk.orders() == []


async def test_a_halt_ends_a_retry_that_waits(desk: Any) -> None:
    """Control "kill switch": checked in the transaction that would send it."""
    desk.broker.script("submit_order", Fault.REFUSED)
    await desk.submit(desk.decision())
    await desk.settled()
    epoch, now = desk.lease.epoch, desk.clock.now()
    await desk.runner.run(lambda ledger: ledger.add_halt(epoch, now, "kill_switch", "by hand"))
    await refuse_until_aborted(desk, 2)
    entry = await desk.one(Purpose.ENTRY)
    assert (entry.state, entry.reason) == (IntentState.NOT_SENT, "KILL_SWITCH_ENGAGED")
    assert desk.orders() == []

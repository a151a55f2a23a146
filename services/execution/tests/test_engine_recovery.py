"""Crashes, lost and repeated updates, reconnects: the ledger ends as the broker is (points 4 and 11, invariant 14)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast_exchange.orders import Side
from holdfast_exchange.recording import MINUTE, Bar
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_runtime.errors import Retry
from holdfast_simulation.memory_venue import Fault

OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
FAILURES_OF_AN_OUTAGE = 6
"""In a row: after so many no market time waits for a symbol any more."""


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_crash_between_sending_and_the_answer_leaves_one_order(desk: Any, arrived: bool) -> None:
    """A successor treats SENDING as UNKNOWN."""
    desk.broker.script("submit_order", Fault.GATED)
    await desk.submit(desk.decision())
    await desk.until(lambda: any("submit_order" in call for call in desk.broker.calls))
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.SENDING
    await desk.kill()
    if arrived:
        desk.broker.open_gate()
        for _ in range(10):
            await desk.until(lambda: True)
    await desk.start()
    await desk.settled()
    entry = await desk.one(Purpose.ENTRY)
    assert entry.state is IntentState.ACKED
    assert len([order for order in desk.orders() if order.parent is None]) == 1


async def test_what_filled_while_nobody_listened_is_taken_over_at_the_start(desk: Any) -> None:
    await desk.enter()
    await desk.kill()
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.FILLED
    position = await desk.position()
    assert (position.quantity, position.protection) == (10, "active")
    cash = (await desk.snapshot()).account.cash.value
    assert Decimal(cash) == desk.broker.exchange.books.cash


async def test_a_stop_that_filled_in_parts_before_it_was_known_is_counted_part_by_part(make_desk: Any) -> None:
    """Invariant 6: at the prices of the parts, not at their average, which is rounded."""
    rows = (("100", "100.5", "99.5", "100", "100000"),) * 2 + (
        ("94", "94.5", "93", "94", "1"),
        ("93", "93.5", "92", "93", "2"),
        ("92", "92.5", "91", "92", "100000"),
    )
    bars = [
        Bar(symbol, OPEN + MINUTE * n, OPEN + MINUTE * (n + 1), *[Decimal(each) for each in row])
        for n, row in enumerate(rows)
        for symbol in ("BAC", "IBM", "SPY")
    ]
    desk = make_desk(bars=bars)
    desk.broker.tick(OPEN + MINUTE)
    await desk.start()
    desk.broker.script("submit_order", Fault.HELD_AFTER)
    await desk.submit(desk.decision(quantity=7))
    # The stream tells of the entry, and not of its leg; the answer would have.
    await desk.until(lambda: any(row.broker_order_id for row in desk.engine.books.last_seen.intents))
    await desk.kill()
    for number in range(2, 6):
        desk.broker.tick(OPEN + MINUTE * number)
    await desk.start()
    assert (await desk.position()).quantity == desk.broker.exchange.books.held("SPY") == 0
    state = await desk.runner.read(lambda ledger: ledger.ledger_state(OPEN))
    sold = [(fill.quantity, fill.price) for fill in state.fills if fill.side.value == "sell"]
    assert sold == [(each.quantity, each.price) for each in desk.broker.exchange.books.fills if each.quantity < 7]
    assert len(sold) == 3
    cash = (await desk.snapshot()).account.cash.value
    assert Decimal(cash) == desk.broker.exchange.books.cash


async def test_dropped_updates_are_made_good_by_the_reconnect(desk: Any) -> None:
    await desk.enter()
    desk.broker.drop_updates = 10
    await desk.minute(1)
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.ACKED
    desk.broker.drop_updates = 0
    desk.broker.break_stream()
    await desk.settled()
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.FILLED
    assert (await desk.position()).quantity == 10


async def test_updates_that_come_twice_count_once(desk: Any) -> None:
    """Invariant 6."""
    desk.broker.double_updates = True
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 10
    cash = (await desk.snapshot()).account.cash.value
    assert Decimal(cash) == desk.broker.exchange.books.cash


async def test_entries_wait_while_the_stream_is_rebuilt_and_go_on_after(desk: Any) -> None:
    """Point 11: entries locked, merged, unlocked; a passing lock decides for no entry."""
    desk.broker.script("orders", Fault.GATED)
    desk.broker.break_stream()
    await desk.until(lambda: desk.engine.books.locked_reason == "RECONNECTING")
    with pytest.raises(Retry):
        await desk.submit(desk.decision())
    desk.broker.open_gate()
    await desk.settled()
    await desk.enter()
    assert len(desk.broker.posts) == 1


@pytest.mark.parametrize("call", ["cancel_order", "positions", "submit_order"])
async def test_a_sale_leaves_as_soon_as_a_broker_is_back_that_was_away_for_long(desk: Any, call: str) -> None:
    """Invariant 9: it does not wait for what failed before, and until it is sold no market time passes."""
    await desk.enter()
    await desk.minute(1)
    desk.broker.script(call, *[Fault.NO_CONNECTION] * FAILURES_OF_AN_OUTAGE)
    desk.broker.calls.clear()
    await desk.submit(desk.decision(exit_=True))
    while sum(each.startswith(call) for each in desk.broker.calls) < FAILURES_OF_AN_OUTAGE:
        await desk.pass_secs(0.5)
    desk.broker.break_stream()
    await desk.until(lambda: not desk.engine.stream_up)
    await desk.until(lambda: desk.activity.settled)
    assert len([order for order in desk.orders() if order.side is Side.SELL and order.parent is None]) == 1


async def test_a_foreign_order_halts_its_symbol(desk: Any) -> None:
    """Invariant 14: until it is claimed."""
    desk.broker.send_foreign("IBM", Decimal(5), Decimal(90))
    await desk.settled()
    assert [(halt.kind, halt.symbol) for halt in await desk.halts()] == [("foreign_order", "IBM")]
    answer = await desk.submit(desk.decision("IBM", score=2.0), desk.decision("SPY"))
    reasons = {each.symbol: each.reason for each in answer.decisions}
    assert reasons == {"IBM": "SYMBOL_HALTED", "SPY": "ALLOWED"}


async def test_a_standby_takes_over_and_the_former_holder_writes_nothing_more(desk: Any) -> None:
    """Invariant 12."""
    await desk.enter()
    await desk.minute(1)
    await desk.kill()
    await desk.start()
    assert (await desk.position()).protection == "active"
    lease = await desk.runner.read(lambda ledger: ledger.lease())
    assert lease.epoch == 2


async def test_a_restart_does_not_forget_the_entry_rate(desk: Any) -> None:
    """Invariant 16 holds over restarts."""
    await desk.enter("IBM")
    await desk.kill()
    await desk.start()
    await desk.submit(desk.decision("SPY"))
    await desk.settled()
    assert [post.symbol for post in desk.broker.posts] == ["IBM"]
    await desk.at(desk.clock.now() + timedelta(seconds=1))
    assert [post.symbol for post in desk.broker.posts] == ["IBM", "SPY"]


async def test_old_news_of_an_order_that_ended_is_no_zombie(desk: Any) -> None:
    """A look-up that was under way while the end came by the stream."""
    await desk.enter(limit_price="98")
    entry = desk.resting()[0]
    stale = await desk.broker.order(entry.id)
    await desk.broker.cancel_order(entry.id)
    await desk.settled()
    asked = desk.broker.calls.count("cancel_order")
    await desk.engine.merger.take(stale, [])
    assert (await desk.one(Purpose.ENTRY)).state is IntentState.CANCELLED
    assert desk.broker.calls.count("cancel_order") == asked


async def test_a_first_part_that_nobody_told_of_is_counted_with_the_second(make_desk: Any) -> None:
    """Invariants 6 and 7: the total of a later fill says that an earlier one is missing: its detail is asked for,
    though the order is complete and no connection was lost (found by the simulation)."""
    desk = make_desk(volume=5)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await desk.enter(quantity=10, valid_secs=600)
    desk.broker.drop_updates = 1
    for _ in range(2):
        desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.settled()

    entry = await desk.one(Purpose.ENTRY)
    assert entry.state is IntentState.FILLED
    assert (await desk.position()).quantity == 10
    assert (await desk.position()).protection == "active"

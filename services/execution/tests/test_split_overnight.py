"""A split while shares are held: what the broker adjusts is taken over, and nothing is sold for it (invariant 6, 9)."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

from holdfast_exchange.account_commands import Announce
from holdfast_exchange.corporate_actions import ActionKind, CorporateAction
from holdfast_exchange.faults.commands import ScalePrices
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_simulation.memory_venue import Fault
from services.execution.tests.replaced_stops import SWEEP, at_work, takes


def split(desk: Any, new: int = 7, old: int = 1) -> None:
    """The venue splits SPY now, and its prices follow."""
    now = desk.clock.now()
    action = CorporateAction(
        kind=ActionKind.FORWARD_SPLIT if new > old else ActionKind.REVERSE_SPLIT,
        symbol="SPY",
        ex_date=now.date(),
        old_rate=Decimal(old),
        new_rate=Decimal(new),
    )
    desk.broker.carry_out(Announce(now, action))
    factor = Decimal(old) / Decimal(new)
    desk.broker.carry_out(ScalePrices(now, "SPY", factor, now + timedelta(days=30)))


async def held(desk: Any) -> None:
    """A protected position of 10 SPY at 100 dollars, its stop good till cancelled."""
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 10


async def trades_on(desk: Any) -> None:
    """Minutes go by, and the monitor sees the prices in new shares."""
    for minute in (2, 3):
        await desk.minute(minute)
        desk.prices.tell(desk.price("SPY", str(desk.broker.exchange.market.price("SPY"))))
        await desk.settled()
        await desk.at(desk.clock.now() + timedelta(seconds=10))


async def agrees(desk: Any) -> None:
    position, exchange = await desk.position(), desk.broker.exchange
    assert position.quantity == exchange.books.held("SPY")
    account = await desk.runner.read(lambda ledger: ledger.account())
    assert account.cash == exchange.books.cash


async def test_position_and_stop_follow_a_forward_split(desk: Any) -> None:
    await held(desk)
    cost = (await desk.position()).cost
    split(desk)
    await desk.settled()
    position = await desk.position()
    assert position.quantity == 70
    assert position.cost == cost
    assert position.realised_pnl == 0
    assert position.protection == "active"
    assert position.stop_price == Decimal("13.57")
    assert position.stop_quantity == 70
    stop = await desk.one(Purpose.STOP)
    assert (stop.state, stop.leg_quantity, stop.stop_price) == (IntentState.ACKED, 70, Decimal("13.57"))
    await trades_on(desk)
    assert [order.id for order in desk.resting()] == [stop.broker_order_id], "no sale, no second stop"
    await agrees(desk)


async def test_a_reverse_split_is_protected_anew_at_the_price_in_new_shares(desk: Any) -> None:
    await held(desk)
    split(desk, new=1, old=5)
    await desk.settled()
    position = await desk.position()
    assert position.quantity == 2
    assert position.protection == "active"
    assert position.stop_price == 475
    await trades_on(desk)
    assert [(order.quantity, order.stop_price) for order in desk.resting()] == [(2, 475)]
    await agrees(desk)


async def test_a_fraction_that_is_paid_out_is_counted(desk: Any) -> None:
    await held(desk)
    split(desk, new=1, old=4)
    await desk.settled()
    assert (await desk.position()).quantity == 2
    await agrees(desk)


async def test_a_split_while_nobody_ran_is_found_at_the_start(desk: Any) -> None:
    await held(desk)
    await desk.kill()
    split(desk)
    await desk.start()
    position = await desk.position()
    assert (position.quantity, position.protection) == (70, "active")
    assert position.stop_price == Decimal("13.57")
    await trades_on(desk)
    assert len(desk.resting()) == 1
    await agrees(desk)


async def test_an_exit_after_the_split_sells_what_is_held_then(desk: Any) -> None:
    await held(desk)
    split(desk)
    await desk.settled()
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    await desk.minute(2)
    assert (await desk.position()).quantity == 0
    await agrees(desk)


async def test_a_dividend_is_counted_when_the_broker_is_read(desk: Any) -> None:
    await held(desk)
    now = desk.clock.now()
    paid = CorporateAction(
        kind=ActionKind.CASH_DIVIDEND, symbol="SPY", ex_date=now.date(), cash=Decimal("0.75"), payable_date=now.date()
    )
    desk.broker.carry_out(Announce(now, paid))
    await desk.settled()
    await desk.engine.merger.merge("cash differs")
    assert (await desk.position()).realised_pnl == Decimal("7.5")
    assert (await desk.position()).stop_price == Decimal("94.25"), "lowered with the price, by the broker"
    await agrees(desk)


async def unheard(desk: Any) -> None:
    """A split of which no news comes."""
    desk.broker.drop_updates = 9
    split(desk)
    await desk.settled()
    desk.broker.drop_updates = 0
    assert (await desk.position()).quantity == 10


async def test_prices_that_fall_by_a_split_that_nobody_told_of_sell_nothing(desk: Any) -> None:
    """Invariant 9: before the monitor sells it asks whether the broker has moved the stop with the prices."""
    await held(desk)
    await unheard(desk)
    await trades_on(desk)
    assert [row.purpose for row in await desk.intents()] == [Purpose.ENTRY, Purpose.STOP]
    position = await desk.position()
    assert (position.quantity, position.stop_price, position.protection) == (70, Decimal("13.57"), "active")
    await agrees(desk)


async def test_a_stop_that_is_due_in_new_shares_is_sold_all_the_same(desk: Any) -> None:
    """Invariant 7: what the broker's stop does not do the monitor does, once it knows what is held."""
    await held(desk)
    await unheard(desk)
    (stop,) = desk.resting()
    await desk.broker.cancel_order(stop.id)
    desk.broker.drop_updates = 0
    await trades_on(desk)
    await desk.minute(5)
    assert (await desk.position()).quantity in (0, 70)
    await agrees(desk)


async def split_and_counted(desk: Any) -> None:
    """Reconciliation was first: the ledger knows of the split before anybody tells of an order."""
    split(desk)
    fees, epoch, now = await desk.broker.fees(since=None), desk.lease.epoch, desk.clock.now()
    await desk.runner.run(lambda ledger: [ledger.apply_fee(epoch, now, fee) for fee in fees])


async def test_a_stop_that_waits_to_be_sent_asks_for_the_price_in_new_shares(desk: Any) -> None:
    """Invariant 7: at the old price it would be refused, and what is held be sold for that."""
    await held(desk)
    desk.broker.script("submit_order", Fault.NO_CONNECTION)
    sent = len(desk.broker.calls)
    (stop,) = desk.resting()
    await desk.broker.cancel_order(stop.id)
    await desk.until(lambda: any(call.startswith("submit_order") for call in desk.broker.calls[sent:]))
    await split_and_counted(desk)
    await desk.settled()
    await trades_on(desk)
    assert sum(order.quantity for order in desk.resting()) == 70
    assert {order.stop_price for order in desk.resting()} == {Decimal("13.57")}
    assert (await desk.position()).protection == "active"
    await agrees(desk)


async def test_a_stop_that_nobody_knows_of_does_not_bring_the_old_price_back(desk: Any) -> None:
    """Invariant 7: what the next stop asks for is the price in new shares, whatever the one before it was sent with."""
    await held(desk)
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", Fault.GATED)
    (stop,) = desk.resting()
    await desk.broker.cancel_order(stop.id)
    desk.broker.drop_updates = 9
    await desk.until(lambda: "order_by_client_id" in desk.broker.calls, advancing=True)
    await split_and_counted(desk)
    desk.clock.set(desk.clock.now() + timedelta(seconds=1))
    for _ in range(50):
        await asyncio.sleep(0)
    assert (await desk.position()).stop_price == Decimal("13.57")
    desk.broker.open_gate()
    await desk.settled()
    position = await desk.position()
    assert (position.quantity, position.stop_price, position.protection) == (70, Decimal("13.57"), "active")
    await agrees(desk)


async def test_a_split_that_a_replaced_stop_tells_of_moves_its_price_once(make_desk: Any) -> None:
    """Invariant 7: the price of the replacement is in new shares. The split, when it was counted after it, moved that
    price a second time, and what was then protected anew had its stop at a seventh of it."""
    desk = await at_work(make_desk)
    takes(desk, 0)
    await unheard(desk)
    desk.broker.drop_updates = 9
    await desk.at(SWEEP)
    stop, position = await desk.one(Purpose.STOP), await desk.position()
    assert (stop.time_in_force.value, stop.stop_price, position.quantity) == ("gtc", Decimal("13.57"), 70)
    await desk.broker.cancel_order(stop.broker_order_id)
    desk.broker.drop_updates = 0
    await desk.engine.merger.merge("orders differ")
    await desk.settled()
    assert [(order.quantity, order.stop_price) for order in desk.resting()] == [(70, Decimal("13.57"))]
    assert (await desk.position()).protection == "active"
    await agrees(desk)


async def test_a_split_before_the_entry_s_answer_came_moves_its_stop_once(desk: Any) -> None:
    """The same of the stop that comes with an entry, of which nobody knew before."""
    desk.broker.script("submit_order", Fault.LOST_AFTER)
    desk.broker.script("order_by_client_id", Fault.GATED)
    desk.broker.drop_updates = 99
    await desk.submit(desk.decision())
    await desk.until(lambda: "order_by_client_id" in desk.broker.calls, advancing=True)
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    split(desk)
    desk.broker.open_gate()
    await desk.until(lambda: desk.engine.books.last_seen.positions.get("SPY") is not None, advancing=True)
    (stop,) = desk.resting()
    await desk.broker.cancel_order(stop.id)
    desk.broker.drop_updates = 0
    await desk.engine.merger.merge("orders differ")
    await desk.settled()
    assert [(order.quantity, order.stop_price) for order in desk.resting()] == [(70, Decimal("13.57"))]
    await agrees(desk)


async def test_a_split_of_what_somebody_else_holds_is_not_counted(desk: Any) -> None:
    """Invariant 6: it would be a position of ours that nobody has bought, and a stop for it."""
    desk.broker.send_foreign("SPY", Decimal(10), Decimal(101))
    await desk.minute(1)
    assert desk.broker.exchange.books.held("SPY") == 10
    split(desk)
    await desk.settled()
    await desk.engine.merger.merge("positions differ")
    row = await desk.runner.read(lambda ledger: ledger.position("SPY"))
    assert row is None or row.quantity == 0
    assert not [each for each in await desk.intents() if each.purpose is Purpose.STOP]


async def test_a_fraction_that_is_paid_out_to_somebody_else_is_no_position(desk: Any) -> None:
    """Invariant 6: the ledger held less than nothing, and then a share that had cost nothing. The cash is real."""
    desk.broker.send_foreign("SPY", Decimal(3), Decimal(101))
    await desk.minute(1)
    cash = desk.broker.exchange.books.cash
    split(desk, new=3, old=2)
    await desk.settled()
    await desk.engine.merger.merge("positions differ")
    row = await desk.position()
    assert (row.quantity, row.cost) == (0, 0)
    account = await desk.runner.read(lambda ledger: ledger.account())
    assert account.realised_pnl == desk.broker.exchange.books.cash - cash > 0
    assert not [each for each in await desk.intents() if each.purpose is Purpose.STOP]

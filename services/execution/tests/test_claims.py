"""A person takes over what the broker holds and the ledger does not know (invariants 6 and 14, FP-4.5)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_exchange.faults.commands import JournalShares, Liquidate
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.domain.positions import Claim, Holding, take_over
from holdfast_reconciliation.domain.comparison import compare
from holdfast_reconciliation.domain.states import BrokerSide, LedgerSide
from holdfast_runtime.errors import Refused
from holdfast_runtime.wire import to_timestamp
from holdfast_simulation.memory_venue import Fault

UNIT, CASH_UNIT = 10**9, 10**8


async def claim(desk: Any, symbol: str = "SPY", **changes: Any) -> execution.ClaimPositionResponse:
    asked = {"strategy": "sma", "claimed_by": "ann", "note": "bought by hand"} | changes
    answer: execution.ClaimPositionResponse = await desk.service.claim_position(
        execution.ClaimPositionRequest(symbol=symbol, **asked)
    )
    return answer


async def refusal(desk: Any, symbol: str = "SPY", **changes: Any) -> Refused:
    """The refusal of a claim, which books nothing."""
    before = await desk.runner.read(lambda ledger: ledger.adjustments())
    with pytest.raises(Refused) as caught:
        await claim(desk, symbol, **changes)
    assert await desk.runner.read(lambda ledger: ledger.adjustments()) == before
    return caught.value


def journal(desk: Any, symbol: str, quantity: int) -> None:
    """Shares come into the account, or leave it, without a trade."""
    desk.broker.carry_out(JournalShares(desk.clock.now(), symbol, Decimal(quantity)))


async def held(desk: Any) -> None:
    """A protected position of 10 SPY."""
    await desk.enter()
    await desk.minute(1)
    assert (await desk.position()).quantity == 10


async def liquidated(desk: Any, *symbols: str) -> None:
    """The broker sells what is held, and execution has found that no stop can be placed for it."""
    for symbol in symbols:
        desk.broker.carry_out(Liquidate(desk.clock.now(), symbol))
    await desk.pass_secs(12)


async def differences(desk: Any) -> list[str]:
    """What reconciliation finds between the ledger and the broker, whatever its age."""
    answer = await desk.service.get_ledger(execution.GetLedgerRequest(since=to_timestamp(desk.clock.now() - WEEK)))
    ledger = LedgerSide.of(answer)
    broker = BrokerSide.of(
        await desk.broker.account(),
        await desk.broker.positions(),
        await desk.broker.orders(open_only=True),
        await desk.broker.fills(since=None),
    )
    found = compare(ledger, broker, now=desk.clock.now(), young=timedelta(0))
    return [f"{each.kind} {each.symbol}" for each in found]


WEEK = timedelta(days=7)


async def test_a_foreign_position_is_claimed_protected_and_the_same_on_both_sides(desk: Any) -> None:
    """Invariants 6, 7 and 14: the ledger holds it at what the broker says it cost, with a stop."""
    journal(desk, "IBM", 7)
    assert "POSITION_DIFFERS IBM" in await differences(desk)
    answer = await claim(desk, "IBM")
    assert (answer.ledger_quantity.value, answer.broker_quantity.value) == ("0", "7")
    booked = answer.adjustment
    assert (booked.kind, booked.symbol, booked.strategy, booked.quantity.value) == ("CLAIM", "IBM", "sma", "7")
    assert booked.description == "claimed by ann: bought by hand"
    await desk.settled()
    position = await desk.position("IBM")
    theirs = desk.broker.exchange.books.positions["IBM"]
    assert (position.quantity, position.average_price, position.strategy) == (7, theirs.average_price, "sma")
    assert (position.protection, position.stop_quantity) == ("active", 7)
    assert [order.quantity for order in desk.resting("IBM")] == [7]
    assert await differences(desk) == []


async def test_the_claim_is_one_fact_with_position_and_account_beside_it(desk: Any) -> None:
    journal(desk, "IBM", 7)
    before = await desk.runner.read(lambda ledger: ledger.version())
    answer = await claim(desk, "IBM")
    rows = await desk.runner.read(lambda ledger: ledger.unpublished(10_000))
    facts = [execution.Fact.FromString(row.fact) for row in rows]
    (told,) = [fact for fact in facts if fact.kind == "adjustment"]
    assert told.adjustment == answer.adjustment
    assert told.aggregate.startswith("claim.IBM.")
    assert {fact.kind for fact in facts if fact.event_id >= told.event_id} >= {"adjustment", "position", "account"}
    assert answer.ledger_version > before


async def test_a_second_claim_finds_nothing(desk: Any) -> None:
    journal(desk, "IBM", 7)
    await claim(desk, "IBM")
    assert (await refusal(desk, "IBM")).reason == "NOTHING_DIFFERS"


async def test_a_dry_run_says_what_would_be_booked_and_books_nothing(desk: Any) -> None:
    journal(desk, "IBM", 7)
    answer = await claim(desk, "IBM", dry_run=True)
    assert (answer.adjustment.adjustment_id, answer.adjustment.quantity.value) == ("", "7")
    assert await desk.runner.read(lambda ledger: ledger.adjustments()) == []
    assert await desk.runner.read(lambda ledger: ledger.position("IBM")) is None


async def test_a_forced_liquidation_is_claimed_for_the_owner_with_the_cash_that_it_brought(desk: Any) -> None:
    """The broker cancelled the stop and sold: what it got is realised, as of a sale of ours."""
    await held(desk)
    await liquidated(desk, "SPY")
    assert {"POSITION_DIFFERS SPY", "CASH_DIFFERS "} <= set(await differences(desk))
    answer = await claim(desk, strategy="")
    proceeds = Decimal(answer.adjustment.cash.value)
    assert (answer.adjustment.strategy, answer.adjustment.quantity.value) == ("sma", "-10")
    await desk.settled()
    position = await desk.position()
    account = await desk.runner.read(lambda ledger: ledger.account())
    assert (position.quantity, position.cost, position.protection) == (0, 0, "none")
    assert position.realised_pnl == proceeds - 1000
    assert account.cash == desk.broker.exchange.books.cash == account.starting_cash + account.realised_pnl
    assert desk.resting() == []
    assert await differences(desk) == []


async def test_a_sale_that_waits_for_liquidated_shares_ends_with_the_claim(desk: Any) -> None:
    await held(desk)
    await desk.submit(desk.decision(exit_=True))
    await desk.settled()
    sale = next(order for order in desk.resting() if order.side.value == "sell")
    await desk.broker.cancel_order(sale.id)
    await liquidated(desk, "SPY")
    await claim(desk)
    await desk.settled()
    assert (await desk.position()).quantity == 0
    assert [row for row in await desk.intents() if row.open] == []


async def test_a_stop_larger_than_what_is_left_is_made_smaller(desk: Any) -> None:
    """Invariant 8: of shares that left the account no stop may sell."""
    await held(desk)
    journal(desk, "SPY", -3)
    answer = await claim(desk)
    assert answer.adjustment.quantity.value == "-3"
    await desk.settled()
    position = await desk.position()
    assert (position.quantity, position.average_price, position.stop_quantity) == (7, 100, 7)
    assert [order.quantity for order in desk.resting()] == [7]
    assert await differences(desk) == []


async def test_what_was_added_is_protected_beside_what_was_held(desk: Any) -> None:
    await held(desk)
    journal(desk, "SPY", 5)
    await claim(desk)
    await desk.settled()
    position = await desk.position()
    theirs = desk.broker.exchange.books.positions["SPY"]
    assert (position.quantity, position.protection, position.stop_quantity) == (15, "active", 15)
    assert position.average_price == theirs.average_price
    assert sum(order.quantity for order in desk.resting()) == 15
    assert await differences(desk) == []


async def test_where_two_positions_were_liquidated_each_claim_books_its_own_cash(desk: Any) -> None:
    """The cash of one is what its own foreign sale brought, not the whole that the account has more."""
    await held(desk)
    await desk.enter("IBM")
    await desk.minute(2)
    await liquidated(desk, "SPY", "IBM")
    sold = {fill.symbol: fill.price * 10 for fill in desk.broker.exchange.books.fills if fill.side.value == "sell"}
    first, second = await claim(desk), await claim(desk, "IBM")
    assert Decimal(first.adjustment.cash.value) == sold["SPY"]
    assert Decimal(second.adjustment.cash.value) == sold["IBM"]
    await desk.settled()
    assert await differences(desk) == []


async def test_a_claimed_position_can_be_sold_by_its_strategy(desk: Any) -> None:
    journal(desk, "IBM", 7)
    await claim(desk, "IBM")
    await desk.settled()
    await desk.submit(desk.decision("IBM", exit_=True))
    await desk.settled()
    await desk.minute(1)
    assert (await desk.position("IBM")).quantity == 0
    assert await differences(desk) == []


# --- refused


async def test_nothing_is_claimed_where_nothing_differs(desk: Any) -> None:
    await held(desk)
    told = await refusal(desk)
    assert (told.reason, "both hold 10 SPY" in str(told)) == ("NOTHING_DIFFERS", True)


async def test_a_fill_that_execution_had_missed_is_taken_over_and_not_claimed(desk: Any) -> None:
    """What the broker can prove is no foreign position."""
    await desk.enter()
    desk.broker.drop_updates = 100
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    assert (await refusal(desk)).reason == "NOTHING_DIFFERS"
    assert (await desk.position()).quantity == 10


async def test_an_order_of_ours_that_is_open_refuses_the_claim(desk: Any) -> None:
    await desk.enter("IBM", limit_price="98")
    journal(desk, "IBM", 7)
    told = await refusal(desk, "IBM")
    assert (told.reason, "entry of IBM is acked" in str(told)) == ("ORDERS_OPEN", True)


async def test_an_order_whose_outcome_is_unknown_refuses_the_claim(desk: Any) -> None:
    desk.broker.script("submit_order", *[Fault.LOST_BEFORE] * 4)
    await desk.submit(desk.decision("IBM"))
    await desk.until(lambda: any(row.state == "unknown" for row in desk.engine.books.last_seen.intents), advancing=True)
    journal(desk, "IBM", 7)
    assert (await refusal(desk, "IBM")).reason == "ORDERS_OPEN"


async def test_a_foreign_order_that_still_works_refuses_the_claim(desk: Any) -> None:
    desk.broker.send_foreign("IBM", Decimal(5), Decimal(90))
    journal(desk, "IBM", 7)
    told = await refusal(desk, "IBM")
    assert (told.reason, "is not ours: cancel it" in str(told)) == ("ORDERS_OPEN", True)


async def test_another_strategys_symbol_is_not_claimed(make_desk: Any) -> None:
    desk = make_desk()
    other = desk.settings.strategies[0].model_copy(update={"id": "rotation"})
    desk.settings = desk.settings.model_copy(update={"strategies": (*desk.settings.strategies, other)})
    desk.broker.tick(desk.clock.now() + timedelta(minutes=1))
    await desk.start()
    await held(desk)
    journal(desk, "SPY", 5)
    told = await refusal(desk, strategy="rotation")
    assert (told.reason, str(told)) == ("SYMBOL_OWNED", "SPY belongs to sma, not to rotation")


@pytest.mark.parametrize(("strategy", "reason"), [("nobody", "STRATEGY_UNKNOWN"), ("", "STRATEGY_MISSING")])
async def test_a_position_that_nobody_owns_needs_a_strategy_that_there_is(
    desk: Any, strategy: str, reason: str
) -> None:
    journal(desk, "IBM", 7)
    assert (await refusal(desk, "IBM", strategy=strategy)).reason == reason


async def test_a_short_position_is_not_claimed(desk: Any) -> None:
    await held(desk)
    desk.broker.exchange.books.positions["SPY"].quantity = Decimal(-2)
    told = await refusal(desk)
    assert (told.reason, "cover it" in str(told)) == ("SHORT_HELD", True)


@pytest.mark.parametrize("call", ["positions", "account", "orders"])
async def test_a_broker_that_cannot_be_read_refuses_the_claim(desk: Any, call: str) -> None:
    journal(desk, "IBM", 7)
    desk.broker.script(call, Fault.LOST_BEFORE)
    told = await refusal(desk, "IBM")
    assert (told.reason, "the broker could not be read" in str(told)) == ("BROKER_UNREADABLE", True)


async def test_a_fill_between_the_look_and_the_booking_is_not_claimed(desk: Any, monkeypatch: Any) -> None:
    """The stop fills while the two sides are compared: the claim is of what is left, never of what the stop sold."""
    await held(desk)
    journal(desk, "SPY", -3)
    stop = await desk.one(Purpose.STOP)
    read = desk.broker.orders
    looked: list[bool] = []

    async def filling(**asked: Any) -> Any:
        found = await read(**asked)
        if asked["open_only"] and not looked:
            looked.append(True)
            await desk.broker.cancel_order(stop.broker_order_id)
        return found

    monkeypatch.setattr(type(desk.broker), "orders", lambda _, **asked: filling(**asked))
    answer = await claim(desk)
    assert answer.adjustment.quantity.value == "-3"
    monkeypatch.undo()
    await desk.settled()
    assert (await desk.position()).stop_quantity == 7
    assert await differences(desk) == []


# --- halts


def verdict(desk: Any, *discrepancies: execution.Discrepancy) -> execution.RecordVerdictRequest:
    state = execution.RECONCILIATION_STATE_DISCREPANT if discrepancies else execution.RECONCILIATION_STATE_CLEAN
    return execution.RecordVerdictRequest(
        verdict=execution.ReconciliationVerdict(
            state=state, market_time=to_timestamp(desk.clock.now()), discrepancies=discrepancies
        )
    )


def found(symbol: str, kind: str = "POSITION_DIFFERS") -> execution.Discrepancy:
    return execution.Discrepancy(kind=kind, symbol=symbol, subject=symbol or "cash", action="halt")


async def test_the_next_clean_verdict_lifts_the_halts_of_what_was_claimed_and_no_other(desk: Any) -> None:
    """Invariant 14: they halt their symbol until claimed; then it trades again."""
    await desk.service.record_verdict(verdict(desk, found("IBM"), found("BAC")))
    journal(desk, "IBM", 7)
    await claim(desk, "IBM")
    assert {halt.symbol for halt in await desk.halts()} == {"IBM", "BAC"}
    await desk.service.record_verdict(verdict(desk))
    assert {halt.symbol for halt in await desk.halts()} == {"BAC"}
    assert desk.engine.books.locked_reason == ""


async def test_a_halt_of_cash_is_lifted_by_a_claim_that_explained_cash(desk: Any) -> None:
    await held(desk)
    await desk.service.record_verdict(verdict(desk, found("", "CASH_DIFFERS")))
    journal(desk, "IBM", 7)
    await claim(desk, "IBM")
    await desk.service.record_verdict(verdict(desk))
    assert [halt.symbol for halt in await desk.halts()] == [""], "this claim moved no cash"
    await liquidated(desk, "SPY")
    await claim(desk)
    await desk.service.record_verdict(verdict(desk))
    assert await desk.halts() == []


async def test_a_foreign_order_that_still_works_keeps_its_halt(desk: Any) -> None:
    journal(desk, "IBM", 7)
    desk.broker.send_foreign("BAC", Decimal(5), Decimal(90))
    await desk.settled()
    assert [halt.kind for halt in await desk.halts()] == ["foreign_order"]
    journal(desk, "BAC", 2)
    assert (await refusal(desk, "BAC")).reason == "ORDERS_OPEN"
    await desk.service.record_verdict(verdict(desk))
    assert [halt.symbol for halt in await desk.halts()] == ["BAC"]


# --- arithmetic


def claimed(quantity: int, cash: int, price: int = 100) -> Claim:
    return Claim(
        quantity=quantity * UNIT, cash=cash * CASH_UNIT, price=price * UNIT, at=5, adjustment_id="claim",
        strategy="sma", book="equity",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("held", "cost", "claim_", "after"),
    [
        pytest.param(0, 0, claimed(7, 0), (7, 700, 700), id="shares that came in are a gain"),
        pytest.param(0, 0, claimed(7, -700), (7, 700, 0), id="shares that were bought by hand cost their price"),
        pytest.param(10, 1000, claimed(-10, 900), (0, 0, -100), id="a liquidation realises what it brought"),
        pytest.param(10, 1000, claimed(-4, 0), (6, 600, -400), id="shares that vanished are a loss"),
        pytest.param(10, 1000, claimed(5, -530, 106), (15, 1530, 0), id="what was added at its price"),
        pytest.param(-5, -500, claimed(8, -960, 120), (3, 360, -100), id="a short that was covered and turned"),
    ],
)
def test_cash_is_starting_cash_and_realised_less_cost(
    held: int, cost: int, claim_: Claim, after: tuple[int, int, int]
) -> None:
    """Invariant 6, to the last unit, whatever is claimed."""
    before = Holding(strategy="sma", quantity=held * UNIT, cost=cost * CASH_UNIT, opened_at=1 if held else None)
    then = take_over(before, claim_)
    assert (then.quantity // UNIT, then.cost // CASH_UNIT, then.realised // CASH_UNIT) == after
    assert then.realised - before.realised - (then.cost - before.cost) == claim_.cash

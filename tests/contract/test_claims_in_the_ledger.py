"""A claim in the ledger, alike on SQLite and on PostgreSQL: position, cash and P&L to the last unit (invariant 6)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.ledger import PositionClaim, StaleFence
from tests.contract.ledger_samples import CASH, MINUTE, NOW, decision, entry, fill

TAKEN = PositionClaim(
    symbol="IBM",
    strategy="sma",
    book="equity",
    quantity=Decimal(7),
    price=Decimal("180.5"),
    cash=Decimal(0),
    description="claimed by ann: bought by hand",
)


def held(ledger: SqlLedger, epoch: int) -> None:
    """10 IBM, bought at 180."""
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.record_ack(epoch, NOW, row.intent_id, "b-1")
    ledger.apply_fill(epoch, NOW, fill())


def test_a_claim_opens_a_position_of_its_strategy(ledger: SqlLedger, epoch: int) -> None:
    before = ledger.version()
    row = ledger.claim_position(epoch, NOW, TAKEN)
    assert (row.kind, row.quantity, row.price, row.at, row.strategy) == ("CLAIM", 7, Decimal("180.5"), NOW, "sma")
    position = ledger.position("IBM")
    assert position is not None
    assert (position.strategy, position.book, position.quantity, position.average_price) == (
        "sma",
        "equity",
        7,
        Decimal("180.5"),
    )
    assert (position.protection, position.exit_owner, position.opened_at) == ("none", "", NOW)
    account = ledger.account()
    assert (account.cash, account.realised_pnl) == (CASH, Decimal("1263.5"))
    assert ledger.version() == before + 1
    assert ledger.has_adjustment(row.adjustment_id)
    assert ledger.adjustments(NOW - MINUTE) == [row]


def test_position_account_and_claim_are_told_by_one_commit(ledger: SqlLedger, epoch: int) -> None:
    seen = {row.event_id for row in ledger.unpublished(1_000)}
    row = ledger.claim_position(epoch, NOW, TAKEN)
    rows = [each for each in ledger.unpublished(1_000) if each.event_id not in seen]
    facts = [execution.Fact.FromString(each.fact) for each in rows]
    assert [fact.kind for fact in facts] == ["adjustment", "position", "account"]
    assert (facts[0].adjustment.adjustment_id, facts[1].position.quantity.value) == (row.adjustment_id, "7")


def test_a_liquidation_leaves_what_it_brought_as_profit_or_loss(ledger: SqlLedger, epoch: int) -> None:
    held(ledger, epoch)
    ledger.set_protection(epoch, NOW, "IBM", "pending", stop_price=Decimal(171), stop_quantity=Decimal(10))
    at = NOW + MINUTE
    ledger.claim_position(epoch, at, replace(TAKEN, quantity=Decimal(-10), cash=Decimal("1779.25"), price=Decimal(180)))
    position, account = ledger.position("IBM"), ledger.account()
    assert position is not None
    assert (position.quantity, position.cost, position.realised_pnl) == (0, 0, Decimal("-20.75"))
    assert (position.protection, position.stop_price, position.stop_quantity) == ("none", None, 0)
    assert account.cash == CASH + account.realised_pnl == Decimal("99979.25")


def test_what_is_added_keeps_owner_and_opening(ledger: SqlLedger, epoch: int) -> None:
    held(ledger, epoch)
    opened = ledger.position("IBM")
    ledger.claim_position(
        epoch, NOW + MINUTE, replace(TAKEN, quantity=Decimal(5), price=Decimal(186), cash=Decimal(-930))
    )
    position, account = ledger.position("IBM"), ledger.account()
    assert opened is not None
    assert position is not None
    assert (position.quantity, position.average_price, position.opened_at) == (15, 182, opened.opened_at)
    assert (account.cash, account.realised_pnl) == (CASH - 2730, 0)


def test_a_fill_that_is_told_late_counts_before_the_claim_as_it_happened(ledger: SqlLedger, epoch: int) -> None:
    """Fills in any order make the same position: the claim stands at its own instant among them."""
    made = decision()
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.record_ack(epoch, NOW, row.intent_id, "b-1")
    ledger.apply_fill(epoch, NOW, fill(quantity="6", cumulative="10", after_secs=2))
    ledger.claim_position(epoch, NOW + MINUTE, replace(TAKEN, quantity=Decimal(-3), cash=Decimal(0)))
    ledger.apply_fill(epoch, NOW + 2 * MINUTE, fill(quantity="4", cumulative="4", after_secs=1))
    position, account = ledger.position("IBM"), ledger.account()
    assert position is not None
    assert (position.quantity, position.cost) == (7, 1260)
    assert account.cash == CASH - 1800 == CASH + account.realised_pnl - position.cost


def test_two_claims_of_one_instant_are_two(ledger: SqlLedger, epoch: int) -> None:
    first, second = ledger.claim_position(epoch, NOW, TAKEN), ledger.claim_position(epoch, NOW, TAKEN)
    assert first.adjustment_id != second.adjustment_id
    position = ledger.position("IBM")
    assert position is not None
    assert position.quantity == 14


def test_a_fence_that_is_over_claims_nothing(ledger: SqlLedger, epoch: int) -> None:
    """Invariant 12."""
    ledger.release_lease(NOW, "pod-a", epoch)
    assert ledger.acquire_lease(NOW + timedelta(seconds=1), "pod-b", ledger.lease())
    with pytest.raises(StaleFence):
        ledger.claim_position(epoch, NOW, TAKEN)
    assert ledger.position("IBM") is None

"""Replacements, on SQLite and on PostgreSQL alike: a chain of orders is one leg (order protocol, point 12)."""

from decimal import Decimal
from typing import Any

import pytest

from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.ledger import IntentRow, NewIntent
from holdfast_runtime.ports.venue import BrokerOrder, OrderType, Side, TimeInForce
from tests.contract.ledger_samples import NOW, decision, entry, fill, verdict


@pytest.fixture
def epoch(ledger: SqlLedger, epoch: int) -> int:
    """Entries may leave: a comparison has found ledger and broker alike."""
    ledger.record_verdict(epoch, NOW, verdict())
    return epoch


def resting_stop(ledger: SqlLedger, epoch: int) -> None:
    """Ten shares that are held, and their stop for the day: the order `b-stop`."""
    made = decision("IBM", quantity="10")
    (row,) = ledger.store_cycle(epoch, NOW, [made], {made.signal_id: entry(made)}).intents
    ledger.claim_send(epoch, NOW, row.intent_id)
    ledger.record_ack(epoch, NOW, row.intent_id, "b-1")
    ledger.apply_fill(epoch, NOW, fill())
    adopted = NewIntent(
        intent_id="stop", signal_id="", strategy="sma", symbol="IBM", side=Side.SELL, purpose=Purpose.STOP,
        quantity=Decimal(10), order_type=OrderType.STOP, time_in_force=TimeInForce.DAY,
        client_order_id="broker-made", stop_price=Decimal(171), broker_order_id="b-stop",
    )  # fmt: skip
    assert ledger.add_intent(epoch, NOW, adopted).state is IntentState.ACKED


def replaced(ledger: SqlLedger, epoch: int, number: int, **changes: Any) -> IntentRow:
    return ledger.record_replacement(
        epoch, NOW, "stop", f"stop-r{number}", f"b-stop-{number}", time_in_force=TimeInForce.GTC, **changes
    )


def test_a_replaced_stop_is_one_leg_and_its_first_order_may_still_fill(ledger: SqlLedger, epoch: int) -> None:
    """Order protocol point 12."""
    resting_stop(ledger, epoch)
    row = replaced(ledger, epoch, 1)
    assert (row.leg, row.broker_order_id, row.time_in_force) == (1, "b-stop-1", TimeInForce.GTC)
    done = ledger.apply_fill(epoch, NOW, fill("b-stop", price="170", after_secs=9))
    assert (done.intent.state, done.late) == (IntentState.FILLED, False)
    assert (done.intent.quantity, done.intent.remaining) == (10, 0)
    assert done.position.quantity == 0
    assert done.position.realised_pnl == Decimal(-100)
    found = ledger.intent_of_order(broker_order_id="b-stop")
    assert found is not None
    assert found.intent_id == "stop"


def test_what_is_for_sale_is_what_the_chain_has_left(ledger: SqlLedger, epoch: int) -> None:
    """Point 12: what the old order has filled before, or fills yet, counts for the intent; the new one is all of the
    rest."""
    resting_stop(ledger, epoch)
    ledger.apply_fill(epoch, NOW, fill("b-stop", "2", "2", price="170", after_secs=9))
    row = replaced(ledger, epoch, 1, quantity=Decimal(8))
    assert row.state is IntentState.PARTIALLY_FILLED, "no state goes back (invariant 13)"
    assert (row.quantity, row.leg_quantity, row.filled_quantity, row.remaining) == (10, 8, 2, 8)
    row = ledger.apply_fill(epoch, NOW, fill("b-stop", "1", "3", price="170", after_secs=10)).intent
    assert (row.quantity, row.leg_quantity, row.filled_quantity, row.remaining) == (10, 7, 3, 7)
    row = replaced(ledger, epoch, 2, quantity=Decimal(4))
    assert (row.quantity, row.leg_quantity, row.filled_quantity, row.remaining) == (7, 4, 3, 4)
    done = ledger.apply_fill(epoch, NOW, fill("b-stop-2", "4", "4", price="170", after_secs=11))
    assert (done.intent.state, done.position.quantity) == (IntentState.FILLED, 3)


def test_an_answer_that_is_older_than_a_fill_makes_the_new_order_no_larger(ledger: SqlLedger, epoch: int) -> None:
    """Point 12: the PATCH was answered with all of the old order, of which 2 have filled since."""
    resting_stop(ledger, epoch)
    ledger.apply_fill(epoch, NOW, fill("b-stop", "2", "2", price="170", after_secs=9))
    row = replaced(ledger, epoch, 1, quantity=Decimal(10))
    assert (row.quantity, row.leg_quantity, row.filled_quantity, row.remaining) == (10, 8, 2, 8)
    row = replaced(ledger, epoch, 2, quantity=Decimal(9))
    assert (row.quantity, row.leg_quantity, row.remaining) == (11, 9, 9), "asked for as larger"


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_in_whatever_order_fills_become_known_the_last_of_a_chain_is_about_the_rest(
    ledger: SqlLedger, epoch: int, order: tuple[int, int]
) -> None:
    """Points 11 and 12: the first filled 2 and the second 3 before anything was heard of it."""
    resting_stop(ledger, epoch)
    replaced(ledger, epoch, 1)
    replaced(ledger, epoch, 2)
    fills = {
        1: fill("b-stop", "2", "2", price="170", after_secs=9),
        2: fill("b-stop-1", "3", "3", price="170", after_secs=10),
    }
    for number in order:
        row = ledger.apply_fill(epoch, NOW, fills[number]).intent
    assert (row.quantity, row.leg_quantity, row.filled_quantity, row.remaining) == (10, 5, 5, 5)
    assert [each.quantity for each in ledger.orders("stop")] == [10, 8, 5]


def test_an_old_order_that_fills_after_the_end_makes_no_intent_larger(ledger: SqlLedger, epoch: int) -> None:
    """Invariant 13: the new order of 8 has filled whole before the 2 of the old one were told of."""
    resting_stop(ledger, epoch)
    replaced(ledger, epoch, 1)
    ledger.apply_fill(epoch, NOW, fill("b-stop-1", "8", "8", price="170", after_secs=10))
    ledger.record_order_state(epoch, NOW, "stop", IntentState.FILLED)
    done = ledger.apply_fill(epoch, NOW, fill("b-stop", "2", "2", price="170", after_secs=9))
    assert (done.late, done.position.quantity) == (True, 0)
    assert (done.intent.quantity, done.intent.filled_quantity, done.intent.leg_quantity) == (10, 10, 10)


def test_a_late_fill_of_an_earlier_leg_takes_nothing_off_the_present_one(ledger: SqlLedger, epoch: int) -> None:
    """Points 10 and 11: the present stop sells all that it was placed for, and its state is its own."""
    resting_stop(ledger, epoch)
    ledger.record_order_state(epoch, NOW, "stop", IntentState.CANCELLED)
    ledger.new_leg(epoch, NOW, "stop", "stop-2")
    done = ledger.apply_fill(epoch, NOW, fill("b-stop", "2", "2", price="170", after_secs=9))
    assert (done.late, done.intent.state) == (True, IntentState.PENDING)
    assert (done.intent.quantity, done.intent.filled_quantity, done.intent.remaining) == (12, 2, 10)


def test_a_rejected_replacement_makes_the_old_order_the_present_one_again(ledger: SqlLedger, epoch: int) -> None:
    """Point 12: a PATCH that was answered well guarantees nothing; what is told twice counts once."""
    resting_stop(ledger, epoch)
    replaced(ledger, epoch, 1, quantity=Decimal(10), stop_price=Decimal(172))
    ledger.apply_fill(epoch, NOW, fill("b-stop", "2", "2", price="170", after_secs=9))
    row = ledger.record_replacement_rejected(epoch, NOW, "stop", "b-stop-1", OLD_STOP)
    assert (row.state, row.leg, row.broker_order_id) == (IntentState.PARTIALLY_FILLED, 1, "b-stop")
    assert (row.quantity, row.leg_quantity, row.remaining) == (10, 10, 8)
    assert (row.time_in_force, row.stop_price) == (TimeInForce.DAY, Decimal(171))
    assert [order.status for order in ledger.orders("stop")] == ["partially_filled", "rejected"]
    version = ledger.version()
    assert ledger.record_replacement_rejected(epoch, NOW, "stop", "b-stop-1", OLD_STOP) == row
    assert ledger.version() == version


def test_a_replacement_that_is_told_of_after_the_next_one_changes_nothing(ledger: SqlLedger, epoch: int) -> None:
    """Point 12: the answers to two PATCHes, and what the stream tells of them, come in any order."""
    resting_stop(ledger, epoch)
    replaced(ledger, epoch, 1)
    second = replaced(ledger, epoch, 2)
    version = ledger.version()
    assert replaced(ledger, epoch, 1) == second
    assert ledger.record_replacement_rejected(epoch, NOW, "stop", "b-stop-1", OLD_STOP) == second
    assert ledger.version() == version


def test_a_stop_that_is_over_takes_no_order_back(ledger: SqlLedger, epoch: int) -> None:
    """Invariant 13."""
    resting_stop(ledger, epoch)
    replaced(ledger, epoch, 1)
    over = ledger.apply_fill(epoch, NOW, fill("b-stop", price="170", after_secs=9)).intent
    assert ledger.record_replacement_rejected(epoch, NOW, "stop", "b-stop-1", OLD_STOP) == over


OLD_STOP = BrokerOrder(
    order_id="b-stop", client_order_id="broker-made", symbol="IBM", side=Side.SELL, quantity=Decimal(10),
    filled_quantity=Decimal(2), filled_average_price=Decimal(170), type="stop", time_in_force="day",
    status="partially_filled", limit_price=None, stop_price=Decimal(171), submitted_at=NOW, updated_at=NOW,
)  # fmt: skip
"""As the broker tells of it once its replacement is rejected."""

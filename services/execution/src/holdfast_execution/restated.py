"""What the broker has made of an order by itself or after a replacement: pure reads of the ledger, and their writes."""

from datetime import datetime

import structlog

from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose
from holdfast_execution.domain.statuses import PENDING_REPLACE, is_over
from holdfast_execution.ledger import Ledger, LedgerReads
from holdfast_execution.rows import IntentRow
from holdfast_runtime.ports.venue import SPLIT, BrokerOrder

log = structlog.get_logger()

CANCELED = "canceled"


# --- in place


def unasked_since(ledger: LedgerReads, *, order: BrokerOrder) -> datetime | None:
    """When the order was made, if the broker tells of it, or of a stop that came with it, what nobody here has asked
    for."""
    row = ledger.intent_of_order(broker_order_id=order.order_id, client_order_id=order.client_order_id)
    if row is not None and row.purpose is Purpose.ENTRY:
        new = [leg for leg in order.legs if ledger.intent_of_order(broker_order_id=leg.order_id) is None]
        return row.created_at if any(leg.stop_price != row.protect_stop_price for leg in new) else None
    if row is None or row.purpose is not Purpose.STOP or row.broker_order_id != order.order_id or row.state in TERMINAL:
        return None
    cancelled = order.status == CANCELED and row.state is not IntentState.CANCELLING
    return row.created_at if cancelled or _differs(row, order) else None


def take_restated(
    ledger: Ledger, epoch: int, now: datetime, row: IntentRow | None, order: BrokerOrder
) -> IntentRow | None:
    """The present order's quantity and prices where the broker has changed them, believed with evidence only."""
    if row is None or not _is_restated(ledger, row, order):
        return row
    log.info("order.restated", intent=row.intent_id, quantity=str(order.quantity), stop_price=str(order.stop_price))
    return ledger.record_restated(
        epoch, now, row.intent_id, order.quantity, limit_price=order.limit_price, stop_price=order.stop_price
    )


def _differs(row: IntentRow, order: BrokerOrder) -> bool:
    if is_over(order):
        return False
    asked = (row.leg_quantity, row.limit_price, row.stop_price)
    return asked != (order.quantity, order.limit_price, order.stop_price)


def _is_restated(ledger: LedgerReads, row: IntentRow, order: BrokerOrder) -> bool:
    """True where the broker has moved a stop's price (for a dividend), or its quantity: it told of a split of the
    symbol since the intent was made. What a replacement is smaller for follows from what the old order has filled."""
    if row.purpose is not Purpose.STOP or row.state in TERMINAL or row.broker_order_id != order.order_id:
        return False
    if not _differs(row, order):
        return False
    if order.quantity == row.leg_quantity:
        return order.stop_price is not None
    return _was_split(ledger, row)


def is_split_of(ledger: LedgerReads, *, intent: IntentRow, order: BrokerOrder) -> bool:
    """True where `order` is the stop that was sent as `intent`, in the quantity that a split has made of it."""
    same = (order.client_order_id, order.symbol, order.side) == (intent.client_order_id, intent.symbol, intent.side)
    return same and intent.purpose is Purpose.STOP and _was_split(ledger, intent)


def _was_split(ledger: LedgerReads, row: IntentRow) -> bool:
    """True where the broker told of a split of the symbol since the intent was made."""
    adjustments = ledger.ledger_state(row.created_at).adjustments
    return any(each.kind == SPLIT and each.symbol == row.symbol for each in adjustments)


# --- by a replacement (order protocol, point 12)


def to_be_replaced(ledger: LedgerReads, *, order: BrokerOrder) -> tuple[IntentRow, str] | None:
    """The open intent whose present order is `order`, and the broker's id of what that was to replace; else None."""
    row = ledger.intent_of_order(broker_order_id=order.order_id)
    if row is None or row.state in TERMINAL or row.broker_order_id != order.order_id:
        return None
    replaced = _replaced_by_present(ledger, row)
    return (row, replaced) if replaced else None


def works_on(row: IntentRow | None, order: BrokerOrder) -> bool:
    """True where the broker tells of an open intent's order as one that works and waits for no replacement, though
    another one is the present order."""
    if row is None or not row.open or is_over(order) or order.status == PENDING_REPLACE:
        return False
    return row.broker_order_id not in ("", order.order_id)


def is_replaced_by(ledger: LedgerReads, *, intent_id: str, order: BrokerOrder) -> bool:
    """True where the intent's present order is the one that was to replace `order`."""
    return _replaced_by_present(ledger, ledger.intent(intent_id)) == order.order_id


def take_back(ledger: Ledger, epoch: int, now: datetime, *, rejected: BrokerOrder, replaced: BrokerOrder) -> None:
    """`replaced` was not replaced, and is the present order of its intent again."""
    row = ledger.intent_of_order(broker_order_id=rejected.order_id)
    if row is not None:
        ledger.record_replacement_rejected(epoch, now, row.intent_id, rejected.order_id, replaced)


def _replaced_by_present(ledger: LedgerReads, row: IntentRow) -> str:
    """The broker's id of the order that the present one replaces; empty where it replaces none."""
    orders = {each.client_order_id: each for each in ledger.orders(row.intent_id)}
    replaced = orders.get(orders[row.client_order_id].replaces)
    return replaced.broker_order_id if replaced is not None else ""

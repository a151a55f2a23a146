"""What a replaced order and the one that takes its place are about together (order protocol, point 12): the quantity
that was asked for, of which the old one may fill a share until it is over."""

from datetime import datetime
from decimal import Decimal

from holdfast_core.money import ZERO
from holdfast_execution.domain.statuses import known_time_in_force
from holdfast_execution.ledger import Ledger
from holdfast_execution.rows import IntentRow
from holdfast_runtime.ports.venue import Broker, BrokerOrder

MAX_READS = 5
"""Of two orders of which one may fill meanwhile."""


async def told_total(broker: Broker, old_id: str, newer: BrokerOrder) -> Decimal | None:
    """The broker's word for both; None where it has none. Each fill of the old one changes both, so they are read until
    the new one stayed as it was. Raises what the broker raises."""
    for _ in range(MAX_READS):
        old = await broker.order(old_id)
        again = await broker.order(newer.order_id)
        if old is None or again is None:
            return None
        if again.quantity == newer.quantity:
            return old.filled_quantity + newer.quantity
        newer = again
    return None


def go_on(
    ledger: Ledger, epoch: int, now: datetime, *, intent: IntentRow, newer: BrokerOrder, total: Decimal | None
) -> None:
    """The intent goes on as `newer`: what the ledger knows that the old order has filled is no part of it, and what it
    learns of later, it takes off then. Without `total` the broker's quantity is believed."""
    quantity = newer.quantity
    if total is not None:
        filled = {each.broker_order_id: each.filled_quantity for each in ledger.orders(intent.intent_id)}
        quantity = max(total - filled[intent.broker_order_id], ZERO)
    ledger.record_replacement(
        epoch,
        now,
        intent.intent_id,
        newer.client_order_id,
        newer.order_id,
        quantity=quantity,
        stop_price=newer.stop_price,
        time_in_force=known_time_in_force(newer.time_in_force),
    )

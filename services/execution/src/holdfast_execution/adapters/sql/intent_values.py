"""Columns of decisions and intents as they are written."""

from functools import cache
from typing import Any

from holdfast.common.v1 import common_pb2 as common
from holdfast_execution.adapters.sql import convert
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.rows import NewIntent


def present_order(wish: NewIntent, attempts: int) -> dict[str, Any]:
    """The order's columns of a new intent, as a query would join them."""
    return {
        "order_attempts": attempts,
        "order_broker_order_id": wish.broker_order_id or None,
        "order_quantity": convert.quantity_units(wish.quantity),
        "order_filled_quantity": 0,
    }


@cache
def direction_word(direction: common.Direction.ValueType) -> str:
    """`enter_long`, `exit_long`."""
    return common.Direction.Name(direction).removeprefix("DIRECTION_").lower()


def changed(**columns: Any) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if value is not None}


def intent_values(wish: NewIntent, account: str, epoch: int, now: int) -> dict[str, Any]:
    return {
        "account": account,
        "intent_id": wish.intent_id,
        "signal_id": wish.signal_id,
        "strategy": wish.strategy,
        "symbol": wish.symbol,
        "book": wish.book,
        "side": wish.side.value,
        # Older code knows no sale of a part, and has to be able to read the row: to it this is a sale.
        "purpose": (Purpose.EXIT if wish.purpose is Purpose.REDUCE else wish.purpose).value,
        "part": wish.purpose is Purpose.REDUCE,
        "state": (IntentState.ACKED if wish.broker_order_id else IntentState.PENDING).value,
        "epoch": epoch,
        "leg": 1,
        "total_attempts": 0,
        "client_order_id": wish.client_order_id,
        "order_type": wish.order_type.value,
        "time_in_force": wish.time_in_force.value,
        "quantity": convert.quantity_units(wish.quantity),
        "limit_price": convert.optional_units(wish.limit_price),
        "stop_price": convert.optional_units(wish.stop_price),
        "protect_stop_price": convert.optional_units(wish.protect_stop_price),
        "reserve_price": convert.optional_units(wish.reserve_price),
        "filled_quantity": 0,
        "filled_cost": 0,
        "counted_quantity": 0,
        "reason": wish.reason,
        "valid_until": convert.optional_micros(wish.valid_until),
        "parent_intent_id": wish.parent_intent_id,
        "traceparent": wish.traceparent,
        "created_at": now,
        "updated_at": now,
    }

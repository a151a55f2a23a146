"""Rows of SQL to rows of the port, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from holdfast_core.money import UNITS_PER_CASH, UNITS_PER_QUANTITY, from_units, to_units
from holdfast_core.schedules import TradeKind
from holdfast_execution.domain.firings import FiringRow, FiringState
from holdfast_execution.domain.intents import IntentState, Purpose
from holdfast_execution.domain.positions import Adjustment, Claim, Execution, average_price, notional
from holdfast_execution.domain.strategies import StrategyState
from holdfast_execution.rows import (
    CLAIM,
    AdjustmentRow,
    FillRow,
    HaltRow,
    IntentRow,
    OrderRow,
    PositionRow,
    StrategyRow,
)
from holdfast_runtime.ledger_halts import from_micros, to_micros
from holdfast_runtime.ports.venue import BrokerAsset, OrderType, Side, TimeInForce

Columns = Mapping[str, Any]


def quantity_units(value: Decimal, *, what: str = "quantity") -> int:
    return to_units(value, UNITS_PER_QUANTITY, what=what)


def optional_units(value: Decimal | None, *, what: str = "price") -> int | None:
    return None if value is None else quantity_units(value, what=what)


def cash_units(value: Decimal, *, what: str = "cash") -> int:
    return to_units(value, UNITS_PER_CASH, what=what)


def quantity(count: int) -> Decimal:
    return from_units(count, UNITS_PER_QUANTITY)


def cash(count: int) -> Decimal:
    return from_units(count, UNITS_PER_CASH)


def optional_quantity(count: int | None) -> Decimal | None:
    return None if count is None else quantity(count)


def optional_instant(count: int | None) -> datetime | None:
    return None if count is None else from_micros(count)


def optional_micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)


def intent_row(row: Columns) -> IntentRow:
    """From `intents` joined with its present order (`order_*` columns)."""
    counted = row["counted_quantity"]
    return IntentRow(
        intent_id=row["intent_id"],
        signal_id=row["signal_id"],
        strategy=row["strategy"],
        symbol=row["symbol"],
        book=row["book"],
        side=Side(row["side"]),
        purpose=Purpose.REDUCE if row["part"] else Purpose(row["purpose"]),
        state=IntentState(row["state"]),
        leg=row["leg"],
        attempts=row["order_attempts"],
        total_attempts=row["total_attempts"],
        client_order_id=row["client_order_id"],
        broker_order_id=row["order_broker_order_id"] or "",
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        quantity=quantity(row["quantity"]),
        leg_quantity=quantity(row["order_quantity"]),
        limit_price=optional_quantity(row["limit_price"]),
        stop_price=optional_quantity(row["stop_price"]),
        protect_stop_price=optional_quantity(row["protect_stop_price"]),
        filled_quantity=quantity(row["filled_quantity"]),
        filled_average_price=quantity(average_price(counted, row["filled_cost"])) if counted else None,
        reason=row["reason"],
        valid_until=optional_instant(row["valid_until"]),
        parent_intent_id=row["parent_intent_id"],
        traceparent=row["traceparent"],
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
    )


def reserved_units(row: Columns) -> int:
    """Units of cash that an entry may still cost, at its limit or at the price it reserves; 0 for any other intent."""
    if row["purpose"] != Purpose.ENTRY.value:
        return 0
    left = max(row["quantity"] - row["filled_quantity"], 0)
    return notional(left, row["reserve_price"] if row["reserve_price"] is not None else row["limit_price"] or 0)


def order_row(row: Columns) -> OrderRow:
    return OrderRow(
        client_order_id=row["client_order_id"],
        intent_id=row["intent_id"],
        leg=row["leg"],
        attempts=row["attempts"],
        broker_order_id=row["broker_order_id"] or "",
        quantity=quantity(row["quantity"]),
        filled_quantity=quantity(row["filled_quantity"]),
        replaces=row["replaces"],
        status=row["status"],
    )


def fill_id(broker_order_id: str, cumulative: int) -> str:
    return f"{broker_order_id}:{quantity(cumulative)}"


def fill_row(row: Columns) -> FillRow:
    return FillRow(
        fill_id=fill_id(row["broker_order_id"], row["cumulative_quantity"]),
        intent_id=row["intent_id"],
        broker_order_id=row["broker_order_id"],
        symbol=row["symbol"],
        strategy=row["strategy"],
        side=Side(row["side"]),
        quantity=quantity(row["quantity"]),
        price=quantity(row["price"]),
        cumulative_quantity=quantity(row["cumulative_quantity"]),
        filled_at=from_micros(row["filled_at"]),
        realised_pnl=cash(row["realised"]),
    )


def execution_of(row: Columns) -> Execution:
    """A row of `fills` for the domain."""
    return Execution(
        broker_order_id=row["broker_order_id"],
        cumulative=row["cumulative_quantity"],
        quantity=row["quantity"],
        price=row["price"],
        buy=row["side"] == Side.BUY.value,
        at=row["filled_at"],
        strategy=row["strategy"],
        book=row["book"],
    )


def adjustment_row(row: Columns) -> AdjustmentRow:
    return AdjustmentRow(
        adjustment_id=row["adjustment_id"],
        kind=row["kind"],
        symbol=row["symbol"],
        strategy=row["strategy"],
        book=row["book"],
        quantity=quantity(row["quantity"]),
        cash=cash(row["cash"]),
        price=optional_quantity(row["price"]),
        at=from_micros(row["adjusted_at"]),
        description=row["description"],
    )


def adjustment_of(row: Columns) -> Adjustment:
    """A row of `adjustments` for the domain."""
    what = {name: row[name] for name in ("quantity", "cash", "adjustment_id")} | {"at": row["adjusted_at"]}
    if row["kind"] != CLAIM:
        return Adjustment(**what)
    return Claim(price=row["price"], strategy=row["strategy"], book=row["book"], **what)


_STEPS = ("min_order_size", "min_trade_increment", "price_increment")


def asset_row(row: Columns) -> BrokerAsset:
    return BrokerAsset(**{**row, **{name: optional_quantity(row[name]) for name in _STEPS}})


def asset_columns(asset: BrokerAsset) -> dict[str, object]:
    return asdict(asset) | {name: optional_units(getattr(asset, name), what=name) for name in _STEPS}


def position_row(row: Columns) -> PositionRow:
    return PositionRow(
        symbol=row["symbol"],
        strategy=row["strategy"],
        book=row["book"],
        quantity=quantity(row["quantity"]),
        average_price=quantity(average_price(row["quantity"], row["cost"])),
        cost=cash(row["cost"]),
        realised_pnl=cash(row["realised"]),
        protection=row["protection"],
        stop_price=optional_quantity(row["stop_price"]),
        stop_quantity=quantity(row["stop_quantity"]),
        exit_owner=row["exit_owner"],
        opened_at=optional_instant(row["opened_at"]),
        updated_at=from_micros(row["updated_at"]),
    )


def strategy_row(row: Columns) -> StrategyRow:
    """What cannot be read fails its strategy, and no other."""
    try:
        return StrategyRow(
            strategy=row["strategy"],
            state=StrategyState(row["state"]),
            last_decided_cycle_time=optional_instant(row["last_decided_cycle_time"]),
            reason=row["reason"],
            set_by=row["set_by"],
            since=optional_instant(row["since"]),
        )
    except (TypeError, ValueError, OverflowError) as error:
        return StrategyRow(
            strategy=row["strategy"],
            state=StrategyState.FAILED,
            last_decided_cycle_time=None,
            reason=f"STATE_UNREADABLE: {error}",
            set_by="execution",
            readable=False,
        )


def firing_row(row: Columns) -> FiringRow:
    return FiringRow(
        firing_id=row["firing_id"],
        strategy=row["strategy"],
        kind=TradeKind(row["kind"]),
        planned_at=from_micros(row["planned_at"]),
        due_at=from_micros(row["due_at"]),
        ends_at=from_micros(row["ends_at"]),
        state=FiringState(row["state"]),
        reason=row["reason"],
    )


def firing_columns(row: FiringRow) -> dict[str, object]:
    instants = {name: to_micros(getattr(row, name)) for name in ("planned_at", "due_at", "ends_at")}
    return asdict(row) | instants | {"kind": row.kind.value, "state": row.state.value}


def halt_row(row: Columns) -> HaltRow:
    return HaltRow(
        halt_id=row["halt_id"],
        kind=row["kind"],
        symbol=row["symbol"],
        strategy=row["strategy"],
        reason=row["reason"],
        set_by=row["set_by"],
        since=from_micros(row["since"]),
        cleared_at=optional_instant(row["cleared_at"]),
        cleared_by=row["cleared_by"],
    )

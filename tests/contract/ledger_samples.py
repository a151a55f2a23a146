"""Decisions, wishes and fills as the ledger's tests need them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.ledger import NewFill, NewIntent
from holdfast_runtime.ports.venue import OrderType, Side, TimeInForce
from holdfast_runtime.wire import to_decimal, to_timestamp

ACCOUNT = "paper"
CASH = Decimal(100_000)
NOW = datetime(2013, 10, 7, 13, 35, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def decision(
    symbol: str = "IBM",
    *,
    allowed: bool = True,
    at: datetime = NOW,
    strategy: str = "sma",
    exit_long: bool = False,
    quantity: str = "10",
    limit: str = "180",
    score: float = 3.0,
    reason: str = "",
) -> gate.Decision:
    direction = common.DIRECTION_EXIT_LONG if exit_long else common.DIRECTION_ENTER_LONG
    word = "exit" if exit_long else "enter"
    made = gate.Decision(
        signal_id=f"{strategy}.{symbol}.{at:%Y%m%dT%H%M%SZ}.{word}",
        cycle_id=f"{strategy}.{at:%Y%m%dT%H%M%SZ}",
        strategy=strategy,
        symbol=symbol,
        book=common.BOOK_EQUITY,
        direction=direction,
        allowed=allowed,
        reason=reason or ("ALLOWED" if allowed else "COOLDOWN_ACTIVE"),
        market_time=to_timestamp(at),
        valid_until=to_timestamp(at + MINUTE),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    made.score.value = score
    if allowed:
        made.quantity.CopyFrom(to_decimal(Decimal(quantity)))
        made.limit_price.CopyFrom(to_decimal(Decimal(limit)))
    return made


def entry(of: gate.Decision) -> NewIntent:
    return NewIntent(
        intent_id=f"{of.signal_id}.entry",
        signal_id=of.signal_id,
        strategy=of.strategy,
        symbol=of.symbol,
        side=Side.BUY,
        purpose=Purpose.ENTRY,
        quantity=Decimal(of.quantity.value),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        client_order_id=f"hf-{of.signal_id}-1",
        limit_price=Decimal(of.limit_price.value),
        protect_stop_price=Decimal("171"),
        valid_until=of.valid_until.ToDatetime(tzinfo=UTC),
        traceparent=of.traceparent,
    )


def sale(
    symbol: str = "IBM", quantity: str = "10", *, name: str = "flat", purpose: Purpose = Purpose.FLATTEN
) -> NewIntent:
    return NewIntent(
        intent_id=f"{symbol}.{name}",
        signal_id="",
        strategy="sma",
        symbol=symbol,
        side=Side.SELL,
        purpose=purpose,
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        client_order_id=f"hf-{symbol}-{name}-1",
    )


def fill(
    order: str = "b-1", quantity: str = "10", cumulative: str = "10", price: str = "180", *, after_secs: int = 1
) -> NewFill:
    return NewFill(
        broker_order_id=order,
        quantity=Decimal(quantity),
        cumulative_quantity=Decimal(cumulative),
        price=Decimal(price),
        filled_at=NOW + timedelta(seconds=after_secs),
    )


def verdict(
    at: datetime = NOW, state: execution.ReconciliationState.ValueType = execution.RECONCILIATION_STATE_CLEAN
) -> execution.ReconciliationVerdict:
    return execution.ReconciliationVerdict(state=state, market_time=to_timestamp(at), compared_at_version=1)

"""Messages of the ledger as views."""

from datetime import datetime
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_admin.domain import words
from holdfast_admin.domain.projection import is_open, number
from holdfast_admin.domain.views import (
    DecisionView,
    DiscrepancyView,
    FillView,
    HaltView,
    OrderView,
    ReconciliationView,
    VerdictView,
)
from holdfast_runtime.wire import from_decimal, from_timestamp


def instant(stamp: Timestamp) -> datetime | None:
    """None where the field is absent."""
    return from_timestamp(stamp) if stamp.seconds or stamp.nanos else None


def amount(value: common.Decimal) -> Decimal | None:
    """None where the field is absent."""
    return from_decimal(value, field="amount") if value.value else None


def side(value: common.Side.ValueType) -> str:
    return common.Side.Name(value).removeprefix("SIDE_").lower()


def order(intent: pb.Intent) -> OrderView:
    return OrderView(
        intent_id=intent.intent_id,
        signal_id=intent.signal_id,
        strategy=intent.strategy,
        symbol=intent.symbol,
        side=side(intent.side),
        purpose=pb.Purpose.Name(intent.purpose).removeprefix("PURPOSE_").lower(),
        state=pb.IntentState.Name(intent.state).removeprefix("INTENT_STATE_").lower(),
        is_open=is_open(intent),
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        quantity=number(intent.quantity),
        filled_quantity=number(intent.filled_quantity),
        filled_average_price=amount(intent.filled_average_price),
        limit_price=amount(intent.limit_price),
        stop_price=amount(intent.stop_price),
        attempts=intent.attempts,
        reason=intent.reason,
        client_order_id=intent.client_order_id,
        broker_order_id=intent.broker_order_id,
        created_at=instant(intent.created_at),
        updated_at=instant(intent.updated_at),
    )


def fill(message: pb.Fill) -> FillView:
    quantity, price = number(message.quantity), number(message.price)
    return FillView(
        fill_id=message.fill_id,
        intent_id=message.intent_id,
        symbol=message.symbol,
        strategy=message.strategy,
        side=side(message.side),
        quantity=quantity,
        price=price,
        value=quantity * price,
        realised_pnl=number(message.realised_pnl),
        filled_at=from_timestamp(message.filled_at),
    )


def decision(message: gate.Decision) -> DecisionView:
    verdicts = [verdict(each) for each in message.verdicts]
    decisive = _decisive(message, verdicts)
    return DecisionView(
        signal_id=message.signal_id,
        cycle_id=message.cycle_id,
        strategy=message.strategy,
        symbol=message.symbol,
        direction=common.Direction.Name(message.direction).removeprefix("DIRECTION_").lower(),
        allowed=message.allowed,
        reason=message.reason,
        in_words=decisive.message if decisive and decisive.message else words.reason(message.reason) + ".",
        numbers=decisive.numbers if decisive else {},
        verdicts=verdicts,
        score=message.score.value if message.HasField("score") else None,
        quantity=amount(message.quantity),
        reference_price=amount(message.reference_price),
        limit_price=amount(message.limit_price),
        stop_price=amount(message.stop_price),
        market_time=from_timestamp(message.market_time),
    )


def _decisive(message: gate.Decision, verdicts: list[VerdictView]) -> VerdictView | None:
    """The verdict that blocked; of an allowed decision the one that made it smaller."""
    outcome = "shrink" if message.allowed else "block"
    found = [each for each in verdicts if each.outcome == outcome]
    named = [each for each in found if each.reason == message.reason]
    return next(iter(named or found), None)


def verdict(message: gate.Verdict) -> VerdictView:
    return VerdictView(
        gate=message.gate,
        outcome=gate.Outcome.Name(message.outcome).removeprefix("OUTCOME_").lower(),
        reason=message.reason,
        message=message.message,
        numbers=dict(sorted(message.numbers.items())),
    )


def halt(message: pb.Halt) -> HaltView:
    return HaltView(
        halt_id=message.halt_id,
        kind=message.kind,
        symbol=message.symbol,
        strategy=message.strategy,
        reason=message.reason,
        set_by=message.set_by,
        since=instant(message.since),
    )


def reconciliation(message: pb.ReconciliationVerdict | None) -> ReconciliationView:
    if message is None or not message.state:
        return ReconciliationView(state="unknown", market_time=None, discrepancies=[])
    return ReconciliationView(
        state=pb.ReconciliationState.Name(message.state).removeprefix("RECONCILIATION_STATE_").lower(),
        market_time=instant(message.market_time),
        discrepancies=[
            DiscrepancyView(
                kind=each.kind,
                symbol=each.symbol,
                subject=each.subject,
                ledger_value=each.ledger_value,
                broker_value=each.broker_value,
                action=each.action,
            )
            for each in message.discrepancies
        ],
    )

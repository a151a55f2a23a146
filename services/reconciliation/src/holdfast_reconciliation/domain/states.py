"""The two sides of a comparison, as plain values: what the ledger says and what the broker says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_core.money import ZERO
from holdfast_runtime.ledger_halts import CREDENTIALS
from holdfast_runtime.ports.venue import BrokerAccount, BrokerOrder, BrokerPosition, FeeActivity, FillActivity, Side
from holdfast_runtime.wire import from_decimal, from_timestamp


class Stage(StrEnum):
    """How far an intent is, as far as a comparison cares."""

    UNSENT = "unsent"
    IN_FLIGHT = "in_flight"
    """SENDING or UNKNOWN: the broker may or may not have it."""
    LIVE = "live"
    OVER = "over"


_STAGES = {
    pb.INTENT_STATE_PENDING: Stage.UNSENT,
    pb.INTENT_STATE_SENDING: Stage.IN_FLIGHT,
    pb.INTENT_STATE_UNKNOWN: Stage.IN_FLIGHT,
    pb.INTENT_STATE_ACKED: Stage.LIVE,
    pb.INTENT_STATE_PARTIALLY_FILLED: Stage.LIVE,
    pb.INTENT_STATE_CANCELLING: Stage.LIVE,
}
_SELLS = (pb.PURPOSE_EXIT, pb.PURPOSE_FLATTEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One intent. `broker_order_id` is empty until it is known."""

    intent_id: str
    symbol: str
    stage: Stage
    state: str
    client_order_id: str
    broker_order_id: str
    sells: bool
    """A sale of all by exit or flatten, not the resting stop."""
    updated_at: datetime
    part: Decimal = ZERO
    """Of a sale of a part: what is left of it, beside the stop for the rest. It excuses a missing stop while LIVE."""
    traceparent: str = ""
    """Trace context of the signal that it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One position of the ledger. `protected`: the ledger knows an active stop."""

    symbol: str
    quantity: Decimal
    protected: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSide:
    """The ledger at one version."""

    version: int
    opened: bool
    """False until execution has seen the broker's account: there is nothing to compare before."""
    cash: Decimal
    held: Mapping[str, Held]
    wishes: Sequence[Wish]
    filled: Mapping[str, Decimal]
    """Largest cumulative quantity of each broker order that a fill is known of."""
    halted: frozenset[str]
    """Symbols that are halted; "" where the whole account is."""
    credentials_refused: bool = False
    """Execution's broker answered 401, and no person has cleared that yet."""
    reserved: Decimal = ZERO
    """Dollars that open entries may still cost."""
    adjusted: frozenset[str] = frozenset()
    """Ids of the broker's activities, other than fills, that are counted."""

    @classmethod
    def of(cls, answer: pb.GetLedgerResponse) -> Self:
        """Reads an answer. Raises Malformed naming the field."""
        filled: dict[str, Decimal] = {}
        for fill in answer.fills:
            so_far = _amount(fill.cumulative_quantity, "Fill.cumulative_quantity")
            filled[fill.broker_order_id] = max(so_far, filled.get(fill.broker_order_id, ZERO))
        for intent in answer.intents:
            # An order that was filled in part long ago: its fills are older than what was asked for.
            if intent.broker_order_id:
                filled.setdefault(intent.broker_order_id, _amount(intent.filled_quantity, "Intent.filled_quantity"))
        return cls(
            version=answer.version,
            opened=answer.account.HasField("starting_cash"),
            cash=_amount(answer.account.cash, "Account.cash"),
            reserved=_amount(answer.account.reserved, "Account.reserved"),
            held={each.symbol: _held(each) for each in answer.positions},
            wishes=[_wish(each) for each in answer.intents],
            filled=filled,
            halted=frozenset(each.symbol for each in answer.halts if not each.strategy),
            credentials_refused=any(each.kind == CREDENTIALS for each in answer.halts),
            adjusted=frozenset(each.adjustment_id for each in answer.adjustments),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill at the broker. `signed` is negative for a sale."""

    order_id: str
    symbol: str
    signed: Decimal
    cumulative: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSide:
    """The broker as it answered. Legs stand beside their parents in `orders`."""

    cash: Decimal
    held: Mapping[str, Decimal]
    orders: Mapping[str, BrokerOrder]
    """Open ones, and those that were asked for by id, by order id."""
    parents: Mapping[str, str]
    """Order id of a leg → order id of the order it came with."""
    executions: Sequence[Execution]
    fees: Sequence[FeeActivity] = ()
    """What was taken of positions and cash beside the fills."""
    settled_cash: Decimal | None = None
    """Of `cash`, what coins may be paid with; None where the broker does not tell."""
    absent: frozenset[str] = field(default_factory=frozenset)
    """Order ids that were asked for and that the broker does not know."""

    @classmethod
    def of(
        cls,
        account: BrokerAccount,
        positions: Iterable[BrokerPosition],
        orders: Iterable[BrokerOrder],
        fills: Iterable[FillActivity],
        fees: Iterable[FeeActivity] = (),
    ) -> Self:
        flat: dict[str, BrokerOrder] = {}
        parents: dict[str, str] = {}
        for order in orders:
            flat[order.order_id] = order
            for leg in order.legs:
                flat[leg.order_id] = leg
                parents[leg.order_id] = order.order_id
        return cls(
            cash=account.cash,
            settled_cash=account.settled_cash,
            held={each.symbol: each.quantity for each in positions},
            orders=flat,
            parents=parents,
            executions=[
                Execution(
                    order_id=each.order_id,
                    symbol=each.symbol,
                    signed=each.quantity if each.side is Side.BUY else -each.quantity,
                    cumulative=each.cumulative_quantity,
                )
                for each in fills
            ],
            fees=tuple(fees),
        )


def _held(position: pb.Position) -> Held:
    return Held(
        symbol=position.symbol,
        quantity=_amount(position.quantity, "Position.quantity"),
        protected=position.protection == pb.PROTECTION_ACTIVE,
        updated_at=from_timestamp(position.updated_at),
    )


def _wish(intent: pb.Intent) -> Wish:
    return Wish(
        intent_id=intent.intent_id,
        symbol=intent.symbol,
        stage=_STAGES.get(intent.state, Stage.OVER),
        state=pb.IntentState.Name(intent.state).removeprefix("INTENT_STATE_"),
        client_order_id=intent.client_order_id,
        broker_order_id=intent.broker_order_id,
        sells=intent.purpose in _SELLS,
        updated_at=from_timestamp(intent.updated_at),
        part=_left(intent) if intent.purpose == pb.PURPOSE_REDUCE else ZERO,
        traceparent=intent.traceparent,
    )


def _left(intent: pb.Intent) -> Decimal:
    return _amount(intent.quantity, "Intent.quantity") - _amount(intent.filled_quantity, "Intent.filled_quantity")


def _amount(value: common.Decimal, name: str) -> Decimal:
    return from_decimal(value, field=name) if value.value else ZERO

"""Rows of the ledger as the engine sees them, and the ledger's refusals.

Quantities and prices are Decimal with at most nine digits after the point, cash with at most eight; instants are aware
UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose
from holdfast_execution.domain.next_leg import next_attempt_at
from holdfast_execution.domain.strategies import StrategyState
from holdfast_runtime.errors import GiveUp
from holdfast_runtime.ports.venue import OrderType, Side, TimeInForce

CLAIM = "CLAIM"
"""Kind of the adjustment by which a person took a position over."""
MAX_SENDS = 4
"""First send and three retries of one client order id, across restarts (SQ-1, invariant 4)."""


class LedgerError(GiveUp):
    """A write that the ledger refuses."""


class StaleFence(LedgerError):
    """The caller's lease has ended: somebody else holds a newer epoch. Stop writing at once."""


class UnknownRow(LedgerError):
    """No such intent, order, position or halt."""


class ClaimRefused(LedgerError):
    """An intent may not be sent now. `reason` is coded: KILL_SWITCH_ENGAGED, SYMBOL_HALTED, STRATEGY_STOPPED,
    CYCLE_EXPIRED, EXIT_OUTRANKED, ATTEMPTS_EXHAUSTED, NOT_CLAIMABLE."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    account_id: str
    opened: bool
    """True once the broker's account was seen: until then the amounts are zeros that mean nothing."""
    starting_cash: Decimal
    cash: Decimal
    realised_pnl: Decimal
    reserved: Decimal
    """Cash that open entries may still take: what is left of them at their limit price."""
    version: int
    """The ledger's version: raised by every write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A stored decision; `decision` is the whole message, unchanged for ever."""

    signal_id: str
    cycle_id: str
    strategy: str
    symbol: str
    allowed: bool
    reason: str
    market_time: datetime
    decision: gate.Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIntent:
    """A wish to be stored in state PENDING; or, with `broker_order_id`, an order that the broker already has
    (the stop leg of an OTO entry), stored in state ACKED."""

    intent_id: str
    signal_id: str
    strategy: str
    symbol: str
    side: Side
    purpose: Purpose
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    client_order_id: str
    book: str = "equity"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    protect_stop_price: Decimal | None = None
    """Stop price of the leg that is sent with an entry as OTO; of the stop that follows its fill where it is crypto."""
    valid_until: datetime | None = None
    """Entries only: no POST at or after this instant."""
    reserve_price: Decimal | None = None
    """Price at which an entry without a limit reserves cash; default: its limit price."""
    parent_intent_id: str = ""
    """A stop: the entry it came with."""
    traceparent: str = ""
    reason: str = ""
    broker_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRow:
    """One intent and its present leg."""

    intent_id: str
    signal_id: str
    strategy: str
    symbol: str
    book: str
    side: Side
    purpose: Purpose
    state: IntentState
    leg: int
    """Number of the present leg, from 1."""
    attempts: int
    """Sends of the present leg, given-back ones not counted."""
    total_attempts: int
    """Sends over all legs."""
    client_order_id: str
    broker_order_id: str
    """Empty until the broker's id of the present leg is known."""
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    """Of the whole intent; of what sells: what its orders have filled and what the present one may still fill."""
    leg_quantity: Decimal
    """Of the present leg."""
    limit_price: Decimal | None
    stop_price: Decimal | None
    protect_stop_price: Decimal | None
    filled_quantity: Decimal
    """Over all legs."""
    filled_average_price: Decimal | None
    reason: str
    valid_until: datetime | None
    parent_intent_id: str
    traceparent: str
    created_at: datetime
    updated_at: datetime

    @property
    def open(self) -> bool:
        return self.state not in TERMINAL

    @property
    def next_attempt_at(self) -> datetime:
        """Where PENDING: the earliest instant of market time at which the present leg may leave."""
        return next_attempt_at(self.leg, self.updated_at)

    @property
    def sent_with_stop(self) -> bool:
        """An entry that leaves as OTO: its stop is a leg at the broker. Of coins the stop follows the fill."""
        return self.purpose is Purpose.ENTRY and self.protect_stop_price is not None and self.book != "crypto"

    @property
    def remaining(self) -> Decimal:
        """What is not filled yet; never negative."""
        return max(self.quantity - self.filled_quantity, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One leg, as one order at the broker: the unit of client order ids, attempts and fills."""

    client_order_id: str
    intent_id: str
    leg: int
    attempts: int
    broker_order_id: str
    quantity: Decimal
    filled_quantity: Decimal
    replaces: str
    """Client order id of the order that this one replaced by PATCH; a chain counts once (point 12)."""
    status: str
    """The venue's own word, as last seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFill:
    """One execution: shares (cumulative - quantity, cumulative] of one order. Keyed by order and cumulative."""

    broker_order_id: str
    quantity: Decimal
    cumulative_quantity: Decimal
    price: Decimal
    filled_at: datetime
    client_order_id: str = ""
    """Finds the order where the broker's id is not stored yet; that id is then stored with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    fill_id: str
    """Broker order id and cumulative quantity."""
    intent_id: str
    broker_order_id: str
    symbol: str
    strategy: str
    side: Side
    quantity: Decimal
    price: Decimal
    cumulative_quantity: Decimal
    filled_at: datetime
    realised_pnl: Decimal
    """Average cost; zero for a fill that opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillApplied:
    """What `apply_fill` did."""

    applied: bool
    """False: these shares were counted before; nothing was written."""
    late: bool
    """The intent was in a terminal state: alert and reconcile (invariant 13)."""
    fill: FillRow | None
    intent: IntentRow
    position: "PositionRow"
    gap: bool = False
    """Shares of this order before this fill are not counted yet: read the account's FILL activities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentRow:
    """What changed position or cash without a trade, by the broker's own account of it. Signed."""

    adjustment_id: str
    kind: str
    symbol: str
    strategy: str
    """Owner of the position that it was taken of; empty: nobody's."""
    book: str
    quantity: Decimal
    cash: Decimal
    price: Decimal | None
    at: datetime
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionClaim:
    """What makes the ledger hold what the broker holds of a symbol. Signed; `price` is positive."""

    symbol: str
    strategy: str
    book: str
    quantity: Decimal
    price: Decimal
    """At which one unit is valued: what is added costs it."""
    cash: Decimal
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """Net holding of the account in one symbol; kept with quantity 0 after it was closed."""

    symbol: str
    strategy: str
    """The owner; of a flat position: the last one."""
    book: str
    quantity: Decimal
    average_price: Decimal
    cost: Decimal
    """Exact: what the held quantity cost."""
    realised_pnl: Decimal
    protection: str
    """none, pending, active"""
    stop_price: Decimal | None
    stop_quantity: Decimal
    exit_owner: str
    """stop, exit, monitor, flatten; empty: nobody."""
    opened_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltRow:
    halt_id: str
    kind: str
    symbol: str
    """Empty: every symbol."""
    strategy: str
    """Empty: every strategy."""
    reason: str
    set_by: str
    since: datetime
    cleared_at: datetime | None = None
    cleared_by: str = ""

    def covers(self, symbol: str, strategy: str) -> bool:
        """Does this halt forbid entries of `strategy` in `symbol`?"""
        return self.symbol in ("", symbol) and self.strategy in ("", strategy)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    holder: str
    """Empty: given up, free at once."""
    epoch: int
    beat: int
    """Raised by each beat and each change of hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    strategy: str
    state: str
    """running, stopped, failed"""
    last_decided_cycle_time: datetime | None
    reason: str = ""
    """Why it does not run: a person's words, or what aborted it. Of a started one: the words it was started with."""
    set_by: str = ""
    """Who said so; empty: it has run from the beginning."""
    since: datetime | None = None
    readable: bool = True
    """False: what is stored is no state of a strategy. It is read as failed, for that reason (SQ-8, DI-3)."""

    @property
    def runs(self) -> bool:
        """Only then does an entry of it leave."""
        return self.state == StrategyState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One row of the append-only log; also an entry of the outbox."""

    event_id: int
    kind: str
    aggregate: str
    market_time: datetime
    recorded_at: datetime
    traceparent: str
    summary: str
    fact: bytes
    """execution.v1.Fact, serialised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEntryRow:
    symbol: str
    market_time: datetime
    entries_today: int
    """Of the UTC day of the snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """What the limits are enforced on, read inside the submit transaction."""

    version: int
    now: datetime
    account: AccountRow
    positions: tuple[PositionRow, ...]
    """Those not flat, by symbol."""
    open_intents: tuple[IntentRow, ...]
    halts: tuple[HaltRow, ...]
    """Open ones."""
    last_entries: tuple[LastEntryRow, ...]
    entries_last_minute: int
    strategies: tuple[StrategyRow, ...]
    verdict: execution.ReconciliationVerdict | None
    skipped_buys: frozenset[tuple[str, datetime]]
    """Recent buys by the clock that were settled as not to be: of which strategy, and for which instant planned."""


LimitsCheck = Callable[[LedgerView, Sequence[gate.Decision]], Sequence[gate.Decision]]
"""Same decisions, same order; an allowed one may come back blocked, with its reason. See `domain.limits.enforcer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCycle:
    """Answer of `store_cycle`."""

    decisions: tuple[gate.Decision, ...]
    """As stored, in the order of the request."""
    intents: tuple[IntentRow, ...]
    """Created by this call; empty where replayed."""
    claimed: IntentRow | None
    """The one of them that is SENDING already: who asked for the claim sends it."""
    replayed: bool
    """True where every signal had been decided before."""
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Everything for GetLedger."""

    version: int
    account: AccountRow
    positions: tuple[PositionRow, ...]
    intents: tuple[IntentRow, ...]
    fills: tuple[FillRow, ...]
    adjustments: tuple[AdjustmentRow, ...]
    halts: tuple[HaltRow, ...]
    decisions_allowed: int
    decisions_blocked: int
    decisions_by_reason: Mapping[str, int]
    last_event_id: int
    verdict: execution.ReconciliationVerdict | None

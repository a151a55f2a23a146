"""The ledger's port: everything that must not be lost, in one SQL database owned by execution.

Plain synchronous methods. The engine calls them through `adapters.sql.writer.Writer.run(fn)`, where `fn(ledger)` may call
several: they then share one transaction and stand or fall together. Each write

- takes the fencing `epoch` of the caller's lease first and refuses an old one with StaleFence (invariant 12),
- takes `now`, the market time that is recorded with it,
- raises the ledger's version by one and appends its facts to `events` in the same transaction.

Quantities and prices are Decimal with at most nine digits after the point, cash with at most eight; instants are aware UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.domain.intents import TERMINAL, IntentState, Purpose
from holdfast_runtime.errors import GiveUp
from holdfast_runtime.ports.venue import BrokerAsset, OrderType, Side, TimeInForce

MAX_SENDS = 4
"""First send and three retries of one client order id, across restarts (SQ-1, invariant 4)."""


class LedgerError(GiveUp):
    """A write that the ledger refuses."""


class StaleFence(LedgerError):
    """The caller's lease has ended: somebody else holds a newer epoch. Stop writing at once."""


class UnknownRow(LedgerError):
    """No such intent, order, position or halt."""


class ClaimRefused(LedgerError):
    """An intent may not be sent now. `reason` is coded: KILL_SWITCH_ENGAGED, SYMBOL_HALTED, CYCLE_EXPIRED,
    ATTEMPTS_EXHAUSTED, NOT_CLAIMABLE."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    account_id: str
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
    """Stop price of the leg that is sent with an entry as OTO."""
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
    """Of the whole intent."""
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
    """One execution: shares (cumulative - quantity, cumulative] of one order. Keyed by order and cumulative quantity."""

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


LimitsCheck = Callable[[LedgerView, Sequence[gate.Decision]], Sequence[gate.Decision]]
"""Same decisions, same order; an allowed one may come back blocked, with its reason. See `domain.limits.enforcer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCycle:
    """Answer of `store_cycle`."""

    decisions: tuple[gate.Decision, ...]
    """As stored, in the order of the request."""
    intents: tuple[IntentRow, ...]
    """Created by this call; empty where replayed."""
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
    halts: tuple[HaltRow, ...]
    decisions_allowed: int
    decisions_blocked: int
    decisions_by_reason: Mapping[str, int]


class LedgerReads(Protocol):
    """What may be asked at any time, by standbys too."""

    def version(self) -> int: ...

    def account(self) -> AccountRow: ...

    def snapshot(self, now: datetime, *, entries_locked_reason: str = "") -> execution.LedgerSnapshot:
        """The facts the gates decide on, consistent as of one version. Only positions that are not flat."""

    def ledger_state(self, since: datetime | None = None) -> LedgerState:
        """Open intents and positions, flat ones too; terminal intents and fills where they are newer than `since`."""

    def decisions(self, signal_ids: Sequence[str]) -> list[gate.Decision]:
        """Those of the named signals that were decided, in the order asked."""

    def intent(self, intent_id: str) -> IntentRow:
        """Raises UnknownRow."""

    def open_intents(self) -> list[IntentRow]:
        """Every intent that is not terminal, oldest first."""

    def intent_of_order(self, *, broker_order_id: str = "", client_order_id: str = "") -> IntentRow | None:
        """The intent one of whose legs, present or past, is that order."""

    def orders(self, intent_id: str) -> list[OrderRow]:
        """All legs of an intent, oldest first."""

    def position(self, symbol: str) -> PositionRow | None: ...

    def positions(self, *, open_only: bool = True) -> list[PositionRow]: ...

    def halts(self) -> list[HaltRow]:
        """Open ones, oldest first."""

    def lease(self) -> LeaseRow: ...

    def strategies(self) -> list[StrategyRow]: ...

    def unpublished(self, limit: int) -> list[EventRow]:
        """Events that were not published yet, oldest first."""

    def compatible(self) -> str:
        """Empty where this code may open entries on this ledger; else the reason
        (LEDGER_NEWER or LEDGER_REQUIRES_NEWER and the revisions)."""


class Ledger(LedgerReads, Protocol):
    """Reads and fenced writes."""

    # --- decisions and intents

    def store_cycle(
        self,
        epoch: int,
        now: datetime,
        decisions: Sequence[gate.Decision],
        intents: Mapping[str, NewIntent],
        limits: LimitsCheck | None = None,
    ) -> StoredCycle:
        """Stores all decisions of one cycle and the intents of the allowed ones (keyed by signal id), atomically.

        Signals that were decided before keep what was stored. `limits` sees the rest inside the transaction; an intent whose
        decision comes back blocked is dropped. Raises the strategy's last decided cycle time.
        """

    def add_intent(self, epoch: int, now: datetime, intent: NewIntent) -> IntentRow:
        """Stores a wish of the engine itself (stop, flatten). The same intent id again returns what is stored."""

    def claim_send(self, epoch: int, now: datetime, intent_id: str) -> IntentRow:
        """PENDING or UNKNOWN → SENDING, attempts + 1. Entries: halts and `valid_until` are checked in this transaction.

        Raises ClaimRefused; the intent is then unchanged.
        """

    def mark_not_sent(
        self, epoch: int, now: datetime, intent_id: str, reason: str, *, try_again: bool = False
    ) -> IntentRow:
        """Nothing left for the broker: from PENDING, or from SENDING with the attempt given back (point 5).

        An earlier send of the leg may live: then UNKNOWN. Else PENDING where `try_again`, else NOT_SENT.
        """

    def record_ack(
        self, epoch: int, now: datetime, intent_id: str, broker_order_id: str, *, status: str = ""
    ) -> IntentRow:
        """The broker has the order of the present leg, by its answer or by a look-up (adoption)."""

    def record_unknown(self, epoch: int, now: datetime, intent_id: str, reason: str) -> IntentRow: ...

    def record_refusal(self, epoch: int, now: datetime, intent_id: str, reason: str) -> IntentRow:
        """A proven no: REJECTED."""

    def record_order_state(
        self, epoch: int, now: datetime, intent_id: str, state: IntentState, *, reason: str = "", status: str = ""
    ) -> IntentRow:
        """Any other move: CANCELLING, CANCELLED, EXPIRED, TOMBSTONED, ABORTED … Terminal states absorb.

        Raises IllegalTransition.
        """

    def new_leg(
        self,
        epoch: int,
        now: datetime,
        intent_id: str,
        client_order_id: str,
        *,
        quantity: Decimal | None = None,
        order_type: OrderType | None = None,
        time_in_force: TimeInForce | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        protect_stop_price: Decimal | None = None,
        reason: str = "",
    ) -> IntentRow:
        """After a proven terminal outcome: PENDING again, leg + 1, attempts 0, prices and types as given or as before.

        `quantity`: of the new leg; default: what is not filled yet. Raises ClaimRefused(ATTEMPTS_EXHAUSTED) where an entry's
        legs have used up its sends (point 10), and IllegalTransition.
        """

    def record_replacement(
        self,
        epoch: int,
        now: datetime,
        intent_id: str,
        client_order_id: str,
        broker_order_id: str,
        *,
        quantity: Decimal | None = None,
        stop_price: Decimal | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> IntentRow:
        """The broker replaced the present order by a new one (PATCH): the chain is still one leg, ACKED under the new id."""

    # --- fills and positions

    def apply_fill(self, epoch: int, now: datetime, fill: NewFill) -> FillApplied:
        """Counts an execution once: intent, position, realised P&L and cash. In any order, however often repeated.

        Raises UnknownRow where the order belongs to no intent.
        """

    def apply_filled_total(
        self,
        epoch: int,
        now: datetime,
        broker_order_id: str,
        filled_quantity: Decimal,
        average_price: Decimal,
        at: datetime,
    ) -> FillApplied:
        """The broker's total where no detail can be had: what is missing to it, at the price that makes the average true."""

    def set_exit_owner(
        self, epoch: int, now: datetime, symbol: str, owner: str, *, expected: str | None = None
    ) -> PositionRow:
        """Compare-and-swap of the exit's one owner. `expected` None: whoever it was. Raises ClaimRefused(EXIT_OWNED)."""

    def set_protection(
        self,
        epoch: int,
        now: datetime,
        symbol: str,
        protection: str,
        *,
        stop_price: Decimal | None,
        stop_quantity: Decimal,
    ) -> PositionRow:
        """What protects the position: none, pending or active, with price and quantity."""

    # --- halts, verdicts, strategies, assets, account

    def add_halt(
        self,
        epoch: int,
        now: datetime,
        kind: str,
        reason: str,
        *,
        symbol: str = "",
        strategy: str = "",
        set_by: str = "execution",
    ) -> HaltRow:
        """The open halt of that kind and scope: an existing one is returned unchanged."""

    def clear_halt(self, epoch: int, now: datetime, halt_id: str, cleared_by: str, note: str = "") -> HaltRow:
        """Raises UnknownRow."""

    def notice_halts(self, epoch: int, now: datetime) -> list[HaltRow]:
        """Halts that admin inserted since: their facts are appended now. Writes nothing where there are none."""

    def record_verdict(self, epoch: int, now: datetime, verdict: execution.ReconciliationVerdict) -> int:
        """Returns the ledger's version."""

    def set_strategy_state(self, epoch: int, now: datetime, strategy: str, state: str) -> StrategyRow: ...

    def record_assets(self, epoch: int, now: datetime, assets: Sequence[BrokerAsset]) -> None:
        """Writes those that changed."""

    def open_account(self, epoch: int, now: datetime, starting_cash: Decimal) -> AccountRow:
        """Sets the starting cash once; later calls change nothing."""

    def note(self, epoch: int, now: datetime, aggregate: str, summary: str, *, traceparent: str = "") -> None:
        """Appends a fact of kind `note`: one plain sentence for people."""

    # --- outbox

    def mark_published(self, epoch: int, event_ids: Sequence[int]) -> None: ...

    # --- lease

    def acquire_lease(self, now: datetime, holder: str, seen: LeaseRow) -> LeaseRow | None:
        """Compare-and-swap: takes the lease where it is still as `seen`; None where it is not.

        Every SENDING becomes UNKNOWN in the same transaction (point 4). The caller has watched `seen` unchanged for the
        take-over time on its own monotonic clock, or its holder is empty.
        """

    def beat_lease(self, holder: str, epoch: int) -> LeaseRow:
        """Raises StaleFence where it is lost."""

    def release_lease(self, now: datetime, holder: str, epoch: int) -> None:
        """Gives it up; nothing where it is lost already."""

"""The ledger's port: everything that must not be lost, in one SQL database owned by execution.

Plain synchronous methods. The engine calls them through a LedgerRunner, `await runner.run(fn)`, where `fn(ledger)` may
call several: they then share one transaction and stand or fall together. Each write

- takes the fencing `epoch` of the caller's lease first and refuses an old one with StaleFence (invariant 12),
- takes `now`, the market time that is recorded with it,
- raises the ledger's version by one and appends its facts to `events` in the same transaction.

Quantities and prices are Decimal with at most nine digits after the point, cash with at most eight; instants are aware
UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_execution.domain.intents import IntentState
from holdfast_execution.firings_port import FiringReads, FiringWrites
from holdfast_execution.parts import Parts
from holdfast_execution.rows import (
    MAX_SENDS,
    AccountRow,
    AdjustmentRow,
    ClaimRefused,
    DecisionRow,
    EventRow,
    FillApplied,
    FillRow,
    HaltRow,
    IntentRow,
    LastEntryRow,
    LeaseRow,
    LedgerError,
    LedgerState,
    LedgerView,
    LimitsCheck,
    NewFill,
    NewIntent,
    OrderRow,
    PositionClaim,
    PositionRow,
    StaleFence,
    StoredCycle,
    StrategyRow,
    UnknownRow,
)
from holdfast_runtime.ports.venue import BrokerAsset, BrokerOrder, FeeActivity, OrderType, TimeInForce

__all__ = [
    "MAX_SENDS",
    "AccountRow",
    "AdjustmentRow",
    "ClaimRefused",
    "DecisionRow",
    "EventRow",
    "FillApplied",
    "FillRow",
    "HaltRow",
    "IntentRow",
    "LastEntryRow",
    "LeaseRow",
    "Ledger",
    "LedgerError",
    "LedgerReads",
    "LedgerRunner",
    "LedgerState",
    "LedgerView",
    "LimitsCheck",
    "NewFill",
    "NewIntent",
    "OrderRow",
    "PositionClaim",
    "PositionRow",
    "StaleFence",
    "StoredCycle",
    "StrategyRow",
    "UnknownRow",
]

T = TypeVar("T")


class LedgerReads(FiringReads, Protocol):
    """What may be asked at any time, by standbys too."""

    def version(self) -> int: ...

    def account(self) -> AccountRow: ...

    def parts(self) -> Parts:
        """Everything that is open, of one version."""

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

    def past_orders(self, since: datetime | None = None) -> Mapping[str, tuple[str, ...]]:
        """By intent, of those that `ledger_state` shows: the broker's ids of its earlier legs and of what was replaced,
        oldest first."""

    def counted(self, broker_order_id: str) -> Decimal:
        """What was counted of an order's fills. Less than the largest total that was seen where one is missing."""

    def position(self, symbol: str) -> PositionRow | None: ...

    def has_adjustment(self, adjustment_id: str) -> bool:
        """True where it was counted."""

    def adjustments(self, since: datetime | None = None) -> list[AdjustmentRow]:
        """Those recorded after `since`, in the order in which they count."""

    def positions(self, *, open_only: bool = True) -> list[PositionRow]: ...

    def halts(self) -> list[HaltRow]:
        """Open ones, oldest first."""

    def lease(self) -> LeaseRow: ...

    def strategies(self) -> list[StrategyRow]:
        """Those that were ever decided or steered, by id."""

    def strategy(self, strategy: str) -> StrategyRow:
        """One that was never decided or steered runs."""

    def last_sale(self, strategy: str) -> IntentRow | None:
        """The intent by which the strategy sold last; None where it never did."""

    def has_unnoticed_halts(self) -> bool:
        """Has admin inserted halts that `notice_halts` has not turned into facts yet?"""

    def unpublished(self, limit: int) -> list[EventRow]:
        """Events that were not published yet, oldest first."""

    def compatible(self) -> str:
        """Empty where this code may open entries on this ledger; else the reason
        (LEDGER_NEWER or LEDGER_REQUIRES_NEWER and the revisions)."""


class Ledger(LedgerReads, FiringWrites, Protocol):
    """Reads and fenced writes."""

    # --- decisions and intents

    def store_cycle(
        self,
        epoch: int,
        now: datetime,
        decisions: Sequence[gate.Decision],
        intents: Mapping[str, NewIntent],
        limits: LimitsCheck | None = None,
        *,
        claim: bool = False,
    ) -> StoredCycle:
        """Stores all decisions of one cycle and the intents of the allowed ones (keyed by signal id), atomically.

        Signals that were decided before keep what was stored. `limits` sees the rest inside the transaction; an intent
        whose decision comes back blocked is dropped. Raises the strategy's last decided cycle time.

        `claim`: where the batch holds entries only, its first one is claimed in the same commit (order protocol, point
        3), as `claim_send` would; `limits` has checked its halts and its validity.
        """

    def add_intent(self, epoch: int, now: datetime, intent: NewIntent) -> IntentRow:
        """Stores a wish of the engine itself (stop, flatten). The same intent id again returns what is stored."""

    def claim_send(self, epoch: int, now: datetime, intent_id: str) -> IntentRow:
        """PENDING or UNKNOWN → SENDING, attempts + 1. Entries: halts, their strategy's state and `valid_until` are
        checked in this transaction.

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

        `quantity`: of the new leg; default: what is not filled yet. Raises ClaimRefused(ATTEMPTS_EXHAUSTED) where an
        entry's legs have used up its sends (point 10), and IllegalTransition.
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
        """The broker replaced the present order by a new one (PATCH): the chain is still one leg, and works on under
        the new id. The new order is about `quantity`, default the same, but about no more than what is left of the old
        one by what is known of it; what more that one fills is taken off, unless it was asked for as larger. An order
        that the intent had before returns what is stored."""

    def record_replacement_rejected(
        self, epoch: int, now: datetime, intent_id: str, rejected: str, replaced: BrokerOrder
    ) -> IntentRow:
        """The order `rejected`, by the broker's id, never took the place of `replaced`, which is the present one again,
        on its own terms. Nothing changes where `rejected` is not the present one, or the intent is over."""

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
        """The broker's total where no detail can be had: what is missing, at the price that makes the average
        true."""

    def apply_fee(self, epoch: int, now: datetime, fee: FeeActivity) -> AdjustmentRow | None:
        """Counts a fee, a split or a dividend once: position, realised P&L and cash; None where it was counted before,
        or is nothing.

        The owner of the position bears it. In any order with the fills that it belongs to. A split keeps the cost and
        puts the position's stop price into new shares.
        """

    def claim_position(self, epoch: int, now: datetime, claim: PositionClaim) -> AdjustmentRow:
        """Books what a person took over: quantity at its price, and cash. The owner of what is held keeps it."""

    def record_restated(
        self,
        epoch: int,
        now: datetime,
        intent_id: str,
        quantity: Decimal,
        *,
        limit_price: Decimal | None,
        stop_price: Decimal | None,
    ) -> IntentRow:
        """The broker has adjusted the present leg's order in place, as it does for a split."""

    def set_exit_owner(
        self, epoch: int, now: datetime, symbol: str, owner: str, *, expected: str | None = None
    ) -> PositionRow:
        """Compare-and-swap of the exit's one owner. `expected` None: whoever it was.

        Raises ClaimRefused(EXIT_OWNED)."""

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

    def set_strategy_state(
        self, epoch: int, now: datetime, strategy: str, state: str, *, reason: str = "", set_by: str = "execution"
    ) -> StrategyRow:
        """running, stopped or failed, with why and by whom; one that is so already is returned unchanged.

        Where it runs no longer, its entries that were not sent yet end NOT_SENT in the same transaction."""

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


class LedgerRunner(Protocol):
    """Where ledger calls run: a writer thread with group commit, or inline in the simulation."""

    async def run(self, call: Callable[[Ledger], T]) -> T:
        """Runs `call` in a write transaction and returns after its commit. A refusal undoes this call alone.

        Cancelling the wait does not stop the call. Raises Retry where the queue is full or the database is away.
        """

    async def read(self, call: Callable[[LedgerReads], T]) -> T:
        """Runs `call` on one snapshot of the newest committed state."""

    def newest(self) -> Parts | None:
        """The newest parts that this process has committed or read, without asking the database; None: read them."""

    def on_commit(self, callback: Callable[[int], None]) -> None:
        """Calls `callback(version)` in the event loop after every commit that raised the ledger's version."""

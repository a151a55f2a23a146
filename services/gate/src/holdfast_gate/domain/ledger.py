"""One version of the ledger as the gates read it: converted once from the snapshot, then looked up by symbol."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.money import ZERO
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_decimal, from_timestamp

KILL_SWITCH = "kill_switch"
BOOKS = {common.BOOK_EQUITY: "equity", common.BOOK_CRYPTO: "crypto"}


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held of a symbol, and by whom. `quantity` in shares, `average_price` in dollars."""

    symbol: str
    strategy: str
    book: str
    quantity: Decimal
    average_price: Decimal


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An intent that is not over. `remaining` in shares."""

    intent_id: str
    symbol: str
    strategy: str
    book: str
    entry: bool
    exit: bool
    """A sale under way: scheduled, by the monitor or a flatten; not the resting stop."""
    remaining: Decimal


@dataclass(frozen=True, slots=True)
class Halt:
    halt_id: str
    kind: str
    symbol: str
    strategy: str
    reason: str
    set_by: str
    since: datetime


@dataclass(frozen=True, slots=True)
class LastEntry:
    at: datetime
    entries_today: int


@dataclass(frozen=True, slots=True)
class Asset:
    tradable: bool
    status: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest decided cycle of a strategy; None where there is none."""

    last_cycle_at: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`state`: CLEAN, DISCREPANT, UNAVAILABLE, or "" where nothing was compared yet. `at` is None then."""

    state: str
    at: datetime | None
    discrepancies: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """The facts of one ledger version."""

    version: int
    cash: Decimal
    reserved: Decimal
    """Dollars that open entries may still cost."""
    holdings: Mapping[str, Holding]
    open_orders: Mapping[str, tuple[OpenOrder, ...]]
    taken: Mapping[str, frozenset[str]]
    """By book: the symbols that are held or have an open entry."""
    account_halts: tuple[Halt, ...]
    symbol_halts: Mapping[str, Halt]
    strategy_halts: Mapping[str, Halt]
    last_entries: Mapping[str, LastEntry]
    assets: Mapping[str, Asset]
    progress: Mapping[str, Progress]
    reconciliation: Reconciliation
    entries_locked_reason: str

    @classmethod
    def of(cls, snapshot: execution.LedgerSnapshot) -> Self:
        """Reads a snapshot. Raises Malformed naming the field that cannot be read."""
        holdings = {each.symbol: each for each in map(_holding, snapshot.positions) if each.quantity}
        orders: dict[str, list[OpenOrder]] = {}
        for intent in snapshot.open_intents:
            orders.setdefault(intent.symbol, []).append(_order(intent))
        halts = [_halt(each) for each in snapshot.halts]
        account = snapshot.account
        return cls(
            version=snapshot.version,
            cash=_amount(account.cash, "Account.cash"),
            reserved=_amount(account.reserved, "Account.reserved"),
            holdings=holdings,
            open_orders={symbol: tuple(found) for symbol, found in orders.items()},
            taken=_taken(holdings, orders),
            account_halts=tuple(each for each in halts if not each.symbol and not each.strategy),
            symbol_halts={each.symbol: each for each in halts if each.symbol},
            strategy_halts={each.strategy: each for each in halts if each.strategy and not each.symbol},
            last_entries={
                each.symbol: LastEntry(from_timestamp(each.market_time), each.entries_today)
                for each in snapshot.last_entries
            },
            assets={each.symbol: Asset(each.tradable, each.status) for each in snapshot.assets},
            progress={each.strategy: _progress(each) for each in snapshot.strategies},
            reconciliation=_reconciliation(snapshot.reconciliation),
            entries_locked_reason=snapshot.entries_locked_reason,
        )


def _taken(holdings: Mapping[str, Holding], orders: Mapping[str, list[OpenOrder]]) -> dict[str, frozenset[str]]:
    taken: dict[str, set[str]] = {}
    for holding in holdings.values():
        taken.setdefault(holding.book, set()).add(holding.symbol)
    for found in orders.values():
        for order in found:
            if order.entry:
                taken.setdefault(order.book, set()).add(order.symbol)
    return {book: frozenset(symbols) for book, symbols in taken.items()}


def _holding(position: execution.Position) -> Holding:
    return Holding(
        position.symbol,
        position.strategy,
        BOOKS.get(position.book, ""),
        _amount(position.quantity, "Position.quantity"),
        _amount(position.average_price, "Position.average_price"),
    )


def _order(intent: execution.Intent) -> OpenOrder:
    quantity = _amount(intent.quantity, "Intent.quantity")
    return OpenOrder(
        intent.intent_id,
        intent.symbol,
        intent.strategy,
        BOOKS.get(intent.book, ""),
        intent.purpose == execution.PURPOSE_ENTRY,
        intent.purpose in (execution.PURPOSE_EXIT, execution.PURPOSE_FLATTEN),
        quantity - _amount(intent.filled_quantity, "Intent.filled_quantity"),
    )


def _halt(halt: execution.Halt) -> Halt:
    return Halt(
        halt.halt_id, halt.kind, halt.symbol, halt.strategy, halt.reason, halt.set_by, from_timestamp(halt.since)
    )


def _progress(progress: execution.StrategyProgress) -> Progress:
    decided = progress.HasField("last_decided_cycle_time")
    return Progress(from_timestamp(progress.last_decided_cycle_time) if decided else None, progress.state)


def _reconciliation(verdict: execution.ReconciliationVerdict) -> Reconciliation:
    if not verdict.state:
        return Reconciliation("", None, 0)
    try:
        name = execution.ReconciliationState.Name(verdict.state)
    except ValueError:
        raise Malformed(f"ReconciliationVerdict.state: {verdict.state} is unknown") from None
    state = name.removeprefix("RECONCILIATION_STATE_")
    return Reconciliation(state, from_timestamp(verdict.market_time), len(verdict.discrepancies))


def _amount(value: common.Decimal, field: str) -> Decimal:
    # An absent amount is zero: execution leaves out what it has none of.
    return from_decimal(value, field=field) if value.value else ZERO

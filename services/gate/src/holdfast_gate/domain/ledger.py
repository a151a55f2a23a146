"""One version of the ledger as the gates read it: converted once from the snapshot, then looked up by symbol."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.instruments import Lot, lot_of
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
    """A sale of all under way: scheduled, by the monitor or a flatten; not the resting stop."""
    reduction: bool
    """A sale of a part under way."""
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
    min_order_size: Decimal | None = None
    """Shares or coins; None: the book's own rule, as with the two below."""
    min_trade_increment: Decimal | None = None
    price_increment: Decimal | None = None
    """Dollars."""

    def lot(self, book: str) -> Lot:
        """What an order may be about: the broker's word where it gave one, else the book's rule. Shares are whole."""
        rule = lot_of(book)
        if book == "equity":
            return rule
        return Lot(self.min_trade_increment or rule.increment, self.min_order_size or rule.minimum)


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
    unsettled_cash: Decimal = ZERO
    """Dollars that were cash then, and pay no coins before they settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """The facts of one ledger version."""

    version: int
    cash: Decimal
    reserved: Decimal
    """Dollars that open entries may still cost."""
    holdings: Mapping[str, Holding]
    orders: Mapping[str, OpenOrder]
    """By intent id."""
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
        """Reads a whole snapshot. Raises Malformed naming the field that cannot be read."""
        holdings = {each.symbol: each for each in map(_holding, snapshot.positions) if each.quantity}
        orders = {each.intent_id: each for each in map(_order, snapshot.open_intents)}
        by_symbol = _by_symbol(orders.values())
        return cls(
            holdings=holdings,
            orders=orders,
            open_orders=by_symbol,
            taken=_taken(holdings, by_symbol),
            last_entries=_last_entries(snapshot),
            assets={each.symbol: _asset(each) for each in snapshot.assets},
            progress={each.strategy: _progress(each) for each in snapshot.strategies},
            **_always_whole(snapshot),
        )

    def after(self, response: execution.WatchSnapshotResponse) -> Self:
        """This view with the changes of an answer that holds only those. Raises Malformed."""
        snapshot = response.snapshot
        holdings, orders, open_orders = dict(self.holdings), dict(self.orders), dict(self.open_orders)
        touched: dict[str, list[OpenOrder]] = {}
        for symbol in response.closed_symbols:
            holdings.pop(symbol, None)
            touched.setdefault(symbol, [])
        for holding in map(_holding, snapshot.positions):
            holdings[holding.symbol] = holding
            touched.setdefault(holding.symbol, [])
        for intent_id in response.ended_intents:
            if (ended := orders.pop(intent_id, None)) is not None:
                touched.setdefault(ended.symbol, [])
        for order in map(_order, snapshot.open_intents):
            if order.intent_id not in orders:
                touched.setdefault(order.symbol, []).append(order)
            orders[order.intent_id] = order
            touched.setdefault(order.symbol, [])
        for symbol, new in touched.items():
            known = (orders[each.intent_id] for each in open_orders.pop(symbol, ()) if each.intent_id in orders)
            if found := (*known, *new):
                open_orders[symbol] = found
        return replace(
            self,
            holdings=holdings,
            orders=orders,
            open_orders=open_orders,
            taken=_taken_after(self.taken, touched, holdings, open_orders),
            last_entries={**self.last_entries, **_last_entries(snapshot)},
            progress={**self.progress, **{each.strategy: _progress(each) for each in snapshot.strategies}},
            **_always_whole(snapshot),
        )


def _always_whole(snapshot: execution.LedgerSnapshot) -> dict[str, Any]:
    """What every answer holds whole."""
    halts = [_halt(each) for each in snapshot.halts]
    return {
        "version": snapshot.version,
        "cash": _amount(snapshot.account.cash, "Account.cash"),
        "reserved": _amount(snapshot.account.reserved, "Account.reserved"),
        "account_halts": tuple(each for each in halts if not each.symbol and not each.strategy),
        "symbol_halts": {each.symbol: each for each in halts if each.symbol},
        "strategy_halts": {each.strategy: each for each in halts if each.strategy and not each.symbol},
        "reconciliation": _reconciliation(snapshot.reconciliation),
        "entries_locked_reason": snapshot.entries_locked_reason,
    }


def _by_symbol(orders: Iterable[OpenOrder]) -> dict[str, tuple[OpenOrder, ...]]:
    found: dict[str, list[OpenOrder]] = {}
    for order in orders:
        found.setdefault(order.symbol, []).append(order)
    return {symbol: tuple(each) for symbol, each in found.items()}


def _last_entries(snapshot: execution.LedgerSnapshot) -> dict[str, LastEntry]:
    return {
        each.symbol: LastEntry(from_timestamp(each.market_time), each.entries_today) for each in snapshot.last_entries
    }


def _books_of(
    symbol: str, holdings: Mapping[str, Holding], orders: Mapping[str, tuple[OpenOrder, ...]]
) -> Iterator[str]:
    """The books in which a symbol takes a place: it is held, or being entered."""
    if symbol in holdings:
        yield holdings[symbol].book
    yield from (order.book for order in orders.get(symbol, ()) if order.entry)


def _taken(holdings: Mapping[str, Holding], orders: Mapping[str, tuple[OpenOrder, ...]]) -> dict[str, frozenset[str]]:
    return _taken_after({}, holdings.keys() | orders.keys(), holdings, orders)


def _taken_after(
    before: Mapping[str, frozenset[str]],
    touched: Iterable[str],
    holdings: Mapping[str, Holding],
    orders: Mapping[str, tuple[OpenOrder, ...]],
) -> dict[str, frozenset[str]]:
    """Places taken by book, where only the `touched` symbols may have changed theirs."""
    symbols = frozenset(touched)
    taken = {book: set(known - symbols) for book, known in before.items()}
    for symbol in symbols:
        for book in _books_of(symbol, holdings, orders):
            taken.setdefault(book, set()).add(symbol)
    return {book: frozenset(found) for book, found in taken.items() if found}


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
        intent.purpose == execution.PURPOSE_REDUCE,
        quantity - _amount(intent.filled_quantity, "Intent.filled_quantity"),
    )


def _asset(facts: execution.AssetFacts) -> Asset:
    def step(value: common.Decimal, field: str) -> Decimal | None:
        return from_decimal(value, field=f"AssetFacts.{field}") if value.value else None

    return Asset(
        tradable=facts.tradable,
        status=facts.status,
        min_order_size=step(facts.min_order_size, "min_order_size"),
        min_trade_increment=step(facts.min_trade_increment, "min_trade_increment"),
        price_increment=step(facts.price_increment, "price_increment"),
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
    unsettled = _amount(verdict.unsettled_cash, "ReconciliationVerdict.unsettled_cash")
    return Reconciliation(state, from_timestamp(verdict.market_time), len(verdict.discrepancies), unsettled)


def _amount(value: common.Decimal, field: str) -> Decimal:
    # An absent amount is zero: execution leaves out what it has none of.
    return from_decimal(value, field=field) if value.value else ZERO

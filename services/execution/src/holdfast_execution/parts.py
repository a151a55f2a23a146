"""What one version of the ledger looks like, kept in memory so that nobody has to read it again.

A version is committed once and never changes, so whatever was read of it stays true, and a version that this process
committed itself follows from the one before it and the rows that the transaction has written. Only committed state is
kept. What another process has written in between shows in the key, and is read anew.

Halts are as of the last time that their facts were told: admin inserts them without raising the version, so whoever
decides on them (the submit transaction, a claim) reads them beside this.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.money import UNITS_PER_CASH, from_units
from holdfast_execution.domain.intents import OPEN, IntentState
from holdfast_execution.rows import AccountRow, HaltRow, IntentRow, LastEntryRow, PositionRow, StrategyRow
from holdfast_runtime.ledger_halts import from_micros, to_micros
from holdfast_runtime.ports.venue import BrokerAsset

ENTRY_MEMORY = timedelta(days=2)
"""Last entries are known so far back: longer than any cooldown and than a day's throttle."""
MINUTE = timedelta(minutes=1)
RECENT = 32
"""Commits of which it is kept what they touched: whoever looked last so long ago compares everything."""

Row = TypeVar("Row")
Key = tuple[int, int]
"""Version and newest event."""


@dataclass(frozen=True, slots=True)
class IntentChange:
    """An intent as it is now; `reserved`: what its entry may still cost, in units of cash."""

    row: IntentRow
    reserved: int


@dataclass(frozen=True, slots=True)
class EntryAllowed:
    """An entry was decided, at an instant in microseconds."""

    symbol: str
    at: int


@dataclass(frozen=True, slots=True)
class Unforeseen:
    """Something else has changed: the next view is read from the database."""


Change = IntentChange | EntryAllowed | PositionRow | StrategyRow | execution.ReconciliationVerdict | Unforeseen


@dataclass(frozen=True, slots=True)
class Touched:
    """Which rows have changed since a version."""

    since: int
    intents: frozenset[str]
    symbols: frozenset[str]
    """Of those intents, and of positions."""
    strategies: frozenset[str]
    entered: frozenset[str]
    """Symbols whose last entries are other ones."""

    def and_then(self, later: "Touched") -> "Touched":
        return Touched(
            self.since,
            self.intents | later.intents,
            self.symbols | later.symbols,
            self.strategies | later.strategies,
            self.entered | later.entered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that is open, and what limits and cooldowns derive from."""

    key: Key
    account: AccountRow
    intents: Mapping[str, IntentRow]
    """Open ones by id, oldest first."""
    reservations: Mapping[str, int]
    """Units of cash that open entries may still cost, by intent id."""
    parents: Mapping[str, IntentState]
    """State of the intent that an open one came with, by its id."""
    positions: Mapping[str, PositionRow]
    """By symbol, in its order; flat ones too."""
    strategies: Mapping[str, StrategyRow]
    """By id, in its order."""
    halts: tuple[HaltRow, ...]
    assets: tuple[BrokerAsset, ...]
    verdict: execution.ReconciliationVerdict | None
    entries: Mapping[str, tuple[int, ...]]
    """When entries were allowed, in microseconds, oldest first, by symbol."""
    skipped_buys: frozenset[tuple[str, datetime]]
    """See `LedgerView`."""
    recent: tuple[Touched, ...] = field(default=(), compare=False)
    """What the commits before touched, oldest first, without a gap."""

    def touched_since(self, version: int) -> Touched | None:
        """What has changed since `version`; None where that is not known."""
        if version == self.version:
            return Touched(version, *(frozenset[str]() for _ in range(4)))
        return touched_since(self.recent, version)

    @property
    def version(self) -> int:
        return self.key[0]

    def last_entries(self, now: datetime, symbols: Sequence[str] | None = None) -> list[LastEntryRow]:
        """By symbol, of the last two days; `symbols` narrows it."""
        since = to_micros(now - ENTRY_MEMORY)
        midnight = to_micros(now.replace(hour=0, minute=0, second=0, microsecond=0))
        rows = []
        for symbol in sorted(self.entries if symbols is None else set(symbols) & self.entries.keys()):
            times = self.entries[symbol]
            if times[-1] >= since:
                today = len(times) - bisect_left(times, max(midnight, since))
                rows.append(LastEntryRow(symbol=symbol, market_time=from_micros(times[-1]), entries_today=today))
        return rows

    def entries_last_minute(self, now: datetime) -> int:
        """Entries that were allowed within the minute before `now`."""
        since = to_micros(now - MINUTE)
        return sum(len(times) - bisect_right(times, since) for times in self.entries.values() if times[-1] > since)

    def after(self, changes: Sequence[Change], *, key: Key, account: AccountRow) -> "Parts | None":
        """The parts once `changes` are committed; None where they do not say enough. `account.reserved` is set here."""
        step = _Step(self)
        return step.result(key, account) if all(step.take(change) for change in changes) else None


class _Step:
    """Takes changes, each onto copies of what was before."""

    def __init__(self, before: Parts) -> None:
        self._before = before
        self._intents = dict(before.intents)
        self._reservations = dict(before.reservations)
        self._positions = dict(before.positions)
        self._strategies = dict(before.strategies)
        self._entries = dict(before.entries)
        self._verdict = before.verdict
        self._parents = dict(before.parents)
        self._ends: dict[str, IntentState] = {}
        self._intent_ids: set[str] = set()
        self._symbols: set[str] = set()
        self._strategy_ids: set[str] = set()
        self._entered: set[str] = set()

    def take(self, change: Change) -> bool:
        """False where the change does not say what has changed."""
        match change:
            case IntentChange():
                self._take_intent(change.row, change.reserved)
            case EntryAllowed():
                oldest = change.at - ENTRY_MEMORY // timedelta(microseconds=1)
                known = (at for at in self._entries.get(change.symbol, ()) if at >= oldest)
                self._entries[change.symbol] = tuple(sorted((*known, change.at)))
                self._entered.add(change.symbol)
            case PositionRow():
                self._positions = _with(self._positions, change.symbol, change)
                self._symbols.add(change.symbol)
            case StrategyRow():
                self._strategies = _with(self._strategies, change.strategy, change)
                self._strategy_ids.add(change.strategy)
            case execution.ReconciliationVerdict():
                self._verdict = change
            case _:
                return False
        return True

    def _take_intent(self, row: IntentRow, units: int) -> None:
        name = row.intent_id
        self._intent_ids.add(name)
        self._symbols.add(row.symbol)
        if row.state not in OPEN:
            self._intents.pop(name, None)
            self._reservations.pop(name, None)
            self._ends[name] = row.state
            return
        newest = next(reversed(self._intents.values()), None)
        out_of_order = name not in self._intents and newest is not None and age(row) < age(newest)
        self._intents[name] = row
        if out_of_order:
            self._intents = {each.intent_id: each for each in sorted(self._intents.values(), key=age)}
        if units:
            self._reservations[name] = units
        else:
            self._reservations.pop(name, None)

    def result(self, key: Key, account: AccountRow) -> Parts | None:
        """None where the state of somebody's parent is not known here."""
        if not self._follow_parents():
            return None
        touched = Touched(
            self._before.version,
            frozenset(self._intent_ids),
            frozenset(self._symbols),
            frozenset(self._strategy_ids),
            frozenset(self._entered),
        )
        return replace(
            self._before,
            key=key,
            account=replace(account, reserved=reserved(self._reservations)),
            intents=self._intents,
            reservations=self._reservations,
            parents=self._parents,
            positions=self._positions,
            strategies=self._strategies,
            verdict=self._verdict,
            entries=self._entries,
            recent=(*self._before.recent[1 - RECENT :], touched),
        )

    def _follow_parents(self) -> bool:
        """The parents of what is open now. False where the state of one is not known here."""
        for name in self._intent_ids:
            row = self._intents.get(name)
            if row is None:
                # Its parent may have been kept for it alone.
                return self._find_parents()
            if name in self._parents:
                self._parents[name] = row.state
            if row.parent_intent_id:
                state = self._state_of(row.parent_intent_id)
                if state is None:
                    return False
                self._parents[row.parent_intent_id] = state
        return True

    def _find_parents(self) -> bool:
        parents: dict[str, IntentState] = {}
        for row in self._intents.values():
            parent = row.parent_intent_id
            if parent and parent not in parents:
                state = self._state_of(parent)
                if state is None:
                    return False
                parents[parent] = state
        self._parents = parents
        return True

    def _state_of(self, intent_id: str) -> IntentState | None:
        if intent_id in self._intents:
            return self._intents[intent_id].state
        return self._ends.get(intent_id) or self._before.parents.get(intent_id)


def touched_since(recent: Sequence[Touched], version: int) -> Touched | None:
    """All that was touched since `version`, of what is kept; None where that does not reach back so far."""
    found: Touched | None = None
    for each in recent:
        if found is not None:
            found = found.and_then(each)
        elif each.since == version:
            found = each
    return found


def age(row: IntentRow) -> tuple[datetime, str]:
    """The order in which intents are kept: oldest first."""
    return row.created_at, row.intent_id


def _with(rows: dict[str, Row], key: str, row: Row) -> dict[str, Row]:
    new = key not in rows
    rows[key] = row
    return dict(sorted(rows.items())) if new else rows


def reserved(reservations: Mapping[str, int]) -> Decimal:
    """What all open entries may still cost."""
    return from_units(sum(reservations.values()), UNITS_PER_CASH)

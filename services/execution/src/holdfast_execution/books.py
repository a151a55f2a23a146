"""The ledger as the engine uses it: fenced writes, a mirror of what is open, and word of every change.

One object knows whether this process holds the lease, why entries are locked, and what is settled.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from holdfast_execution.domain.intents import IntentState
from holdfast_execution.ledger import Ledger, LedgerReads, LedgerRunner
from holdfast_execution.parts import Parts, Touched, age, touched_since
from holdfast_execution.rows import HaltRow, IntentRow, PositionRow, StrategyRow
from holdfast_runtime import flows
from holdfast_runtime.errors import Code, Refused
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.clock import MarketClock

T = TypeVar("T")

UNSETTLED = frozenset({IntentState.SENDING, IntentState.UNKNOWN, IntentState.CANCELLING})
LOOSE = UNSETTLED | {IntentState.PENDING}

LOCKED_WITHOUT_LEASE = "NOT_HOLDER"

HELD_BACK_SECS = 0.005
"""The loops of this process wait no longer for an order that is about to leave."""
TURNS_TO_SEND = 3
"""Turns of the event loop from an order's commit to the thread that sends it."""


class Tenure(Protocol):
    """The account's lease, as its keeper sees it (`lease.LeaseKeeper`)."""

    @property
    def epoch(self) -> int:
        """The fencing epoch; 0 without the lease."""

    @property
    def is_holder(self) -> bool:
        """Holds the lease, and nobody can have taken it over yet."""

    @property
    def holder(self) -> str:
        """Who holds it, as last seen."""

    @property
    def last_write_at_secs(self) -> float:
        """Monotonic instant after which nothing may be written to the broker any more, by the last committed beat."""

    async def lost(self) -> None:
        """A write was refused with StaleFence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """What is open in the ledger, as of one version."""

    version: int = -1
    intents: tuple[IntentRow, ...] = ()
    """Oldest first."""
    loose: tuple[IntentRow, ...] = ()
    """Those of them that somebody has to do something about: not sent yet, or not settled."""
    by_id: Mapping[str, IntentRow] = field(default_factory=dict)
    by_symbol: Mapping[str, tuple[IntentRow, ...]] = field(default_factory=dict)
    """The same by symbol. Where nothing of a symbol has changed it is the same tuple as in the mirror before."""
    parents: Mapping[str, IntentState] = field(default_factory=dict)
    """State of the entry that an open stop came with, by the entry's intent id."""
    positions: Mapping[str, PositionRow] = field(default_factory=dict)
    """By symbol, flat ones too."""
    halts: tuple[HaltRow, ...] = ()
    strategies: Mapping[str, StrategyRow] = field(default_factory=dict)
    """By id: those that were ever decided or steered."""
    recent: tuple[Touched, ...] = ()

    @property
    def not_running(self) -> frozenset[str]:
        """Strategies of which no entry may work."""
        return frozenset(name for name, row in self.strategies.items() if not row.runs)

    def touched_since(self, version: int) -> frozenset[str] | None:
        """Symbols of which something has changed since `version`; None where that is not known."""
        if version == self.version:
            return frozenset()
        touched = touched_since(self.recent, version)
        return None if touched is None else touched.symbols

    def of_symbol(self, symbol: str) -> tuple[IntentRow, ...]:
        return self.by_symbol.get(symbol, ())

    @property
    def symbols(self) -> list[str]:
        """Symbols with anything open, sorted."""
        held = {symbol for symbol, position in self.positions.items() if position.quantity}
        return sorted(held | self.by_symbol.keys())


def mirror_of(parts: Parts, before: Mirror) -> Mirror:
    """The mirror of one version, made after the one `before` it."""
    touched = parts.touched_since(before.version)
    if touched is None:
        names = {name for name, row in parts.intents.items() if before.by_id.get(name) is not row}
        names |= before.by_id.keys() - parts.intents.keys()
    else:
        names = set(touched.intents)
    there = [parts.intents[name] for name in names if name in parts.intents]
    changed: dict[str, list[IntentRow]] = {before.by_id[name].symbol: [] for name in names if name in before.by_id}
    for row in there:
        changed.setdefault(row.symbol, []).append(row)
    by_symbol = dict(before.by_symbol)
    for symbol, rows in changed.items():
        same = [row for row in before.of_symbol(symbol) if row.intent_id not in names]
        group = tuple(sorted(same + rows, key=age))
        if not group:
            by_symbol.pop(symbol, None)
        elif by_symbol.get(symbol) != group:
            by_symbol[symbol] = group
    loose = [row for row in before.loose if row.intent_id not in names] + [row for row in there if row.state in LOOSE]
    return Mirror(
        version=parts.version,
        intents=tuple(parts.intents.values()),
        loose=tuple(sorted(loose, key=age)),
        by_id=parts.intents,
        by_symbol=by_symbol,
        parents=parts.parents,
        positions=parts.positions,
        halts=parts.halts,
        strategies=parts.strategies,
        recent=parts.recent,
    )


class Books:
    """Reads, fenced writes, and the changes of both."""

    def __init__(self, runner: LedgerRunner, *, tenure: Tenure, market_clock: MarketClock, activity: Activity) -> None:
        self._runner = runner
        self._tenure = tenure
        self._market_clock = market_clock
        self._activity = activity
        self._mirror = Mirror()
        self._changed = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []
        self._woken_at = 0
        self._held: asyncio.TimerHandle | None = None
        self._locks: dict[str, bool] = {}
        self.mark = 0
        """Raised by every change: a loop that was idle at an older mark has to look again."""
        self.version = 0
        self.working = False
        """The engine has taken the broker's word over under the present lease: its loops may act."""
        self.activity = activity
        runner.on_commit(self._committed)

    # --- access

    @property
    def now(self) -> datetime:
        return self._market_clock.now()

    @property
    def tenure(self) -> Tenure:
        return self._tenure

    def require_holder(self) -> int:
        """The fencing epoch. Raises Refused(NOT_HOLDER) naming the holder."""
        epoch = self._tenure.epoch
        if not epoch:
            raise Refused(
                Code.FAILED_PRECONDITION,
                "NOT_HOLDER",
                f"the account's lease is held by {self._tenure.holder or 'nobody'}",
                {"holder": self._tenure.holder},
            )
        return epoch

    async def write(self, call: Callable[[Ledger, int, datetime], T]) -> T:
        """Runs `call(ledger, epoch, now)` in one transaction. Raises StaleFence, Refused(NOT_HOLDER), LedgerError."""
        epoch, now = self.require_holder(), self.now
        with self._activity.busy():
            return await self._runner.run(lambda ledger: call(ledger, epoch, now))

    async def read(self, call: Callable[[LedgerReads], T]) -> T:
        """Runs `call` on the newest committed state."""
        return await self._runner.read(call)

    async def parts(self) -> Parts:
        """Everything that is open, of the newest committed version."""
        parts = self._runner.newest()
        if parts is None or parts.version < self.version:
            parts = await self._runner.read(lambda ledger: ledger.parts())
        return parts

    async def look(self) -> Mirror:
        """The mirror of the newest committed version."""
        if self._mirror.version != self.version or self._mirror.version < 0:
            parts = await self.parts()
            # Two lanes may look at once: the newer view stays.
            if parts.version > self._mirror.version:
                self._mirror = mirror_of(parts, self._mirror)
            self.version = max(self.version, parts.version)
            # A restarted process owes the versions that callers were answered before.
            self._activity.received(flows.LEDGER, self.version)
        return self._mirror

    @property
    def last_seen(self) -> Mirror:
        """The mirror as last looked at: may be behind."""
        return self._mirror

    # --- changes

    def _committed(self, version: int) -> None:
        self.version = max(self.version, version)
        self.pulse()
        self._activity.received(flows.LEDGER, self.version)

    def pulse(self) -> None:
        """Something that loops decide on has changed."""
        self.mark += 1
        if self._held is None:
            self._wake()
        self._activity.changed()

    def _wake(self) -> None:
        self._woken_at = self.mark
        self._changed.set()
        self._changed = asyncio.Event()
        for wake in self._wakes:
            wake()

    def hold_back(self) -> None:
        """An order is about to leave: what its commit would wake waits for it a moment, and is not idle meanwhile."""
        if self._held is None:
            self._held = asyncio.get_running_loop().call_later(HELD_BACK_SECS, self._let_go)

    def let_go(self, turns: int = TURNS_TO_SEND) -> None:
        """The end of `hold_back`, once what goes on now has had its turns of the event loop."""
        if turns:
            asyncio.get_running_loop().call_soon(self.let_go, turns - 1)
        elif self._held is not None:
            self._held.cancel()
            self._let_go()

    def _let_go(self) -> None:
        self._held = None
        if self._woken_at != self.mark:
            self._wake()

    def listen(self) -> asyncio.Event:
        """Set at the next change. Take it before looking."""
        return self._changed

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Inside, `wake` is called at every change, in the order of those who asked."""
        self._wakes.append(wake)
        try:
            yield
        finally:
            self._wakes.remove(wake)

    # --- locks of entries

    def lock_entries(self, reason: str, *, passing: bool = True) -> None:
        """No entry while any reason stands. Protection is never locked. `passing`: it ends by itself, soon."""
        if reason not in self._locks:
            self._locks[reason] = passing
            self.pulse()

    def unlock_entries(self, reason: str) -> None:
        if reason in self._locks:
            del self._locks[reason]
            self.pulse()

    @property
    def locked_reason(self) -> str:
        """Why entries are locked; empty where they are not."""
        if not self._tenure.is_holder:
            return LOCKED_WITHOUT_LEASE
        return next(iter(self._locks), "")

    @property
    def settled(self) -> bool:
        """At work, and nothing unresolved: never without the lease, which a restarted process has to win first."""
        return (
            self.working
            and self._tenure.is_holder
            and self._mirror.version == self.version
            and not any(self._locks.values())
            and not any(intent.state in UNSETTLED for intent in self._mirror.loose)
        )

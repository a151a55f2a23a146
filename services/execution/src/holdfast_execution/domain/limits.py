"""Limits that must hold, enforced again inside the submit transaction (controls of the order protocol).

The gate explains them on a snapshot; here they are decided on the ledger itself, so that two cycles in flight, or a
kill switch between the two, cannot break them. A decision that fails comes back blocked, with reason and numbers.
Only entries face caps; an exit needs something to sell that nobody else is selling.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_core.instruments import is_dust
from holdfast_core.money import ZERO, plain
from holdfast_execution.domain.firings import BUY_MISSED
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.domain.strategies import STOPPED
from holdfast_execution.rows import HaltRow, LedgerView, LimitsCheck
from holdfast_runtime.errors import Malformed
from holdfast_runtime.ledger_halts import KILL_SWITCH
from holdfast_runtime.wire import from_decimal, from_timestamp

GATE = "execution.limits"
"""Name of the verdict that execution adds to a decision it blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on entries. Durations in market time, money in the account's currency."""

    max_positions: int = 16
    max_new_per_cycle: int = 6
    cooldown: timedelta = timedelta(minutes=15)
    max_order_notional: Decimal = Decimal(15_000)
    max_symbol_notional: Decimal = Decimal(15_000)
    buying_power_fraction: Decimal = Decimal("0.8")
    max_gross_exposure: Decimal = Decimal(1)
    max_entries_per_symbol_day: int = 10
    entries_per_minute: int = 60
    verdict_max_age: timedelta = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Breach:
    """Why an order may not be: coded, in words, with the numbers behind it."""

    reason: str
    message: str
    numbers: dict[str, str] = field(default_factory=dict)


def enforcer(limits: Limits, *, entries_locked_reason: str = "", refused: Breach | None = None) -> LimitsCheck:
    """The check that `Ledger.store_cycle` runs inside its transaction.

    `entries_locked_reason`: why the engine takes no entries now (start, merge, lost lease); empty when it does.
    `refused`: why it takes none from this caller.
    """

    def check(view: LedgerView, decisions: Sequence[gate.Decision]) -> Sequence[gate.Decision]:
        return enforce(limits, view, decisions, entries_locked_reason, refused)

    return check


def enforce(
    limits: Limits,
    view: LedgerView,
    decisions: Sequence[gate.Decision],
    entries_locked_reason: str = "",
    refused: Breach | None = None,
) -> list[gate.Decision]:
    """The same decisions in the same order; ruled by score, then id: the best ones get what is scarce (point 2). Sales
    of parts come last: what sells all goes first (SY-2)."""
    tally = _Tally(limits, view, entries_locked_reason, refused)
    ruled: dict[str, gate.Decision] = {}
    for decision in sorted(decisions, key=_precedence):
        breach = tally.rule(decision) if decision.allowed else None
        ruled[decision.signal_id] = decision if breach is None else blocked(decision, breach)
    return [ruled[decision.signal_id] for decision in decisions]


def blocked(decision: gate.Decision, breach: Breach) -> gate.Decision:
    """A copy of the decision that is blocked, and says so beside the gates' own verdicts."""
    changed = gate.Decision()
    changed.CopyFrom(decision)
    changed.allowed = False
    changed.reason = breach.reason
    for name in ("quantity", "limit_price", "stop_price"):
        changed.ClearField(name)
    changed.verdicts.append(
        gate.Verdict(
            gate=GATE,
            outcome=gate.OUTCOME_BLOCK,
            reason=breach.reason,
            message=breach.message,
            numbers=breach.numbers,
        )
    )
    return changed


def halt_reason(halt: HaltRow) -> str:
    """The coded reason that a halt gives to what it blocks."""
    if halt.kind == KILL_SWITCH:
        return "KILL_SWITCH_ENGAGED"
    if halt.symbol:
        return "SYMBOL_HALTED"
    return "STRATEGY_HALTED" if halt.strategy else "ENTRIES_HALTED"


class _Tally:
    """The ledger's counts, and what this cycle adds to them."""

    def __init__(self, limits: Limits, view: LedgerView, entries_locked_reason: str, refused: Breach | None) -> None:
        self._refused = refused
        self._limits = limits
        self._view = view
        self._locked = entries_locked_reason
        self._owners = {row.symbol: row.strategy for row in view.positions}
        # Dust is in the way of nobody but other strategies: its own may add to it, and cannot sell it.
        self._dust = {row.symbol for row in view.positions if is_dust(row.quantity, row.book)}
        self._held = {row.symbol: row for row in view.positions}
        self._entering: set[str] = set()
        self._exiting: set[str] = set()
        self._reducing: set[str] = set()
        for row in view.open_intents:
            if row.purpose is Purpose.ENTRY:
                self._entering.add(row.symbol)
                self._owners[row.symbol] = row.strategy
            elif row.purpose is Purpose.REDUCE:
                self._reducing.add(row.symbol)
            elif row.purpose is not Purpose.STOP:
                self._exiting.add(row.symbol)
        self._last = {row.symbol: row for row in view.last_entries}
        self._progress = {row.strategy: row for row in view.strategies}
        self._cost = sum((abs(row.cost) for row in view.positions), ZERO)
        self._equity = view.account.cash + sum((row.cost for row in view.positions), ZERO)
        self._reserved = view.account.reserved
        self._new = 0

    def rule(self, decision: gate.Decision) -> Breach | None:
        """None where the decision stands; it is then counted."""
        if decision.direction == common.DIRECTION_EXIT_LONG:
            return self._rule_exit(decision)
        if decision.direction == common.DIRECTION_REDUCE_LONG:
            return self._rule_reduction(decision)
        breach = self._rule_entry(decision)
        if breach is None:
            self._new += 1
            self._entering.add(decision.symbol)
            self._owners[decision.symbol] = decision.strategy
            self._reserved += _notional(decision)
        return breach

    def _rule_exit(self, decision: gate.Decision) -> Breach | None:
        owner = self._owners.get(decision.symbol)
        if owner is None:
            return Breach("NOTHING_HELD", f"no position and no entry in {decision.symbol}")
        if owner != decision.strategy:
            return Breach("SYMBOL_OWNED", f"{decision.symbol} belongs to {owner}", {"owner": owner})
        if decision.symbol in self._dust - self._entering:
            return Breach("NOTHING_HELD", f"what is held of {decision.symbol} is too little to be sold")
        if decision.symbol in self._exiting:
            return Breach("EXIT_UNDERWAY", f"{decision.symbol} is being sold already")
        self._exiting.add(decision.symbol)
        return None

    def _rule_reduction(self, decision: gate.Decision) -> Breach | None:
        """A sale of a part needs a position with which nothing else is under way."""
        if decision.symbol not in self._held:
            return Breach("NOTHING_HELD", f"no position in {decision.symbol}")
        if decision.symbol in self._entering:
            return Breach("ENTRY_UNDERWAY", f"{decision.symbol} is being bought")
        if decision.symbol in self._reducing:
            return Breach("EXIT_UNDERWAY", f"{decision.symbol} is being sold already")
        breach = self._expired(decision) or self._rule_exit(decision)
        if breach is None:
            self._reducing.add(decision.symbol)
        return breach

    def _rule_entry(self, decision: gate.Decision) -> Breach | None:
        """The first breach, the most general rule first."""
        for breach in self._entry_breaches(decision):
            if breach is not None:
                return breach
        return None

    def _entry_breaches(self, decision: gate.Decision) -> Iterable[Breach | None]:
        yield self._refused
        yield self._locked_or_halted(decision)
        yield self._expired(decision)
        yield self._unreconciled()
        yield self._owned(decision)
        yield self._throttled(decision)
        yield self._full()
        yield self._unaffordable(decision)

    def _locked_or_halted(self, decision: gate.Decision) -> Breach | None:
        for halt in self._view.halts:
            if halt.covers(decision.symbol, decision.strategy):
                return Breach(halt_reason(halt), halt.reason or halt.kind, {"halt_id": halt.halt_id})
        if self._locked:
            return Breach("ENTRIES_LOCKED", self._locked)
        progress = self._progress.get(decision.strategy)
        if progress is not None and not progress.runs:
            return Breach(STOPPED, f"{decision.strategy} is {progress.state}")
        return None

    def _expired(self, decision: gate.Decision) -> Breach | None:
        now = self._view.now
        valid_until = from_timestamp(decision.valid_until)
        if now >= valid_until:
            return Breach("CYCLE_EXPIRED", "the cycle is no longer valid", _instants(now=now, valid_until=valid_until))
        market_time = from_timestamp(decision.market_time)
        if (decision.strategy, market_time) in self._view.skipped_buys:
            # Whoever was told so does not expect it any more, however late or early a clock was when it was told.
            return Breach(BUY_MISSED, "this buy by the clock was settled as missed", _instants(planned=market_time))
        progress = self._progress.get(decision.strategy)
        if progress is None or progress.last_decided_cycle_time is None:
            return None
        if market_time < progress.last_decided_cycle_time:
            return Breach(
                "CYCLE_EXPIRED",
                "a newer cycle of the strategy was decided",
                _instants(cycle=market_time, newest=progress.last_decided_cycle_time),
            )
        return None

    def _unreconciled(self) -> Breach | None:
        verdict = self._view.verdict
        if verdict is None:
            return Breach("RECONCILIATION_STALE", "there is no verdict of reconciliation yet")
        age = self._view.now - from_timestamp(verdict.market_time)
        numbers = {"age_secs": _secs(age), "max_secs": _secs(self._limits.verdict_max_age)}
        if verdict.state != execution.RECONCILIATION_STATE_CLEAN:
            state = execution.ReconciliationState.Name(verdict.state).removeprefix("RECONCILIATION_STATE_").lower()
            return Breach("RECONCILIATION_STALE", f"the last verdict is {state}", numbers)
        if age > self._limits.verdict_max_age:
            return Breach("RECONCILIATION_STALE", "the last clean verdict is too old", numbers)
        return None

    def _owned(self, decision: gate.Decision) -> Breach | None:
        owner = self._owners.get(decision.symbol)
        if owner is None:
            return None
        if owner != decision.strategy:
            return Breach("SYMBOL_OWNED", f"{decision.symbol} belongs to {owner}", {"owner": owner})
        if decision.symbol in self._dust - self._entering:
            return None
        return Breach("POSITION_HELD", f"{decision.symbol} is held or being bought already")

    def _throttled(self, decision: gate.Decision) -> Breach | None:
        last = self._last.get(decision.symbol)
        if last is not None:
            since = self._view.now - last.market_time
            if since < self._limits.cooldown:
                numbers = {"since_secs": _secs(since), "cooldown_secs": _secs(self._limits.cooldown)}
                return Breach("COOLDOWN_ACTIVE", f"{decision.symbol} was entered too recently", numbers)
            if last.entries_today >= self._limits.max_entries_per_symbol_day:
                numbers = _numbers(today=last.entries_today, max=self._limits.max_entries_per_symbol_day)
                return Breach("THROTTLE_ACTIVE", f"{decision.symbol} was entered too often today", numbers)
        minute = self._view.entries_last_minute + self._new
        if minute >= self._limits.entries_per_minute:
            numbers = _numbers(last_minute=minute, max=self._limits.entries_per_minute)
            return Breach("RATE_EXCEEDED", "too many entries within a minute", numbers)
        return None

    def _full(self) -> Breach | None:
        taken = len(self._held.keys() | self._entering)
        if taken >= self._limits.max_positions:
            return Breach(
                "POSITIONS_FULL", "the book is full", _numbers(taken=taken, max=self._limits.max_positions)
            )  # fmt: skip
        if self._new >= self._limits.max_new_per_cycle:
            numbers = _numbers(new=self._new, max=self._limits.max_new_per_cycle)
            return Breach("CYCLE_FULL", "the cycle has had its entries", numbers)
        return None

    def _unaffordable(self, decision: gate.Decision) -> Breach | None:
        amount = _notional(decision)
        if amount <= 0:
            return Breach("NOTIONAL_MISSING", "an entry needs a quantity and a limit price")
        most = min(self._limits.max_order_notional, self._limits.max_symbol_notional)
        if amount > most:
            return Breach("NOTIONAL_EXCEEDED", "the order is too large", _numbers(notional=amount, max=most))
        exposure = self._cost + self._reserved + amount
        if exposure > self._limits.max_gross_exposure * self._equity:
            numbers = _numbers(exposure=exposure, equity=self._equity, max_times=self._limits.max_gross_exposure)
            return Breach("EXPOSURE_EXCEEDED", "gross exposure would be too high", numbers)
        power = min(
            self._view.account.cash - self._reserved,
            self._limits.buying_power_fraction * self._equity - self._cost - self._reserved,
        )
        if amount > power:
            return Breach("BUYING_POWER_SHORT", "not enough buying power", _numbers(notional=amount, power=power))
        return None


def _precedence(decision: gate.Decision) -> tuple[bool, float, str]:
    return decision.direction == common.DIRECTION_REDUCE_LONG, -decision.score.value, decision.signal_id


def _notional(decision: gate.Decision) -> Decimal:
    """Quantity at the limit price, else at the reference price; 0 where either is missing."""
    price = decision.limit_price if decision.HasField("limit_price") else decision.reference_price
    try:
        return from_decimal(decision.quantity, field="quantity") * from_decimal(price, field="limit_price")
    except Malformed:
        return ZERO


def _numbers(**values: Decimal | int) -> dict[str, str]:
    return {name: str(plain(Decimal(value))) for name, value in values.items()}


def _instants(**values: datetime) -> dict[str, str]:
    return {name: value.isoformat() for name, value in values.items()}


def _secs(duration: timedelta) -> str:
    return f"{duration.total_seconds():.3f}"

"""What the ledger holds, folded from its facts: any order and any repetition of facts gives the same state.

The facts come from a stream that may be lost; then, and at the start, the ledger itself is read (`apply_ledger`), as of
its newest fact. Facts newer than that stay, older ones no longer change what they are about.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_admin.domain.checks import check_readable
from holdfast_admin.domain.newest import Kept, Newest
from holdfast_core.money import ZERO
from holdfast_runtime.errors import Malformed
from holdfast_runtime.wire import from_decimal, from_timestamp, require

MAX_INTENTS = 2_000
MAX_FILLS = 2_000
MAX_DECISIONS = 1_000
MAX_HALTS = 500
MAX_POSITIONS = 1_000
MAX_LOG = 500
MAX_EVENT_ID = 2**53

TERMINAL = frozenset(
    {
        pb.INTENT_STATE_FILLED,
        pb.INTENT_STATE_CANCELLED,
        pb.INTENT_STATE_REJECTED,
        pb.INTENT_STATE_EXPIRED,
        pb.INTENT_STATE_NOT_SENT,
        pb.INTENT_STATE_TOMBSTONED,
        pb.INTENT_STATE_ABORTED,
    }
)
LOGGED_KINDS = frozenset({"halt", "lease", "note"})
NEVER = datetime.fromtimestamp(0, UTC)


def is_open(intent: pb.Intent) -> bool:
    """True until the intent is terminal."""
    return intent.state not in TERMINAL


def is_opened(account: pb.Account) -> bool:
    """False until the broker's cash was taken over: a ledger that was just made holds zeros that mean nothing."""
    return account.HasField("starting_cash")


def number(value: object, *, field: str = "amount") -> Decimal:
    """The Decimal in a message field; zero where it is absent. Raises Malformed."""
    text = getattr(value, "value", "")
    return from_decimal(value, field=field) if text else ZERO  # type: ignore[arg-type]  # a common.v1.Decimal


@dataclass(frozen=True, slots=True)
class HaltState:
    """A halt and whether it was lifted."""

    halt: pb.Halt
    cleared: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of the ledger in a person's words."""

    event_id: int
    kind: str
    summary: str
    recorded_at: datetime


class Projection:
    """The state. Everything in it is bounded."""

    def __init__(self) -> None:
        self.intents: Newest[pb.Intent] = Newest(MAX_INTENTS, pinned=is_open)
        self.fills: Newest[pb.Fill] = Newest(MAX_FILLS)
        self.positions: Newest[pb.Position] = Newest(MAX_POSITIONS, pinned=lambda p: bool(number(p.quantity)))
        self.halts: Newest[HaltState] = Newest(MAX_HALTS, pinned=lambda h: not h.cleared)
        self.decisions: Newest[gate.Decision] = Newest(MAX_DECISIONS)
        self.log: Newest[LogLine] = Newest(MAX_LOG)
        self.account: Kept[pb.Account] | None = None
        self.verdict: Kept[pb.ReconciliationVerdict] | None = None
        self.last_event_id = 0
        self.last_fact_at: datetime | None = None
        """Market time of the newest fact."""
        self.ledger_as_of = 0
        """Newest event that a reading of the ledger itself covered; 0: it was never read."""
        self._counts: Counter[tuple[bool, str]] = Counter()
        self._ledger_counts: Counter[str] = Counter()
        self._ledger_allowed = 0
        self._ledger_blocked = 0

    # --- facts

    def apply(self, fact: pb.Fact) -> bool:
        """Takes one fact; answers whether anything changed. Raises Malformed, and is then as before."""
        require("Fact", [("event_id", fact.event_id), ("kind", fact.kind), ("aggregate", fact.aggregate)])
        check(fact)
        version, at = fact.aggregate_version or fact.event_id, from_timestamp(fact.market_time)
        changed = self._take(fact, version, at)
        if fact.event_id > self.last_event_id:
            self.last_event_id, self.last_fact_at = fact.event_id, at
        if fact.kind in LOGGED_KINDS:
            line = LogLine(fact.event_id, fact.kind, fact.summary, from_timestamp(fact.recorded_at))
            changed |= self.log.put(str(fact.event_id), fact.event_id, at, line)
        return changed

    def _take(self, fact: pb.Fact, version: int, at: datetime) -> bool:
        match fact.WhichOneof("body"):
            case "decisions" | "decision":
                return self._take_decisions(decisions_of(fact), version, at)
            case "intent":
                if is_open(fact.intent) and self._is_over(self.intents, fact.intent.intent_id, version):
                    return False
                return self.intents.put(fact.intent.intent_id, version, at, fact.intent)
            case "fill":
                return self.fills.put(fact.fill.fill_id, version, at, fact.fill)
            case "position":
                return self.positions.put(fact.position.symbol, version, at, fact.position)
            case "halt":
                if not fact.cleared and self._is_over(self.halts, fact.halt.halt_id, version):
                    return False
                return self.halts.put(fact.halt.halt_id, version, at, HaltState(fact.halt, fact.cleared))
            case "account":
                if self.account is None or version > self.account.version:
                    self.account = Kept(version, at, fact.account)
                    return True
            case "reconciliation":
                if self.verdict is None or version > self.verdict.version:
                    self.verdict = Kept(version, at, fact.reconciliation)
                    return True
            case _:
                return False
        return False

    def _is_over(self, kept: Newest[Any], aggregate: str, version: int) -> bool:
        """The ledger, read later than this fact, did not have it among what is open."""
        return version <= self.ledger_as_of and kept.get(aggregate) is None

    def _take_decisions(self, decisions: Sequence[gate.Decision], version: int, at: datetime) -> bool:
        # A decision is made once: a fact that is kept already, or was, is not counted again.
        news = self.decisions.put_all({each.signal_id: each for each in decisions}, version, at)
        if version > self.ledger_as_of:
            self._counts.update((each.allowed, each.reason) for each in news)
        return bool(news)

    # --- the ledger itself

    def apply_ledger(self, ledger: pb.GetLedgerResponse, at: datetime) -> None:
        """Takes over what the ledger answered at market time `at`. An answer older than the last one is ignored."""
        version = ledger.last_event_id
        if version < self.ledger_as_of:
            return
        for intent in ledger.intents:
            self.intents.force(intent.intent_id, version, at, intent)
        for fill in ledger.fills:
            if self.fills.get(fill.fill_id) is None:
                self.fills.force(fill.fill_id, min(version, _fill_order(fill)), from_timestamp(fill.filled_at), fill)
        for position in ledger.positions:
            self.positions.force(position.symbol, version, at, position)
        for halt in ledger.halts:
            self.halts.force(halt.halt_id, version, at, HaltState(halt, cleared=False))
        self._forget_what_ended(ledger, version)
        if is_opened(ledger.account) and (self.account is None or self.account.version <= version):
            self.account = Kept(version, at, ledger.account)
        if ledger.HasField("reconciliation") and (self.verdict is None or self.verdict.version <= version):
            self.verdict = Kept(version, at, ledger.reconciliation)
        self.ledger_as_of = version
        if version > self.last_event_id:
            self.last_event_id, self.last_fact_at = version, at
        self._take_counts(ledger, version)

    def _forget_what_ended(self, ledger: pb.GetLedgerResponse, version: int) -> None:
        """Every open intent, position and halt is in the answer: what is not, and is no newer, is over."""
        intents = {intent.intent_id for intent in ledger.intents}
        self.intents.drop(unless=lambda i, k: k.version > version or i in intents or not is_open(k.body))
        positions = {position.symbol for position in ledger.positions}
        self.positions.drop(unless=lambda i, k: k.version > version or i in positions)
        halts = {halt.halt_id for halt in ledger.halts}
        self.halts.drop(unless=lambda i, k: k.version > version or i in halts or k.body.cleared)

    def _take_counts(self, ledger: pb.GetLedgerResponse, version: int) -> None:
        self._ledger_counts = Counter(dict(ledger.decisions_by_reason))
        self._ledger_allowed, self._ledger_blocked = ledger.decisions_allowed, ledger.decisions_blocked
        self._counts = Counter(
            (kept.body.allowed, kept.body.reason) for _, kept in self.decisions.items() if kept.version > version
        )

    def lift(self, halt_id: str) -> None:
        """Execution has answered that the halt is lifted; its fact follows."""
        known = self.halts.get(halt_id)
        if known is not None:
            self.halts.force(halt_id, known.version, known.at, HaltState(known.body.halt, cleared=True))

    # --- answers

    @property
    def decisions_allowed(self) -> int:
        return self._ledger_allowed + sum(n for (allowed, _), n in self._counts.items() if allowed)

    @property
    def decisions_blocked(self) -> int:
        return self._ledger_blocked + sum(n for (allowed, _), n in self._counts.items() if not allowed)

    @property
    def decisions_by_reason(self) -> dict[str, int]:
        """How often each reason was given, the most frequent first."""
        total = Counter(self._ledger_counts)
        for (_, reason), count in self._counts.items():
            total[reason] += count
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def held(self) -> list[pb.Position]:
        """Positions with a quantity, by symbol."""
        return sorted(
            (kept.body for _, kept in self.positions.items() if number(kept.body.quantity)), key=lambda p: p.symbol
        )

    def open_halts(self) -> list[pb.Halt]:
        """Halts in force, oldest first."""
        found = [kept.body.halt for _, kept in self.halts.items() if not kept.body.cleared]
        return sorted(found, key=lambda halt: (from_timestamp(halt.since), halt.halt_id))

    def strategies(self) -> list[str]:
        """Names seen in decisions and orders, sorted."""
        names = {kept.body.strategy for _, kept in self.decisions.items()}
        return sorted(names | {kept.body.strategy for _, kept in self.intents.items() if kept.body.strategy})


def _fill_order(fill: pb.Fill) -> int:
    """Places fills that the ledger told without their fact before all whose fact is known, by time."""
    return -(2**62) + int(from_timestamp(fill.filled_at).timestamp() * 1_000_000)


def decisions_of(fact: pb.Fact) -> Sequence[gate.Decision]:
    """What a fact tells of decisions: many at once, or, of earlier releases, one."""
    return fact.decisions.decisions if fact.HasField("decisions") else [fact.decision]


def check(fact: pb.Fact) -> None:
    """All of it can be read and every id is there. Raises Malformed naming the field."""
    check_readable(fact)
    if fact.event_id > MAX_EVENT_ID or fact.aggregate_version > MAX_EVENT_ID:
        raise Malformed(f"Fact.event_id {fact.event_id} is beyond every ledger")
    match fact.WhichOneof("body"):
        case "intent":
            require("Intent", [("intent_id", fact.intent.intent_id), ("symbol", fact.intent.symbol)])
        case "fill":
            fill = fact.fill
            required = [("fill_id", fill.fill_id), ("symbol", fill.symbol), ("filled_at", fill.HasField("filled_at"))]
            require("Fill", required)
        case "position":
            require("Position", [("symbol", fact.position.symbol)])
        case "halt":
            require("Halt", [("halt_id", fact.halt.halt_id)])
        case "decisions" | "decision":
            for each in decisions_of(fact):
                ids = [("signal_id", each.signal_id), ("strategy", each.strategy), ("symbol", each.symbol)]
                require("Decision", ids)

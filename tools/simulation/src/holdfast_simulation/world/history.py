"""What the ledger's facts say, one after the other as they are committed: moves between states and what they rest on,
fences, who sells, and the limits on entries. Each commit is looked at as it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

import sqlalchemy as sa

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_exchange.orders import Status
from holdfast_execution.adapters.sql import convert, plain, tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.domain.intents import PROVEN, TERMINAL, TRANSITIONS, IntentState, Purpose
from holdfast_execution.holdings import MONITOR_REASON, THROUGH_PRICE
from holdfast_runtime.ledger_halts import from_micros
from holdfast_runtime.ports.venue import SPLIT
from holdfast_runtime.settings import Settings
from holdfast_runtime.wire import from_decimal, from_timestamp
from holdfast_simulation.world.clocks import HostClocks
from holdfast_simulation.world.evidence import CANARY, Departure
from holdfast_simulation.world.loop import SeededLoop
from holdfast_simulation.world.part_judge import PartJudge
from holdfast_simulation.world.timed_judge import TimedJudge
from holdfast_simulation.world.venue import VenueServer
from holdfast_simulation.world.venue_faults import Split

UNPROVEN = frozenset({IntentState.PENDING, IntentState.SENDING, IntentState.UNKNOWN})
PRICE_MEMORY = timedelta(seconds=190)
"""The bar that a limit rests on began no longer than this before the cycle: its interval, and until it is stale, which
is never under two seconds of the wall."""
STRATEGY_GAP, ACCOUNT_WINDOW = timedelta(seconds=1), timedelta(seconds=60)
ZERO = Decimal(0)

# Asked at every commit, so built once (adapters/sql/plain.py).
_e, _h, _p, _a = tables.events.c, tables.halts.c, tables.positions.c, tables.adjustments.c
NEW_FACTS = (
    sa.select(_e.event_id, _e.kind, _e.aggregate, _e.fact, _e.summary)
    .where(_e.event_id > sa.bindparam("last"))
    .order_by(_e.event_id)
)
HOLDER = sa.select(tables.lease.c.holder)
PROTECTION = sa.select(_p.stop_price, _p.opened_at).where(_p.symbol == sa.bindparam("symbol"))
SPLITS = sa.select(_a.adjustment_id).where(_a.symbol == sa.bindparam("symbol"), _a.kind == SPLIT)
COVERING_HALTS = sa.select(_h.kind).where(
    _h.cleared_at.is_(None),
    _h.symbol.in_(("", sa.bindparam("symbol"))),
    _h.strategy.in_(("", sa.bindparam("strategy"))),
)


class Judge(Protocol):
    """Whom a violation is told."""

    def violated(self, number: int, what: str) -> None: ...


@dataclass(slots=True)
class History:
    """Follows one account's ledger from its first fact on."""

    judge: Judge
    timed: TimedJudge
    parts: PartJudge
    database: Database
    loop: SeededLoop
    server: VenueServer
    settings: Settings
    clocks: HostClocks
    splits: Mapping[str, Split]
    """By symbol, those that have taken effect."""
    _last_event_id: int = 0
    intents: dict[str, execution.Intent] = field(default_factory=dict)
    """As last told."""
    _entered: dict[str, list[datetime]] = field(default_factory=dict)
    """By symbol: instants of the cycles whose entries were allowed."""
    entries: dict[str, execution.Intent] = field(default_factory=dict)
    """By client order id."""
    _cycles: dict[str, str] = field(default_factory=dict)
    """By strategy: the cycle that was last decided."""
    _decided: set[str] = field(default_factory=set)
    _wished_at: dict[str, datetime] = field(default_factory=dict)
    """By signal: the instant of its cycle."""

    def __post_init__(self) -> None:
        sa.event.listen(self.database.write, "commit", self._committed)

    def _committed(self, connection: sa.Connection) -> None:
        """Called inside every commit, by whoever commits."""
        new = plain.rows(connection, NEW_FACTS, {"last": self._last_event_id})
        if not new:
            return
        self._last_event_id = new[-1]["event_id"]
        self._look_at_fence(connection, {row["kind"] for row in new})
        for row in new:
            summary, aggregate = row["summary"], row["aggregate"]
            if CANARY.encode() in row["fact"] or CANARY in summary:
                self.judge.violated(17, f"a fact tells a secret: {summary}")
            if aggregate.startswith("firing."):
                self.timed.noted(aggregate.removeprefix("firing."), summary, self.entries)
            fact = execution.Fact.FromString(row["fact"])
            if fact.HasField("intent"):
                self._look_at_intent(connection, fact.intent)
            for decision in fact.decisions.decisions:
                self._look_at_decision(connection, decision, from_timestamp(fact.market_time))

    # --- 12: fences

    def _look_at_fence(self, connection: sa.Connection, kinds: set[str]) -> None:
        writer = self.loop.node.name
        [lease] = plain.rows(connection, HOLDER, {})
        holder = lease["holder"]
        if writer != holder and kinds != {"lease"}:
            self.judge.violated(12, f"{writer} has written {', '.join(sorted(kinds))}; {holder} holds the lease")

    # --- 13 and 11: moves, and what they rest on

    def _look_at_intent(self, connection: sa.Connection, intent: execution.Intent) -> None:
        earlier = self.intents.get(intent.intent_id)
        self.intents[intent.intent_id] = intent
        if _purpose(intent) is Purpose.ENTRY:
            self.entries[intent.client_order_id] = intent
        if _purpose(intent) is Purpose.REDUCE:
            self.parts.told(intent, before=None if earlier is None else earlier.state, now_secs=self.loop.time())
        after = _state(intent)
        before = None if earlier is None else _state(earlier)
        if before == after:
            return
        if before is not None and not _may_follow(before, after, next_leg=intent.leg > getattr(earlier, "leg", 0)):
            self.judge.violated(13, f"{intent.intent_id} goes from {before} to {after}")
        if before in UNPROVEN and not self._rests_on_evidence(intent, after):
            self.judge.violated(11, f"{intent.intent_id} goes from {before} to {after} ({intent.reason}) unproven")
        if after is IntentState.SENDING:
            self._look_at_sale(connection, intent)

    def _rests_on_evidence(self, intent: execution.Intent, after: IntentState) -> bool:
        name = intent.client_order_id
        evidence, orders = self.server.evidence, self.server.exchange.orders.values()
        match after:
            case IntentState.SENDING | IntentState.UNKNOWN:
                return True
            case IntentState.REJECTED if name in evidence.refused:
                # A refusal is that POST's alone: an earlier one of the same name may live.
                return not any(name == o.client_order_id for o in orders if o.is_open or o.filled_quantity)
            case IntentState.REJECTED:
                return any(name == o.client_order_id and o.status is Status.REJECTED for o in orders)
            case IntentState.TOMBSTONED:
                young_secs = self.settings.venue.timeout_secs + self.settings.execution.tombstone_after_secs
                left_secs = evidence.left_secs.get(name)
                return evidence.proven_absent(name, 0.0 if left_secs is None else left_secs + young_secs)
            case IntentState.PENDING | IntentState.NOT_SENT | IntentState.ABORTED:
                return name not in evidence.left_secs
            case _:
                # The broker has, or had, an order of that name.
                return any(name == order.client_order_id for order in orders)

    # --- 9: who sells

    def _look_at_sale(self, connection: sa.Connection, sale: execution.Intent) -> None:
        if sale.side != common.SIDE_SELL:
            return
        others = [
            each for each in self.intents.values() if each.symbol == sale.symbol and each.intent_id != sale.intent_id
        ]
        self.timed.sells(sale)
        purpose = _purpose(sale)
        if purpose is Purpose.FLATTEN and not sale.reason:
            self.judge.violated(9, f"{sale.intent_id} sells without a recorded trigger")
        if purpose is Purpose.EXIT:
            for other in others:
                stopped = _purpose(other) is Purpose.STOP and _state(other) is IntentState.PARTIALLY_FILLED
                flattened = _purpose(other) is Purpose.FLATTEN and _state(other) not in TERMINAL
                if stopped or flattened:
                    self.judge.violated(9, f"{sale.intent_id} goes before {other.intent_id}, which outranks it")
        for_price = purpose is Purpose.FLATTEN and sale.reason in (MONITOR_REASON, THROUGH_PRICE)
        if for_price and not self._traded_through(connection, sale):
            self.judge.violated(9, f"{sale.intent_id} sells by a stop whose price never traded")

    def _traded_through(self, connection: sa.Connection, sale: execution.Intent) -> bool:
        [position] = plain.rows(connection, PROTECTION, {"symbol": sale.symbol})
        noted, opened_at = position["stop_price"], position["opened_at"]
        stop_price = self._newest_stop(sale.symbol) if noted is None else convert.quantity(noted)
        if stop_price is None or opened_at is None:
            return False
        market = self.server.exchange.market
        bars = market.minute_bars(sale.symbol, from_micros(opened_at), market.released + timedelta(minutes=1))
        split = self.splits.get(sale.symbol)
        if split is None or from_micros(opened_at) >= split.at:
            # What is bought after it, as decided before it, is sold again at once: no market splits while it trades.
            return sale.reason == THROUGH_PRICE or any(bar.low <= stop_price for bar in bars)
        # Everything in new shares, whether the ledger knows of the split or not.
        if not plain.rows(connection, SPLITS, {"symbol": sale.symbol}):
            stop_price /= split.ratio
        seen = [bar.low / (split.ratio if bar.start < split.at else 1) for bar in bars]
        price = market.price(sale.symbol)
        return any(each <= stop_price for each in (seen if price is None else [*seen, price]))

    def _newest_stop(self, symbol: str) -> Decimal | None:
        """What a position that has noted no stop yet is protected by: one that filled before its entry was counted."""
        stops = [each for each in self.intents.values() if each.symbol == symbol and _purpose(each) is Purpose.STOP]
        return from_decimal(stops[-1].stop_price, field="Intent.stop_price") if stops else None

    # --- 2, 10 and 16: decisions

    def _look_at_decision(self, connection: sa.Connection, decision: gate.Decision, decided_at: datetime) -> None:
        last = self._cycles.get(decision.strategy)
        if decision.cycle_id != last and decision.cycle_id in self._decided:
            self.judge.violated(2, f"{decision.cycle_id} and {last} of {decision.strategy} overlap")
        self._cycles[decision.strategy] = decision.cycle_id
        self._decided.add(decision.cycle_id)
        self._wished_at[decision.signal_id] = from_timestamp(decision.market_time)
        if not decision.allowed or decision.direction != common.DIRECTION_ENTER_LONG:
            return
        halts = plain.rows(connection, COVERING_HALTS, {"symbol": decision.symbol, "strategy": decision.strategy})
        if halts:
            self.judge.violated(10, f"{decision.signal_id} is allowed in spite of {halts[0]['kind']}")
        rules = self.settings.gate
        times = self._entered.setdefault(decision.symbol, [])
        if times and (decided_at - times[-1]).total_seconds() < rules.cooldown_secs:
            self.judge.violated(16, f"{decision.signal_id} enters {decision.symbol} within its cooldown")
        times.append(from_timestamp(decision.market_time))
        if len(times) > rules.max_entries_per_symbol_day:
            self.judge.violated(16, f"{decision.signal_id} enters {decision.symbol} too often in a day")

    # --- 16: entries as they leave

    def left(self, departure: Departure) -> None:
        """A client order id has left for the first time."""
        entry = self.entries.get(departure.client_order_id)
        if entry is None:
            return
        rules, name = self.settings.gate, departure.client_order_id
        if departure.limit_price is None:
            self.judge.violated(16, f"entry {name} has no limit")
            return
        notional = departure.quantity * departure.limit_price
        if notional > min(rules.max_order_notional, rules.max_symbol_notional):
            self.judge.violated(16, f"entry {name} is worth {notional}")
        since = self._wished_at[entry.signal_id] - PRICE_MEMORY - self.clocks.most_off
        until = departure.at + self.clocks.most_off
        bars = self.server.exchange.market.minute_bars(departure.symbol, since, until)
        highest = max((bar.high for bar in bars), default=ZERO)
        if departure.limit_price > highest * (1 + rules.collar):
            self.judge.violated(
                16, f"entry {name} may pay {departure.limit_price}, the market was at {highest} at most"
            )
        # A retry whose first attempt never left has had its turn: in a lock-step it could wait for no later instant.
        if entry.attempts <= 1:
            self._look_at_rates(departure, entry.strategy)

    def _look_at_rates(self, departure: Departure, strategy: str) -> None:
        minute = [
            other
            for other in self.server.evidence.departures.values()
            if other.client_order_id in self.entries
            and departure.at - other.at < ACCOUNT_WINDOW
            and not self.clocks.jumped_since(other.left_secs)
        ]
        if len(minute) > self.settings.gate.entries_per_minute:
            self.judge.violated(16, f"{len(minute)} entries have left within a minute")
        for other in minute:
            mine = other is not departure and self.entries[other.client_order_id].strategy == strategy
            if mine and departure.at - other.at < STRATEGY_GAP:
                self.judge.violated(16, f"{strategy} has sent two entries within a second, at {departure.at}")


def _may_follow(before: IntentState, after: IntentState, *, next_leg: bool) -> bool:
    """A move of the state machine, a fill, or the next leg of what is proven over."""
    if next_leg:
        return before in PROVEN and after is IntentState.PENDING
    # A fill is evidence of an order, whatever was believed before.
    filled = after is IntentState.FILLED or (after is IntentState.PARTIALLY_FILLED and before not in TERMINAL)
    return filled or after in TRANSITIONS[before]


def _state(intent: execution.Intent) -> IntentState:
    return IntentState(execution.IntentState.Name(intent.state).removeprefix("INTENT_STATE_").lower())


def _purpose(intent: execution.Intent) -> Purpose:
    return Purpose(execution.Purpose.Name(intent.purpose).removeprefix("PURPOSE_").lower())

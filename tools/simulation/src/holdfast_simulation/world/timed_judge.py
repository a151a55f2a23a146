"""Trades by the clock are judged: each fires at most once, at its time, and nothing is bought after its grace (SQ-13,
IN-3; order protocol, "Timers and stop"). When a time is due is reckoned from the open, not with the schedule's own
arithmetic."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_core.ids import StrategyId, Symbol, signal_id
from holdfast_core.money import ZERO
from holdfast_core.schedules import TradeKind
from holdfast_execution.adapters.sql import convert, tables
from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.domain.firings import BUY_MISSED, FiringState
from holdfast_execution.domain.intents import Purpose
from holdfast_execution.domain.strategies import STOPPED
from holdfast_execution.timed_trades import ENTRY
from holdfast_runtime.settings import StrategySettings
from holdfast_simulation.world.clocks import HostClocks, WorldMarketClock
from holdfast_simulation.world.venue import Post, VenueServer
from holdfast_simulation.world.venue_faults import Split

REQUIREMENT = "SQ-13"
USUAL_OPEN = time(9, 30)
UNDER_WAY = timedelta(seconds=1)
"""Of market time: from the last look at the end of the grace to the socket."""
UNPLANNED_FOR = timedelta(minutes=10)
"""Of market time after the open: what was over by then may have found nobody who planned it."""
SETTLED_WITHIN = timedelta(minutes=2)
"""Of market time, when nothing goes wrong any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A time of a schedule, as a person reads it."""

    firing_id: str
    strategy: str
    kind: TradeKind
    due_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class TimedJudge:
    """`broken` says what did not hold, each once."""

    strategies: Sequence[StrategySettings]
    opens_at: datetime
    database: Database
    server: VenueServer
    market_clock: WorldMarketClock
    clocks: HostClocks
    splits: Mapping[str, Split]
    broken: list[str] = field(default_factory=list)
    _expected: dict[str, Expected] = field(init=False)
    _buys: dict[str, Expected] = field(init=False)
    """By signal."""
    _told: Counter[str] = field(default_factory=Counter)
    """What the ledger's log has said of a firing, and how often."""
    _planned_from: datetime | None = None
    """When somebody has planned for the first time, by the clock that has been furthest ahead."""
    _bought_before: dict[str, frozenset[str]] = field(default_factory=dict)
    """By sale that has fired: the signals whose entries were there."""

    def __post_init__(self) -> None:
        self._expected = {each.firing_id: each for each in self._read()}
        self._buys = {
            signal_id(StrategyId(buy.strategy), Symbol(symbol), buy.due_at, ENTRY): buy
            for buy in self._expected.values()
            for strategy in self.strategies
            if buy.kind is TradeKind.BUY and strategy.id == buy.strategy
            for symbol in strategy.symbols
        }

    def _read(self) -> Iterator[Expected]:
        for each in self.strategies:
            if each.schedule is None:
                continue
            grace = timedelta(seconds=each.schedule.grace_secs)
            sales = [(at, self._instant(at)) for at in each.schedule.sell_at]
            for at, due_at in sales:
                yield self._expect(each.id, TradeKind.SELL, at, due_at, due_at + grace)
            for at in each.schedule.buy_at:
                due_at = self._instant(at)
                ends_at = min([due_at + grace, *(sale_at for _, sale_at in sales if sale_at > due_at)])
                yield self._expect(each.id, TradeKind.BUY, at, due_at, ends_at)

    def _expect(self, strategy: str, kind: TradeKind, at: str, due_at: datetime, ends_at: datetime) -> Expected:
        identity = f"{strategy}.{self.opens_at:%Y-%m-%d}.{kind}.{at.replace(':', '')}"
        return Expected(firing_id=identity, strategy=strategy, kind=kind, due_at=due_at, ends_at=ends_at)

    def _instant(self, at: str) -> datetime:
        told, usual = time.fromisoformat(at), USUAL_OPEN
        return self.opens_at + timedelta(hours=told.hour - usual.hour, minutes=told.minute - usual.minute)

    def _break(self, what: str) -> None:
        line = f"{REQUIREMENT}: {what}"
        if line not in self.broken:
            self.broken.append(line)

    @property
    def sales(self) -> frozenset[str]:
        """Firings that sell."""
        return frozenset(each.firing_id for each in self._expected.values() if each.kind is TradeKind.SELL)

    @property
    def _latest_now(self) -> datetime:
        """By the clock that has been furthest ahead."""
        return self.market_clock.now() + self.clocks.most_off

    # --- while the world runs

    def noted(self, firing_id: str, summary: str, entries: Mapping[str, execution.Intent]) -> None:
        """The ledger says what became of a firing; `entries` are those that it knows."""
        state = FiringState(summary.partition(" is ")[2].partition(":")[0])
        settled = state is not FiringState.DUE
        if not settled and self._planned_from is None:
            self._planned_from = self._latest_now
        self._told[f"{firing_id} {'settled' if settled else 'planned'}"] += 1
        if self._told[f"{firing_id} settled"] > 1:
            self._break(f"{firing_id} is settled again: {summary}")
        expected = self._expected.get(firing_id)
        if expected is None:
            self._break(f"{firing_id} is no time of any schedule")
        elif settled and self._latest_now < expected.due_at:
            self._break(f"{firing_id} is settled before its time")
        if settled:
            self._bought_before[firing_id] = frozenset(each.signal_id for each in entries.values())

    def sells(self, sale: execution.Intent) -> None:
        """A sale is about to leave. One that a firing asked for sells what was bought before it fired, and no more."""
        expected = self._expected.get(sale.reason)
        if expected is None:
            return
        bought = self._bought_before.get(sale.reason)
        if bought is None or self._latest_now < expected.due_at:
            self._break(f"{sale.intent_id} sells for {sale.reason}, which has not fired")
        elif sale.signal_id not in bought and not sale.signal_id.startswith("position."):
            self._break(f"{sale.intent_id} sells for {sale.reason} what was bought after it")

    def posted(self, post: Post) -> None:
        """An order has reached the broker."""
        strategies = {each.strategy for each in self._buys.values()}
        intents = tables.intents.c
        query = (
            sa.select(intents.signal_id, intents.strategy)
            .join(tables.orders, tables.orders.c.intent_id == intents.intent_id)
            .where(tables.orders.c.client_order_id == post.order.client_order_id)
            .where(intents.purpose == Purpose.ENTRY.value)
        )
        with self.database.read.connect() as connection:
            found = connection.execute(query).first()
        if found is None or found.strategy not in strategies:
            return
        buy = self._buys.get(found.signal_id)
        if buy is None:
            self._break(f"{found.strategy} buys by {found.signal_id}, at no time of its schedule")
        elif self._latest_now < buy.due_at:
            self._break(f"{buy.firing_id} buys before its time")
        elif post.sent_at - UNDER_WAY - self.clocks.most_off >= buy.ends_at:
            self._break(f"{buy.firing_id} buys after its grace")

    # --- when it is quiet

    def at_rest(self, *, calm_from: datetime) -> Iterator[str]:
        """What is not (yet) as it must be. From `calm_from` on nothing went wrong, but for what a clock has skipped."""
        calm_from += self.clocks.most_off
        yield from self.broken
        rows = {each.firing_id: each for each in self._rows()}
        now = self.market_clock.now()
        for each in self._expected.values():
            row = rows.get(each.firing_id)
            judged_at = each.due_at if each.kind is TradeKind.SELL else each.ends_at
            if row is None and each.ends_at <= (self._planned_from or self.opens_at + UNPLANNED_FOR):
                # Over before anybody could plan it for the first time.
                continue
            if row is None or (row.state == FiringState.DUE and judged_at + SETTLED_WITHIN < now):
                yield f"{REQUIREMENT}: {each.firing_id} is not settled"
            elif row.state == FiringState.SKIPPED:
                yield from self._skipped(each, row.reason, calm_from)
        yield from self._bought_too_much()

    def _skipped(self, firing: Expected, reason: str, calm_from: datetime) -> Iterator[str]:
        allowed = {BUY_MISSED, STOPPED} if firing.kind is TradeKind.BUY else {STOPPED}
        if reason not in allowed or firing.due_at >= calm_from:
            yield f"{REQUIREMENT}: {firing.firing_id} is skipped: {reason}"
        for signal in (name for name, buy in self._buys.items() if buy.firing_id == firing.firing_id):
            if self._intents(signal):
                yield f"{REQUIREMENT}: {firing.firing_id} is skipped, and has bought by {signal}"

    def _bought_too_much(self) -> Iterator[str]:
        """At most once: however often it was asked for, no more is bought than was decided."""
        filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        for order in self.server.exchange.orders.values():
            filled[order.client_order_id] += order.filled_quantity
        for signal in self._buys:
            intents = self._intents(signal)
            if len(intents) > 1:
                yield f"{REQUIREMENT}: {signal} has {len(intents)} entries"
            for intent_id, quantity in intents:
                bought = sum((filled[name] for name in self._orders(intent_id)), ZERO)
                if bought > quantity:
                    yield f"{REQUIREMENT}: {signal} has bought {bought} of {quantity}"

    def _rows(self) -> "Sequence[sa.Row[Any, Any, Any, Any]]":
        firings = tables.firings.c
        with self.database.read.connect() as connection:
            return connection.execute(
                sa.select(firings.firing_id, firings.kind, firings.state, firings.reason).order_by(firings.firing_id)
            ).all()

    def _intents(self, signal: str) -> list[tuple[str, Decimal]]:
        """Entries of a signal with the most that they may buy."""
        intents = tables.intents.c
        query = sa.select(intents.intent_id, intents.symbol, intents.quantity).where(
            intents.signal_id == signal, intents.purpose == Purpose.ENTRY.value
        )
        with self.database.read.connect() as connection:
            rows = connection.execute(query).all()
        return [(row.intent_id, convert.quantity(row.quantity) * self._split(row.symbol)) for row in rows]

    def _split(self, symbol: str) -> Decimal:
        """What a split may have made of an order that was at the broker by then: new shares for each old one."""
        split = self.splits.get(symbol)
        return Decimal(1) if split is None else split.ratio

    def _orders(self, intent_id: str) -> list[str]:
        orders = tables.orders.c
        with self.database.read.connect() as connection:
            found = sa.select(orders.client_order_id).where(orders.intent_id == intent_id)
            return list(connection.execute(found).scalars())

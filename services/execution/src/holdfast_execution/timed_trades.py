"""Trades by the clock: each session's buys and sales are stored before their instant and settled once (SQ-13, IN-3).

A sale goes to the exit owner (order protocol, "One owner of the exit"), in the transaction that settles its firing. A
buy is signal's to ask for; here it is looked whether a decision came of it, wherever on the way it may have been lost.
"""

from collections.abc import Collection
from datetime import datetime

import structlog

from holdfast_core.ids import StrategyId, Symbol, signal_id
from holdfast_core.schedules import Schedule, TradeKind, firings
from holdfast_core.sessions import Session, calendar_of
from holdfast_execution.books import Books, Mirror
from holdfast_execution.domain.firings import (
    BUY_MISSED,
    SCHEDULE_CHANGED,
    FiringRow,
    FiringState,
    Settlement,
    settlement,
)
from holdfast_execution.domain.strategies import StrategyState
from holdfast_execution.lanes import Rest
from holdfast_execution.ledger import Ledger
from holdfast_execution.rows import ClaimRefused
from holdfast_execution.sales import Hands
from holdfast_runtime.settings import StrategySettings
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()

ENTRY, PART = "ENTER_LONG", "REDUCE_LONG"
"""What is asked for at a buy time: a part of its signals' ids."""


class TimedTrades:
    """Plans, fires and settles, under the lease."""

    def __init__(self, books: Books, hands: Hands, strategies: tuple[StrategySettings, ...]) -> None:
        self._books = books
        self._hands = hands
        timed = [each for each in strategies if each.enabled and each.schedule is not None]
        self._symbols = {each.id: each.symbols for each in timed}
        self._schedules: dict[str, Schedule] = {
            each.id: each.schedule.of(each.book) for each in timed if each.schedule is not None
        }
        self._due: list[FiringRow] = []
        self._plan_at: datetime | None = None

    @property
    def any(self) -> bool:
        """True where some strategy has times."""
        return bool(self._schedules)

    async def begin(self) -> None:
        """Under a new lease: what was planned before is due still, and late where its instant has passed (SQ-9).

        What the configuration no longer has ends here, so that no forgotten sale runs when it comes back."""
        self._due = await self._books.read(lambda ledger: ledger.firings_due())
        dropped = [each for each in self._due if not self._has(each)]
        for row in dropped:
            await self._settle(row, Settlement(FiringState.SKIPPED, SCHEDULE_CHANGED))
        if self.any:
            await self._plan(late={each.strategy for each in dropped if each.kind is TradeKind.SELL})

    async def turn(self, mirror: Mirror) -> Rest:  # noqa: ARG002 - a lane's turn: what it needs is read in its write
        """One firing whose instant has come, or the plan of the next session; else when to look again."""
        now = self._books.now
        for row in self._due:
            if row.judged_at <= now:
                await self._fire(row)
                return Rest(did=True)
        if self._plan_at is not None and self._plan_at <= now:
            await self._plan()
            return Rest(did=True)
        ahead = [each.judged_at for each in self._due] + ([] if self._plan_at is None else [self._plan_at])
        return Rest(at=min(ahead, default=None))

    async def _plan(self, late: Collection[str] = ()) -> None:
        """Stores the firings of the present or the next session that are not over.

        `late`: strategies whose sale was due still at a time that the configuration no longer has: one that was moved
        to before this instant runs late, rather than not at all.
        """
        now = self._books.now
        sessions = {strategy: _session(schedule, now) for strategy, schedule in self._schedules.items()}
        found = [
            each
            for strategy, schedule in self._schedules.items()
            for each in firings(strategy, schedule, sessions[strategy])
            if each.ends_at > now or each.void or (each.kind is TradeKind.SELL and strategy in late)
        ]
        self._due = await self._books.write(lambda ledger, epoch, now: ledger.plan_firings(epoch, now, found))
        self._plan_at = min(each.close for each in sessions.values())

    async def _fire(self, row: FiringRow) -> None:
        def store(ledger: Ledger, epoch: int, now: datetime) -> Settlement | None:
            # An abort ends entries alone: what reduces risk goes on. Only a person's stop cancels timers (SQ-10).
            stopped = ledger.strategy(row.strategy).state == StrategyState.STOPPED
            decided = row.kind is TradeKind.BUY and bool(ledger.decisions(self._signals(row)))
            end = settlement(row, now, stopped=stopped, decided=decided)
            if end is not None:
                ledger.settle_firing(epoch, now, row.firing_id, end)
                if row.kind is TradeKind.SELL and end.state is not FiringState.SKIPPED:
                    self._hands.store_sales(ledger, epoch, now, row.strategy, row.firing_id)
            return end

        try:
            end = await self._books.write(store)
        except ClaimRefused:
            # Committed before, and the answer was lost.
            self._drop(row)
            return
        if end is not None:
            self._settled(row, end)

    async def _settle(self, row: FiringRow, end: Settlement) -> None:
        await self._books.write(lambda ledger, epoch, now: ledger.settle_firing(epoch, now, row.firing_id, end))
        self._settled(row, end)

    def _settled(self, row: FiringRow, end: Settlement) -> None:
        self._drop(row)
        missed = end.reason == BUY_MISSED
        outcome = "missed" if missed else end.state.value
        metrics.TIMED_TRADES.labels(kind=row.kind.value, outcome=outcome).inc()
        tell = log.error if missed or end.state is FiringState.LATE else log.info
        tell("timed_trade.settled", firing=row.firing_id, state=end.state.value, reason=end.reason)

    def _drop(self, row: FiringRow) -> None:
        """A list that was read meanwhile may not hold it any more."""
        self._due = [each for each in self._due if each.firing_id != row.firing_id]

    def _has(self, row: FiringRow) -> bool:
        schedule = self._schedules.get(row.strategy)
        if schedule is None:
            return False
        session = _session(schedule, row.due_at)
        return any(each.firing_id == row.firing_id for each in firings(row.strategy, schedule, session))

    def _signals(self, buy: FiringRow) -> list[str]:
        strategy = StrategyId(buy.strategy)
        symbols = self._symbols[buy.strategy]
        return [
            signal_id(strategy, Symbol(symbol), buy.planned_at, wish) for symbol in symbols for wish in (ENTRY, PART)
        ]


def _session(schedule: Schedule, instant: datetime) -> Session:
    """The session that is under way, or the next one."""
    calendar = calendar_of(schedule.book)
    found = calendar.session_at(instant) or calendar.session_at(calendar.next_open(instant))
    assert found is not None
    return found

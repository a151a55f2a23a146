"""What the routes answer from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.failurepoint.v1 import failurepoint_pb2
from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_admin.audit import Audit
from holdfast_admin.claims import ClaimDesk
from holdfast_admin.domain import board, convert, status
from holdfast_admin.domain.projection import is_open
from holdfast_admin.domain.sources import Sources
from holdfast_admin.domain.views import FillView, OrderView, StatusView
from holdfast_admin.operations import Operations
from holdfast_admin.reconnection import Reconnection
from holdfast_admin.strategies import StrategyDesk
from holdfast_admin.web.access import Access
from holdfast_catalogue.doctor.clinic import Clinic
from holdfast_core.sessions import Calendar
from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a route needs."""

    settings: Settings
    sources: Sources
    operations: Operations
    strategies: StrategyDesk
    claims: ClaimDesk
    reconnection: Reconnection
    audit: Audit
    access: Access
    market_clock: MarketClock
    wall_clock: MarketClock
    calendar: Calendar
    clinic: Clinic
    """Where everybody's examinations are."""
    failure_points: Callable[[], Sequence[failurepoint_pb2.FailurePoint]] = list
    """Every point of every service, as known now."""

    def status(self) -> StatusView:
        """The trading status as of now."""
        sources = self.sources
        market = board.market_time(sources, self.market_clock.now(), self.calendar)
        held = board.positions(sources)
        light, reasons = status.assess(sources, held, market, self.settings, self.failure_points())
        return StatusView(
            light=light,
            reasons=reasons,
            notices=status.notices(sources),
            market=market,
            as_of=sources.projection.last_fact_at,
            kill_switch=board.kill_switch(sources),
            account=board.account(sources, held, market, self.calendar),
            decisions_allowed=sources.projection.decisions_allowed,
            decisions_blocked=sources.projection.decisions_blocked,
        )

    def orders(self, limit: int, *, only_open: bool = False) -> list[OrderView]:
        """Newest first."""
        found = [kept.body for kept in self.sources.projection.intents.newest()]
        if only_open:
            found = [each for each in found if is_open(each)]
        found.sort(key=lambda each: (each.created_at.seconds, each.created_at.nanos, each.intent_id), reverse=True)
        return [convert.order(each) for each in found[:limit]]

    def fills(self, limit: int) -> list[FillView]:
        """Newest first."""
        found = [kept.body for kept in self.sources.projection.fills.newest()]
        found.sort(key=lambda each: (each.filled_at.seconds, each.filled_at.nanos, each.fill_id), reverse=True)
        return [convert.fill(each) for each in found[:limit]]

    def decisions(self, *, strategy: str = "", outcome: str = "", reason: str = "") -> list[gate.Decision]:
        """Newest first, narrowed by what is not empty."""
        return [
            each
            for each in (kept.body for kept in self.sources.projection.decisions.newest())
            if (not strategy or each.strategy == strategy)
            and (not outcome or each.allowed == (outcome == "allowed"))
            and (not reason or each.reason == reason)
        ]

    def now(self) -> datetime | None:
        """Market time."""
        return board.market_time(self.sources, self.market_clock.now(), self.calendar).now

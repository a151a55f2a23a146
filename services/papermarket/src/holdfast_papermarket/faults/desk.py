"""The fault plan in force: asked by everything that may go wrong, it counts, writes down and tells each firing."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog

from holdfast_exchange.commands import Command
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults.base import Area, Fault
from holdfast_exchange.faults.commands import ArmFaults, CountFault
from holdfast_exchange.faults.frames import Frames
from holdfast_exchange.faults.plan import FaultPlan, as_text
from holdfast_exchange.faults.scope import Call, Stream
from holdfast_runtime.telemetry import metrics

log = structlog.get_logger()


class FaultDesk:
    """One venue's plan. It lives in the exchange, whose journal keeps it."""

    def __init__(self, exchange: Exchange, command: Callable[[Command], object], now: Callable[[], datetime]) -> None:
        self._exchange = exchange
        self._command = command
        self._now = now
        self.wall_secs: Callable[[], float] = lambda: 0.0
        """Whoever serves the venue says how to read it."""
        self.maintenance_until: datetime | None = None
        self._maintenance_until_wall_secs = 0.0

    @property
    def plan(self) -> FaultPlan:
        return self._exchange.faults.plan

    @property
    def idle(self) -> bool:
        """True where no fault is planned and none goes on."""
        return not self.plan.faults and self.maintenance_until is None

    def arm(self, plan: FaultPlan) -> None:
        """Puts another plan in force; a fault that stays as it is keeps its counters."""
        self._command(ArmFaults(self._now(), as_text(plan)))
        log.warning("faults.armed", faults=[each.id for each in plan.faults], seed=plan.seed)

    def firing(
        self,
        area: Area,
        call: Call,
        *,
        stream: Stream | None = None,
        ready: Callable[[Fault], bool] = lambda _fault: True,
    ) -> Iterator[Fault]:
        """The faults that `call` meets, in the plan's order; each is counted when it is reached."""
        for fault in self.plan.faults:
            if fault.area is not area or (isinstance(fault, Frames) and fault.stream is not stream):
                continue
            if not ready(fault):
                continue
            if self.fires(fault, call):
                yield fault

    def fires(self, fault: Fault, call: Call) -> bool:
        """Asks one fault; a firing is in the journal, the log and the metrics afterwards."""
        board = self._exchange.faults
        if not board.fires(fault, call):
            return False
        tally = board.tallies[fault.id]
        self._command(CountFault(self._now(), fault.id, tally.seen, tally.fired))
        metrics.FAULTS_FIRED.labels(fault=fault.id, kind=fault.kind).inc()
        log.warning(
            "fault.fired",
            fault=fault.id,
            kind=fault.kind,
            times=tally.fired,
            endpoint=call.endpoint,
            symbols=sorted(call.symbols),
            update=call.event,
            market_time=call.at.isoformat(),
        )
        return True

    def draw(self, fault: Fault) -> tuple[object, ...]:
        """Words for a chance of this firing."""
        return self._exchange.faults.draw(fault)

    def begin_maintenance(self, secs: float, wall_secs: float) -> None:
        """For so much market time, and no more than so much of the wall's."""
        self.maintenance_until = self._now() + timedelta(seconds=secs)
        self._maintenance_until_wall_secs = self.wall_secs() + wall_secs

    @property
    def in_maintenance(self) -> bool:
        until = self.maintenance_until
        if until is not None and (self._now() >= until or self.wall_secs() >= self._maintenance_until_wall_secs):
            self.maintenance_until = None
        return self.maintenance_until is not None

    def counters(self) -> list[dict[str, Any]]:
        """Each fault with how often it was asked and fired."""
        tallies = self._exchange.faults.tallies
        return [
            {"id": each.id, "kind": each.kind, "seen": tallies[each.id].seen, "fired": tallies[each.id].fired}
            for each in self.plan.faults
        ]

"""The fault plan in force: asked by everything that may go wrong, it counts, writes down and tells each firing."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog

from holdfast_exchange.commands import Command, encode
from holdfast_exchange.exchange import Exchange
from holdfast_exchange.faults.base import Area, Fault
from holdfast_exchange.faults.commands import ArmFaults, CountFault, Maintain
from holdfast_exchange.faults.frames import Frames
from holdfast_exchange.faults.plan import FaultPlan, PlanRefused, as_text
from holdfast_exchange.faults.scope import Call, Stream
from holdfast_runtime.telemetry import metrics

Effects = Callable[[], Sequence[Command] | None]

log = structlog.get_logger()


class FaultDesk:
    """One venue's plan. It lives in the exchange, whose journal keeps it."""

    def __init__(self, exchange: Exchange, command: Callable[[Command], object], now: Callable[[], datetime]) -> None:
        self._exchange = exchange
        self._command = command
        self._now = now
        self.wall_secs: Callable[[], float] = lambda: 0.0
        """Whoever serves the venue says how to read it."""
        self._maintenance: tuple[datetime, float] | None = None
        """The one under way, and the wall's seconds at which it is over."""

    @property
    def plan(self) -> FaultPlan:
        return self._exchange.faults.plan

    @property
    def idle(self) -> bool:
        """True where no fault is planned and none goes on."""
        return not self.plan.faults and not self.in_maintenance

    def arm(self, plan: FaultPlan) -> None:
        """Puts another plan in force; a fault that stays as it is keeps its counters.

        Raises PlanRefused where a fault of the market names a symbol that is not recorded: it would never fire.
        """
        symbols = self._exchange.market.symbols
        problems = [
            f"faults.{index}.scope.symbol: {each.scope.symbol!r} is not allowed; "
            f"allowed: a recorded symbol: {', '.join(sorted(symbols))}"
            for index, each in enumerate(plan.faults)
            if each.area is Area.TICK and each.scope.symbol is not None and each.scope.symbol not in symbols
        ]
        if problems:
            raise PlanRefused(*problems)
        self._command(ArmFaults(self._now(), as_text(plan)))
        log.warning("faults.armed", faults=[each.id for each in plan.faults], seed=plan.seed)

    def firing(
        self,
        area: Area,
        call: Call,
        *,
        stream: Stream | None = None,
    ) -> Iterator[Fault]:
        """The faults that `call` meets, in the plan's order; each is counted when it is reached."""
        for fault in self.plan.faults:
            if fault.area is not area or (isinstance(fault, Frames) and fault.stream is not stream):
                continue
            if self.fires(fault, call):
                yield fault

    def fires(self, fault: Fault, call: Call, effects: Effects = lambda: ()) -> bool:
        """Asks one fault; a firing is in the journal with its effects, in the log and the metrics afterwards.

        `effects` is asked only where it fires; None: it cannot happen, and has not fired. Raises Refusal where the
        venue refuses them: then it has not fired either.
        """
        board = self._exchange.faults
        fires, tally = board.asked(fault, call)
        if not fires:
            board.tallies[fault.id] = tally
            return False
        commands = effects()
        if commands is None:
            return False
        lines = tuple(map(encode, commands))
        at = call.at if commands else self._now()
        self._command(CountFault(at, fault.id, tally.seen, tally.fired, lines))
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

    @property
    def in_maintenance(self) -> bool:
        """Over when market time or, since this process first knew of it, the wall's time is."""
        ordered, now = self._exchange.disturbances.maintenance, self._now()
        if ordered is None or now >= ordered[0]:
            return False
        until, wall_secs = ordered
        if self._maintenance is None or self._maintenance[0] != until:
            self._maintenance = until, self.wall_secs() + float(wall_secs)
        if self.wall_secs() >= self._maintenance[1]:
            self._command(Maintain(now, now, Decimal(0)))
            return False
        return True

    def counters(self) -> list[dict[str, Any]]:
        """Each fault with how often it was asked and fired."""
        tallies = self._exchange.faults.tallies
        return [
            {"id": each.id, "kind": each.kind, "seen": tallies[each.id].seen, "fired": tallies[each.id].fired}
            for each in self.plan.faults
        ]

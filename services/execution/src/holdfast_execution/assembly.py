"""The parts of one execution process, put together on its ports: the same in production, in tests and in the world."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast_execution.engine import Engine, Loop
from holdfast_execution.halt_watch import HaltWatch
from holdfast_execution.lease import LeaseKeeper
from holdfast_execution.ledger import LedgerRunner
from holdfast_execution.service import ExecutionService
from holdfast_runtime.ports.activity import Activity
from holdfast_runtime.ports.calls import PricesCalls
from holdfast_runtime.ports.clock import MarketClock, MonotonicClock
from holdfast_runtime.ports.venue import Broker
from holdfast_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Assembly:
    """What acts on the ledger and the broker under the lease, and what answers for it."""

    lease: LeaseKeeper
    engine: Engine
    halts: HaltWatch
    service: ExecutionService

    @property
    def loops(self) -> Mapping[str, Loop]:
        """What has to run while the process lives, by name; the lease first."""
        return {"lease": self.lease.run, **self.engine.loops, "halts": self.halts.run}


def assemble(
    *,
    runner: LedgerRunner,
    holder: str,
    broker: Broker,
    prices: PricesCalls,
    market_clock: MarketClock,
    monotonic_clock: MonotonicClock,
    activity: Activity,
    settings: Settings,
) -> Assembly:
    """`holder` names this process and no other, ever (see LeaseKeeper). Nothing runs yet."""
    rules = settings.execution

    async def acquired() -> None:
        await engine.on_acquired()

    async def lost() -> None:
        await engine.on_lost()

    lease = LeaseKeeper(
        runner=runner,
        holder=holder,
        clock=monotonic_clock,
        market_now=market_clock.now,
        takeover_secs=rules.lease_takeover_secs,
        beat_secs=rules.lease_beat_secs,
        margin_secs=rules.last_write_margin_secs,
        on_acquired=acquired,
        on_lost=lost,
    )
    engine = Engine(
        runner=runner,
        tenure=lease,
        broker=broker,
        prices=prices,
        market_clock=market_clock,
        monotonic_clock=monotonic_clock,
        activity=activity,
        settings=settings,
    )
    halts = HaltWatch(
        runner=runner, lease=lease, clock=monotonic_clock, market_now=market_clock.now, on_halts=engine.on_halts
    )
    service = ExecutionService(engine, monotonic_clock=monotonic_clock, settings=settings)
    return Assembly(lease, engine, halts, service)

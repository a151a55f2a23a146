"""The processes of the world: the production services on the ports of the world instead of gRPC, SQL and HTTP."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from holdfast_execution.adapters.sql.database import Database
from holdfast_execution.adapters.sql.session import Session
from holdfast_execution.adapters.sql.sql_ledger import SqlLedger
from holdfast_execution.assembly import assemble
from holdfast_execution.engine import Engine, Loop
from holdfast_execution.lease import LeaseKeeper
from holdfast_gate.changes import Changes
from holdfast_gate.prices import Prices
from holdfast_gate.service import GateService
from holdfast_gate.snapshot import Snapshots
from holdfast_reconciliation.reconciler import Reconciler
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.errors import AskPerson
from holdfast_runtime.loops import GaveUp, supervise
from holdfast_runtime.ports.calls import ExecutionCalls, GateCalls, PricesCalls
from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.settings import Settings
from holdfast_scoring.consumer import CONSUMER, CycleConsumer
from holdfast_scoring.scorer import Scorer
from holdfast_scoring.weights import WeightKeeper
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.world.clocks import WorldMonotonicClock
from holdfast_simulation.world.faults import Weather
from holdfast_simulation.world.ledger import WorldLedger
from holdfast_simulation.world.loop import Node, SeededLoop
from holdfast_simulation.world.venue import VenueLink, VenueServer
from holdfast_simulation.world.wire import Wire

RESTART_SECS = 0.5
"""A process that ended by itself is started again after so long."""


@dataclass(slots=True)
class Ground:
    """What every process stands on."""

    loop: SeededLoop
    settings: Settings
    database: Database
    server: VenueServer
    wire: Wire
    weather: Weather
    chance: random.Random
    market_clock: MarketClock
    """The right one."""
    clocks: Mapping[str, MarketClock] = field(default_factory=dict)
    """Of hosts that have one of their own, by process."""


class Process:
    """One service. A restart is a new node with new memory; what is durable lies outside of it."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground = ground
        self.name = name
        self.service = name.partition("-")[0]
        self.incarnation = 0
        self.node = Node(name, alive=False)
        self.clock: WorldMonotonicClock
        self.market_clock = ground.clocks.get(name, ground.market_clock)
        self.activity: ActivityTracker

    @property
    def running(self) -> bool:
        """True between a start and a crash."""
        return self.node.alive

    def start(self) -> None:
        """Begins a new incarnation."""
        if self.node.alive:
            return
        self.incarnation += 1
        self.node = Node(f"{self.name}.{self.incarnation}")
        offset_secs = self.ground.chance.uniform(0.0, 1e6)
        self.clock = WorldMonotonicClock(self.ground.loop, offset_secs)
        self.activity = ActivityTracker()
        with self.ground.loop.inside(self.node):
            self.build()

    def crash(self) -> None:
        """As kill -9."""
        if self.node.alive:
            self.ground.loop.crash(self.node)
            self.ground.wire.lost(self.node)

    def build(self) -> None:
        """Wires the service; called inside the new node."""
        raise NotImplementedError

    def run(self, name: str, turn: Callable[[], Awaitable[None]]) -> None:
        """A supervised loop; where it gives up the process ends and is started again, as by its controller."""
        node = self.node

        async def supervised() -> None:
            try:
                await supervise(name, turn, self.clock, nothing)
            except (GaveUp, AskPerson):
                self.ground.loop.later(0.0, lambda: self._end(node))

        self.ground.loop.start(node, supervised())

    def _end(self, node: Node) -> None:
        if node is self.node:
            self.crash()
            self.ground.loop.later(RESTART_SECS, self.start)

    def link(self) -> VenueLink:
        """Its way to the broker."""
        ground = self.ground
        return VenueLink(
            ground.loop,
            ground.server,
            ground.weather,
            ground.chance,
            node=self.node.name,
            market_clock=self.market_clock,
            monotonic_clock=self.clock,
            timeout_secs=ground.settings.venue.timeout_secs,
        )


class Execution(Process):
    """Execution, active or standing by."""

    engine: Engine
    lease: LeaseKeeper

    @property
    def unsettled(self) -> str:
        """Why a lock-step would wait for it in vain; empty where it stands by, or is settled."""
        if not (self.running and self.lease.is_holder) or self.activity.settled:
            return ""
        engine = self.engine
        parts = {"busy": self.activity.busy_now, "engine": not engine.settled, "books": not engine.books.settled}
        return f"{self.node.name} is not settled: {', '.join(name for name, holds in parts.items() if holds)}"

    def build(self) -> None:
        """As the service's own wiring does."""
        ground = self.ground
        ledger = SqlLedger(Session(ground.database, ground.settings.account.id))
        runner = WorldLedger(ledger, ground.weather, ground.chance, node=self.name)
        parts = assemble(
            runner=runner,
            holder=self.node.name,
            broker=self.link(),
            prices=ground.wire.remote(PricesCalls, "signal", self.service, self.clock),
            market_clock=self.market_clock,
            monotonic_clock=self.clock,
            activity=self.activity,
            settings=ground.settings,
        )
        self.engine, self.lease = parts.engine, parts.lease
        ground.wire.serve("execution", self.node, self.clock, parts.service)
        for name, loop in parts.loops.items():
            self.run(name, turn(loop))


class Gate(Process):
    """The gate."""

    gate: GateService

    def build(self) -> None:
        """As the service's own wiring does."""
        ground, activity, changes = self.ground, self.activity, Changes()
        execution = ground.wire.remote(ExecutionCalls, "execution", self.service, self.clock)
        prices_calls = ground.wire.remote(PricesCalls, "signal", self.service, self.clock)
        snapshots = Snapshots(execution, activity=activity, clock=self.clock, changes=changes)
        prices = Prices(prices_calls, activity=activity, clock=self.clock, changes=changes)
        self.gate = GateService(
            settings=ground.settings,
            market_clock=self.market_clock,
            monotonic_clock=self.clock,
            execution=execution,
            snapshots=snapshots,
            prices=prices,
            changes=changes,
            activity=activity,
        )
        ground.wire.serve("gate", self.node, self.clock, self.gate)
        self.run("watch-snapshots", turn(snapshots.run))
        self.run("watch-prices", turn(prices.run))


class Reconciliation(Process):
    """The independent comparison."""

    reconciler: Reconciler

    def build(self) -> None:
        """As the service's own wiring does."""
        ground = self.ground
        self.reconciler = Reconciler(
            settings=ground.settings,
            execution=ground.wire.remote(ExecutionCalls, "execution", self.service, self.clock),
            broker=self.link(),
            market_clock=self.market_clock,
            monotonic_clock=self.clock,
            activity=self.activity,
        )
        ground.wire.serve("reconciliation", self.node, self.clock, self.reconciler)
        self.run("reconcile", turn(self.reconciler.run))


class Scoring(Process):
    """Scoring, on a bus in memory."""

    def __init__(self, ground: Ground, bus: MemoryBus) -> None:
        super().__init__(ground, "scoring")
        self._bus = bus

    def build(self) -> None:
        """As the service's own wiring does."""
        wire = self.ground.wire
        weights = WeightKeeper(self._bus.bucket("weights"), clock=self.clock, progress=nothing)
        consumer = CycleConsumer(
            bus=self._bus,
            gate=wire.remote(GateCalls, "gate", self.service, self.clock),
            execution=wire.remote(ExecutionCalls, "execution", self.service, self.clock),
            scorer=Scorer(lambda: weights.present),
            clock=self.clock,
            activity=self.activity,
            progress=nothing,
        )
        self.run("cycles", consumer.run)
        self.run("weights", weights.run)

    def crash(self) -> None:
        """As kill -9."""
        if self.running:
            self._bus.dropped(CONSUMER)
        super().crash()


def turn(loop: Loop) -> Callable[[], Awaitable[None]]:
    """A loop as `Process.run` takes it."""
    return lambda: loop(nothing)


def nothing() -> None:
    """Nobody watches the progress of a loop here."""

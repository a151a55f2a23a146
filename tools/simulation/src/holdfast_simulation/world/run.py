"""One seed of the world from its first second to its last: chaos, healing, and whether everything came to rest."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa

from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.recording import MINUTE
from holdfast_execution.adapters.sql import tables
from holdfast_execution.adapters.sql.reads import SqlReads
from holdfast_execution.adapters.sql.session import Session
from holdfast_runtime.settings import GateSettings, Settings
from holdfast_simulation.world import market as markets
from holdfast_simulation.world import timed, workload
from holdfast_simulation.world.clocks import HostClocks, WorldMarketClock, WorldMonotonicClock
from holdfast_simulation.world.cycles import Cycles, WorldBus
from holdfast_simulation.world.faults import SERVICES, Fault, Kind, Weather
from holdfast_simulation.world.history import History
from holdfast_simulation.world.invariants import Invariants
from holdfast_simulation.world.ledger import new_database
from holdfast_simulation.world.loop import SeededLoop, Spinning, Stalled
from holdfast_simulation.world.part_judge import QUIET_SECS, PartJudge
from holdfast_simulation.world.person import Person
from holdfast_simulation.world.plans import Plan
from holdfast_simulation.world.process_faults import ProcessFaults
from holdfast_simulation.world.services import Execution, Gate, Ground, Process, Reconciliation, Scoring
from holdfast_simulation.world.signal import Signal
from holdfast_simulation.world.story import Story
from holdfast_simulation.world.timed_judge import TimedJudge
from holdfast_simulation.world.venue import Post, VenueServer
from holdfast_simulation.world.venue_faults import Split, VenueFaults
from holdfast_simulation.world.wire import Wire
from holdfast_simulation.world.workload import CyclePlan

TOMBSTONE_SECS = 20.0
"""Of monotonic time: shorter than in production, and longer than an order may be under way, as there."""
HEAL_SECS = 26.0
"""Longer than a tombstone takes, and than the latest order arrives."""
CALM_SECS = 12.0
"""Before the end of the healing strategies want in once more: whatever was, trading goes on."""
PARTS_SECS = 6.0
"""Before the end of the healing those that are rebalanced want parts sold."""
REST_SECS = 40.0
"""How long the world may then still take until everything is at rest."""
LOOK_SECS = 0.25
LEAST_ACTIVE_SECS = 300.0
"""Of market time, where anything is held by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a seed."""

    plan: Plan
    violations: tuple[str, ...]
    fired: Counter[Kind]
    market_secs: float
    """Market time that was lived through."""
    active_secs: float
    """Of it: in session with a wish, an order or a position open."""
    told: Counter[str]
    """Facts of the ledger, by kind."""
    posts: int
    fills: int
    parts: int
    """Parts of positions that were sold."""
    steps: int
    digest: str
    story: tuple[str, ...] = field(repr=False)


def run(plan: Plan, *, expect: Callable[["World"], Iterable[str]] = lambda _: ()) -> Outcome:
    """Lives through one plan. The same plan gives the same outcome, to the last line.

    `expect` is asked at the end what else did not hold.
    """
    return World(plan).live(expect)


class World:
    """Everything of one seed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = SeededLoop(random.Random(f"{plan.seed} schedule"))
        self.story = Story(self.loop.time, lambda: self.loop.node.name)
        self.weather = Weather(plan.faults, seed=plan.seed, now_secs=self.loop.time)
        chance = random.Random(f"{plan.seed} world")
        opens_at = markets.open_of(plan.day)
        self.market_clock = WorldMarketClock(self.loop, opens_at, plan.speed)
        if (change := markets.CLOCK_CHANGES.get(plan.day)) is not None:
            self.weather.fired[change] += 1
        jumps = any(fault.kind is Kind.CLOCK_JUMP for fault in plan.faults)
        self.clocks = HostClocks.of(SERVICES, self.market_clock, plan.speed, jumps=jumps)
        minutes = int((plan.chaos_secs + HEAL_SECS + REST_SECS) * plan.speed / 60) + 5
        recording = markets.recording(random.Random(f"{plan.seed} market"), opens_at=opens_at, minutes=minutes)
        self.ticks = sorted({bar.end for bar in recording.minute_bars})
        exchange = Exchange("world", Market(recording, opens_at - MINUTE), ExchangeConfig(slippage_bps=Decimal(0)))
        self.server = VenueServer(
            exchange=exchange,
            market_clock=self.market_clock,
            monotonic_clock=WorldMonotonicClock(self.loop, 0.0),
        )
        limits = random.Random(f"{plan.seed} limits")
        settings = Settings(
            gate=GateSettings(
                cooldown_secs=chance.choice((0.0, 30.0)),
                max_entries_per_symbol_day=limits.choice((1_000, 1_000, 3)),
                entries_per_minute=limits.choice((200, 200, 2)),
                max_order_notional=limits.choice((Decimal(15_000), Decimal(4_000))),
            ),
        )
        settings = settings.model_copy(
            update={
                "execution": settings.execution.model_copy(
                    update={
                        "tombstone_after_secs": TOMBSTONE_SECS,
                        "stop_sweep_before_close_secs": plan.sweep_secs,
                    }
                ),
                "strategies": timed.strategies(plan.timed, grace_secs=limits.choice(timed.GRACES_SECS)),
            }
        )
        self.account = settings.account.id
        self.database = new_database(self.account)
        self.wire = Wire(self.loop, self.weather, chance)
        outside = WorldMonotonicClock(self.loop, 0.0)
        self.bus = WorldBus(outside, self.weather)
        reads = SqlReads(Session(self.database, self.account))
        self.cycles = Cycles(self.bus, reads, self.weather, random.Random(f"{plan.seed} cycles"), outside)
        ground = Ground(
            loop=self.loop,
            settings=settings,
            database=self.database,
            server=self.server,
            wire=self.wire,
            weather=self.weather,
            chance=chance,
            market_clock=self.market_clock,
            clocks=self.clocks.by_host,
        )
        self.ground = ground
        self.signal = Signal(ground, "signal", self.cycles)
        self.processes: dict[str, Process] = {
            process.name: process
            for process in (
                self.signal,
                Execution(ground, "execution-0"),
                Execution(ground, "execution-1"),
                Gate(ground, "gate"),
                Reconciliation(ground, "reconciliation"),
                Scoring(ground, self.bus),
            )
        }
        self.foreign: set[str] = set()
        self.splits: dict[str, Split] = {}
        of_venue = VenueFaults(
            server=self.server,
            weather=self.weather,
            market_clock=self.market_clock,
            story=self.story,
            foreign=self.foreign,
            splits=self.splits,
            speed=plan.speed,
            until=self.ticks[-1],
        )
        self.invariants = Invariants(
            database=self.database,
            account=self.account,
            server=self.server,
            market_clock=self.market_clock,
            clocks=self.clocks,
            foreign=self.foreign,
        )
        of_processes = ProcessFaults(
            loop=self.loop,
            processes=self.processes,
            clocks=self.clocks,
            bus=self.bus,
            server=self.server,
            market_clock=self.market_clock,
            database=self.database,
            account=self.account,
            invariants=self.invariants,
            seed=plan.seed,
        )
        self._begins = of_processes.begins | of_venue.begins
        self._ends = of_processes.ends | of_venue.ends
        self.person = Person(ground, plan, judge=self.invariants, story=self.story)
        self.timed = TimedJudge(
            strategies=settings.strategies,
            opens_at=opens_at,
            database=self.database,
            server=self.server,
            market_clock=self.market_clock,
            clocks=self.clocks,
            splits=self.splits,
        )
        self.parts = PartJudge(server=self.server, foreign=self.foreign, quiet_from_secs=plan.chaos_secs + QUIET_SECS)
        self.history = History(
            judge=self.invariants,
            timed=self.timed,
            parts=self.parts,
            database=self.database,
            loop=self.loop,
            server=self.server,
            settings=settings,
            clocks=self.clocks,
            splits=self.splits,
        )
        self.server.on_post = self._posted
        self.server.evidence.on_departure = self.history.left
        self.server.evidence.on_post = self.invariants.leaves
        self.wire.on_message = self.invariants.told
        self.wire.on_answer = self.cycles.told
        self.active_secs = 0.0
        self._chance = chance

    def live(self, expect: Callable[["World"], Iterable[str]] = lambda _: ()) -> Outcome:
        """From the first second to the last. `expect`: see `run`."""
        with self.story.told_by_logs():
            try:
                self.loop.run(self._live())
            except (Spinning, Stalled) as error:
                self.invariants.violations.append(f"{type(error).__name__}: {error}")
            digest, lines = self.story.digest, tuple(self.story.lines)
            self.invariants.logged(lines)
            self.invariants.violations += [f"expected: {each}" for each in expect(self)]
            failures = [*self.story.failures, *self.wire.failures, *self.loop.failures]
            self.loop.clear_away()
        outcome = Outcome(
            plan=self.plan,
            violations=(*self.invariants.violations, *(f"failure: {each}" for each in dict.fromkeys(failures))),
            fired=self.weather.fired,
            market_secs=self.loop.time() * self.plan.speed,
            active_secs=self.active_secs,
            told=self._told(),
            posts=len(self.server.arrived),
            fills=len(self.server.exchange.books.fills),
            parts=len(self.parts.sold),
            steps=self.loop.steps,
            digest=digest,
            story=lines,
        )
        self.database.close()
        return outcome

    def _told(self) -> Counter[str]:
        with self.database.read.connect() as connection:
            return Counter(connection.execute(sa.select(tables.events.c.kind)).scalars())

    async def _live(self) -> None:
        for process in self.processes.values():
            process.start()
        chores = [
            self.loop.start(self.loop.outside, each)
            for each in (
                self._market(),
                self._looks(),
                self._strategies(),
                self.cycles.run(),
                self.person.run(),
                *(self._befall(f) for f in self.plan.faults),
            )
        ]
        await asyncio.sleep(self.plan.chaos_secs)
        self.story.say("--- healing")
        for process in self.processes.values():
            process.start()
        await asyncio.sleep(HEAL_SECS - CALM_SECS)
        for plan in workload.calm(self.plan.chaos_secs):
            self._want(plan)
        await asyncio.sleep(CALM_SECS - PARTS_SECS)
        for plan in workload.calm_parts(self.plan.chaos_secs):
            self._want(plan)
        await asyncio.sleep(PARTS_SECS)
        open_ = await self._come_to_rest()
        for each in open_:
            self.invariants.violations.append(f"invariant {each}")
        self.invariants.violations += self.parts.broken
        for chore in chores:
            if chore.done() and not chore.cancelled() and (error := chore.exception()):
                self.story.failures.append(f"world: {error!r}")

    async def _come_to_rest(self) -> list[str]:
        """What is still open after the bound; empty where everything came to rest before."""
        until_secs = self.loop.time() + REST_SECS
        while True:
            open_ = [*self.invariants.at_rest(), *self._cycles(), *self._unsettled(), *self._timed_trades()]
            lived = self.active_secs >= LEAST_ACTIVE_SECS
            if (lived and not open_) or self.loop.time() >= until_secs:
                return open_
            await asyncio.sleep(1.0)

    def _cycles(self) -> list[str]:
        return list(self.cycles.at_rest(alone=not self.foreign))

    def _timed_trades(self) -> list[str]:
        if self.foreign:
            # Somebody else's trades may stop ours for good.
            return self.timed.broken
        calm_secs = self.plan.chaos_secs + HEAL_SECS - CALM_SECS
        calm_from = self.market_clock.now() + timedelta(seconds=(calm_secs - self.loop.time()) * self.plan.speed)
        return list(self.timed.at_rest(calm_from=calm_from))

    def _unsettled(self) -> list[str]:
        executions = [each for each in self.processes.values() if isinstance(each, Execution)]
        return [f"18: {each.unsettled}" for each in executions if each.unsettled]

    # --- what goes on by itself

    async def _market(self) -> None:
        for at in self.ticks:
            await self.market_clock.sleep_until(at)
            self.server.tick(at)
            down = self.weather.holds(Kind.FEED_DOWN, "feed")
            self.signal.board.set_connected(not down)
            for symbol, bar in sorted(self.server.exchange.market.bars_ending(at).items()):
                if down or self.weather.holds(Kind.PRICES_MUTE, symbol) or not self.signal.running:
                    continue
                self.signal.take(markets.told_bar(bar))

    async def _looks(self) -> None:
        while True:
            self.invariants.look(self.loop.time())
            self.parts.look(self.invariants.bare_secs, self.loop.time())
            exchange = self.server.exchange
            if any(each.quantity for each in exchange.books.positions.values()) or any(
                order.is_open for order in exchange.orders.values()
            ):
                self.active_secs += LOOK_SECS * self.plan.speed
            await asyncio.sleep(LOOK_SECS)

    async def _strategies(self) -> None:
        for plan in self.plan.cycles:
            await asyncio.sleep(max(0.0, plan.at_secs - self.loop.time()))
            self._want(plan)

    def _want(self, plan: CyclePlan) -> None:
        exchange, now = self.server.exchange, self.market_clock.now()
        held = exchange.books.positions
        cycle = workload.cycle_of(plan, now=now, holds=held.__contains__, price=exchange.market.price)
        if cycle.signals:
            self.cycles.publish(cycle)

    def _posted(self, post: Post) -> None:
        self.story.say(f"POST {post.order.client_order_id} {post.order.side} {post.order.quantity} {post.order.symbol}")
        self.invariants.posted(post)
        self.timed.posted(post)

    # --- what befalls it

    async def _befall(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_secs)
        self.story.say(f"fault {fault}")
        begin, end = self._begins.get(fault.kind), self._ends.get(fault.kind)
        if begin is None:
            return
        self.weather.fired[fault.kind] += 1
        begin(fault)
        await asyncio.sleep(fault.lasts_secs)
        if end is not None:
            end(fault)

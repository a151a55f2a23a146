"""Signal in the world: its prices, and its own engine for the strategies that buy by the clock. What other strategies
want is drawn (`workload`)."""

from collections.abc import Iterable

from holdfast_runtime.ports.clock import MarketClock
from holdfast_runtime.ports.venue import Bar
from holdfast_signal.cycles import cycle_of
from holdfast_signal.engine import Engine
from holdfast_signal.prices import Prices
from holdfast_signal.runners import MINUTE, Draft
from holdfast_signal.strategy import makers_of
from holdfast_signal.timers import Timers
from holdfast_simulation.memory_feed import MemoryFeed
from holdfast_simulation.world import market
from holdfast_simulation.world.cycles import Cycles
from holdfast_simulation.world.services import Ground, Process, nothing
from holdfast_simulation.world.timed import CLOCK


class Signal(Process):
    """One process. After a restart it asks again for every buy whose grace is not over."""

    board: Prices
    engine: Engine

    def __init__(self, ground: Ground, name: str, cycles: Cycles) -> None:
        super().__init__(ground, name)
        self._cycles = cycles

    def build(self) -> None:
        """A new board knows nothing until the next bar, but what is bought by the clock: of that history is read."""
        ground, clock = self.ground, self.market_clock
        self.board = Prices(
            ground.server.exchange.market.symbols,
            clock=clock,
            activity=self.activity,
            first_sequence=self.incarnation * 1_000_000,
        )
        self.board.set_connected(True)
        ground.wire.serve("signal", self.node, self.clock, self.board)
        timers = Timers(clock=clock, activity=self.activity, progress=nothing)
        makers = makers_of([each for each in ground.settings.strategies if each.id == CLOCK])
        self.engine = Engine(
            makers,
            feed=MemoryFeed(clock),
            settings=ground.settings.feed,
            prices=self.board,
            desk=_Desk(clock, self._cycles),
            timers=timers,
            clock=clock,
            monotonic=self.clock,
            progress=nothing,
        )
        if makers:
            self._read_history()
            self.run("timers", timers.run)
            ground.loop.start(self.node, self.engine.begin(clock.now()))

    def take(self, bar: Bar) -> None:
        """A bar of the feed."""
        self.board.take(bar)
        with self.ground.loop.inside(self.node):
            self.engine.look_at_prices()

    def _read_history(self) -> None:
        seen = self.ground.server.exchange.market
        for symbol in seen.symbols:
            for bar in seen.minute_bars(symbol, seen.released - MINUTE, seen.released):
                self.board.take(market.told_bar(bar))


class _Desk:
    """Publishes cycles; one that comes again may show other prices."""

    def __init__(self, clock: MarketClock, cycles: Cycles) -> None:
        self._clock = clock
        self._cycles = cycles

    def offer(self, drafts: Iterable[Draft], *, replayed: bool = False) -> None:  # noqa: ARG002 - of the port
        """See signal.engine.Desk."""
        now = self._clock.now()
        for draft in drafts:
            if draft.valid_until > now:
                self._cycles.publish(cycle_of(draft, now))

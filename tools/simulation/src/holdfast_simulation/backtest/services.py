"""What the world leaves out: signal with its strategies, wired as its own `__main__` does."""

from collections.abc import Mapping

from holdfast_core.instruments import book_of
from holdfast_core.sessions import calendar_of
from holdfast_runtime.ports.calls import ExecutionCalls
from holdfast_runtime.settings import Book
from holdfast_signal.cycles import CycleDesk
from holdfast_signal.data_flow import DataFlow
from holdfast_signal.engine import Engine
from holdfast_signal.feed import FeedReader
from holdfast_signal.outbox import Outbox
from holdfast_signal.prices import Prices
from holdfast_signal.strategy import makers_of
from holdfast_signal.timers import Timers
from holdfast_simulation.backtest.feed import RecordedFeed
from holdfast_simulation.memory_bus import MemoryBus
from holdfast_simulation.world.services import Ground, Process


class Signal(Process):
    """Signal, with a reader and an engine for each book."""

    def __init__(self, ground: Ground, bus: MemoryBus, feeds: Mapping[Book, RecordedFeed]) -> None:
        super().__init__(ground, "signal")
        self._bus = bus
        self._feeds = feeds
        self.readers: list[FeedReader] = []
        self._engines: list[Engine] = []

    @property
    def loaded(self) -> bool:
        """True once every book's history is read."""
        return bool(self.readers) and all(reader.loaded for reader in self.readers)

    @property
    def waits_for_prices(self) -> bool:
        """What leaves with the next price waits in an engine."""
        return any(engine.waits_for_prices for engine in self._engines)

    def build(self) -> None:
        """As the service's own wiring does."""
        ground, clock, activity = self.ground, self.ground.market_clock, self.activity
        makers = makers_of(ground.settings.traded)
        calendars = {symbol: calendar_of(maker.book) for maker in makers for symbol in maker.make().data_symbols}
        timers = Timers(clock=clock, activity=activity, progress=_nothing)
        outbox = Outbox(bus=self._bus, clock=self.clock, activity=activity, progress=_nothing)
        prices = Prices(calendars, clock=clock, activity=activity)
        desk = CycleDesk(
            bus=self._bus,
            execution=ground.wire.remote(ExecutionCalls, "execution", self.service, self.clock),
            clock=clock,
            monotonic=self.clock,
            activity=activity,
            timers=timers,
            progress=_nothing,
        )
        flow = DataFlow(activity)

        def reader_of(book: Book, feed: RecordedFeed) -> FeedReader:
            engine = Engine(
                [maker for maker in makers if maker.book == book],
                feed=feed,
                settings=ground.settings.feed,
                prices=prices,
                desk=desk,
                timers=timers,
                clock=clock,
                monotonic=self.clock,
                progress=_nothing,
            )
            self._engines.append(engine)
            return FeedReader(
                {symbol: calendar for symbol, calendar in calendars.items() if book_of(symbol) == book},
                feed=feed,
                settings=ground.settings.feed,
                prices=prices,
                engine=engine,
                outbox=outbox,
                timers=timers,
                clock=clock,
                monotonic=self.clock,
                activity=activity,
                progress=_nothing,
                flow=flow,
                name=book.value,
            )

        self._engines = []
        self.readers = [reader_of(book, feed) for book, feed in self._feeds.items()]
        ground.wire.serve("signal", self.node, self.clock, prices)
        for reader in self.readers:
            self.run(f"feed-{reader.name}", reader.run)
        self.run("timers", timers.run)
        self.run("cycles", desk.watch)
        self.run("market-outbox", outbox.run)


def _nothing() -> None:
    """Nobody watches the progress of a loop here."""

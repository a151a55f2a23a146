"""The signal service: one data connection in, prices and cycles of signals out. Wiring only."""

from holdfast_catalogue.guard import stand_guard
from holdfast_core.instruments import book_of
from holdfast_core.sessions import calendar_of
from holdfast_runtime.ports.calls import ExecutionCalls, PricesCalls
from holdfast_runtime.service import Shell, run
from holdfast_runtime.settings import Book
from holdfast_signal.checks import checks
from holdfast_signal.cycles import CycleDesk
from holdfast_signal.data_flow import DataFlow
from holdfast_signal.engine import Engine
from holdfast_signal.feed import FeedReader
from holdfast_signal.outbox import Outbox
from holdfast_signal.prices import Prices
from holdfast_signal.strategy import makers_of
from holdfast_signal.timers import Timers
from holdfast_signal.watches import watches
from holdfast_venue.factory import open_feed

TICKS_PER_SEC = 1_000
SEQUENCES_PER_TICK = 1_000


async def build(shell: Shell) -> None:
    settings, clock, monotonic, activity = shell.settings, shell.market_clock, shell.monotonic_clock, shell.activity
    makers = makers_of(settings.traded)
    calendars = {symbol: calendar_of(maker.book) for maker in makers for symbol in maker.make().data_symbols}
    timers = Timers(clock=clock, activity=activity, progress=shell.progress("timers"))
    outbox = Outbox(bus=shell.bus, clock=monotonic, activity=activity, progress=shell.progress("market-outbox"))
    # Above every sequence of a process before this one, so that its watchers cannot pass for up to date.
    first_sequence = int(monotonic.now_secs() * TICKS_PER_SEC) * SEQUENCES_PER_TICK
    prices = Prices(calendars, clock=clock, activity=activity, first_sequence=first_sequence)
    desk = CycleDesk(
        bus=shell.bus,
        execution=shell.remote(ExecutionCalls, "execution"),
        clock=clock,
        monotonic=monotonic,
        activity=activity,
        timers=timers,
        progress=shell.progress("cycles"),
    )
    flow = DataFlow(activity)

    def reader_of(book: Book) -> FeedReader:
        """Equities and pairs come over different connections: each book has its reader and its engine."""
        loop = "feed" if book is Book.EQUITY else f"feed-{book}"
        progress = shell.progress(loop)
        feed = open_feed(settings, shell.secrets, market_clock=clock, monotonic_clock=monotonic, book=book)
        engine = Engine(
            [maker for maker in makers if maker.book == book],
            feed=feed,
            settings=settings.feed,
            prices=prices,
            desk=desk,
            timers=timers,
            clock=clock,
            monotonic=monotonic,
            progress=progress,
        )
        reader = FeedReader(
            {symbol: calendar for symbol, calendar in calendars.items() if book_of(symbol) == book},
            feed=feed,
            settings=settings.feed,
            prices=prices,
            engine=engine,
            outbox=outbox,
            timers=timers,
            clock=clock,
            monotonic=monotonic,
            activity=activity,
            progress=progress,
            flow=flow,
            name=book.value,
        )
        shell.loop(loop, reader.run)
        return reader

    readers = [reader_of(book) for book in settings.active_books]
    shell.serve(PricesCalls, prices, allow={"watch": {"gate", "execution", "admin", "operator"}})
    shell.loop("timers", timers.run)
    shell.loop("cycles", desk.watch)
    shell.loop("market-outbox", outbox.run)
    # The next process is ready while the last one has the connection: it takes over as soon as that ends (IN-7).
    shell.ready_when(lambda: all(reader.loaded or reader.standing_by for reader in readers))
    shell.on_stop(timers.stop)
    stand_guard(
        shell,
        watches(
            readers=readers,
            prices=prices,
            outbox=outbox,
            calendars=calendars,
            settings=settings,
            clock=clock,
            monotonic=monotonic,
        ),
        checks(shell, readers),
    )


if __name__ == "__main__":
    run("signal", build)

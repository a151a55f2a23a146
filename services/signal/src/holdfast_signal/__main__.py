"""The signal service: one data connection in, prices and cycles of signals out. Wiring only."""

from holdfast_catalogue.guard import stand_guard
from holdfast_core.sessions import calendar_of
from holdfast_runtime.ports.calls import ExecutionCalls, PricesCalls
from holdfast_runtime.service import Shell, run
from holdfast_signal.cycles import CycleDesk
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
    feed = open_feed(settings, shell.secrets, market_clock=clock, monotonic_clock=monotonic)
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
    progress = shell.progress("feed")
    engine = Engine(
        makers,
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
        calendars,
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
    )
    shell.serve(PricesCalls, prices)
    shell.loop("feed", reader.run)
    shell.loop("timers", timers.run)
    shell.loop("cycles", desk.watch)
    shell.loop("market-outbox", outbox.run)
    shell.ready_when(lambda: reader.loaded)
    shell.on_stop(timers.stop)
    stand_guard(
        shell,
        watches(
            reader=reader,
            prices=prices,
            outbox=outbox,
            calendars=calendars,
            settings=settings,
            clock=clock,
            monotonic=monotonic,
        ),
    )


if __name__ == "__main__":
    run("signal", build)

"""Each of signal's failure points: brought about in a running service, seen by its detector, healed by the product."""

import importlib.util
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_catalogue.guard import check_complete
from holdfast_catalogue.registry import EVERY_SERVICE, of_service
from holdfast_core.sessions import xnys
from holdfast_runtime.ports.venue import Quote
from holdfast_runtime.settings import Settings
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import prepare
from holdfast_signal.watches import bar_bound, watches
from holdfast_simulation.lookout import Lookout
from holdfast_simulation.manual_clock import ManualMonotonicClock

_spec = importlib.util.spec_from_file_location("signal_world", Path(__file__).parent / "world.py")
world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world)

MONDAY = date(2013, 10, 7)
OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LOCK_STEP = Settings(replay={"speed": 0})


def quote(at):
    return Quote(
        symbol="SPY", at=at, bid=Decimal("99.9"), ask=Decimal("100.1"), bid_size=Decimal(1), ask_size=Decimal(1)
    )  # fmt: skip


class Station:
    """A running service, and the sentinel that looks at it."""

    def __init__(self, minute):
        maker = prepare(
            SmaCrossover, id="sma", book="equity", symbols=("BAC", "SPY"), stop_fraction=Decimal("0.05"),
            parameters={"fast": 2, "slow": 4, "band_bps": 0.0},
        )  # fmt: skip
        self.world = world.World((maker,), OPEN, minute=minute)
        self.clock = ManualMonotonicClock()

    async def start(self):
        await self.world.start()
        service = self.world.service
        self.watches = watches(
            readers=[service.reader], prices=service.prices, outbox=service.outbox,
            calendars={"BAC": xnys(), "SPY": xnys()}, settings=LOCK_STEP, clock=self.world.clock, monotonic=self.clock,
        )  # fmt: skip
        self.lookout = Lookout("signal", self.watches, self.clock)
        return self

    async def minutes(self, *numbers):
        for number in numbers:
            await self.world.tick(OPEN + MINUTE * number)

    async def status(self, identity, after_secs=2.0):
        return await self.lookout.status(identity, after_secs=after_secs)


@pytest.fixture
async def station(bars_of, request):
    closes = [100, 100.2, 100.1, 99, 98, 101, 103, 104, 99, 97, 96, 104]
    bars = [bar for symbol in ("BAC", "SPY") for bar in bars_of(symbol, MONDAY, closes)]
    change = getattr(request, "param", None)
    made = await Station(bars if change is None else change(bars)).start()
    yield made
    await made.world.service.kill()


async def test_every_point_of_signal_is_watched(station):
    own = [each for each in of_service("signal") if each.owner != EVERY_SERVICE]
    assert [each.point for each in station.watches] == own
    with pytest.raises(ValueError, match="bus"):
        check_complete("signal", station.watches)


async def test_a_running_service_is_ok_everywhere_and_looking_changes_nothing(station):
    """A sentinel makes no service busy: what lock-step counts is the same before and after."""
    await station.minutes(1, 2, 3)
    before = station.world.service.activity.positions, station.world.service.activity.settled
    await station.status("feed.stale")
    assert {each.id for each in station.lookout.sentinel.messages() if each.status != 1} == set()
    assert (station.world.service.activity.positions, station.world.service.activity.settled) == before


async def test_a_lost_connection_is_an_error_until_history_has_caught_up(station):
    """SQ-6, MG-1: also while market time stands still."""
    await station.minutes(1)
    assert await station.status("feed.disconnected") == "OK"
    station.world.feed.disconnect()
    await station.world.settle()
    assert await station.status("feed.disconnected") == "WARN"
    assert await station.status("feed.disconnected", after_secs=4) == "ERROR"
    station.world.feed.reconnect()
    await station.world.settle()
    message = await station.lookout.look("feed.disconnected")
    assert (message.status, message.heals) == (1, 1)


async def test_a_symbol_without_data_is_stale_and_all_of_them_are_an_error(station):
    """SQ-6, TL-1: by market time, from the open on, and only while the market is open."""
    await station.minutes(1, 2)
    feed, clock = station.world.feed, station.world.clock
    feed.skip(OPEN + MINUTE * 4)
    clock.set(OPEN + MINUTE * 4, speed=0.0)
    message = await station.lookout.look("feed.stale")
    assert message.status == 3
    assert dict(message.shown) == {"BAC": "120 s", "SPY": "120 s"}
    await station.minutes(5)
    assert await station.status("feed.stale") == "OK"
    clock.set(datetime(2013, 10, 7, 21, 0, tzinfo=UTC), speed=0.0)
    assert await station.status("feed.stale") == "OK"


@pytest.mark.parametrize(
    "station",
    [lambda bars: [bar for bar in bars if not (bar.symbol == "BAC" and bar.start >= OPEN + MINUTE * 3)]],
    indirect=True,
)
async def test_one_stale_symbol_of_two_is_a_warning(station):
    await station.minutes(1, 2, 3, 4, 5)
    message = await station.lookout.look("feed.stale")
    assert (message.status, "BAC" in message.evidence, "SPY" in message.evidence) == (2, True, False)


def test_at_a_high_pace_nothing_is_stale_within_two_seconds_of_the_wall():
    assert bar_bound(LOCK_STEP) == timedelta(seconds=65)
    assert bar_bound(Settings(replay={"speed": 600})) == timedelta(seconds=1_200)


@pytest.mark.parametrize(
    "station",
    [lambda bars: [bar for bar in bars if (bar.symbol, bar.start) != ("BAC", OPEN + MINUTE * 3)]],
    indirect=True,
)
async def test_a_missing_bar_shows_as_a_gap_for_a_while(station):
    """TL-1."""
    await station.minutes(1, 2, 3, 4)
    assert await station.status("feed.gap") == "OK"
    await station.minutes(5)
    assert await station.status("feed.gap") == "WARN"
    assert await station.status("feed.gap", after_secs=400) == "OK"


@pytest.mark.parametrize(
    "station",
    [
        lambda bars: [
            replace(bar, close=bar.close * 100, high=bar.high * 100)
            if bar.symbol == "SPY" and bar.start == OPEN + MINUTE * 2
            else bar
            for bar in bars
        ]
    ],
    indirect=True,
)
async def test_a_price_of_another_unit_shows_as_quarantined(station):
    """BS-8."""
    await station.minutes(1, 2)
    assert await station.status("feed.quarantined") == "OK"
    await station.minutes(3)
    assert await station.status("feed.quarantined") == "WARN"
    for _ in range(20):
        station.world.feed.send_unreadable("{", "no JSON")
    await station.world.settle()
    assert await station.status("feed.quarantined") == "ERROR"
    assert [each.id for each in station.lookout.alerts] == ["feed.quarantined"]


async def test_a_strategy_that_is_due_and_not_asked_is_told(station):
    """IN-3: by market time, while its market is open; a leap of market time is no miss."""
    await station.minutes(1, 2)
    assert await station.status("schedule.missed") == "OK"
    station.world.feed.skip(OPEN + MINUTE * 20)
    station.world.clock.set(OPEN + MINUTE * 6, speed=0.0)
    assert await station.status("schedule.missed") == "OK"
    assert await station.status("schedule.missed", after_secs=3) == "WARN"
    station.world.clock.set(OPEN + MINUTE * 16, speed=0.0)
    message = await station.lookout.look("schedule.missed")
    assert (message.status, dict(message.shown)) == (3, {"sma": "840 s"})
    station.world.clock.set(datetime(2013, 10, 7, 21, 0, tzinfo=UTC), speed=0.0)
    assert await station.status("schedule.missed") == "OK"


async def test_market_data_that_waits_for_the_bus_is_counted_and_goes_out(station):
    """FP-6.6."""
    station.world.bus.away = True
    for number in range(1_100):
        station.world.feed.send(quote(OPEN - timedelta(microseconds=2_000 - number)))
    await world.turns(lambda: len(station.world.service.outbox) >= 1_100, "taken in")
    message = await station.lookout.look("market.behind")
    assert (message.status, int(message.shown["waiting"]) >= 1_000) == (2, True)
    station.world.bus.away = False
    await station.world.settle()
    assert await station.status("market.behind") == "OK"


async def test_a_cycle_that_expires_before_the_bus_takes_it_is_an_error(station):
    """IN-2, IN-3: it is not traded late, and it is not silent."""
    await station.minutes(1, 2, 3)
    station.world.bus.away = True
    assert await station.status("cycle.never_published") == "OK"
    for number in (4, 5, 6, 7, 8, 9, 10):
        at = OPEN + MINUTE * number
        station.world.clock.set(at, speed=0.0)
        station.world.feed.release(at)
        await world.turns(lambda: True, "a while")
    message = await station.lookout.look("cycle.never_published")
    assert (message.status, int(message.shown["cycles"]) > 0) == (3, True)
    station.world.bus.away = False
    await station.world.settle()

"""The market clock in both paces: which tick goes out when (DESIGN, Time)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.papermarket.v1 import market_clock_pb2 as pb
from holdfast_exchange import recording as recordings
from holdfast_exchange.combining import default_folder_of
from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.market import Market
from holdfast_exchange.orders import NewOrder, OrderType, Side, TimeInForce
from holdfast_exchange.recording import Recording
from holdfast_exchange.replay import plan
from holdfast_papermarket.adapters.journal_file import JournalFile
from holdfast_papermarket.data_feed import DataItem
from holdfast_papermarket.hubs import Connection
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.venue import PaperVenue
from holdfast_runtime.clock import SystemMonotonicClock
from holdfast_runtime.wire import from_timestamp, to_timestamp

OPEN = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return recordings.load(default_folder_of("equity"), symbols=("SPY",))


class Stand:
    """A venue, its clock, and followers that report when told."""

    def __init__(self, recorded: Recording, folder: Path, *, roster: tuple[str, ...], speed: float = 0.0) -> None:
        replay = plan(recorded, start="2013-10-08", end="2013-10-09")
        exchange = Exchange("run", Market(recorded, replay.begin), ExchangeConfig())
        self.journal = JournalFile(folder / "run.journal", run={"run_id": "run"})
        self.venue = PaperVenue(exchange, replay, self.journal, resend_on_subscribe=True)
        self.clock = MarketClock(
            self.venue, run_id="run", roster=roster, speed=speed, monotonic_clock=SystemMonotonicClock()
        )


class Follower:
    """One service as the clock sees it."""

    def __init__(self, stand: Stand, service: str) -> None:
        self.service = service
        self._requests: asyncio.Queue[pb.FollowRequest] = asyncio.Queue()
        self._stream = stand.clock.follow(self._outgoing())
        self.report(2**63)

    async def _outgoing(self) -> AsyncIterator[pb.FollowRequest]:
        while True:
            yield await self._requests.get()

    def report(self, number: int, timer: datetime | None = None, **received: int) -> None:
        done = pb.Done(service=self.service, number=number, received=received, next_timer=to_timestamp(timer))
        self._requests.put_nowait(pb.FollowRequest(done=done))

    async def tick(self) -> pb.Tick:
        async with asyncio.timeout(30):
            return (await anext(self._stream)).tick

    async def leave(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]


async def running(stand: Stand) -> "asyncio.Task[None]":
    return asyncio.create_task(stand.clock.run())


async def until_waiting_for(stand: Stand, words: list[str]) -> None:
    async with asyncio.timeout(30):
        while list(stand.clock.waiting_for()) != words:  # noqa: ASYNC110 - the words have no event of their own
            await asyncio.sleep(0)


def at(tick: pb.Tick) -> datetime:
    return from_timestamp(tick.market_time)


async def test_nothing_runs_until_the_whole_roster_has_settled_tick_0(recorded: Recording, tmp_path: Path) -> None:
    stand = Stand(recorded, tmp_path, roster=("gate", "scoring"))
    task = await running(stand)
    gate, scoring = Follower(stand, "gate"), Follower(stand, "scoring")
    first = await gate.tick()
    assert (first.number, first.running, first.pace) == (0, False, pb.PACE_LOCKSTEP)
    assert at(first) == OPEN - MINUTE
    assert (await scoring.tick()).number == 0
    gate.report(0)
    await until_waiting_for(stand, ["scoring: tick 0 not settled"])
    scoring.report(0)
    second = await gate.tick()
    assert (second.number, second.running, at(second)) == (1, True, OPEN)
    task.cancel()


async def test_an_instant_with_data_is_two_ticks_and_the_data_comes_with_the_second(
    recorded: Recording, tmp_path: Path
) -> None:
    stand = Stand(recorded, tmp_path, roster=())
    data: Connection[DataItem] = Connection()
    stand.venue.data.join(data)
    stand.venue.subscribe(data, frozenset({"bars:SPY", "quotes:SPY"}))
    seen = []
    for _ in range(6):
        stand.clock.step()
        seen.append((stand.venue.exchange.tick, stand.venue.exchange.now, data.sent))
    assert seen == [
        (1, OPEN, 0),
        (2, OPEN, 0),
        (3, OPEN + MINUTE, 0),
        (4, OPEN + MINUTE, 2),
        (5, OPEN + 2 * MINUTE, 2),
        (6, OPEN + 2 * MINUTE, 4),
    ]
    frame = data.queue.get_nowait()
    assert frame is not None
    assert [item.channel for item in frame] == ["quotes", "bars"], "one frame, quotes before bars"


async def test_timers_of_services_get_ticks_of_their_own(recorded: Recording, tmp_path: Path) -> None:
    stand = Stand(recorded, tmp_path, roster=("gate",))
    task = await running(stand)
    gate = Follower(stand, "gate")
    assert (await gate.tick()).number == 0
    gate.report(0, timer=OPEN - timedelta(seconds=10))
    assert at(await gate.tick()) == OPEN - timedelta(seconds=10)
    gate.report(1, timer=OPEN - timedelta(seconds=30))
    late = await gate.tick()
    assert at(late) == OPEN - timedelta(seconds=10) + timedelta(milliseconds=1), "a timer in the past is due now"
    gate.report(2, timer=OPEN + timedelta(hours=1))
    assert at(await gate.tick()) == OPEN
    task.cancel()


async def test_a_service_that_dies_is_waited_for_and_is_sent_the_present_tick_again(
    recorded: Recording, tmp_path: Path
) -> None:
    stand = Stand(recorded, tmp_path, roster=("gate", "scoring"))
    task = await running(stand)
    gate, scoring = Follower(stand, "gate"), Follower(stand, "scoring")
    for number in range(3):
        for follower in (gate, scoring):
            assert (await follower.tick()).number == number
            if number < 2:
                follower.report(number)
    await scoring.leave()
    gate.report(2)
    await until_waiting_for(stand, ["scoring: not connected"])
    back = Follower(stand, "scoring")
    again = await back.tick()
    assert (again.number, again.running) == (2, True)
    back.report(2)
    assert (await gate.tick()).number == 3
    task.cancel()


async def test_an_update_sent_between_ticks_must_be_received_before_the_next(
    recorded: Recording, tmp_path: Path
) -> None:
    stand = Stand(recorded, tmp_path, roster=("execution",))
    task = await running(stand)
    updates: Connection[object] = Connection()
    updates.listening = True
    stand.venue.updates.join(updates)  # type: ignore[arg-type]
    execution = Follower(stand, "execution")
    for number in range(2):
        assert (await execution.tick()).number == number
        if number < 1:
            execution.report(number)
    stand.venue.submit(
        NewOrder(
            symbol="SPY",
            side=Side.BUY,
            quantity=stand.venue.exchange.books.cash // 1_000,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
        )
    )
    execution.report(1)
    await until_waiting_for(stand, ["trade_updates: papermarket sent 1, execution received 0"])
    execution.report(1, trade_updates=1)
    assert (await execution.tick()).number == 2
    task.cancel()


async def test_the_close_is_a_tick_the_night_is_jumped_and_the_end_is_told(recorded: Recording, tmp_path: Path) -> None:
    stand = Stand(recorded, tmp_path, roster=())
    instants = []
    while not stand.venue.ended:
        stand.clock.step()
        instants.append(stand.venue.exchange.now)
    close, next_open = datetime(2013, 10, 8, 20, tzinfo=UTC), datetime(2013, 10, 9, 13, 30, tzinfo=UTC)
    assert instants.count(close) == 2
    assert instants[instants.index(close) + 2] == next_open - MINUTE
    assert instants[-1] == datetime(2013, 10, 9, 20, tzinfo=UTC)
    guest = Follower(stand, "admin")
    last = await guest.tick()
    assert (last.ended, last.number) == (True, len(instants))


async def test_scaled_time_runs_by_the_wall_and_waits_for_nobody(recorded: Recording, tmp_path: Path) -> None:
    stand = Stand(recorded, tmp_path, roster=("gate",), speed=100_000)
    task = await running(stand)
    gate = Follower(stand, "gate")
    assert (await gate.tick()).running is False
    gate.report(0)
    ticks = [await gate.tick()]
    while not ticks[-1].ended:
        ticks.append(await gate.tick())
    assert {tick.pace for tick in ticks} == {pb.PACE_SCALED}
    assert [at(tick) for tick in ticks] == sorted(at(tick) for tick in ticks)
    assert stand.venue.exchange.market.released == datetime(2013, 10, 9, 20, tzinfo=UTC)
    task.cancel()


async def test_a_killed_venue_comes_back_at_the_same_tick_with_the_same_books(
    recorded: Recording, tmp_path: Path
) -> None:
    """TS-3: killed between any two commands; order ids, cash and market time are the same."""
    stand = Stand(recorded, tmp_path, roster=())
    for number in range(40):
        stand.clock.step()
        if number in (3, 9, 15):
            stand.venue.submit(
                NewOrder(
                    symbol="SPY",
                    side=Side.BUY,
                    quantity=stand.venue.exchange.books.cash // 10_000,
                    type=OrderType.MARKET,
                    time_in_force=TimeInForce.DAY,
                    client_order_id=f"order-{number}",
                )
            )
        back = Stand(recorded, tmp_path, roster=())
        assert back.venue.state() == stand.venue.state()
        back.journal.close()
    assert len(stand.venue.exchange.books.fills) >= 1

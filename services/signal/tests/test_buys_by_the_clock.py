"""A strategy that buys at its times: one cycle for each, with the planned time's ids, across restarts (SQ-13)."""

import importlib.util
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast_core.schedules import Schedule
from holdfast_core.sessions import xnys
from holdfast_signal.strategies.portfolio import Portfolio
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategies.timed import Timed
from holdfast_signal.strategy import InvalidStrategy, prepare

_spec = importlib.util.spec_from_file_location("signal_world", Path(__file__).parent / "world.py")
world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world)

MINUTE = timedelta(minutes=1)
MONDAY = date(2013, 10, 7)
OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)


def timed(buys="09:35", sells="15:50", **changes):
    schedule = Schedule(
        "equity", tuple(map(time.fromisoformat, buys.split())), tuple(map(time.fromisoformat, sells.split())),
        timedelta(minutes=5),
    )  # fmt: skip
    given = {
        "kind": Timed, "id": "clock", "book": "equity", "symbols": ("BAC", "SPY"), "stop_fraction": Decimal("0.05"),
        "parameters": {"target_weight": "0.5"}, "schedule": schedule,
    }  # fmt: skip
    return prepare(**{**given, **changes})


def made(bars_of, start=OPEN, maker=None, missing=(), minutes=60):
    before = xnys().previous_session(OPEN).day
    bars = [
        bar
        for symbol, price in (("SPY", 100.0), ("BAC", 50.0))
        for day, count in ((before, 390), (MONDAY, minutes))
        for bar in bars_of(symbol, day, [price + number / 100 for number in range(count)])
        if (bar.symbol, bar.end) not in missing
    ]
    return world.World((maker or timed(),), start, minute=bars, daily=[])


async def run(service, first, last):
    for number in range(first, last + 1):
        await service.tick(OPEN + MINUTE * number)
    await service.timers_before(OPEN + MINUTE * (last + 1))


async def test_a_buy_time_becomes_one_cycle_of_all_symbols(bars_of):
    service = made(bars_of)
    await service.start()
    await run(service, 1, 4)
    assert await service.cycles() == []
    await run(service, 5, 20)
    (cycle,) = await service.cycles()
    assert cycle.cycle_id == "clock.20131007T133500Z"
    assert cycle.valid_until.ToDatetime(tzinfo=UTC) == OPEN + MINUTE * 10
    assert [(each.signal_id, each.reference_price.value, each.target_weight.value) for each in cycle.signals] == [
        ("clock.BAC.20131007T133500Z.ENTER_LONG", "50.04", "0.5"),
        ("clock.SPY.20131007T133500Z.ENTER_LONG", "100.04", "0.5"),
    ]
    await service.service.kill()


async def test_each_time_of_a_day_is_a_cycle_of_its_own(bars_of):
    service = made(bars_of, maker=timed(buys="09:32 09:40"))
    await service.start()
    await run(service, 1, 20)
    assert [each.cycle_id for each in await service.cycles()] == ["clock.20131007T133200Z", "clock.20131007T134000Z"]
    await service.service.kill()


@pytest.mark.parametrize("killed_after", [0, 3, 4, 5, 6])
async def test_a_restart_finds_the_same_cycle_and_publishes_it_once(bars_of, killed_after):
    """A firing trades at most once (BS-3)."""
    undisturbed = made(bars_of)
    await undisturbed.start()
    await run(undisturbed, 1, 12)
    service = made(bars_of)
    await service.start()
    await run(service, 1, killed_after)
    await service.restart()
    await run(service, killed_after + 1, 12)
    assert await service.told() == await undisturbed.told()
    for each in (service, undisturbed):
        await each.service.kill()


@pytest.mark.parametrize("killed_after", [0, 3, 4, 5, 6])
async def test_a_restart_knows_again_what_the_strategies_of_a_portfolio_wished(bars_of, killed_after):
    """SY-2, TL-10: from history, as if nothing had happened."""
    sleeve = {"share": 1, "weights": {"SPY": "0.5"}, "kind": "sma_crossover", "parameters": {"fast": 2, "slow": 4}}
    sleeve["parameters"]["band_bps"] = 0
    maker = timed(kind=Portfolio, parameters={"sleeves": {"trend": sleeve}})
    service = made(bars_of, maker=maker)
    await service.start()
    await run(service, 1, killed_after)
    await service.restart()
    await run(service, killed_after + 1, 12)
    (cycle,) = await service.cycles()
    assert [(each.signal_id, each.target_weight.value) for each in cycle.signals] == [
        ("clock.BAC.20131007T133500Z.REDUCE_LONG", "0"),
        ("clock.SPY.20131007T133500Z.REDUCE_LONG", "0.5"),
        ("clock.SPY.20131007T133500Z.ENTER_LONG", "0.5"),
    ]
    await service.service.kill()


@pytest.mark.parametrize(("minute", "cycles"), [(7, 1), (9, 1), (10, 0), (30, 0)])
async def test_a_missed_buy_is_made_up_for_within_its_grace_and_never_later(bars_of, minute, cycles):
    """Order protocol, "Timers and stop": a missed buy time is skipped beyond its grace."""
    service = made(bars_of, start=OPEN + MINUTE * minute)
    await service.start()
    await run(service, minute + 1, minute + 6)
    found = await service.cycles()
    assert [each.cycle_id for each in found] == ["clock.20131007T133500Z"] * cycles
    assert all(each.valid_until.ToDatetime(tzinfo=UTC) == OPEN + MINUTE * 10 for each in found)
    await service.service.kill()


async def test_a_symbol_without_a_price_of_then_is_waited_for_a_minute_and_no_longer(bars_of):
    """One that does not trade holds the others up no longer; the gates judge how old its price is."""
    missing = {("BAC", OPEN + MINUTE * number) for number in (5, 6, 7)}
    service = made(bars_of, missing=missing)
    await service.start()
    await run(service, 1, 5)
    assert await service.cycles() == []
    await run(service, 6, 6)
    (cycle,) = await service.cycles()
    assert [each.reference_price.value for each in cycle.signals] == ["50.03", "100.05"]
    await service.service.kill()


async def test_the_next_session_buys_again(bars_of):
    service = made(bars_of, minutes=390)
    await service.start()
    await run(service, 1, 390)
    tuesday = OPEN + timedelta(days=1)
    await service.timers_before(tuesday + MINUTE * 8)
    assert [each.cycle_id for each in await service.cycles()] == ["clock.20131007T133500Z", "clock.20131008T133500Z"]
    await service.service.kill()


def test_buy_times_are_for_a_strategy_that_buys_by_the_clock():
    with pytest.raises(InvalidStrategy, match=r"clock: schedule.buy_at of a SmaCrossover strategy; allowed: none"):
        timed(kind=SmaCrossover, parameters={})
    with pytest.raises(InvalidStrategy, match=r"clock: schedule.buy_at of a Timed strategy; allowed: at least one"):
        timed(schedule=None)
    assert timed(kind=SmaCrossover, parameters={}, schedule=Schedule("equity", (), (time(15, 50),), MINUTE))

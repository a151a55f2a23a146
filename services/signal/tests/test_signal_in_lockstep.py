"""The whole service on a market in memory: bars in, cycles and prices out, killed and started again (issue part 5)."""

import importlib.util
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_core.sessions import xnys
from holdfast_runtime import flows
from holdfast_runtime.bus import dead_letters
from holdfast_runtime.ports.venue import Quote, TradingStatus
from holdfast_signal.strategies.etf_rotation import EtfRotation
from holdfast_signal.strategies.sma_crossover import SmaCrossover
from holdfast_signal.strategy import prepare

_spec = importlib.util.spec_from_file_location("signal_world", Path(__file__).parent / "world.py")
world = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(world)

FRIDAY, MONDAY = date(2013, 10, 4), date(2013, 10, 7)
OPEN = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def crossover(symbols=("BAC", "SPY"), name="sma", slow=9):
    return prepare(
        SmaCrossover, id=name, book="equity", symbols=symbols, stop_fraction=Decimal("0.05"),
        parameters={"fast": 3, "slow": slow, "band_bps": 2.0},
    )  # fmt: skip


def rotation():
    return prepare(
        EtfRotation, id="rotation", book="equity", symbols=("BAC", "SPY"), stop_fraction=Decimal("0.05"),
        parameters={"roles": {"market": "SPY", "cash": "BAC"}, "sma_days": 3, "rsi_days": 2, "defensive_rsi_days": 2},
    )  # fmt: skip


def market(bars_of, day_bar, seed=1, minutes=60, missing=()):
    chance = Random(seed)
    minute, daily = [], []
    days = xnys().sessions_between(date(2013, 7, 1), MONDAY)
    for symbol, price in (("SPY", 100.0), ("BAC", 50.0)):
        for day, count in ((FRIDAY, 390), (MONDAY, minutes)):
            closes = []
            for _ in range(count):
                price *= 1 + chance.gauss(0, 0.001)
                closes.append(round(price, 2))
            minute += bars_of(symbol, day, closes)
        daily += [day_bar(symbol, each.day, round(price, 2)) for each in days]
    kept = [bar for bar in minute if (bar.symbol, bar.start) not in missing]
    return {"minute": kept, "daily": daily}


async def replay(bars_of, day_bar, *, restarts=(), missing=(), minutes=60, makers=None):
    made = world.World(
        makers or (crossover(), rotation()), OPEN, **market(bars_of, day_bar, minutes=minutes, missing=missing)
    )
    await made.start()
    for number in range(1, minutes + 1):
        await made.tick(OPEN + MINUTE * number)
        if number in restarts:
            await made.restart()
    await made.timers_before(OPEN + MINUTE * (minutes + 1))
    await made.service.kill()
    return made


async def test_cycles_come_out_in_order_with_deterministic_ids(bars_of, day_bar):
    made = await replay(bars_of, day_bar)
    cycles = await made.cycles()
    assert len(cycles) > 8
    assert cycles[0].cycle_id in ("rotation.20131007T133000Z", "sma.20131007T133100Z")
    for cycle, message in zip(cycles, await made.messages("CYCLES", "cycles.v1.>"), strict=True):
        assert message.message_id == cycle.cycle_id
        assert message.subject == f"cycles.v1.{cycle.strategy}"
        assert 1 <= len(cycle.signals) <= 256
        for signal in cycle.signals:
            direction = {1: "ENTER_LONG", 2: "EXIT_LONG"}[signal.direction]
            instant = cycle.market_time.ToDatetime().strftime("%Y%m%dT%H%M%SZ")
            assert signal.signal_id == f"{cycle.strategy}.{signal.symbol}.{instant}.{direction}"
            assert signal.stop_fraction.value == "0.05"
    assert made.service.activity.positions[0][flows.CYCLES] == len(cycles)


async def test_the_cycle_of_the_open_waits_for_the_first_prices(bars_of, day_bar):
    made = world.World((rotation(),), OPEN, **market(bars_of, day_bar))
    await made.start()
    await made.timers_before(OPEN + MINUTE)
    assert await made.cycles() == []
    await made.tick(OPEN + MINUTE)
    assert await made.cycles() == []
    await made.timers_before(OPEN + 2 * MINUTE)
    (cycle,) = await made.cycles()
    assert cycle.cycle_id == "rotation.20131007T133000Z"
    assert cycle.valid_until.ToDatetime(tzinfo=UTC) == datetime(2013, 10, 7, 20, tzinfo=UTC)
    await made.service.kill()


@pytest.mark.parametrize("seed", range(4))
async def test_a_service_killed_at_any_tick_publishes_the_same_cycles(bars_of, day_bar, seed):
    """TL-10: whoever watches the stream cannot tell that it was killed."""
    undisturbed = await (await replay(bars_of, day_bar)).told()
    restarts = Random(seed).sample(range(1, 60), 6)
    assert await (await replay(bars_of, day_bar, restarts=restarts)).told() == undisturbed


async def test_a_kill_in_the_middle_of_a_tick_loses_no_cycle(bars_of, day_bar):
    """The bar was sent to a connection that died: history has it."""
    undisturbed = await (await replay(bars_of, day_bar, minutes=30)).told()
    made = world.World((crossover(), rotation()), OPEN, **market(bars_of, day_bar, minutes=30))
    await made.start()
    for number in range(1, 31):
        at = OPEN + MINUTE * number
        await made.timers_before(at)
        if number % 5 == 0:
            await made.service.kill()
            made.clock.set(at, speed=0.0)
            made.feed.release(at)
            await made.start()
        await made.tick(at)
    await made.timers_before(OPEN + MINUTE * 31)
    assert await made.told() == undisturbed
    await made.service.kill()


async def test_a_missing_bar_closes_the_minute_after_its_grace_and_marks_the_gap(bars_of, day_bar):
    missing = {("BAC", OPEN + MINUTE * 3)}
    made = await replay(bars_of, day_bar, minutes=20, missing=missing, makers=(crossover(slow=4),))
    undisturbed = await replay(bars_of, day_bar, minutes=20, makers=(crossover(slow=4),))
    gapped = [OPEN + MINUTE * number for number in (4, 5, 6, 7)]

    def bac_signals(told):
        return {signal[0] for _, _, signals in told for signal in signals if ".BAC." in signal[0]}

    silent = {f"sma.BAC.{at:%Y%m%dT%H%M%SZ}.{way}" for at in gapped for way in ("ENTER_LONG", "EXIT_LONG")}
    assert not bac_signals(await made.told()) & silent
    assert [each for each in await undisturbed.told() if ".SPY." in str(each)]
    bars = [pb.Bar.FromString(each.payload) for each in await made.messages("MARKET", "market.v1.bar.BAC")]
    assert [bar.start.ToDatetime(tzinfo=UTC) for bar in bars if bar.after_gap] == [OPEN + MINUTE * 4]


async def test_bars_and_quotes_are_published_for_everyone(bars_of, day_bar):
    made = world.World((crossover(),), OPEN, **market(bars_of, day_bar))
    await made.start()
    await made.tick(OPEN + MINUTE)
    made.feed.send(_quote("SPY", OPEN + MINUTE, "99.99", "100.01"))
    await made.settle()
    assert len(await made.messages("MARKET", "market.v1.bar.*")) == 2
    (message,) = await made.messages("MARKET", "market.v1.quote.SPY")
    assert pb.Quote.FromString(message.payload).ask.value == "100.01"
    await made.service.kill()


def _quote(symbol, at, bid, ask):
    return Quote(
        symbol=symbol, at=at, bid=Decimal(bid), ask=Decimal(ask), bid_size=Decimal(1), ask_size=Decimal(1)
    )  # fmt: skip


async def test_what_is_not_believed_is_quarantined_and_never_traded(bars_of, day_bar):
    """TL-1, BS-8: dead letters hold it with its reason; no price and no window sees it."""
    recorded = market(bars_of, day_bar)
    at = OPEN + MINUTE * 5
    recorded["minute"] = [
        replace(bar, close=bar.close * 100, high=bar.high * 100) if bar.symbol == "SPY" and bar.end == at else bar
        for bar in recorded["minute"]
    ]
    made = world.World((crossover(),), OPEN, **recorded)
    await made.start()
    for number in range(1, 6):
        await made.tick(OPEN + MINUTE * number)
    made.feed.send(_quote("SPY", at, "100.5", "100.1"))
    made.feed.send_unreadable('{"T":"b","S":', "no JSON")
    await made.settle()
    letters = [dead_letters.from_message(each) for each in await made.messages("DEADLETTERS", "deadletters.v1.feed")]
    assert [each.reason.partition(":")[0] for each in letters] == [
        "PRICE_MAGNITUDE",
        "QUOTE_CROSSED",
        "FRAME_UNREADABLE",
    ]
    assert json.loads(letters[2].payload)["raw"] == '{"T":"b","S":'
    assert made.service.prices.seen_at("SPY") == at - MINUTE
    assert made.service.activity.positions[1][flows.DATA] == made.feed.position
    await made.service.kill()


async def test_prices_are_watched_as_a_snapshot_and_then_as_changes(bars_of, day_bar):
    made = world.World((crossover(),), OPEN, **market(bars_of, day_bar))
    await made.start()
    watch = made.service.prices.watch(pb.WatchRequest())
    first = await anext(watch)
    assert first.snapshot
    assert [price.symbol for price in first.prices] == ["BAC", "SPY"]
    assert all(price.feed_connected and price.last.value for price in first.prices)
    await made.tick(OPEN + MINUTE)
    change = await anext(watch)
    assert not change.snapshot
    assert [price.bar_time.ToDatetime(tzinfo=UTC) for price in change.prices] == [OPEN + MINUTE] * 2
    assert change.sequence == made.service.activity.positions[0][flows.PRICES] > first.sequence
    made.feed.send(TradingStatus(symbol="SPY", at=OPEN + MINUTE, halted=True, reason="LUDP"))
    await made.settle()
    (price,) = (await anext(watch)).prices
    assert (price.symbol, price.halted, price.bar_interval_secs) == ("SPY", True, 60)
    await watch.aclose()
    await made.service.kill()


async def test_a_watcher_of_some_symbols_still_sees_every_sequence(bars_of, day_bar):
    """Lock-step compares sequences: a watcher that filters must not seem to lag."""
    made = world.World((crossover(),), OPEN, **market(bars_of, day_bar))
    await made.start()
    watch = made.service.prices.watch(pb.WatchRequest(symbols=["BAC"]))
    await anext(watch)
    made.feed.send(_quote("SPY", OPEN, "99.99", "100.01"))
    await made.settle()
    change = await anext(watch)
    assert list(change.prices) == []
    assert change.sequence == made.service.activity.positions[0][flows.PRICES]
    await watch.aclose()
    await made.service.kill()


async def test_prices_are_whole_again_after_a_restart(bars_of, day_bar):
    made = world.World((crossover(),), OPEN, **market(bars_of, day_bar))
    await made.start()
    await made.tick(OPEN + MINUTE)
    made.feed.send(_quote("SPY", OPEN + MINUTE, "99.99", "100.01"))
    await made.settle()
    before = await anext(made.service.prices.watch(pb.WatchRequest()))
    await made.restart()
    after = await anext(made.service.prices.watch(pb.WatchRequest()))
    assert list(after.prices) == list(before.prices)
    assert after.sequence > before.sequence
    await made.service.kill()


async def test_a_lost_connection_is_told_only_when_market_time_passes(bars_of, day_bar):
    made = world.World((crossover(),), OPEN, **market(bars_of, day_bar))
    await made.start()
    made.feed.disconnect()
    await made.settle()
    assert (await anext(made.service.prices.watch(pb.WatchRequest()))).prices[0].feed_connected
    await made.timers_before(OPEN + timedelta(seconds=6))
    assert not (await anext(made.service.prices.watch(pb.WatchRequest()))).prices[0].feed_connected
    made.feed.reconnect()
    await made.settle()
    assert (await anext(made.service.prices.watch(pb.WatchRequest()))).prices[0].feed_connected
    await made.service.kill()


async def test_bars_missed_while_disconnected_come_from_history(bars_of, day_bar):
    undisturbed = await (await replay(bars_of, day_bar, minutes=20)).told()
    made = world.World((crossover(), rotation()), OPEN, **market(bars_of, day_bar, minutes=20))
    await made.start()
    for number in range(1, 21):
        await made.timers_before(OPEN + MINUTE * number)
        if number % 4 == 0:
            made.feed.disconnect()
            await made.settle()
            made.clock.set(OPEN + MINUTE * number, speed=0.0)
            made.feed.skip(OPEN + MINUTE * number)
            made.feed.reconnect()
            made.feed.failing_reads = 3
            await made.settle()
        else:
            await made.tick(OPEN + MINUTE * number)
    await made.timers_before(OPEN + MINUTE * 21)
    assert await made.told() == undisturbed
    await made.service.kill()

"""Equities and pairs come over connections of their own: one flow, and each feed speaks for its symbols (SQ-6)."""

import asyncio
from datetime import UTC, datetime

from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_runtime import flows
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import VenueMarketClock
from holdfast_runtime.ports.venue import TradingStatus
from holdfast_signal.data_flow import DataFlow
from holdfast_signal.prices import Prices


def test_both_connections_count_into_one_flow_and_a_new_one_begins_anew() -> None:
    """Lock-step compares the sum of what the venue sent on its present connections."""
    activity = ActivityTracker()
    flow = DataFlow(activity)
    flow.received("equity", 3)
    flow.received("crypto", 4)
    assert activity.positions[1][flows.DATA] == 7
    flow.received("crypto", 0)
    flow.received("crypto", 1)
    assert activity.positions[1][flows.DATA] == 4


async def test_a_feed_that_is_down_says_nothing_of_the_other_feeds_symbols() -> None:
    clock = VenueMarketClock()
    clock.set(datetime(2018, 4, 4, tzinfo=UTC), speed=0.0)
    prices = Prices(["BTC/USD", "SPY"], clock=clock, activity=ActivityTracker())
    prices.set_connected(True)
    prices.set_connected(False, ["BTC/USD"])
    stream = prices.watch(pb.WatchRequest())
    told = {price.symbol: price.feed_connected for price in (await anext(stream)).prices}
    await stream.aclose()
    assert told == {"BTC/USD": False, "SPY": True}


async def test_what_came_in_one_frame_is_told_in_one_answer_and_no_sequence_before_it() -> None:
    """SQ-6: a minute of many symbols is one message to each watcher; lock-step counts what was told."""
    at = datetime(2018, 4, 4, tzinfo=UTC)
    clock, activity = VenueMarketClock(), ActivityTracker()
    clock.set(at, speed=0.0)
    prices = Prices(["IBM", "SPY"], clock=clock, activity=activity)
    stream = prices.watch(pb.WatchRequest())
    first = await anext(stream)
    change = asyncio.ensure_future(anext(stream))
    prices.gather(True)
    prices.take(TradingStatus(symbol="IBM", at=at, halted=True, reason=""))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not change.done()
    assert activity.positions[0][flows.PRICES] == first.sequence
    prices.gather(False)
    prices.take(TradingStatus(symbol="SPY", at=at, halted=True, reason=""))
    told = await change
    await stream.aclose()
    assert [(price.symbol, price.halted) for price in told.prices] == [("IBM", True), ("SPY", True)]
    assert told.sequence == activity.positions[0][flows.PRICES] == first.sequence + 2


async def test_the_end_of_a_frame_tells_what_came_before_though_its_last_item_changes_nothing() -> None:
    at = datetime(2018, 4, 4, tzinfo=UTC)
    clock = VenueMarketClock()
    clock.set(at, speed=0.0)
    prices = Prices(["IBM"], clock=clock, activity=ActivityTracker())
    stream = prices.watch(pb.WatchRequest())
    await anext(stream)
    prices.gather(True)
    prices.take(TradingStatus(symbol="IBM", at=at, halted=True, reason=""))
    prices.gather(False)
    assert [price.symbol for price in (await anext(stream)).prices] == ["IBM"]
    await stream.aclose()

"""Equities and pairs come over connections of their own: one flow, and each feed speaks for its symbols (SQ-6)."""

from datetime import UTC, datetime

from holdfast.signal.v1 import signal_pb2 as pb
from holdfast_runtime import flows
from holdfast_runtime.activity import ActivityTracker
from holdfast_runtime.clock import VenueMarketClock
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

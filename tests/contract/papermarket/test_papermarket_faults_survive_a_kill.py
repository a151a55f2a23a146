"""A venue that is killed at any line of its journal goes on as if nothing had been, faults and all (TS-3, BS-2)."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from holdfast_exchange.exchange import Exchange, ExchangeConfig
from holdfast_exchange.faults.plan import PlanRefused, from_tree
from holdfast_exchange.market import Market
from holdfast_exchange.orders import NewOrder, OrderClass, OrderType, Side, TimeInForce
from holdfast_exchange.recording import Recording
from holdfast_exchange.replay import Replay, plan
from holdfast_papermarket.embedded import embedded
from holdfast_papermarket.lockstep import MarketClock
from holdfast_papermarket.venue import PaperVenue
from holdfast_runtime.clock import SystemMonotonicClock
from tests.contract.papermarket.client import MINUTE, OPEN
from tests.contract.papermarket.faulty import accepted, arm, rest, unanswered

DAY = "2013-10-08"
NIGHT = {"start": "2013-10-08T19:57:00+00:00", "end": "2013-10-09T13:33:00+00:00"}
CLOSE = datetime(2013, 10, 8, 20, tzinfo=UTC)


class Lines:
    """A journal in memory."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self.lines = list(lines)

    def append(self, line: str) -> None:
        self.lines.append(line)


def venue_of(recorded: Recording, replay: Replay, journal: Lines) -> PaperVenue:
    exchange = Exchange("killed", Market(recorded, replay.begin), ExchangeConfig())
    return PaperVenue(exchange, replay, journal, resend_on_subscribe=False)


def run(venue: PaperVenue, until: datetime | None = None) -> PaperVenue:
    """Lock-step ticks to the end, or until the data of `until` is seen."""
    clock = MarketClock(venue, run_id="killed", roster=(), speed=0.0, monotonic_clock=SystemMonotonicClock())
    while not venue.ended and (until is None or venue.exchange.market.released < until):
        clock.step()
    return venue


def armed(venue: PaperVenue, kind: str, **parameters: Any) -> None:
    venue.faults.desk.arm(from_tree({"faults": [{"id": "it", "kind": kind, **parameters}]}))


def protected() -> NewOrder:
    return NewOrder(
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(10),
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_price=Decimal(170),
        order_class=OrderClass.OTO,
        protect_stop_price=Decimal(150),
    )


def test_a_split_is_whole_wherever_the_venue_is_killed(recorded: Recording) -> None:
    """Shares and prices change in one line: equity does not move, and the end is the same after any cut."""
    whole, replay = Lines(), plan(recorded, **NIGHT)
    venue = venue_of(recorded, replay, whole)
    armed(venue, "split_overnight", scope={"symbol": "SPY"})
    venue.submit(protected())
    run(venue, CLOSE)
    before, closed = venue.exchange.equity(), len(whole.lines)
    run(venue)
    (split,) = (number for number, line in enumerate(whole.lines, 1) if '"count_fault"' in line)
    assert closed < split < len(whole.lines)
    for cut in range(closed, len(whole.lines) + 1):
        again = venue_of(recorded, replay, Lines(whole.lines[:cut]))
        assert again.exchange.books.held("SPY") == (20 if cut >= split else 10)
        if cut <= split:
            assert again.exchange.equity() == before, "the split moves nothing"
        assert run(again).state() == venue.state(), "it goes on as if nothing had been"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("foreign_position", {"scope": {"symbol": "IBM", "since": "2013-10-09T13:31:00Z"}}),
        ("foreign_order", {"scope": {"symbol": "IBM", "since": "2013-10-09T13:31:00Z"}}),
        ("forced_liquidation", {"scope": {"symbol": "SPY", "since": "2013-10-09T13:31:00Z"}}),
        ("price_frozen", {"scope": {"since": "2013-10-09T13:31:00Z"}}),
        ("maintenance", {"scope": {"since": "2013-10-09T13:31:00Z"}}),
    ],
)
def test_a_fault_of_the_market_happens_once_wherever_the_venue_is_killed(
    recorded: Recording, kind: str, parameters: dict[str, Any]
) -> None:
    whole, replay = Lines(), plan(recorded, **NIGHT)
    venue = venue_of(recorded, replay, whole)
    armed(venue, kind, **parameters)
    venue.submit(protected())
    run(venue)
    assert venue.exchange.faults.tallies["it"].fired == 1
    for cut in range(2, len(whole.lines)):
        assert run(venue_of(recorded, replay, Lines(whole.lines[:cut]))).state() == venue.state()


async def test_an_order_on_its_way_arrives_after_the_venue_was_killed(recorded: Recording, tmp_path: Path) -> None:
    async with embedded(recorded, tmp_path, start=DAY, end=DAY) as market:
        market.step_to(OPEN + 5 * MINUTE)
        arm(market, "late_accept", {"endpoint": "orders.submit"}, late_secs=60)
        async with rest(market) as client:
            await unanswered(market, client)
        assert accepted(market) == []
    async with embedded(recorded, tmp_path, start=DAY, end=DAY) as again:
        assert accepted(again) == []
        again.step_to(OPEN + 6 * MINUTE)
        assert accepted(again) == ["mine"]


async def test_prices_that_are_no_numbers_and_maintenance_last_longer_than_the_venue(
    recorded: Recording, tmp_path: Path
) -> None:
    """BR-8"""
    latest = "/v2/stocks/bars/latest?symbols=SPY"
    async with embedded(recorded, tmp_path, start=DAY, end=DAY) as market:
        market.step_to(OPEN + 5 * MINUTE)
        arm(market, "price_nan", {"symbol": "SPY"}, secs=3_600)
        market.step_to(OPEN + 6 * MINUTE)
        arm(market, "maintenance", secs=120, wall_secs=3_600)
        market.step_to(OPEN + 7 * MINUTE)
    async with embedded(recorded, tmp_path, start=DAY, end=DAY) as again, rest(again) as client:
        assert (await client.get(latest)).status_code == 503
        again.step_to(OPEN + timedelta(minutes=9))
        assert math.isnan((await client.get(latest)).json()["bars"]["SPY"]["c"])


def test_a_symbol_that_is_not_recorded_is_refused_when_a_plan_is_armed(recorded: Recording) -> None:
    venue = venue_of(recorded, plan(recorded, start=DAY, end=DAY), Lines())
    with pytest.raises(PlanRefused, match=r"faults\.0\.scope\.symbol: 'NONE' is not allowed; allowed: a recorded"):
        armed(venue, "halt", scope={"symbol": "NONE"})
    assert not venue.exchange.faults.plan.faults

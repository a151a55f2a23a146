"""A backtest leaves out instants at which nothing can happen, and comes to the same (TS-3).

The whole week with HOLDFAST_BACKTEST=week, as `make nightly` does.
"""

import os
from datetime import date
from decimal import Decimal

import pytest

from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_core.sessions import calendar_of
from holdfast_exchange.combining import Combined
from holdfast_exchange.orders import OrderType, Side
from holdfast_exchange.recording import MINUTE, Bar, Recording
from holdfast_exchange.replay import plan
from holdfast_runtime.settings import FeedSettings, ReplaySettings, Settings, StrategySettings
from holdfast_simulation.backtest.run import Opened, Outcome, open_recording, run

pytestmark = pytest.mark.timeout(1800)

CENT = Decimal("0.01")
WEEK = os.environ.get("HOLDFAST_BACKTEST") == "week"
STRATEGIES = (
    StrategySettings(
        id="sma",
        kind="sma_crossover",
        symbols=("SPY", "BAC"),
        # So near that some stops are met.
        stop_fraction=Decimal("0.002"),
        parameters={"fast": 10, "slow": 30, "band_bps": 3},
    ),
    StrategySettings(
        id="rotation",
        kind="etf_rotation",
        symbols=("IBM", "AIG"),
        stop_fraction=Decimal("0.05"),
        parameters={
            "roles": {
                "cash": "AIG",
                "growth": "AIG",
                "leveraged_growth": "AIG",
                "leveraged_technology": "IBM",
                "managed_futures": "BAC",
                "market": "SPY",
                "technology": "IBM",
            }
        },
    ),
)
SETTINGS = Settings(
    replay=ReplaySettings(
        start="2013-10-07" if WEEK else "2013-10-08", end="2013-10-11" if WEEK else "2013-10-08T15:15:00Z"
    ),
    strategies=STRATEGIES,
)


@pytest.fixture(scope="module")
def quiet() -> Outcome:
    return run(SETTINGS, open_recording(SETTINGS))


@pytest.fixture(scope="module")
def every() -> Outcome:
    return run(SETTINGS, open_recording(SETTINGS), every_instant=True)


def test_most_instants_are_left_out(quiet: Outcome, every: Outcome) -> None:
    assert quiet.exchange.tick < every.exchange.tick / 2


def test_the_same_is_decided(quiet: Outcome, every: Outcome) -> None:
    assert [judged(each) for each in quiet.decisions] == [judged(each) for each in every.decisions]


def test_the_same_is_ordered_and_filled_at_the_same_instants(quiet: Outcome, every: Outcome) -> None:
    sold = {order.type for order in quiet.exchange.orders.values() if order.filled_quantity and order.side is Side.SELL}
    assert OrderType.STOP in sold
    assert quiet.exchange.books.fills == every.exchange.books.fills
    assert ordered(quiet) == ordered(every)


def test_the_account_is_worth_the_same_at_every_instant(quiet: Outcome, every: Outcome) -> None:
    assert quiet.curve == every.curve
    assert quiet.ledger.account.cash == every.ledger.account.cash
    assert quiet.ledger.fills == every.ledger.fills
    assert not quiet.verdict.discrepancies


def test_what_waits_for_a_price_leaves_with_it() -> None:
    """A strategy of daily bars waits at the open until each of its symbols has a price, here for minutes."""
    patient = SETTINGS.model_copy(
        update={
            "replay": ReplaySettings(start="2013-10-08", end="2013-10-08T13:45:00Z"),
            "feed": FeedSettings(bar_grace_secs=120.0),
            "strategies": STRATEGIES[1:],
        }
    )
    quiet, every = (run(patient, open_recording(patient), every_instant=each) for each in (False, True))
    assert ordered(every)
    assert ordered(quiet) == ordered(every)


def judged(decision: gate.Decision) -> gate.Decision:
    """All of a decision but the numbers that tell how old the newest comparison was, and in what version it lies."""
    told = gate.Decision()
    told.CopyFrom(decision)
    for verdict in told.verdicts:
        verdict.ClearField("numbers")
        verdict.ClearField("message")
    return told


def ordered(outcome: Outcome) -> list[tuple[object, ...]]:
    """Every order that the venue got, as it was asked for, and what became of it."""
    fields = ("created_at", "symbol", "side", "type", "status", "quantity", "limit_price", "stop_price")
    return [tuple(getattr(order, field) for field in fields) for order in outcome.exchange.orders.values()]


@pytest.fixture(scope="module")
def days() -> tuple[Outcome, Outcome]:
    """Four mornings with and without quiet instants: a purchase that is held overnight, its sale, a morning on which
    the price stands still, another purchase."""
    settings = Settings(
        strategies=(
            StrategySettings(
                id="sma",
                kind="sma_crossover",
                symbols=("IBM",),
                stop_fraction=Decimal("0.05"),
                parameters={"fast": 3, "slow": 8, "band_bps": 5},
            ),
        )
    )
    steps = (Decimal("0.05"), Decimal("-0.08"), Decimal(0), Decimal("0.05"))
    opened = mornings(steps)
    return run(settings, opened), run(settings, opened, every_instant=True)


def test_nights_and_days_without_anything_are_left_out(days: tuple[Outcome, Outcome]) -> None:
    quiet, every = days
    assert len({fill.at.date() for fill in every.exchange.books.fills}) == 3
    assert quiet.exchange.tick < every.exchange.tick / 6


def test_the_same_comes_of_days_that_are_left_out(days: tuple[Outcome, Outcome]) -> None:
    quiet, every = days
    assert [judged(each) for each in quiet.decisions] == [judged(each) for each in every.decisions]
    assert ordered(quiet) == ordered(every)
    assert quiet.exchange.books.fills == every.exchange.books.fills
    assert quiet.curve == every.curve
    assert quiet.ledger.fills == every.ledger.fills
    assert not quiet.verdict.discrepancies


def mornings(steps: tuple[Decimal, ...]) -> Opened:
    """So many sessions of 40 minutes: half of each stands still, then the price goes that many dollars a minute."""
    price, bars = Decimal(100), []
    sessions = calendar_of("equity").sessions_between(date(2013, 10, 7), date(2013, 10, 18))
    for session, step in zip(sessions, steps, strict=False):
        for minute in range(40):
            start = session.open + minute * MINUTE
            closed = price + step if minute >= 20 else price
            low, high = min(price, closed) - CENT, max(price, closed) + CENT
            bars.append(Bar("IBM", start, start + MINUTE, price, high, low, closed, Decimal(100_000)))
            price = closed
    recording = Recording(symbols=("IBM",), minute_bars=tuple(bars), minute_quotes=(), daily_bars=(), quarantined=())
    return Opened(Combined(recording), plan(recording))

"""The services over a recording in virtual time (TS-3, TL-1). That they decide as the running system does is shown
beside that system, in tests/integration/test_replayed_day.py."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.gate.v1 import gate_pb2 as gate
from holdfast_exchange.market import scaled_bar, scaled_quote
from holdfast_exchange.recording import Recording
from holdfast_runtime.settings import ReplaySettings, Settings, StrategySettings
from holdfast_simulation.backtest.run import Outcome, open_recording, run

TURN = datetime(2013, 10, 8, 14, 30, tzinfo=UTC)
SETTINGS = Settings(
    replay=ReplaySettings(start="2013-10-08", end=(TURN + timedelta(minutes=15)).isoformat()),
    strategies=(
        StrategySettings(
            id="sma",
            kind="sma_crossover",
            symbols=("SPY", "BAC"),
            stop_fraction=Decimal("0.02"),
            parameters={"fast": 10, "slow": 30, "band_bps": 3},
        ),
    ),
)


@pytest.fixture(scope="module")
def morning() -> Outcome:
    return run(SETTINGS, open_recording(SETTINGS))


def told(outcome: Outcome) -> tuple[bytes, ...]:
    """Everything that the ledger and the decisions say."""
    return (
        outcome.ledger.SerializeToString(deterministic=True),
        *(decision.SerializeToString(deterministic=True) for decision in outcome.decisions),
    )


def test_the_services_trade_and_the_venue_agrees_with_the_ledger(morning: Outcome) -> None:
    assert morning.ledger.fills
    assert len(morning.ledger.fills) == len(morning.exchange.books.fills)
    assert Decimal(morning.ledger.account.cash.value) == morning.exchange.books.cash
    assert not morning.verdict.discrepancies
    assert morning.curve[-1].equity == morning.exchange.equity()


def test_two_runs_are_the_same_to_the_last_byte(morning: Outcome) -> None:
    assert told(run(SETTINGS, open_recording(SETTINGS))) == told(morning)


@pytest.mark.parametrize("change", ["doubled", "shuffled"])
def test_nothing_looks_ahead(morning: Outcome, change: str) -> None:
    """TL-1: with another future everything up to then is decided, ordered and filled as before."""
    opened = open_recording(SETTINGS)
    changed = {"doubled": doubled, "shuffled": shuffled}[change](opened.combined.recording)

    other = run(SETTINGS, replace(opened, combined=replace(opened.combined, recording=changed)))

    assert [point for point in other.curve if point.at <= TURN] == [each for each in morning.curve if each.at <= TURN]
    assert other.curve[-1].equity != morning.curve[-1].equity
    assert decided(other)
    assert decided(other) == decided(morning)
    assert ordered(other)
    assert ordered(other) == ordered(morning)
    assert [each for each in other.exchange.books.fills if each.at <= TURN] == [
        each for each in morning.exchange.books.fills if each.at <= TURN
    ]


def decided(outcome: Outcome) -> list[gate.Decision]:
    """Everything that was decided up to the turn, with all numbers behind it."""
    return [decision for decision in outcome.decisions if decision.market_time.ToDatetime(UTC) <= TURN]


def ordered(outcome: Outcome) -> list[tuple[object, ...]]:
    """Every order that the venue had got up to the turn, as it was asked for."""
    return [
        (order.created_at, order.symbol, order.side, order.type, order.quantity, order.limit_price, order.stop_price)
        for order in outcome.exchange.orders.values()
        if order.created_at <= TURN
    ]


def doubled(recording: Recording) -> Recording:
    """Twice the prices after the turn."""
    two = Decimal(2)
    bars = tuple(scaled_bar(bar, two) if bar.end > TURN else bar for bar in recording.minute_bars)
    quotes = tuple(scaled_quote(quote, two) if quote.end > TURN else quote for quote in recording.minute_quotes)
    return replace(recording, minute_bars=bars, driving=bars, minute_quotes=quotes)


def shuffled(recording: Recording) -> Recording:
    """The minutes after the turn in another order; without quotes, which would belong to others."""
    bars = [bar for bar in recording.minute_bars if bar.end <= TURN]
    future = [bar for bar in recording.minute_bars if bar.end > TURN]
    for symbol in recording.symbols:
        own = [bar for bar in future if bar.symbol == symbol]
        others = random.Random(symbol).sample(own, len(own))
        bars += [replace(other, start=bar.start, end=bar.end) for bar, other in zip(own, others, strict=True)]
    quotes = tuple(quote for quote in recording.minute_quotes if quote.end <= TURN)
    return replace(recording, minute_bars=tuple(bars), driving=tuple(bars), minute_quotes=quotes)

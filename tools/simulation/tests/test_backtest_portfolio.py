"""A portfolio that is rebalanced by the clock, all services over a recorded morning (SY-2)."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast.execution.v1 import execution_pb2 as execution
from holdfast_runtime.rebalance_settings import RebalanceSettings
from holdfast_runtime.schedule_settings import ScheduleSettings
from holdfast_runtime.settings import ReplaySettings, Settings, StrategySettings
from holdfast_runtime.wire import from_timestamp
from holdfast_simulation.backtest.run import Outcome, open_recording, run

FIRST = datetime(2013, 10, 8, 13, 35, tzinfo=UTC)
"""09:35 in New York, in summer."""
SYMBOLS = ("AIG", "BAC", "IBM", "SPY")
TARGETS = {"AIG": Decimal("0.16"), "BAC": Decimal("0.14"), "IBM": Decimal("0.11"), "SPY": Decimal("0.15")}
BUFFER = Decimal("0.25")
NAMES = {common.DIRECTION_ENTER_LONG: "buy", common.DIRECTION_REDUCE_LONG: "sell"}
SETTINGS = Settings(
    replay=ReplaySettings(start="2013-10-08", end="2013-10-08T15:00:00+00:00"),
    strategies=(
        StrategySettings(
            id="core",
            kind="portfolio",
            symbols=SYMBOLS,
            stop_fraction=Decimal("0.05"),
            schedule=ScheduleSettings(buy_at=("09:35", "09:45", "10:15", "10:45"), grace_secs=240),
            rebalance=RebalanceSettings(cash_buffer=BUFFER, min_trade=Decimal(10), band=Decimal(0)),
            parameters={
                "sleeves": {
                    "growth": {"share": "0.6", "weights": {"SPY": "0.25", "IBM": "0.25", "BAC": "0.1"}},
                    "income": {"share": "0.4", "weights": {"AIG": "0.4", "BAC": "0.2", "IBM": "-0.1"}},
                }
            },
        ),
    ),
)


@pytest.fixture(scope="module")
def morning() -> Outcome:
    return run(SETTINGS, open_recording(SETTINGS))


def test_it_buys_its_targets_and_then_sells_what_is_too_much(morning: Outcome) -> None:
    """Several strategies' weights are one target for each symbol."""
    entries = {each.symbol: each for each in morning.ledger.intents if each.purpose == execution.PURPOSE_ENTRY}
    assert set(entries) == set(SYMBOLS)
    assert all(from_timestamp(each.market_time) == FIRST for each in morning.decisions[:8])
    parts = [each for each in morning.ledger.intents if each.purpose == execution.PURPOSE_REDUCE]
    assert parts
    assert all(each.state == execution.INTENT_STATE_FILLED for each in parts)
    reasons = {(each.direction, each.reason) for each in morning.decisions}
    assert (common.DIRECTION_REDUCE_LONG, "WITHIN_BAND") in reasons
    assert (common.DIRECTION_ENTER_LONG, "POSITION_HELD") in reasons


def test_nothing_is_far_from_its_target_and_every_share_keeps_its_stop(morning: Outcome) -> None:
    """Invariants 7 and 8."""
    prices = {each.symbol: Decimal(each.last.value) for each in morning.prices}
    held = {each.symbol: Decimal(each.quantity.value) for each in morning.ledger.positions}
    equity = Decimal(morning.ledger.account.cash.value) + sum(held[each] * prices[each] for each in held)
    for symbol, weight in TARGETS.items():
        worth = held[symbol] * prices[symbol]
        # What it has drifted since the last time, and the fraction of a share that is never sold.
        assert abs(worth - weight * equity * (1 - BUFFER)) <= equity / 200 + prices[symbol], symbol
    for position in morning.ledger.positions:
        assert position.protection == execution.PROTECTION_ACTIVE
        assert position.stop_quantity.value == position.quantity.value
    resting = {
        symbol: sum(
            order.remaining for order in morning.exchange.orders.values() if order.is_open and order.symbol == symbol
        )
        for symbol in SYMBOLS
    }
    assert resting == held
    assert not morning.verdict.discrepancies


def test_cash_never_falls_below_the_buffer(morning: Outcome) -> None:
    assert all(point.equity - point.held >= BUFFER * point.equity for point in morning.curve)


@pytest.mark.parametrize("every_instant", [False, True])
def test_what_a_member_wishes_moves_the_target_of_its_symbols(every_instant: bool) -> None:
    """A trend enters SPY, leaves it and enters IBM: its weights count, count no more, and count; the others stay."""
    (core,) = SETTINGS.strategies
    trend = {"kind": "sma_crossover", "parameters": {"fast": 5, "slow": 20, "band_bps": 2}}
    sleeves = {
        "trend": {"share": "0.5", "weights": {"SPY": "0.15", "IBM": "0.15"}, **trend},
        "still": {"share": "0.5", "weights": {"SPY": "0.2", "AIG": "0.2"}},
    }
    schedule = ScheduleSettings(buy_at=("09:55", "10:15", "10:25"), grace_secs=240)
    moved = core.model_copy(update={"schedule": schedule, "parameters": {"sleeves": sleeves}})
    settings = SETTINGS.model_copy(update={"strategies": (moved,)})
    outcome = run(settings, open_recording(settings), every_instant=every_instant)
    traded = [
        (f"{from_timestamp(each.market_time):%H:%M}", NAMES[each.direction], each.symbol, int(each.quantity.value))
        for each in outcome.decisions
        if each.allowed
    ]
    assert traded == [
        ("13:55", "buy", "AIG", 154),
        ("13:55", "buy", "SPY", 78),
        ("14:15", "sell", "SPY", 33),
        ("14:25", "buy", "IBM", 31),
    ]
    assert not outcome.verdict.discrepancies

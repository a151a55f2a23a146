"""A strategy that is bought and sold by the clock, all services over the recorded day (SQ-13, TL-2)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.common.v1 import common_pb2 as common
from holdfast_runtime.schedule_settings import ScheduleSettings
from holdfast_runtime.settings import ReplaySettings, Settings, StrategySettings
from holdfast_runtime.wire import from_timestamp
from holdfast_simulation.backtest.run import Outcome, open_recording, run

BOUGHT_AT = datetime(2013, 10, 8, 13, 35, tzinfo=UTC)
SOLD_AT = datetime(2013, 10, 8, 14, 10, tzinfo=UTC)
"""09:35 and 10:10 in New York, in summer."""
MINUTE = timedelta(minutes=1)
SETTINGS = Settings(
    replay=ReplaySettings(start="2013-10-08", end=(SOLD_AT + 10 * MINUTE).isoformat()),
    strategies=(
        StrategySettings(
            id="clock",
            kind="timed",
            symbols=("SPY", "BAC"),
            stop_fraction=Decimal("0.05"),
            schedule=ScheduleSettings(buy_at=("09:35",), sell_at=("10:10",)),
        ),
    ),
)


@pytest.fixture(scope="module")
def morning() -> Outcome:
    return run(SETTINGS, open_recording(SETTINGS))


def test_it_buys_and_sells_at_its_times_and_never_else(morning: Outcome) -> None:
    fills = [(each.symbol, each.side, from_timestamp(each.filled_at)) for each in morning.ledger.fills]
    for side, at in ((common.SIDE_BUY, BOUGHT_AT), (common.SIDE_SELL, SOLD_AT)):
        times = {symbol: when for symbol, sold, when in fills if sold == side}
        assert set(times) == {"BAC", "SPY"}
        assert all(at <= when <= at + MINUTE for when in times.values()), times
    assert not [each for each in morning.ledger.positions if Decimal(each.quantity.value)]
    assert {each.signal_id for each in morning.decisions} == {
        f"clock.{symbol}.20131008T133500Z.ENTER_LONG" for symbol in ("BAC", "SPY")
    }
    assert not morning.verdict.discrepancies


def test_two_runs_are_the_same_to_the_last_byte(morning: Outcome) -> None:
    other = run(SETTINGS, open_recording(SETTINGS))
    assert other.ledger.SerializeToString(deterministic=True) == morning.ledger.SerializeToString(deterministic=True)
    assert other.decisions == morning.decisions

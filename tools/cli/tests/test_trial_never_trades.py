"""`holdfast test`: its signal is blocked by construction, and a decision that is anything else is told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from holdfast.gate.v1 import gate_pb2
from holdfast_cli.trial import TrialFailed, cycle_of, judge
from holdfast_core.ids import TRIAL
from holdfast_runtime.settings import Settings, StrategySettings
from holdfast_runtime.wire import from_decimal, from_timestamp
from holdfast_scoring.domain.cycles import read_cycle

NOW = datetime(2013, 10, 8, 14, 30, tzinfo=UTC)
TRACE = "15553f36165dabf42f608fbeaa60cd25"


def test_a_trial_is_a_cycle_that_scoring_reads_and_that_is_over_before_it_is_sent() -> None:
    cycle = cycle_of(NOW, TRACE)
    assert read_cycle(f"cycles.v1.{TRIAL}", cycle.SerializeToString()) == cycle
    assert from_timestamp(cycle.valid_until) <= NOW - timedelta(seconds=30)
    (signal,) = cycle.signals
    assert from_decimal(signal.target_weight, field="target_weight") == Decimal(0)
    assert TRACE in signal.traceparent


def test_no_strategy_can_be_configured_under_its_name() -> None:
    with pytest.raises(ValidationError, match="holdfast test"):
        Settings(strategies=(StrategySettings(id=TRIAL, kind="sma_crossover", symbols=("SPY",)),))


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (gate_pb2.Decision(signal_id="s", allowed=True, reason="ALLOWED", traceparent=f"00-{TRACE}-1-01"), "ALLOWED"),
        (gate_pb2.Decision(signal_id="s", reason="SESSION_CLOSED", traceparent=f"00-{TRACE}-1-01"), "SESSION_CLOSED"),
        (gate_pb2.Decision(signal_id="s", reason="CYCLE_EXPIRED", traceparent="00-else-1-01"), "another trace"),
    ],
)
def test_any_other_decision_is_told(decision: gate_pb2.Decision, said: str) -> None:
    with pytest.raises(TrialFailed, match=said):
        judge(decision, TRACE)

"""A recorded day in the cluster is the recorded day on one machine: same orders, same P&L (DI-4, PR-1)."""

from typing import Any

import pytest

from tests.e2e.release import NAME, Release
from tests.integration.stack import comparable

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
REPLAY_SECS = 600.0


def test_the_day_ends_with_the_orders_and_the_money_of_a_local_run(
    day: Release, undisturbed_day: dict[str, Any]
) -> None:
    report = day.report("--until-end", limit_secs=REPLAY_SECS)
    assert report["fills"], "a day without a fill proves nothing"
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert report["reconciliation"] == {"state": "clean", "discrepancies": []}
    assert comparable(report) == comparable(undisturbed_day)


def test_helm_test_sends_a_signal_down_the_chain_and_finds_its_trace(day: Release) -> None:
    """It can never trade, and is seen in Jaeger in every service that decided about it."""
    before = day.report()
    day.cluster.helm("test", NAME, "--timeout", "4m", limit_secs=270)
    told = day.cluster.kubectl("logs", f"job/{NAME}-operator-test", "--container", "trial")
    assert "no order was made of it" in told
    assert "traced through execution, gate, scoring" in told
    assert day.report()["orders"] == before["orders"]

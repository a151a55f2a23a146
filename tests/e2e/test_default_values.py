"""`helm install` with nothing said but which images: a paper-trading system that works (TH-1, IN-8)."""

import json

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.release import NAME, Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
TRADES_SECS = 300.0
WELL_SECS = 180.0
OPERATOR = f"deploy/{NAME}-operator"
"""Where docs/doctor.md sends people."""


def test_it_trades_has_nothing_red_and_passes_its_own_test(unsaid: Release) -> None:
    def orders() -> int:
        return len(json.loads(unsaid.told_by_pod(OPERATOR, "holdfast", "report"))["orders"])

    assert eventually(orders, "an order", TRADES_SECS)
    eventually(
        lambda: unsaid.cluster.execute(OPERATOR, "holdfast", "doctor"), "the doctor finds nothing RED", WELL_SECS
    )
    unsaid.cluster.helm("test", NAME, "--timeout", "4m", limit_secs=270)

"""A recorded day in the cluster is the recorded day on one machine: same orders, same P&L (DI-4, PR-1)."""

from typing import Any

import pytest

from tests.e2e.release import Release
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

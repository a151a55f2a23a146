"""A recorded day in the cluster is the recorded day on one machine: same orders, same P&L (DI-4, PR-1)."""

import re
from typing import Any

import pytest

from tests.e2e.cluster import eventually
from tests.e2e.release import NAME, READY_SECS, SERVICES, Release, Row
from tests.integration.stack import assert_alike

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
REPLAY_SECS = 600.0
ASK_METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
MEASURED = re.compile(r"^holdfast_start_to_ready_seconds{.*} (\S+)$", re.MULTILINE)


def test_the_day_ends_with_the_orders_and_the_money_of_a_local_run(
    day: Release, undisturbed_day: dict[str, Any]
) -> None:
    report = day.report("--until-end", limit_secs=REPLAY_SECS)
    assert report["fills"], "a day without a fill proves nothing"
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert report["reconciliation"] == {"state": "clean", "discrepancies": []}
    assert_alike(report, undisturbed_day)


@pytest.mark.parametrize("service", SERVICES)
def test_a_pod_tells_how_long_its_service_took_to_ready(service: str, day: Release, table: list[Row]) -> None:
    """IN-1: from the start of the process, imports included. A figure for the table; nothing depends on it."""

    def told() -> list[str]:
        return MEASURED.findall(day.cluster.execute(day.pod(service), "python", "-c", ASK_METRICS))

    (secs,) = eventually(told, f"{service} says how long its start took", READY_SECS)
    table.append(Row(f"start of {service}, process to ready", float(secs), "in its pod"))


def test_helm_test_sends_a_signal_down_the_chain_and_finds_its_trace(day: Release) -> None:
    """It can never trade, and is seen in Jaeger in every service that decided about it."""
    before = day.report()
    day.cluster.helm("test", NAME, "--timeout", "4m", limit_secs=270)
    told = day.cluster.kubectl("logs", f"job/{NAME}-operator-test", "--container", "trial")
    assert "no order was made of it" in told
    assert "traced through execution, gate, scoring" in told
    assert day.report()["orders"] == before["orders"]

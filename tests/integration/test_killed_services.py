"""kill -9 of each process in a replay: restarted, nothing doubled or lost, the same final P&L (DI-4, DI-5, PR-1)."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import DAY, LOCKSTEP
from tests.integration.stack import assert_alike, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

VICTIMS = ("signal", "scoring", "gate", "execution", "reconciliation", "admin", "nats", "papermarket")
TICKS = (40, 260)


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_changes_nothing(
    victim: str, undisturbed_day: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    with running(tmp_path, *LOCKSTEP, *DAY) as stack:
        for tick in TICKS:
            stack.wait_for_tick(tick)
            pid = stack.kill(victim)
            stack.wait_for_restart(victim, pid)
        report = stack.report()
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert report["reconciliation"]["state"] == "clean"
    assert_alike(report, undisturbed_day[0])

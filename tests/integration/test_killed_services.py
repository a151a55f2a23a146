"""kill -9 of each process in turn in a replay: restarted, nothing doubled or lost, the same final P&L (DI-4, DI-5,
PR-1)."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import DAY, LOCKSTEP
from tests.integration.stack import assert_alike, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

FIRST_TICKS = (40, 260)
APART_TICKS = 30


@pytest.mark.parametrize(
    "victims", [("signal", "scoring", "gate", "execution"), ("reconciliation", "admin", "nats", "papermarket")]
)
def test_a_killed_process_changes_nothing(
    victims: tuple[str, ...], undisturbed_day: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    """Each twice, while the strategies begin and while they trade."""
    with running(tmp_path, *LOCKSTEP, *DAY) as stack:
        for first_tick in FIRST_TICKS:
            for place, victim in enumerate(victims):
                stack.wait_for_tick(first_tick + place * APART_TICKS)
                pid = stack.kill(victim)
                stack.wait_for_restart(victim, pid)
        report = stack.report()
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert report["reconciliation"]["state"] == "clean"
    assert_alike(report, undisturbed_day[0])

"""The venue is gone in the middle of a sale, for longer than anybody holds a replay up (invariant 9, FP-4.1, PR-1)."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import DAY, LOCKSTEP
from tests.integration.stack import Stack, assert_alike, eventually, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

FAILURES = 6
"""In a row: from here on market time does not wait for the symbol any more, while the venue is there."""
NO_ANSWER = """
seed = 7

[[faults]]
id = "no-answer-to-a-sale"
kind = "no_answer"
hold_secs = 300
scope = { endpoint = "positions.read", since = 2013-10-08T14:11:00Z, until = 2013-10-08T14:11:10Z, at_most = 1 }
"""
"""The sale of 14:11 has taken its stop down, and asks what is held: nobody else asks in those seconds."""


def test_a_sale_that_an_outage_stopped_leaves_before_market_time_goes_on(
    undisturbed_day: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(NO_ANSWER)
    with running(tmp_path, *LOCKSTEP, *DAY, "--faults", str(plan)) as stack:
        eventually(lambda: "fault.fired" in _log(stack, "papermarket"), "the sale gets no answer")
        killed = 0

        def has_failed_often() -> bool:
            nonlocal killed
            if stack.pid("papermarket") != killed:
                killed = stack.kill("papermarket")
            return _log(stack, "execution").count("protection.retried") >= FAILURES

        eventually(has_failed_often, "the sale has failed again and again")
        report = stack.report()
    assert [each for each in report["invariants"] if not each["held"]] == []
    assert_alike(report, undisturbed_day[0])


def _log(stack: Stack, service: str) -> str:
    file = stack.folder / "logs" / f"{service}.jsonl"
    return file.read_text() if file.exists() else ""

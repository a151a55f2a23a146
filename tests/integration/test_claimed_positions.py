"""A foreign position and a forced liquidation: halted, claimed by a person, clean, protected (invariants 6, 7, 14)."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.stack import HOLDFAST, Stack, eventually, running
from tests.integration.visitor import admin, http, report_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

HOUR = ("--from", "2013-10-08T13:40:00Z", "--to", "2013-10-08T14:40:00Z", "--speed", "max")
SINCE = "2013-10-08T14:02:00Z"
FAULTS = [
    {"id": kind, "kind": kind, "scope": {"symbol": symbol, "since": SINCE}}
    for kind, symbol in (("foreign_position", "IBM"), ("forced_liquidation", "SPY"))
]


def claim(stack: Stack, symbol: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [HOLDFAST, "claim", symbol, *options, "--note", "looked up at the broker", "--state-dir", stack.state_dir]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def asked(stack: Stack, path: str) -> list[dict[str, Any]]:
    """What admin's API answers."""
    token = (stack.folder / "admin.token").read_text()
    found: list[dict[str, Any]] = json.loads(
        http(admin(stack, f"/api/v1/{path}"), headers={"Authorization": f"Bearer {token}"}).text
    )
    return found


def halted(stack: Stack) -> set[str]:
    return {each["symbol"] for each in asked(stack, "halts")}


def is_clean(stack: Stack) -> dict[str, Any] | None:
    """The report, once every invariant holds and both sides agree."""
    report = report_of(stack)
    broken = [each for each in report["invariants"] if not each["held"]]
    return report if not broken and report["reconciliation"]["state"] == "clean" else None


def is_told_as_claimed(stack: Stack) -> bool:
    held = {each["symbol"]: each for each in asked(stack, "positions")}
    ibm = held.get("IBM", {"protection": "none"})
    return "SPY" not in held and ibm["protection"] == "active" and ibm["stop_quantity"] == ibm["quantity"]


def test_what_the_broker_holds_otherwise_is_halted_claimed_clean_and_protected(tmp_path: Path) -> None:
    plan = tmp_path / "faults.yaml"
    plan.write_text(yaml.safe_dump({"seed": 7, "faults": FAULTS}))
    with running(tmp_path, *HOUR, "--faults", str(plan)) as stack:
        stack.wait_for_end()
        eventually(lambda: report_of(stack)["reconciliation"]["state"] == "discrepant", "both sides differ")
        eventually(lambda: halted(stack) >= {"IBM", "SPY"}, "both symbols halted")

        shown = claim(stack, "IBM", "--strategy", "sma", "--dry-run")
        assert (shown.returncode, shown.stdout.splitlines()[-1]) == (0, "nothing was booked"), shown
        assert report_of(stack)["claims"] == []

        for symbol, options in (("IBM", ("--strategy", "sma")), ("SPY", ())):
            booked = claim(stack, symbol, *options)
            assert booked.returncode == 0, booked
        again = claim(stack, "IBM", "--strategy", "sma")
        assert (again.returncode, "nothing to claim" in again.stderr) == (1, True)

        report = eventually(lambda: is_clean(stack), "a clean report")
        assert {each["symbol"] for each in report["claims"]} == {"IBM", "SPY"}
        # Admin follows the ledger a moment behind.
        eventually(lambda: is_told_as_claimed(stack), "SPY is gone, and IBM behind its stop")
        eventually(lambda: not halted(stack), "no halt stands")
        actions = [(each["action"], each["result"]) for each in asked(stack, "audit")]
        assert actions.count(("claim", "ok")) == 2

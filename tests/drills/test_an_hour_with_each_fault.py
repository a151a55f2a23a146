"""A recorded hour with each fault on, through all services: nothing doubled, nothing naked, nothing lost (TS-3).

CI runs a part of them; `make faults` runs all, in about twenty minutes.
"""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.drills.fault_plans import HOURS, Hour
from tests.integration.stack import Stack, eventually, running
from tests.integration.visitor import bus_of, report_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SUBJECT = "alerts.v1."
FLATTENED = "position.flattened"
ABOUT_POSITIONS = frozenset({FLATTENED, "position.unprotected", "reconciliation.discrepant"})
ALERTED_WITHIN_SECS = 90.0
"""Of the wall: what heals by itself is told of a minute after it has not."""
AT_REST_WITHIN_SECS = 60.0
EVERYTHING = bool(os.environ.get("HOLDFAST_ALL_FAULTS"))
CHOSEN = [pytest.param(each, id=each.name) for each in HOURS if EVERYTHING or each.in_ci]


def firings(folder: Path, fault_id: str) -> int:
    """How often a fault fired, by the venue's own journal."""
    counts = [0]
    for journal in (folder / "papermarket").glob("*.journal"):
        for line in journal.read_text().splitlines()[1:]:
            record = json.loads(line)
            if record["op"] == "count_fault" and record["fault_id"] == fault_id:
                counts.append(record["fired"])
    return max(counts)


@pytest.mark.parametrize("hour", CHOSEN)
def test_an_hour_ends_well_with(hour: Hour, tmp_path: Path) -> None:
    """Orders once, ledger like venue, positions protected, or flattened and told of; what cannot hold is exactly the
    alarm that is expected, and a person is told of it."""
    file = tmp_path / "faults.yaml"
    file.write_text(yaml.safe_dump({"seed": 7, "faults": [hour.fault]}))
    with running(tmp_path, "--speed", hour.speed, *hour.span, "--faults", str(file)) as stack:
        stack.wait_for_end()
        report = report_at_rest(stack, hour)
        folder = stack.folder.resolve()
        wanted = hour.alerts | ({FLATTENED} if flattened(report) else frozenset())
        eventually(lambda: wanted <= alerts_of(stack), f"alerts {sorted(wanted)}", limit_secs=ALERTED_WITHIN_SECS)
        unwanted = alerts_of(stack) & (ABOUT_POSITIONS - wanted)
    assert firings(folder, hour.fault["id"]) > 0, "the fault never fired"
    assert report["fills"], "an hour without a fill proves nothing"
    assert broken(report) == hour.not_held, [each for each in report["invariants"] if not each["held"]]
    assert report["reconciliation"]["state"] == hour.reconciliation, report["reconciliation"]
    assert not unwanted, "an alert about what is well"


def report_at_rest(stack: Stack, hour: Hour) -> dict[str, Any]:
    """As the hour has to end, else the last one seen: out of lock-step nobody tells when the last order is through."""
    seen: list[dict[str, Any]] = []

    def ended() -> bool:
        seen.append(report_of(stack))
        return broken(seen[-1]) == hour.not_held and seen[-1]["reconciliation"]["state"] == hour.reconciliation

    with suppress(AssertionError):
        eventually(ended, "the hour has ended as it has to", limit_secs=AT_REST_WITHIN_SECS)
    return seen[-1]


def flattened(report: dict[str, Any]) -> bool:
    return any(each["purpose"] == "flatten" and float(each["filled_quantity"]) for each in report["orders"])


def alerts_of(stack: Stack) -> frozenset[str]:
    """Ids of the failure points that a person was told of."""

    async def look() -> frozenset[str]:
        async with bus_of(stack) as bus:
            return frozenset(each.subject.removeprefix(SUBJECT) for each in await bus.stored("ALERTS", f"{SUBJECT}>"))

    return asyncio.run(look())


def broken(report: dict[str, Any]) -> set[str]:
    return {each["name"] for each in report["invariants"] if not each["held"]}

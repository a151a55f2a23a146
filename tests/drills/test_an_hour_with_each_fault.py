"""A recorded hour with each fault on, through all services: nothing doubled, nothing naked, nothing lost (TS-3).

CI runs a part of them; `make faults` runs all, in about ten minutes.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.drills.fault_plans import HOURS, Hour
from tests.integration.stack import running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

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
    """Orders once, ledger like venue, positions protected; what cannot hold is exactly the alarm that is expected."""
    file = tmp_path / "faults.yaml"
    file.write_text(yaml.safe_dump({"seed": 7, "faults": [hour.fault]}))
    with running(tmp_path, "--until-end", "--speed", hour.speed, *hour.span, "--faults", str(file)) as stack:
        report = stack.report(codes=(3,) if hour.not_held else (0,))
        folder = stack.folder.resolve()
    assert firings(folder, hour.fault["id"]) > 0, "the fault never fired"
    assert report["fills"], "an hour without a fill proves nothing"
    assert broken(report) == hour.not_held, [each for each in report["invariants"] if not each["held"]]
    assert report["reconciliation"]["state"] == hour.reconciliation, report["reconciliation"]


def broken(report: dict[str, Any]) -> set[str]:
    return {each["name"] for each in report["invariants"] if not each["held"]}

"""One cycle is one trace, one span per signal, through every service to reconciliation."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from holdfast_runtime.telemetry.trace_file import Node, TraceFiles
from tests.integration.stack import HOLDFAST

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

Day = tuple[dict[str, Any], Path]

EDGES = {
    ("signal.cycle", "signal"),
    ("signal.cycle", "scoring.cycle"),
    ("scoring.cycle", "gate.evaluate"),
    ("gate.evaluate", "execution.submit"),
    ("signal", "gate.decide"),
    ("signal", "execution.send"),
    ("execution.send", "broker.submit_order"),
    ("signal", "execution.ack"),
    ("signal", "execution.fill"),
    ("signal", "reconciliation.confirm"),
    ("signal", "admin.fill"),
}


def filled_entry(report: dict[str, Any]) -> dict[str, Any]:
    """An entry that was filled and, later, sold."""
    found: dict[str, Any] = next(o for o in report["orders"] if o["purpose"] == "entry" and o["state"] == "filled")
    return found


def edges(node: Node) -> set[tuple[str, str]]:
    return {(node.span.name, child.span.name) for child in node.children}.union(*(edges(c) for c in node.children))


def test_a_filled_signal_has_every_edge_between_services_in_one_trace(undisturbed_day: Day) -> None:
    report, folder = undisturbed_day
    roots = TraceFiles(folder).trees(filled_entry(report)["signal_id"])
    assert [root.span.name for root in roots] == ["signal.cycle"]
    assert EDGES - edges(roots[0]) == set()
    services = {span.service for _, span in roots[0].walk()}
    assert services == {"signal", "scoring", "gate", "execution", "reconciliation", "admin"}


def test_each_signal_of_a_cycle_has_a_span_of_its_own(undisturbed_day: Day) -> None:
    _, folder = undisturbed_day
    signals = [span for span in TraceFiles(folder).spans() if span.name == "signal"]
    ids = [span.attributes["holdfast.signal_id"] for span in signals]
    assert ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("field", ["signal_id", "client_order_id", "broker_order_id"])
def test_holdfast_trace_prints_the_tree_of_a_signal_and_of_an_order(undisturbed_day: Day, field: str) -> None:
    report, folder = undisturbed_day
    command = [str(HOLDFAST), "trace", filled_entry(report)[field], "--state-dir", str(folder.parent.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"COLUMNS": "200", "PATH": ""})
    assert done.returncode == 0, done.stderr
    for word in ("signal.cycle", "execution.send", "broker.submit_order", "ms"):
        assert word in done.stdout


def test_holdfast_trace_says_clearly_that_nothing_carries_an_id(undisturbed_day: Day) -> None:
    _, folder = undisturbed_day
    command = [str(HOLDFAST), "trace", "no-such-order", "--state-dir", str(folder.parent.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no-such-order" in done.stderr

"""A recorded hour in which options flow and derivatives intelligence fail in every way, and the broker in none (TS-3,
FP-1.5, FP-1.6, CG-1, FP-2.2).

No service asks these sources yet: a client of the test does, so that the faults fire. What is proven is that none of it
reaches the trading: orders and fills are those of an hour without a fault, and every score says that it has no evidence
from there.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml

from holdfast.scoring.v1 import scoring_pb2 as scoring
from holdfast_runtime.ports.calls import ScoringCalls
from tests.drills.fault_plans import HOUR, Plan
from tests.drills.test_an_hour_with_each_fault import ABOUT_POSITIONS, alerts_of, broken
from tests.integration.stack import Stack, assert_alike, backtest, eventually, running
from tests.integration.visitor import call, report_of, secret, venue

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

IMPATIENT_SECS = 1.0
ASKED_EACH_SECS = 0.02
ONCE: tuple[tuple[str, Plan], ...] = (
    ("latency", {"ms": 3_000}),
    ("no_answer", {}),
    *(("http_error", {"status": status}) for status in (401, 403, 422, 429, 500, 502, 503, 504)),
    ("error_body", {}),
    ("html_body", {}),
    ("truncated_body", {}),
    ("connection_reset", {}),
)
"""In this order, call after call: of the faults that match, the first one that has not fired yet does."""
FROM_OUTSIDE = frozenset({"options_flow", "dark_pool", "market_tide", "whale_persistence", "iv_rank"})


def plan() -> list[Plan]:
    """Every fault once at each source, and then down for the rest of the hour."""
    faults = []
    for endpoint in ("flow", "intelligence"):
        for number, (kind, parameters) in enumerate(ONCE):
            scope = {"endpoint": endpoint, "at_most": 1}
            faults.append({"id": f"{endpoint}-{number}", "kind": kind, "scope": scope, **parameters})
        faults.append({"id": f"{endpoint}-down", "kind": "http_error", "status": 503, "scope": {"endpoint": endpoint}})
    return faults


@contextmanager
def asking(stack: Stack, path: str, **headers: str) -> Iterator[None]:
    """A client of a source that asks again and again, whatever it gets."""
    over = Event()

    def ask() -> None:
        while not over.wait(ASKED_EACH_SECS):
            request = urllib.request.Request(venue(stack, path), headers=headers)
            with (
                suppress(OSError, http.client.HTTPException),
                urllib.request.urlopen(request, timeout=IMPATIENT_SECS) as answer,
            ):
                answer.read()

    thread = Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def counters(stack: Stack) -> dict[str, int]:
    """How often each fault has fired, as the venue's status tells it."""
    status = stack.venue("status") or {"faults": []}
    return {each["id"]: each["fired"] for each in status["faults"]}


def evidence(stack: Stack, signal_id: str) -> dict[str, scoring.Component]:
    """The parts of a signal's score by their names."""

    async def explain(calls: ScoringCalls) -> scoring.ExplainResponse:
        return await calls.explain(scoring.ExplainRequest(signal_id=signal_id))

    found = call(stack, ScoringCalls, "scoring", explain, identity="admin")
    return {part.name: part for part in found.score.components}


def test_an_hour_trades_as_ever_while_the_sources_beside_the_broker_fail(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(yaml.safe_dump({"seed": 7, "faults": plan()}))
    with running(tmp_path, "--speed", "max", *HOUR, "--faults", str(file)) as stack:
        stack.wait_for_tick(0)
        key = secret(stack, "papermarket", "ALPACA_API_KEY")
        with (
            asking(stack, "/unusualwhales/api/option-trades/flow-alerts", Authorization=f"Bearer {key}"),
            asking(stack, "/coinglass/api/futures/supported-coins", **{"CG-API-KEY": key}),
        ):
            stack.wait_for_end()
            eventually(lambda: (fired := counters(stack)) and all(fired.values()), "every fault of both sources")
        report = report_of(stack)
        scores = [evidence(stack, order["signal_id"]) for order in report["orders"] if order["purpose"] == "entry"]
        alarms = alerts_of(stack) & ABOUT_POSITIONS
    undisturbed: dict[str, Any] = backtest(tmp_path, *HOUR)
    assert report["fills"], "an hour without a fill proves nothing"
    assert_alike(report, undisturbed)
    assert broken(report) == set()
    assert report["reconciliation"]["state"] == "clean"
    assert not alarms
    assert scores
    for parts in scores:
        assert all(parts[name].missing and parts[name].value == 0.5 for name in FROM_OUTSIDE)

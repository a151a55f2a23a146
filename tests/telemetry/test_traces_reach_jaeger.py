"""With OTEL_EXPORTER_OTLP_ENDPOINT the traces go to Jaeger, which is asked by its HTTP API; and the metrics of the same
running stack carry their ids as exemplars."""

import json
import math
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from holdfast_runtime.telemetry import metrics
from tests.integration.stack import Stack, eventually, running
from tests.telemetry import rules
from tests.telemetry.jaeger import Jaeger, running_jaeger

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(900)]

HOUR = ("--from", "2013-10-08T13:30:00Z", "--to", "2013-10-08T14:30:00Z")
PACE = ("--speed", "max")
SERVICES = ("signal", "scoring", "gate", "execution", "reconciliation", "admin")
NEVER_ABSENT = {
    "holdfast_ready", "holdfast_lease_held", "holdfast_ledger_reachable", "holdfast_unprotected_positions",
    "holdfast_halts", "holdfast_outbox_age_seconds", "holdfast_reconciliation_age_seconds", "holdfast_feed_stale",
    "holdfast_bus_connected", "holdfast_failure_point_status", "holdfast_loop_age_seconds", "holdfast_rpc_denied_total",
    "holdfast_certificate_expiry_timestamp_seconds", "holdfast_memory_fraction", "holdfast_disk_free_bytes",
    "holdfast_sends_total", "holdfast_zombie_orders_total", "holdfast_discrepancies_total",
    "holdfast_admin_logins_total", "holdfast_stage_seconds_bucket", "holdfast_stage_seconds_count",
    "holdfast_logs_dropped_total", "holdfast_spans_dropped_total", "process_start_time_seconds",
}  # fmt: skip
MOST_SERIES = 2_000
"""Of one process."""
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

DECISION = {
    ("signal signal.cycle", "signal signal"),
    # over NATS, then twice by gRPC
    ("signal signal.cycle", "scoring scoring.cycle"),
    ("scoring scoring.cycle", "gate gate.evaluate"),
    ("gate gate.evaluate", "execution execution.submit"),
    ("signal signal", "gate gate.decide"),
}
ORDER = {
    ("signal signal", "execution execution.send"),
    # by HTTP
    ("execution execution.send", "execution broker.submit_order"),
    ("signal signal", "execution execution.ack"),
}
FILL = {
    # by the broker's stream of trade updates
    ("signal signal", "execution execution.fill"),
    # by the outbox and NATS
    ("signal signal", "admin admin.fill"),
    # by gRPC, from the ledger
    ("signal signal", "reconciliation reconciliation.confirm"),
}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Jaeger, Stack]]:
    """A replayed hour that goes on standing, and the Jaeger that it has told everything."""
    folder = tmp_path_factory.mktemp("traced")
    with running_jaeger() as jaeger, running(
        folder, *PACE, *HOUR, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp}
    ) as stack:  # fmt: skip
        stack.wait_for_end()
        yield jaeger, stack


def filled_entry(stack: Stack) -> dict[str, Any]:
    orders = (stack.venue("books") or {})["orders"]
    found: dict[str, Any] = next(order for order in orders if order["side"] == "buy" and order["status"] == "filled")
    return found


def page(stack: Stack, service: str, accept: str = OPENMETRICS) -> tuple[str, str]:
    """Content type and text of a service's metrics."""
    address = f"http://{stack.settings['endpoints'][f'{service}.metrics']}/metrics"
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept": accept}), timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def exemplars(text: str, stage: str) -> list[str]:
    """Trace ids beside the buckets of a stage."""
    lines = [line for line in text.splitlines() if f'stage="{stage}"' in line]
    return [found[1] for line in lines if (found := re.search(r' # \{.*trace_id="([0-9a-f]{32})"', line))]


def test_every_edge_between_services_is_in_jaeger_for_one_filled_signal(traced: tuple[Jaeger, Stack]) -> None:
    jaeger, stack = traced
    order = filled_entry(stack)["client_order_id"]
    trace_id = eventually(lambda: jaeger.trace_of("execution", client_order_id=order), "the order's trace in Jaeger")
    wanted = DECISION | ORDER | FILL
    edges: set[tuple[str, str]] = set()

    def all_there() -> bool:
        edges.update(jaeger.edges(trace_id))
        return wanted <= edges

    try:
        eventually(all_there, "every edge in Jaeger", limit_secs=60)
    except AssertionError:
        pytest.fail(f"not in Jaeger: {sorted(wanted - edges)}")


def test_jaeger_knows_every_service_that_a_signal_passes(traced: tuple[Jaeger, Stack]) -> None:
    jaeger, _ = traced
    eventually(lambda: set(SERVICES) <= set((jaeger.ask("services") or {"data": []})["data"]), "all services in Jaeger")


@pytest.mark.parametrize(
    ("service", "stage"),
    [
        ("signal", "signal.cycle"),
        ("scoring", metrics.DECIDED),
        ("gate", "gate.evaluate"),
        ("execution", "execution.submit"),
        ("execution", metrics.ANSWERED),
    ],
)
def test_a_scrape_of_a_service_gives_exemplars_whose_traces_jaeger_has(
    traced: tuple[Jaeger, Stack], service: str, stage: str
) -> None:
    jaeger, stack = traced
    kind, text = page(stack, service)
    assert kind.startswith("application/openmetrics-text")
    shown = exemplars(text, stage)
    assert shown
    eventually(lambda: (jaeger.ask(f"traces/{shown[-1]}") or {}).get("data"), "the exemplar's trace", limit_secs=60)


def test_who_asks_for_plain_text_gets_it_without_exemplars(traced: tuple[Jaeger, Stack]) -> None:
    _, stack = traced
    kind, text = page(stack, "execution", accept="text/plain")
    assert kind.startswith("text/plain")
    assert " # {" not in text
    assert "holdfast_stage_seconds_bucket" in text


def shown_by(stack: Stack) -> list[dict[str, str]]:
    """What each service shows now of whatever a rule asks for, as a series that stays at it for twenty minutes."""
    asked = {name for rule in rules.rules() for name in rules.series_of(rule["expr"])}
    series: list[dict[str, str]] = []
    for service in SERVICES:
        for family in text_string_to_metric_families(page(stack, service, accept="text/plain")[1]):
            for sample in family.samples:
                if sample.name in asked and not math.isnan(sample.value):
                    labels = sample.labels | {"job": service, "instance": f"{service}-1", "namespace": "paper"}
                    shown = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
                    series.append({"series": f"{sample.name}{{{shown}}}", "values": f"{sample.value!r}x40"})
    return series


def test_the_numbers_of_a_sound_stack_set_off_no_alert(traced: tuple[Jaeger, Stack], tmp_path: Path) -> None:
    """What the services really show once admin has seen that nothing blocks trading, held for a quarter of an hour.

    Shown again and again: right after the end a gauge may still tell of the moment in which a stop was on its way.
    """
    _, stack = traced
    beat = re.compile(r"^holdfast_heartbeat_timestamp_seconds [1-9]", re.MULTILINE)
    eventually(lambda: beat.search(page(stack, "admin", accept="text/plain")[1]), "the first sign of life")
    assert {each["series"].partition("{")[0] for each in shown_by(stack)} >= NEVER_ABSENT
    file = tmp_path / "sound.yaml"
    firing = {"expr": 'ALERTS{alertstate="firing",alertname!="HoldfastDeadMansSwitch"}', "eval_time": "15m"}
    told: list[str] = []

    def sets_off_none() -> bool:
        test = {
            "interval": "30s",
            "input_series": shown_by(stack),
            "promql_expr_test": [firing | {"exp_samples": []}],
        }
        file.write_text(
            yaml.safe_dump({"rule_files": [str(rules.ALERTS)], "evaluation_interval": "1m", "tests": [test]})
        )
        done = rules.promtool("test", "rules", str(file))
        told.append(done.stdout + done.stderr)
        return done.returncode == 0

    try:
        eventually(sets_off_none, "no alert", limit_secs=60)
    except AssertionError:
        pytest.fail(told[-1])


def test_labels_name_no_order_and_no_signal_and_are_few(traced: tuple[Jaeger, Stack]) -> None:
    _, stack = traced
    books = stack.venue("books") or {}
    ids = {order[name] for order in books["orders"] for name in ("id", "client_order_id")}
    for service in SERVICES:
        samples = [
            sample
            for family in text_string_to_metric_families(page(stack, service, accept="text/plain")[1])
            for sample in family.samples
        ]
        values = {value for sample in samples for value in sample.labels.values()}
        assert values & ids == set()
        assert [value for value in values if re.search(r"\d{8}T\d{6}", value)] == []
        assert len(samples) < MOST_SERIES, service

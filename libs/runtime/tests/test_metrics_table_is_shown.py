"""One table of metrics, with help and units, shown as OpenMetrics with exemplars."""

import re
import urllib.request

from holdfast_runtime.telemetry import metrics


def page(endpoint: metrics.Endpoint) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{endpoint.port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        return str(response.read().decode())


def test_every_metric_has_a_name_of_ours_and_a_help_text() -> None:
    ours = [metric for metric in metrics.table() if metric.name.startswith("holdfast_")]
    assert len(ours) > 30
    for metric in ours:
        assert re.fullmatch(r"holdfast_[a-z][a-z_]*[a-z]", metric.name), metric
        assert metric.help.endswith("."), metric
        assert metric.kind in ("counter", "gauge", "histogram"), metric


def test_a_time_or_an_age_has_its_unit_in_its_name() -> None:
    for metric in metrics.table():
        if re.search(r"\b(Time of|Age of)\b", metric.help):
            assert metric.name.endswith("_seconds"), metric


def test_no_label_can_grow_with_the_orders() -> None:
    for collector in vars(metrics).values():
        for label in getattr(collector, "_labelnames", ()):
            assert not label.endswith("_id"), (collector, label)


def test_the_page_shows_values_and_the_trace_of_an_example() -> None:
    metrics.DECISIONS.labels("blocked", "cooldown", "COOLDOWN_ACTIVE").inc()
    metrics.observe_stage("test", 0.004, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    metrics.observe_stage("test", 0.3)
    endpoint = metrics.serve("127.0.0.1:0")
    try:
        text = page(endpoint)
    finally:
        endpoint.close()
    assert 'holdfast_decisions_total{gate="cooldown",outcome="blocked",reason="COOLDOWN_ACTIVE"} 1.0' in text
    exemplar = f'# {{span_id="{"b" * 16}",trace_id="{"a" * 32}"}} 0.004'
    assert any(exemplar in line for line in text.splitlines() if 'stage="test"' in line)
    assert "_created" not in text
    assert text.rstrip().endswith("# EOF")


def test_only_a_whole_traceparent_becomes_an_exemplar() -> None:
    assert metrics.exemplar("") is None
    assert metrics.exemplar("not a context") is None

"""One trace a cycle, across services, in files that the CLI reads back; nothing secret in them (SE-2)."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from holdfast_runtime.errors import Code, Refused
from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.secrets import register_secret
from holdfast_runtime.settings import Settings, TelemetrySettings
from holdfast_runtime.telemetry import metrics, traces
from holdfast_runtime.telemetry.span_export import MAX_ATTRIBUTE, BoundedSpanProcessor, FileSpanExporter
from holdfast_runtime.telemetry.trace_file import RecordedSpan, TraceFiles, latencies, trees

KNOWN = "PKTRACESECRET012345"


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    register_secret(KNOWN)
    yield
    traces.shutdown(30.0)


def lost(reason: str) -> float:
    labels = {"exporter": "test", "reason": reason}
    return metrics.REGISTRY.get_sample_value("holdfast_spans_dropped_total", labels) or 0.0


def test_one_cycle_is_one_trace_across_services_and_days(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    traces.setup("signal", settings, {})
    with traces.span("signal.cycle", cycle_id="c1"):
        with traces.span("signal.made", signal_id="c1.SPY") as spy:
            spy_context = spy.traceparent
        with traces.span("signal.made", signal_id="c1.IBM"):
            pass
    assert traces.shutdown(30.0)
    traces.setup("execution", settings, {})
    with traces.span("execution.submit", parent=spy_context, client_order_id="hf-1"), traces.span("venue.post"):
        pass
    traces.record("execution.fill", parent=spy_context, start_ns=5_000_000, end_ns=7_500_000, intent_id="c1.SPY/entry")
    assert traces.shutdown(30.0)

    (root,) = TraceFiles(tmp_path).trees("c1.SPY")
    assert sorted((depth, span.service, span.name) for depth, span in root.walk()) == [
        (0, "signal", "signal.cycle"),
        (1, "signal", "signal.made"),
        (2, "execution", "execution.fill"),
        (2, "execution", "execution.submit"),
        (3, "execution", "venue.post"),
    ]
    (by_order,) = TraceFiles(tmp_path).trees("hf-1")
    assert [span.name for _, span in by_order.walk()] == [
        "signal.cycle",
        "signal.made",
        "execution.fill",
        "execution.submit",
        "venue.post",
    ]
    assert TraceFiles(tmp_path).trees("c1.BAC") == []
    assert len({span.trace_id for span in TraceFiles(tmp_path).spans()}) == 1
    found = TraceFiles(tmp_path).latencies()
    assert found["execution.fill"].p50_ms == 2.5
    assert found["signal.made"].count == 2


def test_a_hop_over_the_bus_is_a_span_where_it_is_no_old_message(tmp_path: Path) -> None:
    """A process that reads a stream again after its start must not tell of last week's hops as if they were new."""
    traces.setup("admin", Settings(state_dir=tmp_path), {})
    with traces.span("signal") as span:
        pass
    now_ns = time.time_ns()
    traces.hop("admin.fill", parent=span.traceparent, stored_ns=now_ns - 2_000_000, symbol="SPY")
    traces.hop("admin.old", parent=span.traceparent, stored_ns=now_ns - traces.HOP_NS - 1)
    traces.hop("admin.untold", parent="", stored_ns=now_ns)
    traces.hop("admin.ahead", parent=span.traceparent, stored_ns=now_ns + 3_600 * 10**9)
    assert traces.shutdown(30.0)
    spans = {each.name: each for each in TraceFiles(tmp_path).spans()}
    assert spans.keys() == {"signal", "admin.fill", "admin.ahead"}
    assert spans["admin.fill"].duration_ms >= 2
    assert spans["admin.ahead"].duration_ms == 0


def test_the_file_is_otlp_json(tmp_path: Path) -> None:
    """Ids in hexadecimal, 64-bit numbers as text, enums as numbers."""
    traces.setup("gate", Settings(state_dir=tmp_path), {})
    with (
        traces.span("outer") as outer,
        traces.span(
            "gate.evaluate",
            kind=traces.Kind.SERVER,
            links=[outer.traceparent, "broken"],
            count=3,
            share=0.5,
            ok=True,
            none=None,
        ) as span,
    ):
        span.event("snapshot.applied", version=7)
        span.set(outcome="allowed")
    traces.shutdown(30.0)
    (line,) = (tmp_path / "traces" / "gate.jsonl").read_text().splitlines()
    (resource_spans,) = json.loads(line)["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "gate"}} in resource_spans["resource"]["attributes"]
    inner, first = resource_spans["scopeSpans"][0]["spans"]
    version, trace_id, span_id, _ = span.traceparent.split("-")
    assert (version, inner["traceId"], inner["spanId"]) == ("00", trace_id, span_id)
    assert inner["parentSpanId"] == first["spanId"]
    assert "parentSpanId" not in first
    assert inner["kind"] == 2
    assert int(inner["startTimeUnixNano"]) <= int(inner["endTimeUnixNano"])
    assert isinstance(inner["startTimeUnixNano"], str)
    assert inner["attributes"] == [
        {"key": "holdfast.count", "value": {"intValue": "3"}},
        {"key": "holdfast.share", "value": {"doubleValue": 0.5}},
        {"key": "holdfast.ok", "value": {"boolValue": True}},
        {"key": "holdfast.outcome", "value": {"stringValue": "allowed"}},
    ]
    assert inner["links"] == [{"traceId": first["traceId"], "spanId": first["spanId"]}]
    assert inner["events"][0]["name"] == "snapshot.applied"
    assert inner["status"] == {}


def test_an_error_that_leaves_the_block_is_the_spans_status(tmp_path: Path) -> None:
    traces.setup("gate", Settings(state_dir=tmp_path), {})
    with pytest.raises(Refused), traces.span("refused"):
        raise Refused(Code.FAILED_PRECONDITION, "NOT_HOLDER", "ask the other one")
    with pytest.raises(asyncio.CancelledError), traces.span("cancelled"):
        raise asyncio.CancelledError
    with traces.span("failed") as span:
        span.fail("by hand")
    traces.shutdown(30.0)
    found = {span.name: span for span in TraceFiles(tmp_path).spans()}
    assert found["refused"].error == "Refused: ask the other one"
    assert found["refused"].attributes["holdfast.reason"] == "NOT_HOLDER"
    assert found["cancelled"].error == ""
    assert found["cancelled"].attributes["holdfast.cancelled"] is True
    assert found["failed"].error == "by hand"


def test_no_known_key_is_in_a_trace_file(tmp_path: Path) -> None:
    """SE-2"""
    traces.setup("execution", Settings(state_dir=tmp_path), {})

    def post() -> None:
        attributes = {
            "url": f"https://host/?k={KNOWN}",
            "api_key": "unregistered-one",
            "note": "token=unregistered-two",
        }
        with traces.span(f"post {KNOWN}", **attributes) as span:
            span.event(f"sent {KNOWN}", authorization="unregistered-three", body=KNOWN)
            span.set(many=[KNOWN, "plain"])
            raise ValueError(f"bad {KNOWN}, password: unregistered-four")

    with pytest.raises(ValueError, match="bad"):
        post()
    traces.shutdown(30.0)
    text = (tmp_path / "traces" / "execution.jsonl").read_text()
    assert KNOWN not in text
    assert "unregistered-" not in text
    assert "plain" in text


def test_a_long_attribute_is_cut_only_after_its_secrets_are_gone(tmp_path: Path) -> None:
    traces.setup("execution", Settings(state_dir=tmp_path), {})
    with traces.span("post", body="x" * (MAX_ATTRIBUTE - 5) + KNOWN + "y" * 5_000):
        pass
    traces.shutdown(30.0)
    (span,) = TraceFiles(tmp_path).spans()
    assert span.attributes["holdfast.body"] == "x" * (MAX_ATTRIBUTE - 5) + "***yy"


def test_spans_too_large_for_one_line_are_spread_and_one_that_never_fits_is_counted(tmp_path: Path) -> None:
    labels = {"exporter": "file", "reason": "too_large"}
    before = metrics.REGISTRY.get_sample_value("holdfast_spans_dropped_total", labels) or 0.0
    file = BoundedFile(tmp_path / "traces" / "gate.jsonl", max_bytes=9_000)
    traces.start("gate", {"file": FileSpanExporter(file)})
    for number in range(3):
        with traces.span(f"s{number}", body="x" * 3_000):
            pass
    with traces.span("never", **{f"a{number}": "x" * 3_000 for number in range(5)}):
        pass
    assert traces.shutdown(30.0)
    assert [span.name for span in TraceFiles(tmp_path).spans()] == ["s0", "s1", "s2"]
    assert metrics.REGISTRY.get_sample_value("holdfast_spans_dropped_total", labels) == before + 1


async def test_a_span_is_current_in_its_own_task_only(tmp_path: Path) -> None:
    traces.setup("gate", Settings(state_dir=tmp_path), {})
    assert traces.traceparent() == ""
    inside, over = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        with traces.span("work") as span:
            inside.set()
            await over.wait()
            assert traces.traceparent() == span.traceparent
            return span.traceparent

    task = asyncio.create_task(work())
    await inside.wait()
    assert traces.traceparent() == ""
    over.set()
    assert await task != ""


def test_without_setup_nothing_is_recorded_and_the_parents_context_is_handed_on() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    with traces.span("quiet", parent=parent, signal_id="s") as span:
        span.set(a=1)
        span.event("e")
        assert span.traceparent == traces.traceparent() == parent
    with traces.span("quiet"):
        assert traces.traceparent() == ""
    assert traces.record("late", start_ns=1, end_ns=2) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "00-zz-b-01",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'g' * 32}-{'b' * 16}-01",
    ],
)
def test_a_broken_parent_begins_a_new_trace(tmp_path: Path, text: str) -> None:
    traces.setup("gate", Settings(state_dir=tmp_path), {})
    with traces.span("first", parent=text) as span:
        assert traces.parse(span.traceparent) is not None
    traces.shutdown(30.0)
    assert [span.parent_id for span in TraceFiles(tmp_path).spans()] == [""]


class Slow(SpanExporter):
    """Holds its first batch until told."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.names: list[str] = []
        self._result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.entered.set()
        self.go_on.wait()
        self.names += [span.name for span in spans]
        return self._result

    def shutdown(self) -> None:
        pass


def test_spans_that_a_full_queue_loses_are_counted() -> None:
    slow = Slow()
    traces.start("gate", {})
    before = lost("queue_full")
    assert traces._recorder is not None
    traces._recorder._processors.append(BoundedSpanProcessor("test", slow, max_queue=4, every_ms=1))
    with traces.span("taken"):
        pass
    slow.entered.wait()
    for number in range(10):
        with traces.span(f"s{number}"):
            pass
    assert lost("queue_full") == before + 6
    slow.go_on.set()
    assert traces.shutdown(30.0)
    assert slow.names == ["taken", "s0", "s1", "s2", "s3"]


def test_spans_that_an_exporter_cannot_write_are_counted() -> None:
    broken = Slow(SpanExportResult.FAILURE)
    broken.go_on.set()
    before = lost("export_failed")
    traces.start("gate", {"test": broken})
    with traces.span("lost"):
        pass
    assert traces.shutdown(30.0)
    assert lost("export_failed") == before + 1


def test_an_exporter_that_hangs_does_not_hold_the_end_of_the_process() -> None:
    slow = Slow()
    traces.start("gate", {"test": slow})
    with traces.span("stuck"):
        pass
    slow.entered.wait()
    assert not traces.shutdown(0.01)
    slow.go_on.set()


def test_a_torn_line_is_counted_and_passed_over(tmp_path: Path) -> None:
    traces.setup("gate", Settings(state_dir=tmp_path), {})
    with traces.span("whole"):
        pass
    traces.shutdown(30.0)
    path = tmp_path / "traces" / "gate.jsonl"
    path.with_name("gate.jsonl.1").write_bytes(path.read_bytes()[:100] + b"\n{}\n\n[1]\n")
    files = TraceFiles(tmp_path)
    assert [span.name for span in files.spans()] == ["whole"]
    assert files.unreadable_lines == 3


def test_a_state_folder_without_traces_has_none(tmp_path: Path) -> None:
    assert TraceFiles(tmp_path).trees("x") == []
    assert TraceFiles(tmp_path).latencies() == {}


def made(name: str, span_id: str, parent_id: str, start_ns: int, length_ms: int) -> RecordedSpan:
    return RecordedSpan(
        trace_id="t", span_id=span_id, parent_id=parent_id, name=name, service="gate", start_ns=start_ns,
        end_ns=start_ns + length_ms * 1_000_000, attributes={}, error="",
    )  # fmt: skip


def test_latencies_are_by_nearest_rank() -> None:
    found = latencies(made("a", str(number), "", 0, number) for number in range(1, 201))["a"]
    assert (found.count, found.p50_ms, found.p99_ms) == (200, 100.0, 198.0)
    single = latencies([made("a", "1", "", 0, 7)])["a"]
    assert (single.p50_ms, single.p99_ms) == (7.0, 7.0)


def test_spans_whose_parent_is_lost_are_roots_and_all_are_in_order_of_time() -> None:
    spans = [made("late", "3", "1", 30, 1), made("early", "2", "1", 20, 1), made("first", "1", "", 10, 1)]
    orphan = made("orphan", "9", "8", 5, 1)
    found = trees([*spans, orphan])
    assert [root.span.name for root in found] == ["orphan", "first"]
    assert [(depth, span.name) for depth, span in found[1].walk()] == [(0, "first"), (1, "early"), (1, "late")]


@pytest.mark.parametrize(
    ("configured", "environ", "expected"),
    [
        ("", {}, ""),
        ("http://a:4318", {}, "http://a:4318/v1/traces"),
        ("http://a:4318/v1/traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://a:4318/v1/traces"),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318/"}, "http://b:4318/v1/traces"),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/in"}, "http://c/in"),
    ],
)
def test_which_collector_is_used(configured: str, environ: dict[str, str], expected: str) -> None:
    settings = Settings(telemetry=TelemetrySettings(otlp_endpoint=configured))
    assert traces.collector(settings, environ) == expected


def test_a_collector_gets_the_spans_over_http_without_secrets(tmp_path: Path) -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        traces.setup("gate", Settings(state_dir=tmp_path, telemetry=TelemetrySettings(otlp_endpoint=endpoint)), {})
        with traces.span("gate.evaluate", signal_id="s1", note=KNOWN, secret_key="unregistered-one") as span:
            pass
        assert traces.shutdown(30.0)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    (body,) = received
    assert KNOWN.encode() not in body
    assert b"unregistered" not in body
    sent = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0]
    assert (sent.name, sent.trace_id.hex()) == ("gate.evaluate", span.traceparent.split("-")[1])
    assert [span.name for span in TraceFiles(tmp_path).spans()] == ["gate.evaluate"]

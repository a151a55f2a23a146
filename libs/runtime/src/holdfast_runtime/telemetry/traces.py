"""Traces: one trace a cycle, one span a signal in it, one span a decision step and not a helper.

    with traces.span("gate.evaluate", parent=signal.traceparent, signal_id=signal.id) as span:
        ...
        span.set(outcome="allowed")

Spans go to `<state_dir>/traces/<service>.jsonl` always, and by OTLP/HTTP where a collector is named. Before `setup`,
and in the simulation, spans record nothing and hand their parent's context on.
Spans are timed by the machine's own clock: telemetry decides nothing.
"""

import os
import random
import threading
from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from holdfast_runtime.errors import Refused
from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.telemetry.span_export import BoundedSpanProcessor, FileSpanExporter, RedactingSpanExporter

Kind = SpanKind
"""INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER."""

PREFIX = "holdfast."
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTLP_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
OTLP_TIMEOUT_SECS = 2.0

STAGES = frozenset(
    {
        "signal.cycle",
        "scoring.cycle",
        "gate.evaluate",
        "execution.submit",
        "execution.send",
        "execution.fill",
        "reconciliation.round",
    }
)
"""Steps of a trade whose times are a metric too, with the trace as exemplar."""

_NOWHERE: trace.Tracer = trace.NoOpTracer()
_tracer: trace.Tracer = _NOWHERE
_provider: TracerProvider | None = None


class Span:
    """One span, current while its `with` block runs. An exception that leaves the block makes it an error."""

    __slots__ = ("_attributes", "_context", "_kind", "_links", "_name", "_span", "_token")

    def __init__(
        self,
        name: str,
        context: contexts.Context | None,
        kind: Kind,
        links: list[trace.Link],
        attributes: dict[str, Any],
    ) -> None:
        self._name = name
        self._context = context
        self._kind = kind
        self._links = links
        self._attributes = attributes
        self._span: trace.Span = trace.INVALID_SPAN
        self._token: Token[contexts.Context] | None = None

    def __enter__(self) -> "Span":
        self._span = _tracer.start_span(
            self._name, self._context, self._kind, self._attributes, self._links, record_exception=False
        )
        self._token = contexts.attach(trace.set_span_in_context(self._span, self._context))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._token is not None:
            contexts.detach(self._token)
        if error is not None and self._span.is_recording():
            self._record(error)
        self._span.end()
        if self._name in STAGES and isinstance(self._span, ReadableSpan):
            took_ns = (self._span.end_time or 0) - (self._span.start_time or 0)
            metrics.observe_stage(self._name, took_ns / 1e9, traceparent=self.traceparent)

    @property
    def traceparent(self) -> str:
        """W3C context of this span, to be kept or sent with a message; "" where there is no trace."""
        return _format(self._span.get_span_context())

    def set(self, **attributes: Any) -> None:
        """Adds attributes, under the `holdfast.` prefix. None is left out."""
        if self._span.is_recording():
            self._span.set_attributes(_named(attributes))

    def event(self, name: str, **attributes: Any) -> None:
        """Marks an instant inside the span."""
        if self._span.is_recording():
            self._span.add_event(name, _named(attributes))

    def fail(self, description: str) -> None:
        """Makes the span an error where no exception does."""
        self._span.set_status(StatusCode.ERROR, description)

    def _record(self, error: BaseException) -> None:
        if isinstance(error, CancelledError | GeneratorExit):
            # Whoever awaited went away: no failure of this step.
            self._span.set_attribute(f"{PREFIX}cancelled", True)
            return
        self._span.set_attribute("error.type", type(error).__name__)
        if isinstance(error, Refused):
            self._span.set_attribute(f"{PREFIX}reason", error.reason)
        self._span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")


class _Ids(IdGenerator):
    """Ids from a generator of its own: they neither disturb nor follow a seed that somebody gives to the global one."""

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        return True


def span(
    name: str, *, parent: str | None = None, links: Iterable[str] = (), kind: Kind = Kind.INTERNAL, **attributes: Any
) -> Span:
    """A span for a `with` block, under `parent` (a W3C traceparent), or the current span where that is None or empty.

    `links` are traceparents of related spans. Attributes get the prefix `holdfast.` unless they have a dot of their
    own; None is left out, what is no text, number or boolean is shown as text.
    """
    return Span(name, _context(parent), kind, _links(links), _named(attributes))


def record(
    name: str,
    *,
    parent: str | None = None,
    start_ns: int,
    end_ns: int,
    links: Iterable[str] = (),
    kind: Kind = Kind.INTERNAL,
    error: str = "",
    **attributes: Any,
) -> str:
    """A span made after the fact, from wall-clock nanoseconds since 1970. Returns its traceparent."""
    made = _tracer.start_span(name, _context(parent), kind, _named(attributes), _links(links), start_ns)
    if error:
        made.set_status(StatusCode.ERROR, error)
    made.end(end_ns)
    return _format(made.get_span_context())


def traceparent() -> str:
    """W3C context of the current span; "" where there is none."""
    return _format(trace.get_current_span().get_span_context())


def setup(service: str, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
    """Starts recording the spans of this process."""
    environ = os.environ if environ is None else environ
    path = settings.state_dir / "traces" / f"{service}.jsonl"
    exporters: dict[str, SpanExporter] = {
        "file": FileSpanExporter(BoundedFile(path, max_bytes=settings.telemetry.max_file_bytes))
    }
    if endpoint := collector(settings, environ):
        # Imported late: it brings an HTTP client that a process without a collector has no use for.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        # No proxy, certificate or header variables of the environment are lost: the exporter reads them itself.
        exporters["otlp"] = RedactingSpanExporter(OTLPSpanExporter(endpoint=endpoint, timeout=OTLP_TIMEOUT_SECS))
    start(service, exporters)


def start(service: str, exporters: Mapping[str, SpanExporter]) -> None:
    """Starts recording into `exporters` (name → exporter), each with a bounded queue and thread of its own."""
    global _tracer, _provider
    shutdown(0.0)
    resource = Resource.create({"service.name": service, "service.namespace": "holdfast", "process.pid": os.getpid()})
    limits = SpanLimits(max_span_attributes=64, max_events=32, max_links=256)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False, span_limits=limits, id_generator=_Ids())
    for name, exporter in exporters.items():
        provider.add_span_processor(BoundedSpanProcessor(name, exporter))
    _provider = provider
    _tracer = provider.get_tracer("holdfast")


def collector(settings: Settings, environ: Mapping[str, str]) -> str:
    """URL of the OTLP/HTTP trace endpoint: configuration first, then OpenTelemetry's own variables; "" where none."""
    if base := settings.telemetry.otlp_endpoint:
        return _trace_url(base)
    if exact := environ.get(OTLP_TRACES_ENDPOINT):
        return exact
    base = environ.get(OTLP_ENDPOINT, "")
    return _trace_url(base) if base else ""


def shutdown(timeout_secs: float) -> bool:
    """Writes what is queued and stops recording. Blocks at most `timeout_secs`; False where spans were left behind."""
    global _tracer, _provider
    provider, _provider, _tracer = _provider, None, _NOWHERE
    if provider is None:
        return True
    # In a thread: an exporter that hangs on its network must not hold the end of the process.
    flush = threading.Thread(target=provider.shutdown, name="trace-flush", daemon=True)
    flush.start()
    flush.join(timeout_secs)
    return not flush.is_alive()


def flush(timeout_secs: float = 3.0) -> bool:
    """Writes what is queued now. Blocks at most `timeout_secs`."""
    if _provider is None:
        return True
    return _provider.force_flush(int(timeout_secs * 1000))


def parse(text: str) -> SpanContext | None:
    """The span that a W3C traceparent names; None where it names none: a broken header never breaks a trade."""
    parts = text.split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or len(parts[1]) != 32 or len(parts[2]) != 16 or len(parts[3]) != 2:
        return None
    try:
        found = SpanContext(int(parts[1], 16), int(parts[2], 16), True, TraceFlags(int(parts[3], 16)))
    except ValueError:
        return None
    return found if found.is_valid and parts[0] != "ff" else None


def _context(parent: str | None) -> contexts.Context | None:
    found = parse(parent) if parent else None
    return trace.set_span_in_context(trace.NonRecordingSpan(found)) if found else None


def _links(links: Iterable[str]) -> list[trace.Link]:
    return [trace.Link(found) for text in links if (found := parse(text))]


def _format(context: SpanContext) -> str:
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key if "." in key else PREFIX + key: value if isinstance(value, str | int | float) else str(value)
        for key, value in attributes.items()
        if value is not None
    }


def _trace_url(base: str) -> str:
    return base if base.endswith("/v1/traces") else base.rstrip("/") + "/v1/traces"

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
import time
from asyncio import CancelledError
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Token
from itertools import islice
from types import TracebackType
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AnyValue

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

HOP_NS = 60 * 10**9
MAX_ATTRIBUTES, MAX_EVENTS, MAX_LINKS = 64, 32, 256
_SCOPE = InstrumentationScope("holdfast")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


class _Recorder:
    """Where the spans of this process go. The SDK's exporters take them; its own span objects cost four times as much,
    which is most of what tracing costs a cycle of many signals."""

    def __init__(self, service: str, exporters: Mapping[str, SpanExporter]) -> None:
        # A generator of its own: it neither disturbs nor follows a seed that somebody gives to the global one.
        self._random = random.Random(os.urandom(32))
        names: dict[str, AnyValue] = {
            "service.name": service,
            "service.namespace": "holdfast",
            "process.pid": os.getpid(),
        }
        self._resource = Resource.create(names)
        self._processors = [BoundedSpanProcessor(name, exporter) for name, exporter in exporters.items()]

    def child_of(self, parent: SpanContext | None) -> SpanContext:
        """A new span below `parent`, or at the root of a new trace."""
        number = self._random.getrandbits(64) or 1
        if parent is None:
            return SpanContext(self._random.getrandbits(128) or 1, number, False, _SAMPLED)
        return SpanContext(parent.trace_id, number, False, parent.trace_flags, parent.trace_state)

    def take(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: Kind,
        start_ns: int,
        end_ns: int,
        *,
        attributes: dict[str, Any],
        links: Sequence[trace.Link],
        events: Sequence[Event] = (),
        status: Status = _UNSET,
    ) -> None:
        """A span that has ended."""
        ended = ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes if len(attributes) <= MAX_ATTRIBUTES else dict(islice(attributes.items(), MAX_ATTRIBUTES)),
            events[:MAX_EVENTS],
            links[:MAX_LINKS],
            kind,
            status=status,
            start_time=start_ns,
            end_time=end_ns,
            instrumentation_scope=_SCOPE,
        )
        for processor in self._processors:
            processor.on_end(ended)

    def shutdown(self) -> None:
        for processor in self._processors:
            processor.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int) -> bool:
        flushed = [processor.force_flush(timeout_millis) for processor in self._processors]
        return all(flushed)


_recorder: _Recorder | None = None


def _begin(parent: SpanContext | None) -> tuple[_Recorder | None, SpanContext]:
    """Who records a span below `parent`, None where nobody does, and the context of that span."""
    if _recorder is None or (parent is not None and not parent.trace_flags.sampled):
        return None, parent or trace.INVALID_SPAN_CONTEXT
    return _recorder, _recorder.child_of(parent)


class Span:
    """One span, current while its `with` block runs. An exception that leaves the block makes it an error."""

    __slots__ = (
        "_attributes", "_context", "_events", "_kind", "_links", "_name", "_parent", "_recorder", "_start_ns",
        "_status", "_token",
    )  # fmt: skip

    def __init__(
        self, name: str, parent: SpanContext | None, kind: Kind, links: list[trace.Link], attributes: dict[str, Any]
    ) -> None:
        self._name = name
        self._parent = parent
        self._kind = kind
        self._links = links
        self._attributes = attributes
        self._events: list[Event] = []
        self._status = _UNSET
        self._recorder: _Recorder | None = None
        self._context = trace.INVALID_SPAN_CONTEXT
        self._token: Token[contexts.Context] | None = None
        self._start_ns = 0

    def __enter__(self) -> "Span":
        self._recorder, self._context = _begin(self._parent)
        self._token = contexts.attach(trace.set_span_in_context(trace.NonRecordingSpan(self._context)))
        self._start_ns = time.time_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._token is not None:
            contexts.detach(self._token)
        if self._recorder is None:
            return
        if error is not None:
            self._record(error)
        end_ns = time.time_ns()
        self._recorder.take(
            self._name, self._context, self._parent, self._kind, self._start_ns, end_ns,
            attributes=self._attributes, links=self._links, events=self._events, status=self._status,
        )  # fmt: skip
        if self._name in STAGES:
            metrics.observe_stage(self._name, (end_ns - self._start_ns) / 1e9, traceparent=self.traceparent)

    @property
    def traceparent(self) -> str:
        """W3C context of this span, to be kept or sent with a message; "" where there is no trace."""
        return _format(self._context)

    def set(self, **attributes: Any) -> None:
        """Adds attributes, under the `holdfast.` prefix. None is left out."""
        if self._recorder is not None:
            self._attributes |= _named(attributes)

    def event(self, name: str, **attributes: Any) -> None:
        """Marks an instant inside the span."""
        if self._recorder is not None:
            self._events.append(Event(name, _named(attributes), time.time_ns()))

    def fail(self, description: str) -> None:
        """Makes the span an error where no exception does."""
        self._status = Status(StatusCode.ERROR, description)

    def _record(self, error: BaseException) -> None:
        if isinstance(error, CancelledError | GeneratorExit):
            # Whoever awaited went away: no failure of this step.
            self._attributes[f"{PREFIX}cancelled"] = True
            return
        self._attributes["error.type"] = type(error).__name__
        if isinstance(error, Refused):
            self._attributes[f"{PREFIX}reason"] = error.reason
        self.fail(f"{type(error).__name__}: {error}")


def span(
    name: str, *, parent: str | None = None, links: Iterable[str] = (), kind: Kind = Kind.INTERNAL, **attributes: Any
) -> Span:
    """A span for a `with` block, under `parent` (a W3C traceparent), or the current span where that is None or empty.

    `links` are traceparents of related spans. Attributes get the prefix `holdfast.` unless they have a dot of their
    own; None is left out, what is no text, number or boolean is shown as text.
    """
    return Span(name, _above(parent), kind, _links(links), _named(attributes))


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
    above = _above(parent)
    recorder, context = _begin(above)
    if recorder is not None:
        status = Status(StatusCode.ERROR, error) if error else _UNSET
        recorder.take(
            name, context, above, kind, start_ns, end_ns,
            attributes=_named(attributes), links=_links(links), status=status,
        )  # fmt: skip
    return _format(context)


def hop(name: str, *, parent: str, stored_ns: int, **attributes: Any) -> None:
    """What a message took from its stream (`stored_ns`, see Message) to here, as a span below the one it is about.

    Nothing where it names none, or where it is an old one that is only read again.
    """
    now_ns = time.time_ns()
    if parse(parent) is not None and now_ns - stored_ns < HOP_NS:
        # Stored by another machine's clock: it may be ahead of this one.
        start_ns = min(stored_ns, now_ns)
        record(name, parent=parent, start_ns=start_ns, end_ns=now_ns, kind=Kind.CONSUMER, **attributes)


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
    global _recorder
    shutdown(0.0)
    _recorder = _Recorder(service, exporters)


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
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is None:
        return True
    # In a thread: an exporter that hangs on its network must not hold the end of the process.
    flush = threading.Thread(target=recorder.shutdown, name="trace-flush", daemon=True)
    flush.start()
    flush.join(timeout_secs)
    return not flush.is_alive()


def flush(timeout_secs: float = 3.0) -> bool:
    """Writes what is queued now. Blocks at most `timeout_secs`."""
    return _recorder is None or _recorder.force_flush(int(timeout_secs * 1000))


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


def _above(parent: str | None) -> SpanContext | None:
    """The span that `parent` names, or the current one; None where there is none, or the name is broken."""
    found = parse(parent) if parent else None
    if found is None:
        found = trace.get_current_span().get_span_context()
    return found if found.is_valid else None


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

"""Where finished spans go: bounded queues, and OTLP/JSON files that nothing secret gets into (SE-2)."""

import json
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status

from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.secrets import HIDDEN
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.telemetry.redaction import looks_secret, redact_text

MAX_QUEUE = 32_768
BATCH = 512
EVERY_MS = 500
SPANS_PER_LINE = 64
MAX_ATTRIBUTE = 4_096
"""Characters of one attribute."""

_KINDS = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3, SpanKind.PRODUCER: 4, SpanKind.CONSUMER: 5}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_quoted = json.encoder.encode_basestring_ascii
_HAS_IS_REMOTE = 0x100
_IS_REMOTE = 0x200


class BoundedSpanProcessor(BatchSpanProcessor):
    """Queues finished spans for one exporter. A full queue drops the newest span, and every lost span is counted."""

    def __init__(
        self, name: str, exporter: SpanExporter, *, max_queue: int = MAX_QUEUE, every_ms: int = EVERY_MS
    ) -> None:
        self._name = name
        self._max_queue = max_queue
        self._waiting = 0
        self._waiting_lock = threading.Lock()
        metrics.at_zero(metrics.SPANS_DROPPED, (name,), ("queue_full", "export_failed"))
        super().__init__(
            _CountingExporter(self, exporter),
            max_queue_size=max_queue,
            max_export_batch_size=min(BATCH, max_queue),
            schedule_delay_millis=every_ms,
        )

    def on_end(self, span: ReadableSpan) -> None:
        if not span.context.trace_flags.sampled:
            return
        with self._waiting_lock:
            full = self._waiting >= self._max_queue
            if not full:
                self._waiting += 1
        if full:
            self.lost(1, "queue_full")
        else:
            super().on_end(span)

    def taken(self, count: int) -> None:
        """The exporter has taken `count` spans out of the queue."""
        with self._waiting_lock:
            self._waiting -= count

    def lost(self, count: int, reason: str) -> None:
        metrics.SPANS_DROPPED.labels(self._name, reason).inc(count)


class _CountingExporter(SpanExporter):
    def __init__(self, processor: BoundedSpanProcessor, inner: SpanExporter) -> None:
        self._processor = processor
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._processor.taken(len(spans))
        result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._processor.lost(len(spans), "export_failed")
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class FileSpanExporter(SpanExporter):
    """Writes OTLP/JSON: one ExportTraceServiceRequest a line, ids in hexadecimal, 64-bit numbers as text."""

    def __init__(self, file: BoundedFile) -> None:
        self._file = file

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One line for every SPANS_PER_LINE spans, fewer where they are large. What the disk refused is counted."""
        for first in range(0, len(spans), SPANS_PER_LINE):
            self._write(spans[first : first + SPANS_PER_LINE])
        return SpanExportResult.SUCCESS

    def _write(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            self._file.write(encode(spans))
        except OSError as error:
            metrics.SPANS_DROPPED.labels("file", type(error).__name__).inc(len(spans))
        except ValueError:
            if len(spans) == 1:
                metrics.SPANS_DROPPED.labels("file", "too_large").inc()
                return
            half = len(spans) // 2
            self._write(spans[:half])
            self._write(spans[half:])

    def shutdown(self) -> None:
        self._file.close()


class RedactingSpanExporter(SpanExporter):
    """Hands spans on without their secrets."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([redacted(span) for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def redacted(span: ReadableSpan) -> ReadableSpan:
    """A copy of `span` whose name, attributes, events and status carry nothing secret."""
    events = [Event(redact_text(e.name), _attributes(e.attributes), e.timestamp) for e in span.events]
    status = Status(span.status.status_code, _text(span.status.description) if span.status.description else None)
    return ReadableSpan(
        name=redact_text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """One line of OTLP/JSON for spans of one process, without its newline.

    Written piece by piece: as dictionaries for the JSON library a span would cost twice as much, and each signal has
    several.
    """
    resource = _key_values(spans[0].resource.attributes)
    written = ",".join([_span(span) for span in spans])
    return (
        f'{{"resourceSpans":[{{"resource":{{"attributes":{resource}}},'
        f'"scopeSpans":[{{"scope":{{"name":"holdfast"}},"spans":[{written}]}}]}}]}}'
    ).encode()


def _span(span: ReadableSpan) -> str:
    context, parent, status = span.context, span.parent, span.status
    head = (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}","flags":{_flags(parent)},'
        f'"name":{_quoted(redact_text(span.name))},"kind":{_KINDS[span.kind]},'
        f'"startTimeUnixNano":"{span.start_time}","endTimeUnixNano":"{span.end_time}",'
        f'"attributes":{_key_values(span.attributes or {})}'
    )
    parts = [head]
    if parent is not None:
        parts.append(f'"parentSpanId":"{parent.span_id:016x}"')
    if span.events:
        parts.append(f'"events":[{",".join([_event(each) for each in span.events])}]')
    if span.links:
        links = [
            f'{{"traceId":"{link.context.trace_id:032x}","spanId":"{link.context.span_id:016x}"}}'
            for link in span.links
        ]
        parts.append(f'"links":[{",".join(links)}]')
    told = []
    if code := status.status_code.value:
        told.append(f'"code":{code}')
    if status.description:
        told.append(f'"message":{_quoted(_text(status.description))}')
    parts.append(f'"status":{{{",".join(told)}}}}}')
    return ",".join(parts)


def _event(event: Event) -> str:
    return (
        f'{{"timeUnixNano":"{event.timestamp}","name":{_quoted(redact_text(event.name))},'
        f'"attributes":{_key_values(event.attributes or {})}}}'
    )


def _flags(parent: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | (_IS_REMOTE if parent is not None and parent.is_remote else 0)


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: _value_of(key, value) for key, value in (attributes or {}).items()}


def _key_values(attributes: Mapping[str, Any]) -> str:
    pairs = [
        f'{{"key":{_quoted(key)},"value":{_any_value(_value_of(key, value))}}}' for key, value in attributes.items()
    ]
    return f"[{','.join(pairs)}]"


def _value_of(key: str, value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if looks_secret(key):
        return HIDDEN
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return [_value_of("", each) for each in value]
    return value


def _text(text: str) -> str:
    # Cut after the redaction: a secret cut in two is not recognised.
    return redact_text(text)[:MAX_ATTRIBUTE]


def _any_value(value: Any) -> str:
    if isinstance(value, str):
        return f'{{"stringValue":{_quoted(value)}}}'
    match value:
        case bool():
            return f'{{"boolValue":{"true" if value else "false"}}}'
        case int():
            return f'{{"intValue":"{int(value)}"}}'
        case float():
            return f'{{"doubleValue":{float(value)!r}}}' if math.isfinite(value) else _not_finite(value)
        case list() | tuple():
            return f'{{"arrayValue":{{"values":[{",".join([_any_value(each) for each in value])}]}}}}'
    return f'{{"stringValue":{_quoted(str(value))}}}'


def _not_finite(value: float) -> str:
    return f'{{"doubleValue":"{_NOT_FINITE[str(value)]}"}}'

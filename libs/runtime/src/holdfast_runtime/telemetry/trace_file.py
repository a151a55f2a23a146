"""Reads the local trace files of all services: trees for `holdfast trace`, latencies by span name for the report.

Files are read a line at a time and never as a whole; a line torn by a crash is counted and passed over.
"""

import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = "traces"
"""Below the state folder."""

SIGNAL_ID = "holdfast.signal_id"
INTENT_ID = "holdfast.intent_id"
"""A span with one of these belongs to one signal, one without to the whole cycle."""

ERROR = 2
"""Status code of a span that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpan:
    """One span as it was written. Instants are nanoseconds since 1970, wall time of the machine."""

    trace_id: str
    span_id: str
    parent_id: str
    """"" for the first span of a trace."""
    name: str
    service: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    error: str
    """Why it failed; "" where it did not."""
    linked_traces: tuple[str, ...] = ()

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self.start_ns // 1000)


@dataclass(slots=True)
class Node:
    """A span and what happened under it, earliest first."""

    span: RecordedSpan
    children: list["Node"] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, RecordedSpan]]:
        """This span and all below it, each with its depth, parents first."""
        waiting = [(depth, self)]
        while waiting:
            level, node = waiting.pop()
            yield level, node.span
            waiting.extend((level + 1, child) for child in reversed(node.children))


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the spans of one name took."""

    count: int
    p50_ms: float
    p99_ms: float


class TraceFiles:
    """The trace files below a state folder, present and rotated."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER
        self.unreadable_lines = 0
        """Lines passed over by the last reading."""

    def spans(self, *, containing: Collection[str] = ()) -> Iterator[RecordedSpan]:
        """Every span, or those on lines that contain one of the texts (the caller still has to look at each span)."""
        self.unreadable_lines = 0
        needles = [text.encode() for text in containing]
        for path in self._files():
            with path.open("rb") as file:
                for line in file:
                    if not needles or any(needle in line for needle in needles):
                        yield from self._read(line)

    def trees(self, value: str) -> list[Node]:
        """The traces in which `value` (a signal id, an order id, a trace id …) is an attribute of some span.

        Of each, the way from its first span to those that carry `value`, everything below these and of their signal,
        and the steps that all signals of the cycle share; what other signals of the same cycle did is left out."""
        # Attributes are written as JSON: what JSON escapes is looked for in its escaped form.
        found = {
            span.trace_id
            for span in self.spans(containing=[json.dumps(value)[1:-1]])
            if value in (span.trace_id, *map(str, span.attributes.values()))
        }
        if not found:
            return []
        spans = (span for span in self.spans(containing=found) if span.trace_id in found)
        nodes = (
            pruned(root, lambda s: value in (s.trace_id, *map(str, s.attributes.values()))) for root in trees(spans)
        )
        return [node for node in nodes if node is not None]

    def latencies(self, names: Collection[str] | None = None) -> dict[str, Latency]:
        """Latencies by span name, sorted by name."""
        return latencies(span for span in self.spans() if names is None or span.name in names)

    def _files(self) -> list[Path]:
        # The older half of a file first.
        found = [*self._folder.glob("*.jsonl.1"), *self._folder.glob("*.jsonl")]
        return sorted(found, key=lambda path: (path.name.removesuffix(".1"), not path.name.endswith(".1")))

    def _read(self, line: bytes) -> list[RecordedSpan]:
        if not line.strip():
            return []
        try:
            return list(_decode(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            self.unreadable_lines += 1
            return []


def trees(spans: Iterable[RecordedSpan]) -> list[Node]:
    """Spans as trees, earliest first. A span whose parent is not among them (lost, or still running) is a root."""
    nodes = {(span.trace_id, span.span_id): Node(span) for span in spans}
    roots: list[Node] = []
    for node in sorted(nodes.values(), key=lambda node: (node.span.start_ns, node.span.span_id)):
        parent = nodes.get((node.span.trace_id, node.span.parent_id))
        (roots if parent is None or parent is node else parent.children).append(node)
    return roots


def pruned(node: Node, wanted: Callable[[RecordedSpan], bool]) -> Node | None:
    """A copy of the tree with the spans that are `wanted`, everything below them and of their signal, the way to them,
    and what belongs to no single signal; None where only other signals' spans are there."""
    if wanted(node.span):
        return node
    if SIGNAL_ID in node.span.attributes and any(wanted(span) for _, span in node.walk()):
        return node
    children = [kept for child in node.children if (kept := pruned(child, wanted)) is not None]
    shared = SIGNAL_ID not in node.span.attributes and INTENT_ID not in node.span.attributes
    return Node(node.span, children) if children or shared else None


def latencies(spans: Iterable[RecordedSpan]) -> dict[str, Latency]:
    """p50 and p99 of the durations by span name, by nearest rank, sorted by name."""
    durations: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for span in spans:
        durations[span.name].append(span.duration_ms)
    return {name: _latency(durations[name]) for name in sorted(durations)}


def _latency(durations: "array[float]") -> Latency:
    ordered = sorted(durations)
    return Latency(len(ordered), _rank(ordered, 0.5), _rank(ordered, 0.99))


def _rank(ordered: list[float], fraction: float) -> float:
    return ordered[max(0, -(-len(ordered) * round(fraction * 100) // 100) - 1)]


def _decode(request: dict[str, Any]) -> Iterator[RecordedSpan]:
    for resource_spans in request["resourceSpans"]:
        service = str(_attributes(resource_spans["resource"]).get("service.name", ""))
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                yield _span(service, span)


def _span(service: str, span: dict[str, Any]) -> RecordedSpan:
    status = span.get("status", {})
    return RecordedSpan(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        name=span["name"],
        service=service,
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        error=(status.get("message") or "failed") if status.get("code") == ERROR else "",
        linked_traces=tuple(link["traceId"] for link in span.get("links", ())),
    )


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: _value(each["value"]) for each in holder.get("attributes", ())}


def _value(value: dict[str, Any]) -> Any:
    kind, content = next(iter(value.items()))
    match kind:
        case "intValue":
            return int(content)
        case "arrayValue":
            return [_value(each) for each in content.get("values", ())]
    return content

"""Logs: JSON lines on stderr and in `<state_dir>/logs/<service>.jsonl`, with the trace they belong to.

Use `structlog.get_logger()` with event names and key=value. What the libraries log by `logging` comes out the same way.
Redaction is the last step before the sink (SE-2). The sink has a thread and a bounded queue: a slow, full or closed one
loses lines, counts them in `holdfast_logs_dropped`, and never holds or breaks who logs.
"""

import atexit
import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Protocol

import structlog
from opentelemetry import trace

from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.settings import Settings
from holdfast_runtime.telemetry import metrics
from holdfast_runtime.telemetry.redaction import redact, redact_text

MAX_QUEUE = 10_000
QUIET = (
    "nats",
    "grpc",
    "httpx",
    "httpcore",
    "urllib3",
    "websockets",
    "asyncio",
    "opentelemetry",
    "alembic",
    "uvicorn.access",
)
"""Libraries that say too much below WARNING."""

STDERR_VARIABLE = "HOLDFAST_STDERR"
"""`errors`: stderr is shown errors alone. A supervisor that keeps stderr in a file sets it; the log file has all."""
_ERROR_LEVELS = ('"level": "error"', '"level": "critical"')
_ERRORS = (OSError, ValueError)
"""What a stream or a file that is full, closed or gone raises."""


class Stream(Protocol):
    """Where lines are shown: stderr."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class LogSink:
    """Writes finished lines to a stream and a file, in a thread. Where one of them fails the other still gets them."""

    def __init__(
        self, stream: Stream | None, file: BoundedFile | None, *, max_queue: int = MAX_QUEUE, errors_only: bool = False
    ) -> None:
        """`errors_only`: the stream is shown errors alone, the file keeps everything."""
        self._stream = stream
        self._errors_only = errors_only
        self._file = file
        self._queue: queue.Queue[str | threading.Event | None] = queue.Queue(max_queue)
        self._file_works = True
        metrics.at_zero(metrics.LOGS_DROPPED, ("queue",), ("full",))
        self._thread = threading.Thread(target=self._run, name="log-sink", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queues one line; never blocks and never raises."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            metrics.LOGS_DROPPED.labels("queue", "full").inc()

    def flush(self, timeout_secs: float = 1.0) -> bool:
        """Waits until everything queued before is written; False where that takes longer than `timeout_secs`."""
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout_secs)
        except queue.Full:
            return False
        return done.wait(timeout_secs)

    def close(self, timeout_secs: float = 1.0) -> bool:
        """Writes what is queued and ends the thread. Blocks at most `timeout_secs` twice."""
        try:
            self._queue.put(None, timeout=timeout_secs)
        except queue.Full:
            return False
        self._thread.join(timeout_secs)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                if not self._errors_only or any(level in item for level in _ERROR_LEVELS):
                    self._show(item)
                self._keep(item)
        if self._file is not None:
            self._file.close()

    def _show(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except _ERRORS as error:
            metrics.LOGS_DROPPED.labels("stderr", type(error).__name__).inc()

    def _keep(self, line: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line.encode(errors="backslashreplace"))
            self._file_works = True
        except _ERRORS as error:
            metrics.LOGS_DROPPED.labels("file", type(error).__name__).inc()
            if self._file_works:
                # Said once, on the sink that is left: a full disk would repeat it with every line.
                self._file_works = False
                self._show(json.dumps({"event": "log.file_failed", "level": "error", "error": redact_text(str(error))}))


class Render:
    """The last processor: bounded, redacted, one line of JSON. It never raises, whatever it is given."""

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        try:
            return json.dumps(redact(dict(event)))
        except Exception as error:  # noqa: BLE001 a line that cannot be shown must not break who logs it
            shown = {"event": "log.unshowable", "level": "error", "error": type(error).__name__}
            return json.dumps(shown | {"about": redact_text(str(event.get("event", "")))})


class _SinkLogger:
    """What structlog's loggers end in."""

    def __init__(self, sink: LogSink) -> None:
        self._write = sink.write

    def msg(self, line: str) -> None:
        self._write(line)

    debug = info = warning = warn = error = critical = exception = fatal = failure = log = msg


class _FromLogging(logging.Handler):
    """Sends the records of `logging` through the same processors."""

    def __init__(self, processors: list[Any], sink: LogSink) -> None:
        super().__init__()
        self._processors = processors
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # A library's format string does not fit its arguments: its own mistake, and no reason to lose the line.
            text = f"{record.msg} {record.args!r}"
        event: Any = {"event": text, "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for processor in self._processors:
            event = processor(None, record.levelname.lower(), event)
        self._sink.write(event)


_sink: LogSink | None = None


def setup(service: str, settings: Settings, *, stream: Stream | None = None) -> LogSink:
    """Routes all logs of this process to JSON lines; `stream` stands in for stderr. Returns the sink."""
    path = settings.state_dir / "logs" / f"{service}.jsonl"
    file = BoundedFile(path, max_bytes=settings.telemetry.max_file_bytes)
    errors_only = os.environ.get(STDERR_VARIABLE) == "errors"
    sink = LogSink(sys.stderr if stream is None else stream, file, errors_only=errors_only)
    return start(service, settings.telemetry.log_level, sink)


def start(service: str, level: str, sink: LogSink) -> LogSink:
    """Routes all logs of this process to `sink`."""
    global _sink
    shutdown()
    _sink = sink
    number = logging.getLevelNamesMapping()[level]
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _about(service),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _errors_as_text,
        Render(),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _SinkLogger(sink),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_FromLogging(processors, sink)]
    root.setLevel(number)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)
    atexit.register(flush)
    # The interpreter would print these as they are, past the redaction.
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    return sink


def flush(timeout_secs: float = 1.0) -> bool:
    """Waits until everything logged so far is written."""
    return _sink is None or _sink.flush(timeout_secs)


def shutdown(timeout_secs: float = 1.0) -> bool:
    """Writes what is queued and gives stderr back. Later lines go nowhere but to structlog's default."""
    global _sink
    sink, _sink = _sink, None
    if sink is None:
        return True
    logging.getLogger().handlers = []
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = (
        sys.__excepthook__,
        threading.__excepthook__,
        sys.__unraisablehook__,
    )
    structlog.reset_defaults()
    return sink.close(timeout_secs)


def _about(service: str) -> Any:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = f"{context.trace_id:032x}"
            event["span_id"] = f"{context.span_id:016x}"
        return event

    return add


def _errors_as_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces `exc_info` by the traceback as text, without local variables."""
    info = event.pop("exc_info", None)
    if info is None or info is False:
        return event
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else sys.exc_info()[1]
    if error is not None:
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.uncaught", exc_info=error)
    flush()


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else ""
        structlog.get_logger().critical("thread.uncaught", thread=name, exc_info=args.exc_value)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    structlog.get_logger().error("process.unraisable", object=args.object, exc_info=args.exc_value)

"""JSON lines with their trace, nothing secret in them, and a dead sink that breaks nothing (SE-2)."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from holdfast_runtime.rotation import BoundedFile
from holdfast_runtime.secrets import register_secret
from holdfast_runtime.settings import Settings, TelemetrySettings
from holdfast_runtime.telemetry import logs, metrics, traces

KNOWN = "PKLOGSECRET0123456789"  # pragma: allowlist secret


def dropped(sink: str, reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("holdfast_logs_dropped_total", {"sink": sink, "reason": reason}) or 0.0


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    register_secret(KNOWN)
    yield
    logs.shutdown()
    traces.shutdown(1.0)


def started(tmp_path: Path, stream: Any = None, **telemetry: Any) -> io.StringIO:
    stream = io.StringIO() if stream is None else stream
    settings = Settings(state_dir=tmp_path, telemetry=TelemetrySettings(**telemetry))
    logs.setup("gate", settings, stream=stream)
    return stream


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_names_service_time_level_and_trace_on_both_sinks(tmp_path: Path) -> None:
    stream = started(tmp_path)
    traces.setup("gate", Settings(state_dir=tmp_path), {})
    with traces.span("gate.evaluate") as span:
        structlog.get_logger().info("cycle.decided", cycle_id="sma.20131007T133500Z", allowed=3)
    assert logs.flush(30.0)
    (line,) = records(stream.getvalue())
    assert line["event"] == "cycle.decided"
    assert line["cycle_id"] == "sma.20131007T133500Z"
    assert line["allowed"] == 3
    assert line["service"] == "gate"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    assert f"00-{line['trace_id']}-{line['span_id']}-" in span.traceparent
    assert records((tmp_path / "logs" / "gate.jsonl").read_text()) == [line]


def test_no_known_key_is_in_any_line(tmp_path: Path) -> None:
    """SE-2: nested values, exceptions with causes, messages of libraries, uncaught errors."""
    stream = started(tmp_path)
    log = structlog.get_logger()
    log.info("request.sent", headers={"deep": [{"APCA-API-KEY-ID": "unregistered-one"}, f"id {KNOWN}"]})
    try:
        try:
            raise ValueError(f"bad credentials {KNOWN}")
        except ValueError as cause:
            raise RuntimeError("password=unregistered-two") from cause
    except RuntimeError:
        log.exception("venue.failed")
        logging.getLogger("some.library").exception("GET https://user:unregistered-three@host/?key=%s", KNOWN)
    log.bind(token="unregistered-four").warning(f"event with {KNOWN}")
    error = RuntimeError(KNOWN)
    sys.excepthook(RuntimeError, error, None)
    threading.excepthook(threading.ExceptHookArgs((RuntimeError, error, None, threading.current_thread())))
    assert logs.flush(30.0)
    text = stream.getvalue() + (tmp_path / "logs" / "gate.jsonl").read_text()
    assert KNOWN not in text
    assert "unregistered-" not in text
    events = [line["event"] for line in records(stream.getvalue())]
    assert events[:2] == ["request.sent", "venue.failed"]
    assert events[-2:] == ["process.uncaught", "thread.uncaught"]
    failed = records(stream.getvalue())[1]
    assert "ValueError: bad credentials ***" in failed["exception"]
    assert "RuntimeError" in failed["exception"]


def test_logging_comes_out_the_same_way_at_the_same_level(tmp_path: Path) -> None:
    stream = started(tmp_path, log_level="WARNING")
    logging.getLogger("some.library").info("hidden")
    structlog.get_logger().info("hidden")
    logging.getLogger("some.library").warning("%s of %s", 1, 2)
    logging.getLogger("some.library").warning("%d things", "no number")
    assert logs.flush(30.0)
    first, second = records(stream.getvalue())
    assert (first["event"], first["logger"], first["level"], first["service"]) == (
        "1 of 2",
        "some.library",
        "warning",
        "gate",
    )
    assert "no number" in second["event"]


class Closed(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError("nobody reads")


def test_a_closed_stderr_breaks_nothing_and_the_file_goes_on(tmp_path: Path) -> None:
    before = dropped("stderr", "BrokenPipeError")
    started(tmp_path, stream=Closed())
    structlog.get_logger().info("still.there")
    assert logs.flush(30.0)
    assert records((tmp_path / "logs" / "gate.jsonl").read_text())[0]["event"] == "still.there"
    assert dropped("stderr", "BrokenPipeError") == before + 1


def test_a_full_disk_falls_back_to_stderr_is_said_once_and_counted(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder can be made here")
    before = sum(sample.value for sample in metrics.LOGS_DROPPED.collect()[0].samples)
    stream = started(tmp_path)
    structlog.get_logger().info("first")
    structlog.get_logger().info("second")
    assert logs.flush(30.0)
    assert [line["event"] for line in records(stream.getvalue())] == ["first", "log.file_failed", "second"]
    assert sum(sample.value for sample in metrics.LOGS_DROPPED.collect()[0].samples) == before + 2


class Stuck(io.StringIO):
    """A terminal that has been stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def write(self, text: str, /) -> int:
        self.reached.set()
        self.go_on.wait()
        return super().write(text)


def test_a_stuck_sink_never_holds_who_logs_and_what_is_lost_is_counted() -> None:
    stream = Stuck()
    before = dropped("queue", "full")
    sink = logs.LogSink(stream, None, max_queue=3)
    sink.write("taken by the writer")
    stream.reached.wait()
    for number in range(10):
        sink.write(f"line {number}")
    assert dropped("queue", "full") == before + 7
    assert not sink.flush(timeout_secs=0.01)
    stream.go_on.set()
    assert sink.close(timeout_secs=30.0)
    assert stream.getvalue().splitlines() == ["taken by the writer", "line 0", "line 1", "line 2"]


def test_a_value_that_cannot_be_shown_does_not_break_who_logs_it(tmp_path: Path) -> None:
    class Broken(dict[str, str]):
        def items(self) -> Any:
            raise RuntimeError("no")

    stream = started(tmp_path)
    structlog.get_logger().info("odd", value=Broken(), big=10**5_000, lone="\ud800", nan=float("nan"))
    assert logs.flush(30.0)
    assert records(stream.getvalue())[0]["event"] == "log.unshowable"


def test_the_log_file_is_bounded(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "gate.jsonl", max_bytes=2_000)
    sink = logs.start("gate", "INFO", logs.LogSink(None, file))
    for number in range(100):
        structlog.get_logger().info("turn", number=number)
    assert sink.flush(30.0)
    assert file.path.stat().st_size <= 2_000
    assert file.older.stat().st_size <= 2_000
    assert records(file.path.read_text())[-1]["number"] == 99

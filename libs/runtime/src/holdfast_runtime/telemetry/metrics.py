"""The one table of all metrics, and the endpoint that shows them (OpenMetrics, with exemplars).

Every metric of every service is a constant of this module: a name, a unit in the name where there is one, a help text,
and labels whose values are few and known (never an order id). Add yours here. Who counts a rare event names its label
values at the start (`at_zero`): Prometheus sees no growth in a series that begins at 1.
"""

import functools
import itertools
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

# A creation series beside each counter doubles the page and nothing here reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves this function unannotated

REGISTRY = CollectorRegistry(auto_describe=True)
"""Private: what another library registers globally does not appear."""

FAST_SECS = (0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets of what happens inside the stack, in seconds."""

SLOW_SECS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Buckets of what waits for the outside world, in seconds."""


# The process.
READY = Gauge(
    "holdfast_ready", "1 while the service of this process is ready; absent: it is not there.", ["name"],
    registry=REGISTRY,
)  # fmt: skip
START_TO_READY = Gauge(
    "holdfast_start_to_ready_seconds",
    "Time of this process from its start until it was first ready, imports included (IN-1); absent: it never was.",
    ["name"],
    registry=REGISTRY,
)
CERTIFICATE_EXPIRY = Gauge(
    "holdfast_certificate_expiry_timestamp_seconds",
    "Unix time at which a certificate in use ends (own, authority).",
    ["certificate"],
    registry=REGISTRY,
)
CRASHES = Gauge(
    "holdfast_crashes", "Crashes of this service within the last 10 minutes, over its restarts.", registry=REGISTRY
)
HEARTBEAT = Gauge(
    "holdfast_heartbeat_timestamp_seconds",
    "Unix time of the last look at which nothing blocked trading; absent or old: raise the alarm (IN-3).",
    registry=REGISTRY,
)
MEMORY_FRACTION = Gauge("holdfast_memory_fraction", "Fraction of the memory limit in use.", registry=REGISTRY)
DISK_FREE_BYTES = Gauge("holdfast_disk_free_bytes", "Free space where the state is kept.", registry=REGISTRY)
DISK_TOTAL_BYTES = Gauge("holdfast_disk_total_bytes", "All space where the state is kept.", registry=REGISTRY)

# Loops: the supervised work of a service.
LOOP_FAILURES = Counter(
    "holdfast_loop_failures", "Turns of a supervised loop that raised.", ["loop"], registry=REGISTRY
)
LOOP_RESTARTS = Counter(
    "holdfast_loop_restarts", "Times a supervised loop was started again.", ["loop"], registry=REGISTRY
)
LOOP_GIVEN_UP = Gauge(
    "holdfast_loop_given_up", "1 where a supervised loop is not started again.", ["loop"], registry=REGISTRY
)
LOOP_AGE = Gauge(
    "holdfast_loop_age_seconds",
    "Age of the last completed turn of a loop, as liveness sees it.",
    ["loop"],
    registry=REGISTRY,
)

# Calls between services. code: canonical code by name, OK included.
RPC_SERVED = Counter("holdfast_rpc_served", "Calls answered, by code.", ["method", "code"], registry=REGISTRY)
RPC_SECONDS = Histogram(
    "holdfast_rpc_seconds", "Time to answer a call.", ["method"], registry=REGISTRY, buckets=FAST_SECS
)
RPC_CALLED = Counter(
    "holdfast_rpc_called", "Calls made, by the code that came back.", ["method", "code"], registry=REGISTRY
)
RPC_CALL_SECONDS = Histogram(
    "holdfast_rpc_call_seconds",
    "Time of a call as its caller sees it.",
    ["method"],
    registry=REGISTRY,
    buckets=FAST_SECS,
)
RPC_DENIED = Counter(
    "holdfast_rpc_denied",
    "Calls refused for who called (NO_IDENTITY, CALLER_NOT_ALLOWED).",
    ["reason"],
    registry=REGISTRY,
)

REVISIONS_INCOMPATIBLE = Counter(
    "holdfast_revisions_incompatible",
    "Batches whose entries were refused because their caller is of a release that is not understood.",
    ["caller"],
    registry=REGISTRY,
)

# The bus.
BUS_PUBLISHED = Counter("holdfast_bus_published", "Messages stored in a stream.", ["stream"], registry=REGISTRY)
BUS_PUBLISH_FAILURES = Counter(
    "holdfast_bus_publish_failures", "Publishes that the bus did not confirm.", ["stream"], registry=REGISTRY
)
BUS_CONSUMED = Counter(
    "holdfast_bus_consumed", "Messages handled and acknowledged.", ["stream", "consumer"], registry=REGISTRY
)
BUS_REDELIVERED = Counter(
    "holdfast_bus_redelivered", "Messages that came more than once.", ["stream", "consumer"], registry=REGISTRY
)
BUS_DEAD_LETTERS = Counter(
    "holdfast_bus_dead_letters",
    "Messages put aside with their reason.",
    ["stream", "consumer", "reason"],
    registry=REGISTRY,
)
BUS_DENIED = Counter(
    "holdfast_bus_denied", "Times the bus has denied something (publish, subscription).", ["action"], registry=REGISTRY
)
BUS_CONNECTED = Gauge("holdfast_bus_connected", "1 while connected to the bus.", registry=REGISTRY)
BUS_HANDLER_FAILURES = Counter(
    "holdfast_bus_handler_failures",
    "Handlers that raised what nobody expected, by error class.",
    ["stream", "consumer", "error"],
    registry=REGISTRY,
)
BUS_REBUILDS = Counter(
    "holdfast_bus_rebuilds", "Times a consumer or a reader was built again.", ["stream"], registry=REGISTRY
)
BUS_STREAMS_LOST = Counter(
    "holdfast_bus_streams_lost",
    "Streams and buckets found lost, and read or rebuilt from the start.",
    ["stream"],
    registry=REGISTRY,
)
BUS_STREAM_FILL = Gauge(
    "holdfast_bus_stream_fill",
    "Fraction of a stream's maximum size that is used; a full one refuses.",
    ["stream"],
    registry=REGISTRY,
)

# The way of a trade.
CYCLES = Counter(
    "holdfast_cycles",
    "Cycles, by what became of them (published, decided, expired).",
    ["strategy", "outcome"],
    registry=REGISTRY,
)
CYCLES_NEARLY_LATE = Counter(
    "holdfast_cycles_nearly_late",
    "Cycles that were decided when 80 % of their time, or more, was over: in time still.",
    ["strategy"],
    registry=REGISTRY,
)
SIGNALS = Counter("holdfast_signals", "Signals published.", ["strategy", "direction"], registry=REGISTRY)
DECISIONS = Counter(
    "holdfast_decisions",
    "Decisions by outcome (allowed, blocked), the gate that decided, and its coded reason.",
    ["outcome", "gate", "reason"],
    registry=REGISTRY,
)
GATE_VERDICTS = Counter(
    "holdfast_gate_verdicts", "Verdicts (pass, block, shrink) of each gate.", ["gate", "verdict"], registry=REGISTRY
)
ORDERS = Counter("holdfast_orders", "Orders that reached a state, by purpose.", ["purpose", "state"], registry=REGISTRY)
SENDS = Counter(
    "holdfast_sends", "Order requests sent to the venue, by what came back.", ["request", "outcome"], registry=REGISTRY
)
VENUE_CIRCUIT_OPEN = Gauge(
    "holdfast_venue_circuit_open",
    "1 while the circuit breaker is open: only reducing orders are tried.",
    ["system"],
    registry=REGISTRY,
)
VENUE_CIRCUIT_OPENINGS = Counter(
    "holdfast_venue_circuit_openings", "Times a circuit breaker opened.", ["system"], registry=REGISTRY
)
SEND_SECONDS = Histogram(
    "holdfast_send_seconds",
    "Time of one order request to the venue.",
    ["request"],
    registry=REGISTRY,
    buckets=SLOW_SECS,
)
UNKNOWN_OUTCOMES = Gauge("holdfast_unknown_outcomes", "Orders whose outcome is not known now.", registry=REGISTRY)
UNKNOWN_OUTCOMES_SEEN = Counter("holdfast_unknown_outcomes_seen", "Sends that ended unknown.", registry=REGISTRY)
FILLS = Counter("holdfast_fills", "Executions applied to the ledger.", ["purpose", "side"], registry=REGISTRY)
TIMED_TRADES = Counter(
    "holdfast_timed_trades",
    "Timed buys and sales that are settled: done, late, missed, skipped.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
ZOMBIE_ORDERS = Counter(
    "holdfast_zombie_orders", "Orders that live at the venue though their intent is over.", registry=REGISTRY
)
POSITIONS = Gauge("holdfast_positions", "Positions held.", registry=REGISTRY)
UNPROTECTED_POSITIONS = Gauge(
    "holdfast_unprotected_positions",
    "Positions that no active stop covers and nobody is selling.",
    registry=REGISTRY,
)
HALTS = Gauge(
    "holdfast_halts",
    "Halts in force, by kind (kill_switch, credentials, safety_abort, reconciliation).",
    ["kind"],
    registry=REGISTRY,
)
EQUITY = Gauge("holdfast_equity", "Equity of the account in its currency, as admin shows it.", registry=REGISTRY)
PROFIT = Gauge(
    "holdfast_profit",
    "Profit in the account's currency, as admin shows it (realised, unrealised, day, total).",
    ["kind"],
    registry=REGISTRY,
)
LEDGER_REACHABLE = Gauge(
    "holdfast_ledger_reachable", "1 where the last beat or look at the lease reached the ledger.", registry=REGISTRY
)
LEDGER_COMMIT_SECONDS = Histogram(
    "holdfast_ledger_commit_seconds",
    "Time of one ledger transaction with its commit.",
    registry=REGISTRY,
    buckets=FAST_SECS,
)
OUTBOX_AGE = Gauge(
    "holdfast_outbox_age_seconds", "Age of the oldest fact that is not published, as seen here.", registry=REGISTRY
)
OUTBOX_BACKLOG = Gauge(
    "holdfast_outbox_backlog", "Facts stored and not yet published, as far as one batch reads.", registry=REGISTRY
)
LEASE_EPOCH = Gauge(
    "holdfast_lease_epoch", "Epoch of the account's lease as last seen.", ["account"], registry=REGISTRY
)
LEASE_HELD = Gauge(
    "holdfast_lease_held", "1 where this process holds the account's lease.", ["account"], registry=REGISTRY
)

# Reconciliation and input.
RECONCILIATIONS = Counter(
    "holdfast_reconciliations", "Comparisons with the broker, by verdict.", ["verdict"], registry=REGISTRY
)
DISCREPANCIES = Counter(
    "holdfast_discrepancies", "Discrepancies found, by class and what was done.", ["kind", "action"], registry=REGISTRY
)
RECONCILIATION_AGE = Gauge(
    "holdfast_reconciliation_age_seconds", "Age of the last clean verdict, in market time.", registry=REGISTRY
)
FEED_AGE = Gauge(
    "holdfast_feed_age_seconds", "Age of the newest datum, in market time.", ["feed", "symbol"], registry=REGISTRY
)
FEED_STALE = Gauge("holdfast_feed_stale", "1 while a feed is stale.", ["feed", "symbol"], registry=REGISTRY)
FEED_GAPS = Counter("holdfast_feed_gaps", "Intervals for which no datum came.", ["feed", "symbol"], registry=REGISTRY)
FEED_ITEMS = Counter("holdfast_feed_items", "Data taken in.", ["feed"], registry=REGISTRY)
FEED_RECONNECTS = Counter(
    "holdfast_feed_reconnects", "Times a stream had to be built again.", ["feed"], registry=REGISTRY
)
QUARANTINED = Counter(
    "holdfast_quarantined_items",
    "Input that could not be read or believed, kept with its reason.",
    ["source", "reason"],
    registry=REGISTRY,
)

# Failure points, as this process's sentinel sees them.
FAILURE_POINT_STATUS = Gauge("holdfast_failure_point_status", "0 OK, 1 WARN, 2 ERROR.", ["point"], registry=REGISTRY)
FAILURE_POINT_HEALS = Counter(
    "holdfast_failure_point_heals", "Incidents that ended without a person.", ["point"], registry=REGISTRY
)

# papermarket.
FAULTS_FIRED = Counter(
    "holdfast_faults_fired", "Faults that the plan has let happen.", ["fault", "kind"], registry=REGISTRY
)

# The admin pages and their API.
ADMIN_ACTIONS = Counter(
    "holdfast_admin_actions", "Actions of people, by what came of them.", ["action", "result"], registry=REGISTRY
)
ADMIN_LOGINS = Counter(
    "holdfast_admin_logins", "Tokens shown to admin (accepted, refused, limited).", ["outcome"], registry=REGISTRY
)
ADMIN_SESSIONS = Gauge("holdfast_admin_sessions", "Sessions of logged-in browsers.", registry=REGISTRY)

# Telemetry about itself, and secrets.
SPANS_DROPPED = Counter(
    "holdfast_spans_dropped", "Spans lost, by exporter and why.", ["exporter", "reason"], registry=REGISTRY
)
LOGS_DROPPED = Counter(
    "holdfast_logs_dropped", "Log lines lost, by sink and why.", ["sink", "reason"], registry=REGISTRY
)
SECRET_REFRESH_FAILURES = Counter(
    "holdfast_secret_refresh_failures", "Refreshes that kept the last good value (IN-6).", ["name"], registry=REGISTRY
)
SECRET_WRITTEN = Gauge(
    "holdfast_secret_written_timestamp_seconds",
    "Unix time at which a mounted secret was written, as the process sees its file (SE-1).",
    ["name"],
    registry=REGISTRY,
)

STAGE_SECONDS = Histogram(
    "holdfast_stage_seconds",
    "Time of one stage of a trade, with the trace that shows an example.",
    ["stage"],
    registry=REGISTRY,
    buckets=FAST_SECS,
)

DECIDED = "cycle.decided"
"""Stage from a cycle's storage in its stream to the commit of its decisions, waiting included."""
ANSWERED = "order.answered"
"""Stage from an order's decision to the broker's first answer, in market time: it stands still in lock-step."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


@functools.lru_cache(maxsize=64)
def _stage(name: str) -> Histogram:
    """Looked up once: every step of every trade comes here."""
    return STAGE_SECONDS.labels(name)


def observe_stage(stage: str, secs: float, *, traceparent: str = "") -> None:
    """Adds one duration in seconds to `stage`, with the trace as its exemplar where there is one."""
    _stage(stage).observe(secs, exemplar(traceparent))


def observe_stage_since(stage: str, began_ns: int, *, traceparent: str = "") -> None:
    """Adds what has passed since `began_ns` (wall-clock nanoseconds since 1970, perhaps of another machine)."""
    # Telemetry decides nothing: where two clocks differ, a negative time counts as none.
    observe_stage(stage, max((time.time_ns() - began_ns) / 1e9, 0.0), traceparent=traceparent)


def at_zero(counter: Counter, *values: Iterable[str]) -> None:
    """Shows `counter` at 0 for every combination of these label values, before anything is counted."""
    for labels in itertools.product(*values):
        counter.labels(*labels)


def exemplar(traceparent: str) -> dict[str, str] | None:
    """Labels of an exemplar for a W3C traceparent; None where there is no trace."""
    parts = traceparent.split("-")
    if len(parts) != 4:
        return None
    return {"trace_id": parts[1], "span_id": parts[2]}


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table: `name` without the suffixes that exposition adds, `kind` counter, gauge or histogram."""

    name: str
    kind: str
    help: str


def table() -> list[Metric]:
    """Every metric, sorted by name."""
    return sorted(
        (Metric(each.name, each.type, each.documentation) for each in REGISTRY.collect()), key=lambda m: m.name
    )


class Endpoint:
    """The HTTP page of the metrics. `port` is the one really taken."""

    def __init__(self, server: WSGIServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.port = int(server.server_port)

    def close(self) -> None:
        """Stops answering and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=1.0)


def serve(address: str = "127.0.0.1:0") -> Endpoint:
    """Shows the table at http://<host:port>/metrics from a thread of its own; port 0 takes a free one."""
    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), addr=host, registry=REGISTRY)
    return Endpoint(server, thread)
